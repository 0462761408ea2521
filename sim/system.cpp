// A design with a memory on its AXI4 port and the host on its AXI4-Lite port; either may be absent.
// Compiled once a machine and called through ctypes by sat_hdl.sim.memory.

#include <algorithm>
#include <memory>

#include "bytes.hpp"
#include "csr.hpp"
#include "design.hpp"
#include "memory.hpp"
#include "recorder.hpp"

namespace {

struct Wait {
    uint64_t limit, cycles;  // most cycles to run, cycles run
    uint64_t slice;          // a poll ends for the time being after this many
    uint64_t mask, value;    // until (port or register & mask) == value
    int32_t port;            // -1: no condition
};

// What one call does with bytes: it ends after `limit` cycles, or when nothing was on the way for `quiet` of them.
struct Exchange {
    const uint8_t* in;
    uint64_t in_count, limit, quiet, cycles;
    const uint8_t* out;
    uint64_t out_count;
};

struct System {
    Design& design;
    uint64_t cycle = 0;
    std::string memory_prefix, csr_prefix, text;
    std::unique_ptr<axi::Memory> memory;
    std::unique_ptr<axi::Csr> csr;
    std::unique_ptr<Bytes> bytes;
    std::vector<uint8_t> given;  // bytes of the last exchange
    Recorder recorder;

    explicit System(Design& design) : design(design) {}

    // One cycle; `look` sees the ports as the clock edge finds them.
    template <class Look>
    void tick(Look look) {
        if (memory) memory->drive();
        if (csr) csr->drive();
        if (bytes) bytes->drive();
        design.settle();
        if (memory) memory->watch();
        if (csr) csr->watch();
        if (bytes) bytes->watch();
        recorder.watch(cycle);
        look();
        design.rise();
        ++cycle;
    }
    void tick() {
        tick([] {});
    }
    Status status() const {
        if (design.stopped()) return kStopped;
        const bool broken = (memory && !memory->judge.text.empty()) || (csr && !csr->judge.text.empty());
        return broken ? kViolation : kDone;
    }

    Status run(Wait& wait) {
        const axi::Pin pin = axi::pin(design, wait.port);
        bool met = false;
        for (wait.cycles = 0; wait.cycles < wait.limit;) {
            tick([&] { met = pin.data && (pin.get() & wait.mask) == wait.value; });
            ++wait.cycles;
            if (const Status now = status(); now != kDone) return now;
            if (met) return kDone;
        }
        return kLimit;
    }

    Status exchange(Exchange& exchange) {
        bytes->to_design.insert(bytes->to_design.end(), exchange.in, exchange.in + exchange.in_count);
        if (exchange.in_count) bytes->quiet = 0;
        Status ended = kLimit;
        for (exchange.cycles = 0; exchange.cycles < exchange.limit && ended == kLimit;) {
            tick();
            ++exchange.cycles;
            if (const Status now = status(); now != kDone) ended = now;
            else if (bytes->quiet >= exchange.quiet) ended = kDone;
        }
        given.swap(bytes->from_design);
        bytes->from_design.clear();
        exchange.out = given.data();
        exchange.out_count = given.size();
        return ended;
    }

    Status access(axi::Access& access) {
        if (const Status now = status(); now != kDone) return now;
        if (csr->busy()) return kBusy;
        csr->start(access);
        for (access.cycles = 0; access.cycles < access.limit;) {
            tick();
            ++access.cycles;
            if (const Status now = status(); now != kDone) return now;
            if (csr->busy()) continue;
            access.data = csr->access().data;
            access.response = csr->access().response;
            return kDone;
        }
        return kLimit;
    }

    // Reads a register over and over.
    Status poll(axi::Access& access, Wait& wait) {
        for (wait.cycles = 0; wait.cycles < std::min(wait.limit, wait.slice);) {
            access.limit = wait.limit - wait.cycles;
            const Status now = this->access(access);
            wait.cycles += access.cycles;
            if (now != kDone || access.response != axi::kOkay) return now;
            if ((access.data & wait.mask) == wait.value) return kDone;
        }
        return kLimit;
    }
};

}  // namespace

API System* sim_system_new(Design* design, const char* memory, const int32_t* memory_ports, const char* csr,
                           const int32_t* csr_ports) {
    auto* system = new System(*design);
    system->memory_prefix = memory ? memory : "";
    system->csr_prefix = csr ? csr : "";
    if (memory)
        system->memory = std::make_unique<axi::Memory>(*design, memory_ports, system->memory_prefix.c_str(), system->cycle);
    if (csr) system->csr = std::make_unique<axi::Csr>(*design, csr_ports, system->csr_prefix.c_str(), system->cycle);
    return system;
}
API void sim_system_delete(System* system) { delete system; }
API void sim_system_memory(System* system, const axi::MemoryConfig* config) { system->memory->configure(*config); }
API void sim_system_csr(System* system, uint32_t stall, uint64_t seed) { system->csr->configure(stall, seed); }
API void sim_system_reset(System* system) {
    system->cycle = 0;
    if (system->memory) system->memory->reset();
    if (system->csr) system->csr->reset();
    if (system->bytes) system->bytes->reset();
}
// Bytes go to and come from the ports that `numbers` names; `divisor`: cycles a bit of a serial port, 0 of streams.
API void sim_system_bytes(System* system, const int32_t* numbers, uint32_t divisor) {
    system->bytes = std::make_unique<Bytes>(system->design, numbers, divisor);
}
API uint32_t sim_system_exchange(System* system, Exchange* exchange) {
    system->design.enter();
    return system->exchange(*exchange);
}
API uint32_t sim_system_run(System* system, Wait* wait) {
    system->design.enter();
    return system->run(*wait);
}
API uint32_t sim_system_access(System* system, axi::Access* access) {
    system->design.enter();
    return system->access(*access);
}
API uint32_t sim_system_poll(System* system, axi::Access* access, Wait* wait) {
    system->design.enter();
    return system->poll(*access, *wait);
}
API uint64_t sim_system_cycle(System* system) { return system->cycle; }
API const char* sim_system_violation(System* system) {
    system->text = system->memory ? system->memory->judge.text : "";
    if (system->text.empty() && system->csr) system->text = system->csr->judge.text;
    return system->text.c_str();
}
API void sim_system_counters(System* system, axi::Counters* counters) { *counters = system->memory->counters; }
// What is under way: reads, writes, and beats of data whose address has not come.
API void sim_system_open(System* system, uint64_t* counts) {
    counts[0] = system->memory->open_reads();
    counts[1] = system->memory->open_writes();
    counts[2] = system->memory->orphans();
}
API const axi::Event* sim_system_events(System* system, uint64_t* count) {
    *count = system->memory->events.size();
    return system->memory->events.data();
}
// Begins to record changes of ports; with no watches, ends it.
API void sim_system_record(System* system, const Watch* watches, uint32_t count, uint64_t limit) {
    system->recorder.start(system->design, watches, count, limit);
}
// What was recorded; `full` says whether there was no room for more.
API const Change* sim_system_changes(System* system, uint64_t* count, uint32_t* full) {
    *count = system->recorder.changes.size();
    *full = system->recorder.full();
    return system->recorder.changes.data();
}
