"""Bounded model checking of a queue: what goes in comes out, in order, for every pattern of stalls."""

import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.fpga.toolchain import run_tool
from sat_hdl.sim.smt import solve

#: Bits of the words: a queue must hold fewer than 2^4 of them.
WIDTH = 4


def definitions(design: wiring.Component) -> str:
    """``design`` in SMT-LIB, its memories as registers."""
    script = (
        "read_rtlil top.il; hierarchy -top top; proc; flatten; memory; attrmap -remove init; opt -full; "
        "dffunmap; write_smt2 -stbv -wires top.smt2"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "top.il").write_text(rtlil.convert(design, name="top", emit_src=False))
        run_tool("yosys", ["-q", "-p", script], cwd=folder, log="yosys.log")
        return (folder / "top.smt2").read_text()


class QueueClaim(wiring.Component):
    """Word i that goes into ``queue`` is i; so must be word i that comes out. What is on offer stays.

    ``queue`` has a stream ``out`` or ``o``; it takes a word from ``i``, or, if it has no such stream, by ``write``
    when there is ``room``.

    Arguments
    ---------
    most: words that may wait at most.

    Members
    -------
    offers, takes: In(1). Free: both sides may stall in any cycle. holds: Out(1).
    """

    def __init__(self, queue: wiring.Component, *, most: int):
        self._queue, self._most = queue, most
        super().__init__({"offers": In(1), "takes": In(1), "holds": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        out = queue.o if hasattr(queue, "o") else queue.out
        sent, received, waiting = (Signal(WIDTH, name=name) for name in ("sent", "received", "waiting"))
        gives = Signal()
        if hasattr(queue, "i"):
            m.d.comb += [
                queue.i.valid.eq(self.offers),
                queue.i.payload.eq(sent),
                gives.eq(self.offers & queue.i.ready),
            ]
        else:
            m.d.comb += [
                gives.eq(self.offers & queue.room),
                queue.write.eq(gives),
                queue.data.eq(sent),
            ]
        held = Signal()
        m.d.sync += [
            sent.eq(sent + gives),
            received.eq(received + (out.valid & out.ready)),
            held.eq(out.valid & ~out.ready),
        ]
        m.d.comb += [
            out.ready.eq(self.takes),
            waiting.eq(sent - received),
            self.holds.eq(
                (waiting <= self._most)
                & (~out.valid | ((waiting != 0) & (out.payload == received)))
                & (~held | out.valid)
            ),
        ]
        return m


def refuted(claim: wiring.Component, *, cycles: int) -> bool:
    """Whether the claim fails in some cycle after a reset, within ``cycles``."""
    steps = range(1, cycles + 1)
    return solve(
        "\n".join(
            [
                definitions(claim),
                *(f"(declare-const s{i} |top_s|)" for i in (0, *steps)),
                *(f"(assert (|top_t| s{i - 1} s{i}))" for i in steps),
                "(assert (|top_n rst| s0))",
                *(f"(assert (not (|top_n rst| s{i})))" for i in steps),
                f"(assert (not (and {' '.join(f'(|top_n holds| s{i})' for i in steps)})))",
                "(check-sat)",
            ]
        )
    )
