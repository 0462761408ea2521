// A memory behind an AXI4 port of the design, which checks that the design keeps to the protocol.
//
// A burst is answered `latency` cycles after its address (read) or its last data (write) was accepted. What is
// written can be read from the first cycle of its answer on, not before; a read beat is fetched in the cycle
// in which it is first offered. So a design that doesn't wait for an answer meets the old contents.

#pragma once

#include <algorithm>
#include <bit>
#include <deque>

#include "burst.hpp"

namespace axi {

class Memory {
  public:
    Judge judge;
    Counters counters{};
    std::vector<Event> events;

    Memory(const Design& design, const int32_t* numbers, const char* prefix, const uint64_t& cycle)
        : cycle_(cycle) {
        judge.port = prefix;
        judge.cycle = &cycle;
        for (int i = 0; i < kMemoryPorts; ++i) pins_[i] = i == kWData || i == kRData ? Pin{} : pin(design, numbers[i]);
        const int32_t data = numbers[kRData] >= 0 ? numbers[kRData] : numbers[kWData];
        bytes_ = design.ports[data].bytes;
        if (numbers[kRData] >= 0) r_data_ = &design.ports[numbers[kRData]];
        if (numbers[kWData] >= 0) w_data_ = &design.ports[numbers[kWData]];
        aw_ = {"aw", pins_[kAwValid], pins_[kAwReady]};
        ar_ = {"ar", pins_[kArValid], pins_[kArReady]};
        w_ = {"w", pins_[kWValid], pins_[kWReady]};
    }

    void configure(const MemoryConfig& config) {
        config_ = config;
        errors_.assign(config.errors, config.errors + config.n_errors);
        writable_.assign(config.writable, config.writable + config.n_writable);
        uint64_t seed = config.seed;
        for (int i = 0; i < kChannels; ++i) stall_[i] = {config.stall[i], draw(seed)};
        random_ = draw(seed);
        asleep_ = false;
    }

    void reset() {
        asleep_ = false;
        judge.text.clear();
        counters = {};
        events.clear();
        reads_.clear(), writes_.clear(), early_.clear();
        aw_.reset(), ar_.reset(), w_.reset();
        r_on_ = nullptr, b_on_ = nullptr;
        tokens_ = 0;
        r_garbled_ = b_garbled_ = false;
        pins_[kRValid].put(0), pins_[kBValid].put(0);
    }

    size_t open_reads() const { return reads_.size(); }
    size_t open_writes() const { return writes_.size(); }
    size_t orphans() const { return early_.size(); }  // data whose address has not come

    void drive() {
        if (asleep_) return;
        // Of what was not used, at most two beats are saved up. A write may overdraw by one: whether the design
        // offers data is seen only after a read was offered.
        if (config_.bandwidth) tokens_ = std::min(tokens_ + static_cast<int64_t>(config_.bandwidth), 2 * kBeat);
        const bool late = config_.ready_after_valid;
        // Each direction goes first in every other cycle, so that neither starves the other.
        const bool write_first = cycle_ & 1;
        if (write_first) drive_data(late);
        drive_read();
        if (!write_first) drive_data(late);
        ar_.drive(!(late && !ar_.pending) && reads_.size() < config_.outstanding && !stall_[kAr]());
        aw_.drive(!(late && !aw_.pending) && writes_.size() < config_.outstanding && !stall_[kAw]());
        drive_answer();
        // With nothing under way and nothing drawn at random, what is driven stays.
        const bool random = std::any_of(stall_, stall_ + kChannels, [](const Stall& s) { return s.probability; });
        asleep_ = reads_.empty() && writes_.empty() && early_.empty() && r_garbled_ && b_garbled_ && !random &&
                  !late && !config_.bandwidth;
    }

    void watch() {
        if (asleep_ && !ar_.valid.high() && !aw_.valid.high() && !w_.valid.high()) return;
        asleep_ = false;
        if (r_on_ && pins_[kRReady].high()) read_taken();
        if (b_on_ && pins_[kBReady].high()) answer_taken();
        if (ar_.valid.high() || ar_.pending) watch_read();
        if (aw_.valid.high() || aw_.pending) watch_write();
        if (w_.valid.high() || w_.pending) watch_data();
    }

  private:
    static constexpr int64_t kBeat = int64_t{1} << 32;
    static constexpr size_t kEarly = 32;  // beats of data accepted before their address

    bool afford() const { return !config_.bandwidth || tokens_ >= kBeat; }
    void spend() {
        if (config_.bandwidth) tokens_ -= kBeat;
    }
    uint64_t latency(const uint32_t (&range)[2]) {
        return range[0] + (range[1] > range[0] ? draw(random_) % (range[1] - range[0] + 1) : 0);
    }
    void log(Channel channel, uint64_t address, uint32_t beats) {
        if (events.size() < config_.log_limit) events.push_back({cycle_, address, channel, beats});
    }

    uint32_t response(uint64_t address) const {
        if (address < config_.base || address - config_.base > config_.size - bytes_) return kDecerr;
        for (const Range& range : errors_)
            if (address < range.end && address + bytes_ > range.start) return range.response;
        return kOkay;
    }

    // The next burst to answer: of one id always the oldest.
    template <class Burst>
    Burst* choose(std::deque<Burst>& bursts) {
        if (bursts.empty()) return nullptr;
        if (config_.order == kFifo) return ready(bursts.front()) ? &bursts.front() : nullptr;
        Burst* chosen = nullptr;
        uint32_t candidates = 0;
        for (auto burst = bursts.begin(); burst != bursts.end(); ++burst) {
            if (!ready(*burst)) continue;
            if (config_.order == kReorder && burst->done && !is_write(*burst)) return &*burst;
            const auto same = [&](const Burst& other) { return other.id == burst->id; };
            if (std::any_of(bursts.begin(), burst, same)) continue;
            if (draw(random_) % ++candidates == 0) chosen = &*burst;
        }
        return chosen;
    }
    static bool is_write(const Write&) { return true; }
    static bool is_write(const Read&) { return false; }
    bool ready(const Read& read) const { return cycle_ >= read.due; }
    bool ready(const Write& write) const { return write.complete && cycle_ >= write.due; }
    template <class Burst>
    static void erase(std::deque<Burst>& bursts, const Burst* burst) {
        for (auto at = bursts.begin(); at != bursts.end(); ++at)
            if (&*at == burst) {
                bursts.erase(at);
                return;
            }
    }

    // --- reads ---

    void drive_read() {
        if (r_on_) return;
        if (!reads_.empty() && afford() && !stall_[kR]()) r_on_ = choose(reads_);
        if (!r_on_) {
            pins_[kRValid].put(0);
            if (!r_garbled_) {
                if (r_data_) garbage(*r_data_, random_);
                for (int i : {kRId, kRResp, kRLast}) pins_[i].put_garbage(random_);
                r_garbled_ = true;
            }
            return;
        }
        const uint64_t address = r_on_->address + uint64_t{r_on_->done} * bytes_;
        const uint32_t answer = response(address);
        if (answer == kOkay) std::memcpy(r_data_->data, config_.data + (address - config_.base), bytes_);
        else garbage(*r_data_, random_);
        pins_[kRId].put(r_on_->id);
        pins_[kRResp].put(answer);
        pins_[kRLast].put(r_on_->done + 1 == r_on_->beats);
        pins_[kRValid].put(1);
        counters.read_errors += answer != kOkay;
        r_garbled_ = false;
        spend();
    }

    void read_taken() {
        ++counters.read_beats;
        if (++r_on_->done == r_on_->beats) {
            log(kR, r_on_->address, r_on_->beats);
            erase(reads_, r_on_);
        }
        r_on_ = nullptr;
    }

    Address look(int first) const {  // at an address channel, whose id pin is `first`
        return {pins_[first + 1].get(), pins_[first].get(), pins_[first + 2].get(),
                pins_[first + 3].get(std::countr_zero(bytes_)), pins_[first + 4].get(1)};
    }

    void check(const Address& a, const char* what) {
        const uint64_t bytes = (a.length + 1) * bytes_;
        if (a.burst != 1)
            judge.violation("asked for a %s of burst type %u at %#" PRIx64 ", not INCR", what,
                            static_cast<unsigned>(a.burst), a.address);
        else if (a.size != static_cast<uint64_t>(std::countr_zero(bytes_)))
            judge.violation("asked for a %s of %u-byte beats at %#" PRIx64 ", not of the port's %u bytes", what,
                            1u << (a.size & 7), a.address, bytes_);
        else if (a.address % bytes_)
            judge.violation("asked for a %s at %#" PRIx64 ", which is not a multiple of %u bytes", what, a.address,
                            bytes_);
        else if (a.address % 4096 + bytes > 4096)
            judge.violation("asked for a %s of %u beats at %#" PRIx64 ", across a boundary of 4 KiB", what,
                            static_cast<unsigned>(a.length + 1), a.address);
    }

    void watch_read() {
        const Address a = look(kArId);
        if (!ar_.watch(a, judge)) return;
        check(a, "read");
        const uint32_t beats = static_cast<uint32_t>(a.length) + 1;
        reads_.push_back({a.address, a.id, cycle_ + latency(config_.read_latency), beats, 0});
        ++counters.reads;
        counters.most_reads = std::max<uint64_t>(counters.most_reads, reads_.size());
        log(kAr, a.address, beats);
    }

    // --- writes ---

    void drive_data(bool late) {
        const bool expected = !writes_.empty() && !writes_.back().complete;
        const bool room = expected || (!late && early_.size() < kEarly);
        w_.drive(w_data_ && room && afford() && !(late && !w_.pending) && !stall_[kW]());
    }

    void watch_write() {
        const Address a = look(kAwId);
        if (!aw_.watch(a, judge)) return;
        check(a, "write");
        const uint32_t beats = static_cast<uint32_t>(a.length) + 1;
        writes_.push_back({a.address, a.id, 0, beats, 0, kOkay, false, {}, {}});
        ++counters.writes;
        counters.most_writes = std::max<uint64_t>(counters.most_writes, writes_.size());
        log(kAw, a.address, beats);
        match();
    }

    void watch_data() {
        Beat beat;
        beat.bytes = bytes_;
        std::memcpy(beat.data, w_data_->data, bytes_);
        beat.strobe = pins_[kWStrb].get(all());
        beat.last = pins_[kWLast].get(1);
        if (!w_.watch(beat, judge)) return;
        spend();
        ++counters.write_beats;
        early_.push_back(beat);
        match();
    }

    uint64_t all() const { return bytes_ < 64 ? (uint64_t{1} << bytes_) - 1 : ~uint64_t{0}; }

    // Gives data to the writes that they belong to.
    void match() {
        for (Write& write : writes_) {
            while (!write.complete && !early_.empty()) {
                take(write, early_.front());
                early_.pop_front();
            }
            if (!write.complete) return;
        }
    }

    void take(Write& write, const Beat& beat) {
        const uint64_t address = write.address + uint64_t{write.done} * bytes_;
        const bool last = ++write.done == write.beats;
        if (beat.last != last)
            judge.violation("%s `wlast` in beat %u of %u of the write at %#" PRIx64,
                            last ? "did not raise" : "raised", write.done, write.beats, write.address);
        const uint32_t answer = response(address);
        write.response = std::max(write.response, answer);
        const uint64_t strobe = answer == kOkay ? beat.strobe & all() : 0;
        if (strobe && !allowed(address + std::countr_zero(strobe), address + std::bit_width(strobe))) {
            judge.violation("wrote to %#" PRIx64 ", outside the ranges that it may write to", address);
            write.strobes.push_back(0);  // spared
        } else {
            write.strobes.push_back(strobe);
        }
        write.data.insert(write.data.end(), beat.data, beat.data + bytes_);
        if (!last) return;
        write.complete = true;
        write.due = cycle_ + latency(config_.write_latency);
        log(kW, write.address, write.beats);
    }

    bool allowed(uint64_t start, uint64_t end) const {
        return config_.all_writable || std::any_of(writable_.begin(), writable_.end(), [&](const Range& range) {
            return range.start <= start && end <= range.end;
        });
    }

    void land(const Write& write) {
        for (uint32_t i = 0; i < write.beats; ++i) {
            const uint64_t strobe = write.strobes[i];
            if (!strobe) continue;
            const uint8_t* from = write.data.data() + i * bytes_;
            uint8_t* to = config_.data + (write.address + uint64_t{i} * bytes_ - config_.base);
            if (strobe == all()) std::memcpy(to, from, bytes_);
            else
                for (uint32_t j = 0; j < bytes_; ++j)
                    if (strobe >> j & 1) to[j] = from[j];
            counters.bytes_written += std::popcount(strobe);
        }
    }

    void drive_answer() {
        if (b_on_) return;
        if (!writes_.empty() && !stall_[kB]()) b_on_ = choose(writes_);
        pins_[kBValid].put(b_on_ != nullptr);
        if (b_on_) {
            land(*b_on_);
            pins_[kBId].put(b_on_->id);
            pins_[kBResp].put(b_on_->response);
            counters.write_errors += b_on_->response != kOkay;
            b_garbled_ = false;
        } else if (!b_garbled_) {
            for (int i : {kBId, kBResp}) pins_[i].put_garbage(random_);
            b_garbled_ = true;
        }
    }

    void answer_taken() {
        log(kB, b_on_->address, b_on_->beats);
        erase(writes_, b_on_);
        b_on_ = nullptr;
    }

    const uint64_t& cycle_;
    MemoryConfig config_{};
    std::vector<Range> errors_, writable_;
    Pin pins_[kMemoryPorts];
    const Port* r_data_ = nullptr;
    const Port* w_data_ = nullptr;
    uint32_t bytes_ = 0;
    Stall stall_[kChannels];
    uint64_t random_ = 0;
    int64_t tokens_ = 0;
    Sink<Address> aw_, ar_;
    Sink<Beat> w_;
    std::deque<Read> reads_;
    std::deque<Write> writes_;
    std::deque<Beat> early_;
    Read* r_on_ = nullptr;   // whose beat is on offer
    Write* b_on_ = nullptr;  // whose answer is on offer
    bool r_garbled_ = false, b_garbled_ = false;  // since the last answer
    bool asleep_ = false;
};

}  // namespace axi
