"""A vector command in steps: what its lanes take and give, and how long they need."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sat_hdl.compiler.array_cycles import conversions
from sat_hdl.compiler.cycle_model.streams import BURST
from sat_hdl.compiler.cycle_model.units import Registers
from sat_hdl.config import Config
from sat_hdl.control.vector_unit import COPIES, READERS
from sat_hdl.wuve.lane import Lane
from sat_hdl.wuve.pregenerate import copies_latency
from sat_hdl.wuve.transpose import Transpose

__all__ = ["Command", "Step", "outputs_of"]

#: Inputs of the commands that have several.
_INPUTS = {"sgd": 3, "add": 2, "mask": 2, "select_sum": 2}
_WINDOWED = ("maxpool", "sum", "select_sum")
#: Cycles from a chunk's first vector to the next chunk's, in a window, at least: the sum that it adds to, the best
#: that it is compared with, is there by then.
_CHAIN, _CONTEST = Lane.latency + 4, 4
#: Cycles of a vector from its last pass to an output's beat, and before the first pass, besides the ranks of the
#: conversions.
_AROUND = 7
#: More of those for the copies, measured: with 64 bits of memory port 14 to 32, with 32 up to 17.
_COPIES = 14


@dataclass(frozen=True)
class Step:
    """Some vectors in a row.

    Arguments
    ---------
    takes: beats of each input. cycles: that they take at least, if their beats are there.
    gives: beats of each output. late: cycles from the step's end to the last of them.
    """

    takes: dict[str, int]
    cycles: int
    gives: dict[str, int]
    late: dict[str, int]


def outputs_of(action: str, registers: Registers) -> dict[str, list[str]]:
    """The outputs that a command has: of each the streams that are written in turns."""
    names = [] if action == "check" else ["out0"]
    if action in ("sgd", "maxpool"):
        names.append("out1")
    outputs = {name: [name] for name in names}
    copies = registers["copies"] if action == "sgd" else 0
    parts = [part for i, part in enumerate(COPIES) if copies >> (16 + i - i % 2) & copies >> (16 + i) & 1]
    return outputs | ({"copies": parts} if parts else {})


@dataclass(frozen=True)
class Command:
    """A command of the vector unit. ``written``: beats of each output, all told."""

    config: Config
    action: str
    registers: Registers
    written: dict[str, int]

    @property
    def inputs(self) -> tuple[str, ...]:
        return READERS[: _INPUTS.get(self.action, 1)]

    @cached_property
    def _widths(self) -> dict[str, int]:
        """Bits of an element, of the streams that are made of the lanes' vectors."""
        flags, sgd = self.registers["flags"], self.action == "sgd"
        wide = {
            "x": (flags & 1 or sgd) and self.action != "maxpool",
            "y": (flags & 2 or sgd) and self.action != "select_sum",
            "z": True,
            "out0": (flags & 4 or sgd) and self.action != "maxpool",
            "out1": sgd,
        }
        used = (*self.inputs, *self.written)
        return {name: 32 if is_wide else 16 for name, is_wide in wide.items() if name in used}

    def _beats(self, name: str, elements: int) -> int:
        return -(-elements * self._widths[name] // self.config.memory_bits)

    @property
    def _passes(self) -> int:
        return 4 + (self.registers["flags"] >> 8 & 1) if self.action == "sgd" else 1

    @property
    def _late(self) -> dict[str, int]:
        """From the last vector's being taken to its beats, of each output."""
        widen, narrow = conversions(self.config)
        late = {}
        for name in self.written:
            late[name] = widen + self._passes * Lane.latency + _AROUND
            if self._widths.get(name) != 32:
                late[name] += narrow
            if name not in self._widths:
                late[name] += _COPIES + self._copied
        return late

    @property
    def _copied(self) -> int:
        """From a block's last vector's being offered for its copies to the last beat of these."""
        copies = self.registers["copies"]
        keep, group = copies & 0xFF, (copies >> 8 & 0xFF) or 1  # 0 ends in an error
        has = [copies >> bit & 1 for bit in range(16, 20)]
        ff, bp = (keep * sparse if wanted else None for wanted, sparse in (has[:2], has[2:]))
        taking = Transpose.vector_cycles(self.config.vector_lanes, self.config.copy_lanes)
        group = group if ff or bp else 2
        return taking - 1 + copies_latency(self.config, ff=ff, bp=bp, group=group)

    def steps(self) -> Iterator[Step]:
        """Its steps: chunks; or a burst's beats or so, where there are none."""
        windowed = self.action in _WINDOWED
        chunk = self.registers["chunk"] if windowed else self.registers["count"]
        run = self.registers["run"] or chunk
        runs = -(-self.registers["count"] // run)
        if windowed:
            return self._chunks(run, runs, -(-chunk // run), self.registers["window"])
        return self._plain(run, runs)

    def _cycles(self, elements: int, streams: list[str]) -> int:
        """Of a run's first so many elements: a vector takes its passes, or as long as its beats come."""
        lanes = self.config.vector_lanes
        full, rest = divmod(elements, lanes)
        cycles = full * max(self._passes, *(self._beats(name, lanes) for name in streams))
        return cycles + (max(self._passes, *(self._beats(name, rest) for name in streams)) if rest else 0)

    def _chunks(self, run: int, runs: int, per_chunk: int, window: int) -> Iterator[Step]:
        """``per_chunk`` runs make a chunk, ``window`` chunks a result."""
        lanes = self.config.vector_lanes
        vectors = per_chunk * -(-run // lanes)
        alone = per_chunk * self._cycles(run, list(self.inputs))
        least = _CONTEST if self.action == "maxpool" else _CHAIN
        # A sum that is scaled makes a second pass, in a window's last chunk.
        scales = self.action == "sum" and self.registers["flags"] >> 4 & 1
        second = Lane.latency if scales else 0
        # Only within a window a chunk waits for the one before; a window's second one for the last window, too.
        cycles = max(alone, least)
        waits = (
            {0: alone, 1: max(cycles, least + second - alone)} if window > 1 else {0: alone * (1 + scales)}
        )
        # Results leave when nothing else is read; vectors of a chunk that come one a cycle leave no time for that.
        leaves = vectors if cycles <= vectors else 0
        takes = {name: per_chunk * self._beats(name, run) for name in self.inputs}
        gives = {name: per_chunk * self._beats(name, run) for name in self.written}
        late = {
            name: cycles + second + vectors * (self._beats(name, lanes) - 1)
            for name, cycles in self._late.items()
        }
        for number in range(runs // per_chunk):
            place = number % window
            final = place == window - 1
            wait = waits.get(place, cycles)
            yield Step(takes, wait + leaves, gives, late) if final else Step(takes, wait, {}, {})

    def _plain(self, run: int, runs: int) -> Iterator[Step]:
        """Runs together up to a burst's beats of the widest input, or parts of a run."""
        lanes, streams = self.config.vector_lanes, list(self._widths)
        vectors = -(-run // lanes)
        each = max(1, BURST // max(self._beats(name, lanes) for name in self.inputs))  # vectors of a step
        late, total = self._late, runs * run
        given = dict.fromkeys(self.written, 0)

        def gives(elements: int) -> dict[str, int]:
            found = {}
            for name, beats in self.written.items():
                found[name] = beats * elements // total - given[name]
                given[name] += found[name]
            return found

        if vectors <= each:
            together = max(1, each // vectors)
            for first in range(0, runs, together):
                now = min(together, runs - first)
                takes = {name: now * self._beats(name, run) for name in self.inputs}
                yield Step(takes, now * self._cycles(run, streams), gives((first + now) * run), late)
            return
        # Whole beats of the narrowest stream.
        per_beat = max(1, self.config.memory_bits // 16 // lanes)
        part = max(1, each // per_beat) * per_beat * lanes
        for number in range(runs):
            for first in range(0, run, part):
                end = min(first + part, run)
                takes = {name: self._beats(name, end) - self._beats(name, first) for name in self.inputs}
                yield Step(takes, self._cycles(end - first, streams), gives(number * run + end), late)
