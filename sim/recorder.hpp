// Records when ports of a design change.

#pragma once

#include "design.hpp"

// The structures that sat_hdl.sim._library mirrors.
struct Watch {
    uint64_t changes;  // bits whose changes are recorded
    uint64_t counts;   // bits of which any, when high, is counted
    int32_t port;      // of at most 64 bits
};
struct Change {
    uint64_t cycle;
    uint64_t value;    // of the bits watched, from this cycle on
    uint64_t counted;  // cycles since the change before in which a counted bit was high
    uint32_t port;     // number of the watch
};

class Recorder {
  public:
    std::vector<Change> changes;

    // The first value of each port counts as a change. At most `limit` changes are kept.
    void start(const Design& design, const Watch* watches, uint32_t count, uint64_t limit) {
        entries_.clear();
        for (uint32_t i = 0; i < count; ++i) entries_.push_back({watches[i], &design.ports[watches[i].port]});
        limit_ = limit;
        changes.clear();
    }
    bool full() const { return !entries_.empty() && changes.size() >= limit_; }

    void watch(uint64_t cycle) {
        for (uint32_t i = 0; i < entries_.size(); ++i) {
            Entry& entry = entries_[i];
            uint64_t now = 0;
            copy(&now, entry.port->data, entry.port->bytes);
            const uint64_t value = now & entry.watch.changes;
            if ((value != entry.last || !entry.known) && changes.size() < limit_) {
                changes.push_back({cycle, value, entry.counted, i});
                entry.last = value, entry.known = true, entry.counted = 0;
            }
            entry.counted += (now & entry.watch.counts) != 0;
        }
    }

  private:
    struct Entry {
        Watch watch;
        const Port* port;
        uint64_t last = 0, counted = 0;
        bool known = false;
    };
    std::vector<Entry> entries_;
    uint64_t limit_ = 0;
};
