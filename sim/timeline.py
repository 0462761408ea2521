"""What every unit of a simulated device did, cycle by cycle."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from sat_hdl.compiler.program import Label
from sat_hdl.control.isa import UNITS
from sat_hdl.control.walk import walk
from sat_hdl.sim.memory import System
from sat_hdl.system import unit_trace_layout

__all__ = ["Bar", "Timeline", "read_timeline", "record"]

_LAYOUT = unit_trace_layout()
_PROGRAM, _ARRAY = "trace__program", "trace__array_busy"


def _bits(name: str) -> int:
    field = _LAYOUT[name]
    return (1 << field.width) - 1 << field.offset


_BUSY, _BLOCKED, _WAITING = (_bits(name) for name in ("busy", "blocked", "waiting"))
_ADDRESS = _LAYOUT["address"].offset


@dataclass(frozen=True)
class Bar:
    """A run of a unit, or its wait for semaphores before one.

    Arguments
    ---------
    unit: its name.
    busy: a run; else the wait before the one that follows.
    start, end: the first cycle, and the first after it; 0 is the program's first.
    waiting: of a run, cycles in which the unit waited for memory; of "compute" always 0.
    array_busy: of a product, cycles in which the array took a weight; else 0.
    address: of the RUN instruction; None of a wait that no run ended.
    label: what it was for, where that is known.
    """

    unit: str
    busy: bool
    start: int
    end: int
    waiting: int
    array_busy: int
    address: int | None
    label: Label | None

    @property
    def cycles(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Timeline:
    """A program's bars, unit by unit, ascending in time. ``cycles``: of the program."""

    cycles: int
    bars: list[Bar]

    def of(self, unit: str, *, busy: bool = True) -> list[Bar]:
        """The runs of ``unit``, or its waits."""
        return [bar for bar in self.bars if bar.unit == unit and bar.busy == busy]


def record(system: System):
    """Begins to record what the units of a SatTop with ``trace`` do."""
    watched = (1 << _LAYOUT.size) - 1 & ~_WAITING
    units = {f"trace__{name}": (watched, _WAITING) for name in UNITS}
    system.record({**units, _PROGRAM: (1, 0), _ARRAY: ((1 << 32) - 1, 0)})


def read_timeline(
    system: System, words: np.ndarray, address: int, labels: tuple[Label, ...] = ()
) -> Timeline:
    """The program that ran since :func:`record`; begins a new record.

    Arguments
    ---------
    words: its instructions, uint64. address: of the first.
    labels: what each RUN was for, in the order in which they are handed out; empty if that is not known.

    Raises
    ------
    ValueError: it changed its mind too often to be recorded.
    """
    changes, now = system.changes, system.cycles
    by_port = [changes[changes["port"] == i] for i in range(len(UNITS) + 2)]
    record(system)
    *units, program, array = by_port
    running = program["cycle"][program["value"] == 1]
    if len(running) == 0:
        return Timeline(0, [])
    start = int(running[-1])
    after = program["cycle"][program["cycle"] > start]
    end = int(after[0]) if len(after) else now
    runs: dict[str, deque[tuple[int, Label]]] = {name: deque() for name in UNITS}
    for (at, instruction), label in zip(islice(walk(words.tolist(), address), len(labels)), labels):
        runs[str(instruction.unit)].append((at, label))
    bars = []
    for name, found in zip(UNITS, units):
        pieces = list(_pieces(name, found, array if name == "compute" else None, start, end))
        bars += _labelled(pieces, runs[name])
    return Timeline(end - start, bars)


def _pieces(unit: str, changes: np.ndarray, array: np.ndarray | None, start: int, end: int) -> Iterator[Bar]:
    """Bars of a unit whose changes these are; of a wait the address is yet to be found."""
    lasts = [*changes["cycle"][1:].tolist(), end]
    counted = [*changes["counted"][1:].tolist(), 0]
    for change, last, waiting in zip(changes, lasts, counted):
        first, value = int(change["cycle"]), int(change["value"])
        if last <= start or first >= end or not value & (_BUSY | _BLOCKED):
            continue
        busy = bool(value & _BUSY)
        taken = 0
        if array is not None and busy:
            # The product's count is there when the unit is no longer busy.
            known = array["value"][array["cycle"] <= last]
            taken = int(known[-1]) if len(known) and last < end else 0
        address = value >> _ADDRESS if busy else None
        yield Bar(
            unit, busy, first - start, min(last, end) - start, waiting if busy else 0, taken, address, None
        )


def _labelled(bars: list[Bar], runs: deque[tuple[int, Label]]) -> list[Bar]:
    """The bars with their labels: those of runs in the order of ``runs``, of which some may have been skipped; a wait
    is for the run after it."""
    found: list[Bar] = []
    for bar in bars:
        label = None
        if bar.busy:
            while runs and runs[0][0] != bar.address:
                runs.popleft()
            label = runs.popleft()[1] if runs else None
        found.append(replace(bar, label=label))
    after: Bar | None = None
    for i in reversed(range(len(found))):
        if found[i].busy:
            after = found[i]
        elif after is not None:
            found[i] = replace(found[i], address=after.address, label=after.label)
    return found
