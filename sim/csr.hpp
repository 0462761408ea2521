// The host's side of an AXI4-Lite port of the design: one read or write of a 32-bit register at a time.

#pragma once

#include "axi.hpp"

namespace axi {

enum CsrPort {
    kCAwAddr, kCAwProt, kCAwValid, kCAwReady, kCWData, kCWStrb, kCWValid, kCWReady, kCBResp, kCBValid, kCBReady,
    kCArAddr, kCArProt, kCArValid, kCArReady, kCRData, kCRResp, kCRValid, kCRReady, kCsrPorts
};

// Mirrored by sat_hdl.sim._library.
struct Access {
    uint64_t address;
    uint32_t data, strobe, write, response;
    uint64_t limit, cycles;
};

class Csr {
  public:
    Judge judge;

    Csr(const Design& design, const int32_t* numbers, const char* prefix, const uint64_t& cycle) {
        judge.port = prefix;
        judge.cycle = &cycle;
        for (int i = 0; i < kCsrPorts; ++i) pins_[i] = pin(design, numbers[i]);
        aw_ = {pins_[kCAwValid], pins_[kCAwReady]};
        w_ = {pins_[kCWValid], pins_[kCWReady]};
        ar_ = {pins_[kCArValid], pins_[kCArReady]};
        b_ = {"b", pins_[kCBValid], pins_[kCBReady]};
        r_ = {"r", pins_[kCRValid], pins_[kCRReady]};
    }

    // `stall`: probability, in 2^-32, that a channel rests in a cycle.
    void configure(uint32_t stall, uint64_t seed) {
        for (Stall* each : {&stall_aw_, &stall_w_, &stall_b_, &stall_ar_, &stall_r_}) *each = {stall, draw(seed)};
        random_ = draw(seed);
        asleep_ = false;
    }

    void reset() {
        judge.text.clear();
        for (Source* source : {&aw_, &w_, &ar_}) source->reset();
        b_.reset(), r_.reset();
        write_open_ = read_open_ = asleep_ = false;
    }

    bool busy() const { return write_open_ || read_open_; }

    const Access& access() const { return access_; }

    void start(const Access& access) {
        access_ = access;
        asleep_ = false;
        (access.write ? write_open_ : read_open_) = true;
        if (access.write) aw_.wanted = w_.wanted = true;
        else ar_.wanted = true;
    }

    void drive() {
        if (asleep_) return;
        if (aw_.drive(stall_aw_)) {
            pins_[kCAwAddr].put(access_.address);
            pins_[kCAwProt].put(0);
        } else if (aw_.turned_idle()) {
            pins_[kCAwAddr].put_garbage(random_);
        }
        if (w_.drive(stall_w_)) {
            pins_[kCWData].put(access_.data);
            pins_[kCWStrb].put(access_.strobe);
        } else if (w_.turned_idle()) {
            pins_[kCWData].put_garbage(random_);
            pins_[kCWStrb].put_garbage(random_);
        }
        if (ar_.drive(stall_ar_)) {
            pins_[kCArAddr].put(access_.address);
            pins_[kCArProt].put(0);
        } else if (ar_.turned_idle()) {
            pins_[kCArAddr].put_garbage(random_);
        }
        b_.drive(!stall_b_());
        r_.drive(!stall_r_());
        // With nothing under way and nothing drawn at random, what is driven stays.
        asleep_ = !busy() && !stall_b_.probability;
    }

    void watch() {
        if (asleep_ && !b_.valid.high() && !r_.valid.high()) return;
        aw_.watch(), w_.watch(), ar_.watch();
        if (b_.valid.high() || b_.pending) {
            if (!write_open_ || aw_.wanted || w_.wanted) judge.violation("answered a write that was not asked for");
            const uint64_t response = pins_[kCBResp].get();
            if (b_.watch(response, judge)) finish(write_open_, response, 0);
        }
        if (r_.valid.high() || r_.pending) {
            if (!read_open_ || ar_.wanted) judge.violation("answered a read that was not asked for");
            const Answer answer{pins_[kCRResp].get(), pins_[kCRData].get()};
            if (r_.watch(answer, judge)) finish(read_open_, answer.response, answer.data);
        }
    }

  private:
    struct Answer {
        uint64_t response = 0, data = 0;
        bool operator==(const Answer&) const = default;
    };
    // A channel on which the harness is the source.
    struct Source {
        Pin valid, ready;
        bool wanted = false;   // something is to be sent
        bool offered = false;  // and is on the channel
        bool garbled = false;

        // Whether an offer starts in this cycle.
        bool drive(Stall& stall) {
            if (offered || !wanted || stall()) {
                valid.put(offered);
                return false;
            }
            offered = true;
            garbled = false;
            valid.put(1);
            return true;
        }
        bool turned_idle() {
            if (offered || garbled) return false;
            garbled = true;
            return true;
        }
        void watch() {
            if (offered && ready.high()) offered = wanted = false;
        }
        void reset() {
            offered = wanted = garbled = false;
            valid.put(0);
        }
    };

    void finish(bool& open, uint64_t response, uint64_t data) {
        if (!open) return;
        open = false;
        access_.response = static_cast<uint32_t>(response);
        if (!access_.write) access_.data = static_cast<uint32_t>(data);
    }

    Pin pins_[kCsrPorts];
    Source aw_, w_, ar_;
    Sink<uint64_t> b_;
    Sink<Answer> r_;
    Stall stall_aw_, stall_w_, stall_b_, stall_ar_, stall_r_;
    uint64_t random_ = 0;
    Access access_{};
    bool write_open_ = false, read_open_ = false, asleep_ = false;
};

}  // namespace axi
