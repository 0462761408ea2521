// What both sides of an AXI port share: pins, the rules of a handshake, the word for a broken one.

#pragma once

#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "design.hpp"

namespace axi {

enum Response : uint32_t { kOkay = 0, kSlverr = 2, kDecerr = 3 };

// The first violation of the rules, as a sentence; it stays until the reset.
struct Judge {
    std::string text;
    const char* port = "";  // prefix of the port in the design
    const uint64_t* cycle = nullptr;

    __attribute__((format(printf, 2, 3))) void violation(const char* format, ...) {
        if (!text.empty()) return;
        char what[300];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
        text = std::string("Port ") + port + " " + what + " in cycle " + std::to_string(*cycle);
    }
};

// A port of at most 64 bits that may be absent.
struct Pin {
    uint8_t* data = nullptr;
    uint32_t bytes = 0, width = 0;

    uint64_t get(uint64_t absent = 0) const {
        if (!data) return absent;
        uint64_t value = 0;
        copy(&value, data, bytes);
        return value;
    }
    bool high() const { return data && *data; }
    void put(uint64_t value) const {
        if (data) copy(data, &value, bytes);
    }
    void put_garbage(uint64_t& random) const {
        if (data) put(draw(random) & (width < 64 ? (uint64_t{1} << width) - 1 : ~uint64_t{0}));
    }
};

inline Pin pin(const Design& design, int32_t number) {
    if (number < 0) return {};
    const Port& port = design.ports[number];
    return {port.data, port.bytes, port.width};
}

// Whether a channel rests this cycle, with a probability in 2^-32.
struct Stall {
    uint32_t probability = 0;
    uint64_t random = 0;
    bool operator()() { return probability && static_cast<uint32_t>(draw(random)) < probability; }
};

// A channel on which the design is the source: an offered payload must stay until it is accepted.
template <class Payload>
struct Sink {
    const char* name = "";
    Pin valid = {}, ready = {};
    bool open = false;     // `ready` is high in this cycle
    bool pending = false;  // the payload was on offer in the last cycle, and was not accepted
    Payload held{};

    void drive(bool willing) {
        open = willing;
        ready.put(willing);
    }
    // Whether `payload`, which is on the channel now, is accepted.
    bool watch(const Payload& payload, Judge& judge) {
        if (!valid.high()) {
            if (pending) judge.violation("withdrew %svalid before %sready", name, name);
            pending = false;
            return false;
        }
        if (pending && !(payload == held)) judge.violation("changed what is on %s before %sready", name, name);
        pending = !open;
        if (pending) held = payload;
        return open;
    }
    void reset() {
        pending = false;
        drive(false);
    }
};

}  // namespace axi
