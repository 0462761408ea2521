"""Proofs on the SDRAM engine: refreshes are never late, and in no order of accesses is a rule of the chip broken."""

import functools

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.memory.sdram.chip import SdramChip
from sat_hdl.memory.sdram.engine import SdramEngine
from sat_hdl.sim.models.sdram import SdramModel, Violation
from sat_hdl.sim.smt import solve

from ..bounded import definitions

CLOCK = 100.0


def chip(**changes) -> SdramChip:
    """Starts soon, so that little of what is unrolled is its start."""
    times = dict(rcd=30, rp=20, ras=60, rc=90, rfc=20, rrd=10, wr=20, mrd=20, start=10, retention=12_000)
    return SdramChip(row_bits=2, column_bits=8, **times | changes)


class Claim(wiring.Component):
    """An engine whose accesses are free, and the chip that watches it."""

    def __init__(self, *, told: SdramChip, true: SdramChip):
        self.engine = SdramEngine(chip=told, clock_mhz=CLOCK, data_bits=32, cas_latency=2)
        self.model = SdramModel(chip=true, clock_mhz=CLOCK, contents=False)
        accesses = stream.Signature(self.engine.accesses.payload.shape())
        super().__init__(
            {
                "accesses": In(accesses),
                "due": Out(1),
                "started": Out(1),
                "runs": Out(1),
                "age": Out(8),
                "legal": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine, m.submodules.model = engine, model = self.engine, self.model
        connect(m, flipped(self.accesses), engine.accesses)
        connect(m, engine.pins, model.pins)
        upkeep = engine.upkeep
        m.d.comb += [
            self.due.eq(upkeep.due), self.started.eq(upkeep.started), self.runs.eq(upkeep.runs),
            self.legal.eq(model.violation == Violation.NONE), self.busy.eq(engine.read | engine.take),
        ]  # fmt: skip
        # Cycles for which a refresh has been due.
        with m.If(upkeep.due & ~upkeep.refreshes):
            m.d.sync += self.age.eq(self.age + 1)
        with m.Else():
            m.d.sync += self.age.eq(0)
        return m


@functools.cache
def unrolled(claim: tuple[tuple[str, float], ...] = ()) -> tuple[str, int]:
    """Definitions, and the engine's promised delay. ``claim``: what the chip needs but the engine was not told."""
    made = Claim(told=chip(), true=chip(**dict(claim)))
    return definitions(made), made.engine.delay


def steps(text: str, n: int) -> list[str]:
    lines = [text, *(f"(declare-const s{i} |top_s|)" for i in range(n + 1))]
    return lines + [f"(assert (|top_t| s{i} s{i + 1}))" for i in range(n)]


def is_(name: str, i: int) -> str:
    return f"(|top_n {name}| s{i})"


def calm(i: int) -> str:
    """Of every state that can be reached: once started, the pins are others' unless one is due; before, none is."""
    due, started, runs = (is_(name, i) for name in ("due", "started", "runs"))
    return f"(and (=> (and {started} (not {due})) {runs}) (=> (not {started}) (not {due})))"


def refutable(lines: list[str], claim: str) -> bool:
    return solve("\n".join([*lines, f"(assert (not {claim}))", "(check-sat)"]))


def test_calm_is_an_invariant():
    text, _ = unrolled()
    reset = [*steps(text, 1), f"(assert {is_('rst', 0)})"]
    assert not refutable(reset, calm(1))
    step = [*steps(text, 1), f"(assert {calm(0)})"]
    assert not refutable(step, calm(1))


def test_no_refresh_is_later_than_promised():
    """From every calm state in which none is due, for as long as it could be due: so for ever."""
    text, delay = unrolled()
    n = delay + 1
    lines = [*steps(text, n + 1), *(f"(assert (not {is_('rst', i)}))" for i in range(n + 1))]
    lines += [f"(assert {is_('started', 0)})", f"(assert (not {is_('due', 0)}))", f"(assert {calm(0)})",
              f"(assert (= {is_('age', 0)} (_ bv0 8)))"]  # fmt: skip
    late = [f"(bvugt {is_('age', i)} (_ bv{delay} 8))" for i in range(n + 2)]
    assert not refutable(lines, f"(not (or {' '.join(late)}))")
    # As late as that it can be.
    late = [f"(bvugt {is_('age', i)} (_ bv{delay - 1} 8))" for i in range(n + 2)]
    assert refutable(lines, f"(not (or {' '.join(late)}))")


@pytest.mark.parametrize("needs", [{}, {"rp": 30}, {"wr": 30}], ids=str)
def test_no_rule_is_broken(needs, cycles=52):
    """For every order of accesses and of pauses, as far as it is unrolled. If the chip needs a cycle more: found."""
    text, _ = unrolled(tuple(needs.items()))
    lines = [*steps(text, cycles), f"(assert {is_('rst', 0)})"]
    lines += [f"(assert (not {is_('rst', i)}))" for i in range(1, cycles + 1)]
    assert refutable(lines, is_("legal", cycles)) == bool(needs)
