// Drives a verilated model: clock, ports, streams and vectors, with no Python in the cycle loop.
// Compiled together with the model (ports.inc is generated from its header) and called through ctypes
// by sat_hdl.sim.fast, whose structures mirror those below. Memories and register ports: system.cpp.
//
// A cycle is: drive the inputs, settle with the clock low, look at the outputs, rise the clock.

#include <memory>

#include "Vtop.h"
#include "design.hpp"
#include "verilated.h"

namespace {

// Where a design that stops itself says why: its model's stop_reason.
thread_local std::string* stop_sink;

struct Model final : Design {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    uint8_t no_clock = 0;
    uint8_t* clk = &no_clock;

    Model() {
        enter();
        context.fatalOnError(false);
        top = std::make_unique<Vtop>(&context, "top");
        Vtop& model = *top;
#define PORT(member) reinterpret_cast<uint8_t*>(&model.member), static_cast<uint32_t>(sizeof(model.member))
        ports = {
#include "ports.inc"
        };
#undef PORT
        for (const Port& port : ports)
            if (!std::strcmp(port.name, "clk") && port.is_input) clk = port.data;
    }
    void enter() override { stop_sink = &stop_reason; }
    void settle() override {
        *clk = 0;
        top->eval();
    }
    void rise() override {
        *clk = 1;
        top->eval();
    }
};

// --- streams -------------------------------------------------------------------------------------

struct Stream {
    uint32_t* data;   // beats of `words` words: offered (input), or room for what arrives (output)
    uint64_t count;   // beats in all
    uint64_t done;    // beats handed over so far
    int64_t first;    // cycle of the first and of the last handshake, -1 before it
    int64_t last;
    uint64_t waited;  // cycles in which this side was willing and the design was not
    uint64_t random;  // state of the stream's own generator
    int32_t payload;  // port numbers, -1 where the design has none
    int32_t valid;
    int32_t ready;
    uint32_t is_input;
    uint32_t words;
    uint32_t stall;   // probability of an idle cycle, in 2^-32
    uint32_t pending; // input: a beat is on offer; output: the design offered one that was not accepted
};

struct Run {
    uint64_t cycle;       // cycles simulated by this run
    uint64_t limit;       // stop at this cycle
    uint64_t idle;        // cycles since any handshake
    uint64_t idle_limit;
    uint64_t quiet;       // cycles to watch for surplus beats once all have arrived
    uint32_t stream;      // which stream broke the rules
    uint32_t wait_inputs; // whether inputs must have been consumed at the end
};

inline bool stalls(Stream& s) { return s.stall && static_cast<uint32_t>(draw(s.random)) < s.stall; }

struct Runner {
    Model& model;
    Stream* streams;
    uint32_t count;
    Run& run;

    const Port* port(int32_t number) const { return number < 0 ? nullptr : &model.ports[number]; }
    bool high(int32_t number) const { return number < 0 || *model.ports[number].data; }
    void put(int32_t number, bool value) {
        if (number >= 0) *model.ports[number].data = value;
    }

    bool finished() const {
        for (uint32_t i = 0; i < count; ++i) {
            const Stream& s = streams[i];
            if (s.done < s.count && (!s.is_input || run.wait_inputs)) return false;
        }
        return true;
    }

    void drive(Stream& s) {
        if (!s.is_input) {
            put(s.ready, s.done < s.count && !stalls(s));
        } else if (!s.pending) {
            s.pending = s.done < s.count && !stalls(s);
            put(s.valid, s.pending);
            if (s.payload < 0) return;
            const Port& p = model.ports[s.payload];
            if (s.pending) copy(p.data, s.data + s.done * s.words, p.bytes);
            else garbage(p, s.random);
        }
    }

    void handed_over(Stream& s) {
        s.pending = 0;
        s.last = static_cast<int64_t>(run.cycle);
        if (!s.done++) s.first = s.last;
        run.idle = 0;
    }

    Status watch(Stream& s) {
        if (s.is_input) {
            if (!s.pending) return kDone;
            if (high(s.ready)) handed_over(s);
            else ++s.waited;
            return kDone;
        }
        const bool willing = s.ready < 0 || *model.ports[s.ready].data;
        if (!high(s.valid)) {
            s.waited += willing;
            return s.pending ? kDropped : kDone;
        }
        // A stream without `ready` can't be told to hold a surplus beat back.
        if (s.done == s.count) return s.ready < 0 ? kDone : kSurplus;
        if (s.payload >= 0) {
            const Port& p = model.ports[s.payload];
            uint32_t* slot = s.data + s.done * s.words;
            if (s.pending && std::memcmp(slot, p.data, p.bytes)) return kChanged;
            copy(slot, p.data, p.bytes);
        }
        if (willing) handed_over(s);
        else s.pending = 1;
        return kDone;
    }

    Status go() {
        for (;;) {
            const bool over = finished();
            if (over && !run.quiet--) {
                run.quiet = 0;
                return kDone;
            }
            if (run.cycle >= run.limit) return kLimit;
            if (!over && run.idle >= run.idle_limit) return kIdle;
            for (uint32_t i = 0; i < count; ++i) drive(streams[i]);
            model.settle();
            ++run.idle;
            for (uint32_t i = 0; i < count; ++i) {
                const Status status = watch(streams[i]);
                // A beat beyond the expected ones matters only to a caller that waits for it.
                if (status == kDone || (status == kSurplus && !over)) continue;
                run.stream = i;
                return status;
            }
            model.rise();
            ++run.cycle;
            if (model.stopped()) return kStopped;
        }
    }
};

// --- vectors -------------------------------------------------------------------------------------

struct Vector {
    uint8_t* data;    // elements as wide as the port's C++ type; null: count
    uint64_t start;   // without data, element i is (start + i) >> shift, cut to the port
    uint32_t shift;
    uint32_t port;
};

inline void count_up(const Port& port, const Vector& v, uint64_t i) {
    uint64_t value = (v.start + i) >> v.shift;
    if (port.width < 64) value &= (uint64_t{1} << port.width) - 1;
    copy(port.data, &value, port.bytes);
}

}  // namespace

// Verilator calls these where it would otherwise end the process.
void vl_stop(const char* file, int line, const char* scope) VL_MT_UNSAFE {
    *stop_sink = std::string("line ") + std::to_string(line) + " of " + file;
    if (*scope) *stop_sink += std::string(" in ") + scope;
}
void vl_finish(const char* file, int line, const char* scope) VL_MT_UNSAFE { vl_stop(file, line, scope); }
void vl_fatal(const char* file, int line, const char* scope, const char* message) VL_MT_UNSAFE {
    vl_stop(file, line, scope);
    *stop_sink += std::string(": ") + message;
}

API Model* sim_new() { return new Model; }
API void sim_delete(Model* model) {
    model->enter();
    model->top->final();
    delete model;
}
API Design* sim_design(Model* model) { return model; }
API uint32_t sim_port_count(Model* model) { return static_cast<uint32_t>(model->ports.size()); }
API const Port* sim_ports(Model* model) { return model->ports.data(); }
API const char* sim_stop_reason(Model* model) { return model->stop_reason.c_str(); }
API void sim_restart(Model* model) {
    model->enter();
    model->settle();
    model->stop_reason.clear();
}
API void sim_settle(Model* model) {
    model->enter();
    model->settle();
}
API uint32_t sim_step(Model* model, uint64_t cycles) {
    model->enter();
    model->settle();
    for (uint64_t i = 0; i < cycles && !model->stopped(); ++i) {
        model->rise();
        model->settle();
    }
    return model->stopped() ? kStopped : kDone;
}

API uint32_t sim_run(Model* model, Stream* streams, uint32_t count, Run* run) {
    model->enter();
    return Runner{*model, streams, count, *run}.go();
}
// Lowers every `valid` and `ready` that the harness drives.
API void sim_idle(Model* model, Stream* streams, uint32_t count) {
    model->enter();
    for (uint32_t i = 0; i < count; ++i) {
        const int32_t port = streams[i].is_input ? streams[i].valid : streams[i].ready;
        if (port >= 0) *model->ports[port].data = 0;
    }
    model->settle();
}

// One vector a cycle; what is on the outputs `latency` cycles after a vector belongs to it.
API uint32_t sim_vectors(Model* model, const Vector* inputs, uint32_t n_inputs, const Vector* outputs,
                         uint32_t n_outputs, uint64_t n, uint64_t latency) {
    model->enter();
    for (uint64_t i = 0; i < n + latency; ++i) {
        if (i < n) {
            for (uint32_t j = 0; j < n_inputs; ++j) {
                const Vector& v = inputs[j];
                const Port& p = model->ports[v.port];
                if (v.data) copy(p.data, v.data + i * p.bytes, p.bytes);
                else count_up(p, v, i);
            }
        }
        model->settle();
        if (i >= latency) {
            for (uint32_t j = 0; j < n_outputs; ++j) {
                const Port& p = model->ports[outputs[j].port];
                copy(outputs[j].data + (i - latency) * p.bytes, p.data, p.bytes);
            }
        }
        model->rise();
        if (model->stopped()) return kStopped;
    }
    model->settle();
    return kDone;
}
