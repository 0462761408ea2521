"""The cocotb runner, the stream coroutines, and their verdicts on designs broken on purpose."""

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from cocotb_tools import config as cocotb_config

from sat_hdl.sim.build import cache_dir
from sat_hdl.sim.cocotb_runner import run_bench
from sat_hdl.sim.run import SimulationError
from sat_hdl.sim.verilog import emit


class Fault(enum.Enum, shape=2):
    NONE = 0
    WITHDRAWS = 1
    LOSES = 2
    HANGS = 3


BENCH = Path(__file__).with_name("fifo_bench.py")


class StreamFifo(wiring.Component):
    """A buffer of four beats of eight 19-bit lanes; ``fault`` breaks it on purpose, by one build for all."""

    def __init__(self):
        beats = stream.Signature(data.ArrayLayout(19, 8))
        super().__init__({"i": In(beats), "o": Out(beats), "fault": In(Fault)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8 * 19, depth=4)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        toggle = Signal()
        m.d.sync += toggle.eq(~toggle)
        with m.Switch(self.fault):
            with m.Case(Fault.WITHDRAWS):
                m.d.comb += [self.o.valid.eq(fifo.r_rdy & toggle), fifo.r_en.eq(self.o.ready & toggle)]
            with m.Case(Fault.LOSES):
                m.d.comb += fifo.w_en.eq(self.i.valid & ~(self.i.payload[0][0] & toggle))
            with m.Case(Fault.HANGS):
                m.d.comb += self.i.ready.eq(0)
        return m


def run(fault: Fault, seed: int, **options):
    run_bench(StreamFifo(), "fifo", BENCH, parameters={"SEED": seed, "FAULT": fault.value}, **options)


def test_a_simulator_outlives_the_environment_that_built_it(tmp_path, monkeypatch):
    """The cache is shared by environments; the first one's libraries may be gone."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path))
    run(Fault.NONE, 7)
    (simulator,) = cache_dir().glob("cocotb-*/fifo")
    program, path = simulator.read_bytes(), str(cocotb_config.libs_dir).encode()
    assert path in program
    simulator.write_bytes(program.replace(path, b"/gone".ljust(len(path), b"x")))
    run(Fault.NONE, 7)


def test_a_bench_passes(seed=7):
    run(Fault.NONE, seed)


@pytest.mark.parametrize(
    "fault,message",
    [
        (Fault.WITHDRAWS, "withdrew `valid`"),
        (Fault.LOSES, "was starved|assert got == beats"),
        (Fault.HANGS, "was blocked"),
    ],
)
def test_a_bench_fails(fault, message, seed=7):
    with pytest.raises(
        SimulationError, match=f"(?s)of 3 tests of the bench 'fifo_bench' failed.*({message})"
    ):
        run(fault, seed)


def test_runtime_is_compiled_once():
    """A second design costs its own compilation only; its simulator still works."""
    run_bench(emit(StreamFifo(), "other"), "other", BENCH, parameters={"SEED": 8, "FAULT": 0})


def test_a_bench_without_tests_is_refused():
    with pytest.raises(SimulationError, match="0 of 0 tests"):
        run(Fault.NONE, 1, testcase="no_such_test")
