"""The chip's model refuses what it must: every rule broken by hand, and by a controller that was told wrong times."""

import dataclasses
import functools

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from sat_hdl.memory.sdram.chip import Command, SdramChip
from sat_hdl.memory.sdram.engine import SdramEngine
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models.sdram import SdramModel, Violation

from ...memory.sdram.bench import chip_with

#: At 100 MHz every time is another number of cycles, and none hides behind another.
CHIP = SdramChip(
    row_bits=2,
    column_bits=8,
    rcd=30,
    rp=40,
    ras=80,
    rc=150,
    rfc=110,
    rrd=50,
    wr=60,
    mrd=70,
    start=200,
    retention=40_000,
)
CYCLES = CHIP.cycles(100.0)
MODE = 3 << 4 | 1  # CAS latency 3, bursts of 2
ALL = 1 << 10


@functools.cache
def model() -> Simulation:
    return Simulation(SdramModel(chip=CHIP, clock_mhz=100.0))


def start(**gaps: int) -> list[tuple[int, Command, int, int]]:
    """The initialisation as (cycles to wait before, command, bank, address)."""
    gap = {"start": CYCLES.start + 1, "rp": CYCLES.rp, "rfc": CYCLES.rfc, "count": 8, "mode": MODE, **gaps}
    refreshes = [(gap["rfc"] if i else gap["rp"], Command.REFRESH, 0, 0) for i in range(gap["count"])]
    return [(gap["start"], Command.PRECHARGE, 0, ALL), *refreshes, (gap["rfc"], Command.MODE, 0, gap["mode"])]


def verdict(
    script: list[tuple[int, Command, int, int]], *, drive: set[int] = frozenset(), after: int = 20
) -> Violation:
    """What the model says to commands, each as many cycles after the one before as it says; ``drive``: numbers of
    commands after which the data are driven, for two cycles."""
    at = np.cumsum([gap for gap, *_ in script])
    n = int(at[-1]) + after
    columns = {name: np.zeros(n, np.uint8) for name in ("ras", "cas", "we", "ba", "dq_oe")}
    address = np.zeros(n, np.uint16)
    for number, (cycle, (_, command, bank, a)) in enumerate(zip(at, script)):
        for bit, name in enumerate(("ras", "cas", "we")):
            columns[name][cycle] = command.value >> bit & 1
        columns["ba"][cycle], address[cycle] = bank, a
        if command == Command.WRITE or number in drive:
            columns["dq_oe"][cycle : cycle + 2] = 1
    simulation = model()
    simulation.reset()
    ones = np.ones(n, np.uint8)
    inputs = {f"pins__{name}": values for name, values in columns.items()}
    inputs |= {"pins__cs": ones, "pins__clk_en": ones, "pins__a": address}
    simulation.vectors(inputs, ["violation"], latency=0)
    return Violation(simulation.get("violation"))


A, R, W, P, REF = Command.ACTIVATE, Command.READ, Command.WRITE, Command.PRECHARGE, Command.REFRESH
M = CYCLES.mrd
#: Rule → a script, all but its last wait legal, the command's number whose wait it is, and the least legal wait.
RULES = {
    Violation.RCD: ([(M, A, 0, 1), (CYCLES.rcd, R, 0, 0)], 1),
    Violation.RAS: ([(M, A, 0, 1), (CYCLES.ras, P, 0, 0)], 1),
    Violation.RP: ([(M, A, 0, 1), (CYCLES.rc, P, 0, 0), (CYCLES.rp, A, 0, 0)], 2),
    Violation.RC: ([(M, A, 0, 1), (CYCLES.ras, P, 0, 0), (CYCLES.rc - CYCLES.ras, A, 0, 0)], 2),
    Violation.RRD: ([(M, A, 0, 1), (CYCLES.rrd, A, 1, 1)], 1),
    Violation.WR: ([(M, A, 0, 1), (CYCLES.ras, W, 0, 0), (1 + CYCLES.wr, P, 0, 0)], 2),
    Violation.RFC: ([(M, REF, 0, 0), (CYCLES.rfc, A, 0, 0)], 1),
    Violation.MRD: ([(M, A, 0, 0)], 0),
    Violation.CUT: ([(M, A, 0, 1), (CYCLES.rcd, R, 0, 0), (2, R, 0, 2)], 2),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_wait_may_not_be_a_cycle_shorter(rule):
    script, number = RULES[rule]
    assert verdict(start() + script) == Violation.NONE
    gap, *command = script[number]
    script = [*script[:number], (gap - 1, *command), *script[number + 1 :]]
    assert verdict(start() + script) == rule


@pytest.mark.parametrize(
    ("rule", "script"),
    [
        (Violation.START, start(start=CYCLES.start)),
        (Violation.START, start(count=7)),
        (Violation.START, start()[1:]),
        (Violation.START, [*start()[:-1], (M, A, 0, 0)]),
        (Violation.RP, start(rp=CYCLES.rp - 1)),
        (Violation.RFC, start(rfc=CYCLES.rfc - 1)),
        (Violation.MODE, start(mode=1 << 4 | 1)),
        (Violation.MODE, start(mode=MODE | 8)),
        (Violation.MODE, start(mode=3 << 4 | 7)),
        (Violation.CLOSED, [*start(), (M, R, 0, 0)]),
        (Violation.CLOSED, [*start(), (M, A, 1, 0), (20, W, 0, 0)]),
        (Violation.OPEN, [*start(), (M, A, 1, 0), (20, A, 1, 0)]),
        (Violation.OPEN, [*start(), (M, A, 1, 0), (20, REF, 0, 0)]),
        (Violation.COMMAND, [*start(), (M, A, 1, 0), (20, R, 1, ALL)]),
        (Violation.RETENTION, [*start(), (CYCLES.retention + 1, REF, 0, 0)]),
        (Violation.RETENTION, [*start(), *[(CYCLES.rfc, REF, 0, 0)] * 4, (CYCLES.retention - 20, REF, 0, 0)]),
    ],
)  # fmt: skip
def test_what_else_is_refused(rule, script):
    assert verdict(script) == rule


def test_refreshes_in_time():
    """Every row once in the time: four rows, evenly."""
    assert verdict(start() + [(CYCLES.retention // 4 - 1, REF, 0, 0)] * 12) == Violation.NONE


@pytest.mark.parametrize(
    ("gap", "rule"), [(6, Violation.NONE), (5, Violation.CONTENTION), (4, Violation.CONTENTION)]
)
def test_data_pins_need_a_cycle_between(gap, rule):
    """READ at 0 has words at 3 and 4; so a word of the controller's may come at 6."""
    assert verdict([*start(), (M, A, 0, 1), (CYCLES.rcd, R, 0, 0), (gap, W, 0, 0)]) == rule


#: The board's chip, slower still, so that half of each time is cycles less.
SLOW = chip_with(rcd=60, rp=50, ras=200, rc=300, rfc=160, wr=60, mrd=60, start=300, retention=32_000)


def traffic(given: SdramChip) -> Violation:
    """What SLOW says of an engine that was told ``given``: pieces long and short, both ways, in few rows."""
    engine = SdramEngine(chip=given, clock_mhz=100.0, data_bits=32)
    chip = SdramModel(chip=SLOW, clock_mhz=100.0, contents=False)
    m = Module()
    m.submodules.engine, m.submodules.chip = engine, chip
    connect(m, engine.pins, chip.pins)
    found = []

    async def accesses(ctx):
        for i in range(40):
            access = {"bank": i & 1, "row": i % 3, "beats": 15 * (i >> 2 & 1), "write": i >> 3 & 1}
            ctx.set(engine.accesses.valid, 1)
            ctx.set(engine.accesses.payload, {"column": 0, "masked": 0, "last": 0, **access})
            for _ in range(3000):
                *_, ready = await ctx.tick().sample(engine.accesses.ready)
                if ready:
                    break
            assert ready
        ctx.set(engine.accesses.valid, 0)
        await ctx.tick().repeat(2500)
        found.append(Violation(ctx.get(chip.violation)))

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(accesses)
    simulator.run()
    return found[0]


def test_a_controller_that_was_told_right_times():
    assert traffic(SLOW) == Violation.NONE


@pytest.mark.parametrize("name", ["rcd", "rp", "ras", "rc", "rfc", "wr", "mrd", "start", "retention"])
def test_a_controller_that_was_told_a_wrong_time_is_found(name):
    wrong = getattr(SLOW, name) * (2 if name == "retention" else 0.5)
    assert traffic(dataclasses.replace(SLOW, **{name: wrong})) == Violation[name.upper()]
