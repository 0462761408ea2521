// What a simulated memory is told, what it counts, and what it keeps of the bursts under way.

#pragma once

#include "axi.hpp"

namespace axi {

enum MemoryPort {
    kAwId, kAwAddr, kAwLen, kAwSize, kAwBurst, kAwValid, kAwReady, kWData, kWStrb, kWLast, kWValid, kWReady,
    kBId, kBResp, kBValid, kBReady, kArId, kArAddr, kArLen, kArSize, kArBurst, kArValid, kArReady, kRId,
    kRData, kRResp, kRLast, kRValid, kRReady, kMemoryPorts
};
enum Channel { kAw, kW, kB, kAr, kR, kChannels };
enum Order : uint32_t { kFifo, kReorder, kInterleave };

// The structures that sat_hdl.sim._library mirrors.
struct Range {
    uint64_t start, end;
    uint32_t response;  // of accesses that touch it, if it is a range of errors
};
struct MemoryConfig {
    uint8_t* data;
    uint64_t base, size;
    uint64_t seed;
    uint64_t bandwidth;  // beats per cycle, reads and writes together, in 2^-32; 0: no limit
    uint64_t log_limit;  // events
    const Range* errors;
    const Range* writable;
    uint32_t n_errors, n_writable, all_writable;
    uint32_t read_latency[2], write_latency[2];  // least, most
    uint32_t stall[kChannels];
    uint32_t outstanding, order, ready_after_valid;
};
struct Counters {
    uint64_t reads, writes, read_beats, write_beats, bytes_written, read_errors, write_errors;
    uint64_t most_reads, most_writes;  // that were outstanding at once
};
struct Event {
    uint64_t cycle, address;
    uint32_t channel, beats;
};

struct Address {
    uint64_t address = 0, id = 0, length = 0, size = 0, burst = 0;
    bool operator==(const Address&) const = default;
};

struct Beat {
    uint8_t data[64];
    uint64_t strobe = 0;
    uint32_t bytes = 0;
    bool last = false;
    bool operator==(const Beat& b) const {
        return strobe == b.strobe && last == b.last && !std::memcmp(data, b.data, bytes);
    }
};

struct Read {
    uint64_t address, id, due;
    uint32_t beats, done;
};
struct Write {
    uint64_t address, id, due;
    uint32_t beats, done, response;
    bool complete;
    std::vector<uint8_t> data;
    std::vector<uint64_t> strobes;  // of bytes to write
};

}  // namespace axi
