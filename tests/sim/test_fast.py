"""The fast harness, on small components whose behaviour numpy states in a line."""

import time

import numpy as np
import pytest
from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.sim.fast import (
    HEAVY,
    LIGHT,
    NONE,
    Count,
    ProtocolError,
    Simulation,
    SimulationError,
    SimulationTimeout,
    Stall,
)
from sat_hdl.sim.packing import pack_lanes, unpack_lanes

STALLS = [NONE, LIGHT, HEAVY, Stall(input=0.0, output=0.6), Stall(input=0.6, output=0.0)]


class LaneAdder(wiring.Component):
    """o[lane] = a[lane] + b[lane], two beats deep; ``fault`` breaks it on purpose."""

    def __init__(self, *, lanes: int, width: int, fault: str | None = None):
        self._lanes, self._fault = lanes, fault
        layout = data.ArrayLayout(width, lanes)
        members = {"a": In(stream.Signature(layout)), "b": In(stream.Signature(layout))}
        super().__init__(members | {"o": Out(stream.Signature(layout)), "sum": Out(16), "bias": In(16)})

    def elaborate(self, platform):
        m = Module()
        total = Signal.like(self.o.payload)
        for i in range(self._lanes):
            m.d.comb += total[i].eq(self.a.payload[i] + self.b.payload[i])
        m.d.sync += self.sum.eq(self.bias + 3)
        spare, full = Signal.like(self.o.payload), Signal()
        both = Signal()
        m.d.comb += [
            both.eq(self.a.valid & self.b.valid & ~full),
            self.a.ready.eq(both),
            self.b.ready.eq(both),
        ]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.payload.eq(total), self.o.valid.eq(both)]
            with m.If(full):
                m.d.sync += [self.o.payload.eq(spare), self.o.valid.eq(1), full.eq(0)]
        with m.Elif(both):
            m.d.sync += [spare.eq(total), full.eq(1)]
        waited = Signal()
        m.d.sync += waited.eq(self.o.valid & ~self.o.ready)
        if self._fault == "withdraws":
            with m.If(waited & ~self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        elif self._fault == "changes":
            with m.If(waited & ~self.o.ready):
                m.d.sync += self.o.payload[0].eq(self.o.payload[0] + 1)
        elif self._fault == "ignores valid":
            m.d.comb += both.eq(self.a.valid & ~full)
        elif self._fault == "repeats":
            seen = Signal()
            m.d.sync += seen.eq(seen | both)
            with m.If(seen & ~both & (~self.o.valid | self.o.ready)):
                m.d.sync += self.o.valid.eq(1)
        elif self._fault == "hangs":
            n = Signal(3)
            with m.If(both & ~n.all()):
                m.d.sync += n.eq(n + 1)
            with m.If(n.all()):
                m.d.comb += both.eq(0)
        elif self._fault == "asserts":
            m.d.sync += Assert(~(self.o.valid & (self.o.payload[0] == 9)))
        return m


class Product(wiring.Component):
    """o = a × b, three cycles later; ``wide`` is a's copies side by side, ``now`` is combinational."""

    def __init__(self, *, copies: int = 5):
        self._copies = copies
        super().__init__({"a": In(16), "b": In(16), "o": Out(32), "wide": Out(16 * copies), "now": Out(17)})

    def elaborate(self, platform):
        m = Module()
        a, b, p = Signal(16), Signal(16), Signal(32)
        copy = Signal(16)
        m.d.sync += [a.eq(self.a), b.eq(self.b), p.eq(a * b), self.o.eq(p)]
        m.d.sync += [copy.eq(a), self.wide.eq(Cat(copy for _ in range(self._copies)))]
        m.d.comb += self.now.eq(self.a + self.b)
        return m


def beats(rng, n, lanes, width):
    return rng.integers(0, 2**width, (n, lanes), dtype=np.uint64, endpoint=False)


@pytest.mark.parametrize("lanes,width", [(1, 1), (1, 16), (1, 32), (3, 19), (20, 32), (1, 600)])
def test_streams_under_stalls(lanes, width, seed=2):
    """Beats of 1 to 640 bits, at every back-pressure, arrive once, in order, unharmed."""
    rng = np.random.default_rng(seed)
    n = 500
    if width <= 64:
        a, b = beats(rng, n, lanes, width), beats(rng, n, lanes, width)
        expected = (a + b) & np.uint64(2**width - 1)
        a, b, expected = (pack_lanes(v, width) for v in (a, b, expected))
    else:
        numbers = [[int.from_bytes(rng.bytes(width // 8), "little") for _ in range(n)] for _ in "ab"]
        sums = [(x + y) % 2**width for x, y in zip(*numbers)]
        size = -(-width // 32) * 4
        a, b, expected = (
            np.frombuffer(b"".join(v.to_bytes(size, "little") for v in vs), "<u4").reshape(n, -1)
            for vs in (*numbers, sums)
        )
    with Simulation(LaneAdder(lanes=lanes, width=width)) as sim:
        for stall in STALLS:
            result = sim.run(
                {"a": a, "b": b}, {"o": n}, stall=stall.with_seed(seed), timeout=20 * n, quiet=10
            )
            np.testing.assert_array_equal(result.outputs["o"], expected, err_msg=f"{stall}")
            assert result.beats == {"a": n, "b": n, "o": n}
            assert sim.get("a__payload") >> (lanes * width) == 0  # random by now, but as wide as the port
            if stall == NONE:
                # One beat a cycle, two cycles from the first beat in to the last one's end.
                assert (result.first["a"], result.last["a"]) == (0, n - 1)
                assert (result.first["o"], result.last["o"]) == (1, n)
                assert result.cycles == n + 1 + 10


def test_a_seed_repeats_a_run():
    rng = np.random.default_rng(0)
    a = pack_lanes(beats(rng, 200, 3, 19), 19)
    with Simulation(LaneAdder(lanes=3, width=19)) as sim:
        runs = []
        for seed in (5, 5, 6):
            sim.reset()
            runs.append(sim.run({"a": a, "b": a}, {"o": 200}, stall=HEAVY.with_seed(seed)))
    assert runs[0].cycles == runs[1].cycles and runs[0].waited == runs[1].waited
    assert (runs[0].cycles, runs[0].waited) != (runs[2].cycles, runs[2].waited)


def test_runs_follow_one_another():
    """What one run leaves in the pipeline comes out of the next."""
    a = np.arange(10, dtype=np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32)) as sim:
        first = sim.run({"a": a, "b": a}, {"o": 8})
        second = sim.run({}, {"o": 2}, quiet=5)
    assert np.concatenate([first.outputs["o"], second.outputs["o"]]).ravel().tolist() == (2 * a).tolist()


@pytest.mark.parametrize(
    "fault,message",
    [("withdraws", "'o' withdrew `valid`"), ("changes", "'o' changed its payload")],
)
def test_protocol_violations_are_caught(fault, message):
    a = np.arange(100, dtype=np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32, fault=fault)) as sim:
        with pytest.raises(ProtocolError, match=f"{message}.* in cycle [0-9]+, beat [0-9]+, seed 4"):
            sim.run({"a": a, "b": a}, {"o": 100}, stall=HEAVY.with_seed(4), idle_timeout=500)


def test_a_surplus_beat_is_caught():
    a = np.arange(100, dtype=np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32, fault="repeats")) as sim:
        sim.run({"a": a, "b": a}, {"o": 100})
        sim.reset()
        with pytest.raises(ProtocolError, match="'o' offered one more beat"):
            sim.run({"a": a, "b": a}, {"o": 100}, quiet=10)


def test_idle_payloads_are_garbage():
    """A design that takes a payload without its `valid` computes something else."""
    a = np.ones(100, np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32, fault="ignores valid")) as sim:
        result = sim.run({"a": a, "b": a}, {"o": 100}, stall=HEAVY, wait_inputs=False)
    assert len(np.unique(result.outputs["o"])) > 10


def test_a_hanging_design_times_out():
    a = np.arange(100, dtype=np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32, fault="hangs")) as sim:
        start = time.monotonic()
        with pytest.raises(SimulationTimeout) as caught:
            sim.run({"a": a, "b": a}, {"o": 100}, idle_timeout=300)
        assert "no handshake for 300 cycles" in str(caught.value) and "seed 0" in str(caught.value)
        assert "'a' was blocked (not `ready`) after 7 of 100 beats" in str(caught.value)
        assert "'o' was starved (not `valid`) after 7 of 100 beats" in str(caught.value)
        sim.reset()
        with pytest.raises(SimulationTimeout, match="limit of 50 cycles"):
            sim.run({"a": a, "b": a}, {"o": 100}, timeout=50)
        assert time.monotonic() - start < 10


def test_a_failed_assertion_ends_the_run(capfd):
    a = np.arange(100, dtype=np.uint32)
    with Simulation(LaneAdder(lanes=1, width=32, fault="asserts")) as sim:
        with pytest.raises(SimulationError, match="assertion failed"):
            sim.run({"a": a, "b": a + 1}, {"o": 100})
        sim.reset()
        sim.run({"a": a, "b": a}, {"o": 100})
    assert capfd.readouterr().out == ""  # what the design prints goes to standard error


def test_ports():
    with Simulation(LaneAdder(lanes=20, width=32)) as sim:
        assert sim.streams == {"a": ("in", 640), "b": ("in", 640), "o": ("out", 640)}
        assert sim.ports["bias"] == ("in", 16) and sim.ports["sum"] == ("out", 16)
        sim.set("bias", 4000)
        assert sim.get("sum") == 0
        sim.step()
        assert sim.get("sum") == 4003
        sim.set("bias", -1)
        sim.step(3)
        assert sim.get("sum") == 2
        wide = (1 << 639) | 12345
        sim.set("a__payload", wide)
        assert sim.get("a__payload") == wide
        for port, value, message in [
            ("bias", 1 << 16, "must fit 16 bits, not 65536"),
            ("bias", -(1 << 15) - 1, "must fit 16 bits"),
            ("sum", 0, "must be an input"),
            ("nothing", 0, "must be one of"),
        ]:
            with pytest.raises(ValueError, match=message):
                sim.set(port, value)


def test_instances_are_independent():
    with Simulation(LaneAdder(lanes=1, width=32)) as one, Simulation(LaneAdder(lanes=1, width=32)) as two:
        one.set("bias", 100)
        one.step()
        two.step()
        assert (one.get("sum"), two.get("sum")) == (103, 3)


def test_beats_are_checked():
    with Simulation(LaneAdder(lanes=3, width=19)) as sim:
        good = np.zeros((4, 2), np.uint32)
        for inputs, outputs, message in [
            ({"a": good.astype(np.uint64)}, {}, r"must be uint32 \(n, 2\), not uint64"),
            ({"a": np.zeros(4, np.uint32)}, {}, r"not uint32 \(4,\)"),
            ({"a": good + np.uint32(1 << 25)}, {}, "must have 57 bits"),
            ({"o": good}, {}, "input stream must be one of a, b, not 'o'"),
            ({}, {"a": 1}, "output stream must be one of o, not 'a'"),
        ]:
            with pytest.raises(ValueError, match=message):
                sim.run(inputs, outputs)
        assert sim.run({"a": good[:0]}, {"o": 0}).cycles == 0


def test_stall_is_checked():
    with pytest.raises(ValueError, match="input must be a probability"):
        Stall(input=1.0)


def test_vectors(seed=3):
    rng = np.random.default_rng(seed)
    with Simulation(Product()) as sim:
        for n in (1, 2, 1000):
            a, b = rng.integers(0, 2**16, (2, n)).astype(np.uint16)
            got = sim.vectors({"a": a, "b": b.astype(np.uint64)}, ["o", "wide"], latency=3)
            np.testing.assert_array_equal(got["o"], a.astype(np.uint32) * b)
            np.testing.assert_array_equal(unpack_lanes(got["wide"], 5, 16), np.repeat(a[:, None], 5, axis=1))
            now = sim.vectors({"a": a, "b": b}, ["now"], latency=0)["now"]
            np.testing.assert_array_equal(now, a.astype(np.uint32) + b)
        start = 0xFFFE_FFF0
        got = sim.vectors(
            {"a": Count(start=start), "b": Count(start=start, shift=16)}, ["o"], latency=3, n=100
        )
        i = np.arange(start, start + 100)
        np.testing.assert_array_equal(got["o"], (i & 0xFFFF) * (i >> 16 & 0xFFFF))
        sim.set("b", 7)
        np.testing.assert_array_equal(sim.vectors({"a": a}, ["o"], latency=3)["o"], a.astype(np.uint32) * 7)


def test_vectors_are_checked():
    a = np.zeros(4, np.uint16)
    with Simulation(Product()) as sim:
        for inputs, n, message in [
            ({"a": a, "b": a[:3]}, None, "must be of one length"),
            ({"a": Count()}, None, "must be of one length"),
            ({"a": a.astype(np.int32)}, None, "must be unsigned"),
            ({"a": a + np.uint32(1 << 16)}, None, "must have 16 bits, not 0x10000"),
            ({"o": a}, None, "must be an input"),
        ]:
            with pytest.raises(ValueError, match=message):
                sim.vectors(inputs, ["o"], latency=3, n=n)


def test_vectors_are_fast():
    """An exhaustive check of 2^32 products is a matter of minutes, not days."""
    n = 1_000_000
    with Simulation(Product()) as sim:
        start = time.monotonic()
        sim.vectors({"a": Count(), "b": Count(shift=16)}, ["o"], latency=3, n=n)
        rate = n / (time.monotonic() - start)
    print(f"{rate:,.0f} vectors/s")
    assert rate > 1e6
