// Bytes to and from a design: as streams, or as a serial port of 8 data bits, no parity, 1 stop bit.

#pragma once

#include <deque>

#include "axi.hpp"

enum BytesPort { kRxPayload, kRxValid, kRxReady, kTxPayload, kTxValid, kTxReady, kAtWork, kBytesPorts };

class Bytes {
  public:
    std::deque<uint8_t> to_design;
    std::vector<uint8_t> from_design;
    uint64_t quiet = 0;  // cycles since something was last on its way, or the design said that it is busy

    // With a `divisor`, cycles a bit, the pins are kRxPayload and kTxPayload; else they are streams.
    Bytes(const Design& design, const int32_t* numbers, uint32_t divisor) : divisor_(divisor) {
        for (int i = 0; i < kBytesPorts; ++i) pins_[i] = axi::pin(design, numbers[i]);
    }

    void reset() {
        to_design.clear(), from_design.clear();
        send_bits_ = receive_bits_ = send_timer_ = receive_timer_ = 0;
        idle_ = false;
        quiet = 0;
        pins_[kRxPayload].put(divisor_ ? 1 : 0);
    }

    void drive() {
        if (!divisor_) {
            pins_[kRxValid].put(!to_design.empty());
            if (!to_design.empty()) pins_[kRxPayload].put(to_design.front());
            pins_[kTxReady].put(1);
            return;
        }
        if (send_timer_ && --send_timer_) return;
        if (!send_bits_) {
            pins_[kRxPayload].put(1);
            if (to_design.empty()) return;
            send_shift_ = 0x200u | to_design.front() << 1;
            send_bits_ = 10;
            to_design.pop_front();
        }
        pins_[kRxPayload].put(send_shift_ & 1);
        send_shift_ >>= 1;
        --send_bits_;
        send_timer_ = divisor_;
    }

    void watch() {
        ++quiet;
        if (pins_[kAtWork].high()) quiet = 0;
        if (divisor_) {
            if (send_bits_ || send_timer_ || !to_design.empty()) quiet = 0;
            receive();
            return;
        }
        if (!to_design.empty()) {
            quiet = 0;
            if (!pins_[kRxReady].data || pins_[kRxReady].high()) to_design.pop_front();
        }
        if (pins_[kTxValid].high()) {
            quiet = 0;
            from_design.push_back(static_cast<uint8_t>(pins_[kTxPayload].get()));
        }
    }

  private:
    // Samples each bit in its middle; a byte whose stop bit is low is dropped.
    void receive() {
        const bool high = pins_[kTxPayload].high();
        if (!receive_bits_) {
            if (high) idle_ = true;
            if (high || !idle_) return;
            receive_bits_ = 10;
            receive_timer_ = divisor_ / 2;
        }
        quiet = 0;
        if (--receive_timer_) return;
        receive_timer_ = divisor_;
        receive_shift_ = receive_shift_ >> 1 | high << 9;
        if (--receive_bits_) return;
        idle_ = high;
        if (high) from_design.push_back(static_cast<uint8_t>(receive_shift_ >> 1));
    }

    axi::Pin pins_[kBytesPorts];
    uint32_t divisor_;
    uint32_t send_shift_ = 0, send_bits_ = 0, send_timer_ = 0;
    uint32_t receive_shift_ = 0, receive_bits_ = 0, receive_timer_ = 0;
    bool idle_ = false;  // the line is high between bytes
};
