"""The drain behind a stand-in for the array: nothing is lost, reordered or overrun; proved for a small one."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.fpga.toolchain import run_tool
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation, Stall
from sat_hdl.sim.packing import pack_lanes
from sat_hdl.sim.smt import solve
from sat_hdl.stce.drain import Drain

from .drain_loop import DrainLoop

STALLS = {
    "none": NONE,
    "light": LIGHT,
    "heavy": HEAVY,
    "reader": Stall(output=0.9),
    "source": Stall(input=0.9),
}
#: name → columns and exchange latency.
SHAPES = {"c1": (1, 1), "c2": (2, 3), "c3": (3, 10), "c8": (8, 4)}


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Bundle({name: loop(*shape) for name, shape in SHAPES.items()})) as sim:
        yield sim


def loop(cols: int, exchange_latency: int) -> DrainLoop:
    return DrainLoop(Config(cols=cols), exchange_latency=exchange_latency)


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_beats_come_out_as_they_went_in(simulation, shape, stall):
    seed = zlib.crc32(f"{shape} {stall}".encode())
    print(f"seed {seed}")
    cols, _ = SHAPES[shape]
    beats = pack_lanes(np.random.default_rng(seed).integers(0, 1 << 32, (2000, cols)), 32)
    result = simulation.run(
        {f"{shape}__i": beats},
        {f"{shape}__o": len(beats)},
        stall=STALLS[stall].with_seed(seed),
        idle_timeout=1000,
        quiet=100,
    )
    np.testing.assert_array_equal(result.outputs[f"{shape}__o"], beats)
    assert simulation.get(f"{shape}__empty") == 1
    drain = loop(*SHAPES[shape]).drain
    if stall == "none":
        assert result.last[f"{shape}__i"] == len(beats) - 1  # room at every cycle
        assert result.first[f"{shape}__o"] == drain.latency


@pytest.mark.parametrize("shape", SHAPES)
def test_room_ends_at_its_depth(simulation, shape):
    """With nobody taking results, exactly ``depth`` beats are let in, and they all wait there."""
    simulation.reset()
    drain = loop(*SHAPES[shape]).drain
    assert drain.depth & (drain.depth - 1) == 0
    assert drain.depth >= drain.latency + 1
    accepted = 0
    simulation.set(f"{shape}__i__valid", 1)
    for _ in range(3 * drain.depth):
        accepted += simulation.get(f"{shape}__room")
        simulation.step()
    assert accepted == drain.depth
    assert simulation.get(f"{shape}__empty") == 0
    simulation.set(f"{shape}__i__valid", 0)
    simulation.set(f"{shape}__o__ready", 1)
    simulation.step(drain.depth)
    assert simulation.get(f"{shape}__empty") == 1
    simulation.reset()


@pytest.mark.parametrize("latency", [0, -1, "2"])
def test_illegal_latency_is_refused(latency):
    with pytest.raises(ValueError, match=f"^Exchange latency must be a positive integer, not {latency!r}$"):
        Drain(Config(), exchange_latency=latency)


class Claim(wiring.Component):
    """Beat i of the loop carries i in every lane; so beat i out must, and room must be all that it takes.

    Arguments
    ---------
    most: beats that may wait at most.

    Members
    -------
    offers, takes: In(1). Free: both sides may stall in any cycle.
    holds: Out(1).
    """

    def __init__(self, most: int):
        self._most = most
        super().__init__({"offers": In(1), "takes": In(1), "holds": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.loop = loop = DrainLoop(Config(cols=2), exchange_latency=1)
        sent, received, waiting = Signal(4), Signal(4), Signal(4)  # twice the depth
        m.d.sync += [
            sent.eq(sent + (loop.i.valid & loop.i.ready)),
            received.eq(received + (loop.o.valid & loop.o.ready)),
        ]
        lanes = [lane == received for lane in loop.o.payload]
        m.d.comb += [
            loop.i.valid.eq(self.offers),
            loop.o.ready.eq(self.takes),
            *(lane.eq(sent) for lane in loop.i.payload),
            waiting.eq(sent - received),
            self.holds.eq(
                (waiting <= self._most)
                & (loop.room == (waiting != loop.drain.depth))
                & (loop.empty == (waiting == 0))
                & (~loop.o.valid | ((waiting != 0) & Cat(lanes).all()))
            ),
        ]
        return m


#: A depth of 8 is filled and wrapped around within this many cycles.
CYCLES = 16


def refuted(claim: Claim, folder: Path) -> bool:
    """Whether, in some cycle after a reset and for some pattern of stalls, the claim does not hold."""
    (folder / "top.il").write_text(rtlil.convert(claim, name="top", emit_src=False))
    script = (
        "read_rtlil top.il; hierarchy -top top; proc; flatten; memory; attrmap -remove init; opt -full; "
        "dffunmap; write_smt2 -stbv top.smt2"
    )
    run_tool("yosys", ["-q", "-p", script], cwd=folder, log="yosys.log")
    steps = range(1, CYCLES + 1)
    return solve(
        "\n".join(
            [
                (folder / "top.smt2").read_text(),
                *(f"(declare-const s{i} |top_s|)" for i in (0, *steps)),
                *(f"(assert (|top_t| s{i - 1} s{i}))" for i in steps),
                "(assert (|top_n rst| s0))",
                *(f"(assert (not (|top_n rst| s{i})))" for i in steps),
                f"(assert (not (and {' '.join(f'(|top_n holds| s{i})' for i in steps)})))",
                "(check-sat)",
            ]
        )
    )


def test_proved_for_every_pattern_of_stalls(tmp_path):
    """Bounded model checking, for two columns and the least exchange latency."""
    depth = DrainLoop(Config(cols=2), exchange_latency=1).drain.depth
    assert not refuted(Claim(depth), tmp_path)
    # Not for want of cases: the queue does get full.
    assert refuted(Claim(depth - 1), tmp_path)
