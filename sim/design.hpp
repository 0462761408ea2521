// What the parts of the harness share: a design's ports and clock, random numbers, moves of port values.

#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

struct Port {
    const char* name;
    uint32_t width;     // in bits
    uint32_t is_input;
    uint8_t* data;      // little-endian, as wide as the smallest C++ integer or array of words that fits
    uint32_t bytes;
};

// A verilated design, without its type: what is compiled once a machine drives it through this.
struct Design {
    std::string stop_reason;  // $stop, $finish or a failed assertion; else empty
    std::vector<Port> ports;

    virtual ~Design() = default;
    virtual void enter() = 0;   // before the library's other calls
    virtual void settle() = 0;  // with the clock low
    virtual void rise() = 0;
    bool stopped() const { return !stop_reason.empty(); }
};

// What a call of the library ends with.
enum Status { kDone, kLimit, kIdle, kDropped, kChanged, kSurplus, kStopped, kViolation, kBusy };

// Steele, Lea and Flood's SplitMix64.
inline uint64_t draw(uint64_t& state) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

inline void copy(void* to, const void* from, uint32_t bytes) {
    switch (bytes) {  // constant sizes become single moves
        case 1: std::memcpy(to, from, 1); break;
        case 2: std::memcpy(to, from, 2); break;
        case 4: std::memcpy(to, from, 4); break;
        case 8: std::memcpy(to, from, 8); break;
        default: std::memcpy(to, from, bytes);
    }
}

// Random bits on the payload, so that a design that looks at it without `valid` is found out.
inline void garbage(const Port& port, uint64_t& random) {
    uint32_t done = 0;
    while (done < port.bytes) {
        const uint64_t bits = draw(random);
        const uint32_t n = port.bytes - done < 8 ? port.bytes - done : 8;
        std::memcpy(port.data + done, &bits, n);
        done += n;
    }
    // A port's bits beyond its width must be 0.
    for (uint32_t bit = port.width; bit < port.bytes * 8; bit = (bit | 7) + 1)
        port.data[bit / 8] &= static_cast<uint8_t>((1u << (bit % 8)) - 1);
}

#define API extern "C" __attribute__((visibility("default")))
