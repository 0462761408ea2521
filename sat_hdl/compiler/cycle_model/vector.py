"""The vector unit of the cycle model: its streams, and the lanes between them, some vectors at a time."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sat_hdl.compiler.array_cycles import conversions
from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.compiler.cycle_model.streams import BURST, FIRST_BURST, Reader, Writer, bursts
from sat_hdl.compiler.cycle_model.units import Registers, descriptor
from sat_hdl.config import Config
from sat_hdl.memory.descriptor import READ_WORDS
from sat_hdl.wuve.lane import Lane

__all__ = ["VectorModel"]

READERS = ("x", "y", "z")
WRITERS = ("out0", "out1", "ff_values", "ff_indices", "bp_values", "bp_indices")
_BINARY = {"sgd": 3, "add": 2, "mask": 2, "select_sum": 2}
_WINDOWED = ("maxpool", "sum", "select_sum")
#: A chunk's sums can be added to so many cycles later; the best of a window compared.
_CHAIN, _CONTEST = 23, 4


@dataclass(frozen=True)
class _Step:
    """Some vectors in a row: beats of each input that they take, ``cycles`` at least, and beats of each output that
    they give in the end."""

    takes: dict[str, int]
    cycles: int
    gives: dict[str, int]
    #: Of the outputs, how long after.
    late: dict[str, int] = field(default_factory=dict)


class _Arrivals:
    """When the beats of an input are offered."""

    def __init__(self):
        self._bursts: deque[tuple[int, int, int]] = deque()
        self.count = 0

    def add(self, beats: int, first: int, last: int):
        self.count += beats
        self._bursts.append((self.count, first, last))

    def of(self, beat: int) -> int:
        """Of beat number ``beat``, from 1; ascending."""
        while self._bursts[0][0] < beat:
            self._bursts.popleft()
        end, first, last = self._bursts[0]
        return max(first, last - (end - beat))


class VectorModel:
    """WUVE and the pre-generation of copies between affine readers and writers."""

    copies = READ_WORDS + 1

    def __init__(self, config: Config, clock: Clock, ports: Ports):
        self._config = config
        self._readers, self._arrivals = {}, {}
        for i, name in enumerate(READERS):
            self._readers[name] = Reader(clock, ports, 2 + i, self._taker(name))
        self._writers = {
            name: Writer(clock, ports, 1 + i, self._written) for i, name in enumerate(WRITERS)
        }
        self._done: Callable[[int], None] | None = None

    def _taker(self, name: str) -> Callable[[int, int, int], None]:
        def arrived(beats: int, first: int, last: int):
            self._arrivals[name].add(beats, first, last)
            self._go()

        return arrived

    def start(self, at: int, action: str, registers: Registers, done: Callable[[int], None]):
        config = self._config
        beat = config.memory_bits // 8
        self._done = done
        inputs = READERS[: _BINARY.get(action, 1)]
        outputs = _outputs(action, registers)
        streams = {name: bursts(descriptor("vector", registers, f"{name}_"), beat) for name in inputs}
        written = {
            name: bursts(descriptor("vector", registers, f"{name}_", writes=True), beat)[0]
            for name in outputs
        }
        self._steps = list(_steps(config, action, registers, inputs, outputs, written))
        self._step = 0
        self._arrivals = {name: _Arrivals() for name in inputs}
        self._took = dict.fromkeys(inputs, 0)
        self._gave = dict.fromkeys(outputs, 0)
        # The first vector is asked for when the command is decoded and the sequencer has begun.
        self._free = at + self.copies + 6
        self._open, self._last = len(outputs), 0
        self._going = False
        for name in outputs:
            self._writers[name].start(written[name], self._go)
        self._going = True
        for name in inputs:
            lengths, padding, _ = streams[name]
            self._readers[name].start(at + READ_WORDS + FIRST_BURST, lengths, padding)
        self._going = False
        self._go()

    def _go(self):
        if self._going:
            return
        self._going = True
        while self._step < len(self._steps):
            step = self._steps[self._step]
            begin = self._free
            end = begin + step.cycles
            for name, beats in step.takes.items():
                if self._arrivals[name].count < self._took[name] + beats:
                    self._going = False
                    return
                if beats:
                    end = max(end, self._arrivals[name].of(self._took[name] + beats) + 1)
            for name, beats in step.gives.items():
                if beats:
                    room = self._writers[name].room(self._gave[name] + beats)
                    if room is None:
                        self._going = False
                        return
                    end = max(end, room - step.late[name])
            self._step += 1
            self._free = end
            for name, beats in step.gives.items():
                if beats:
                    self._gave[name] += beats
                    self._writers[name].make(self._gave[name], end + step.late[name], step.cycles / beats)
            for name, beats in step.takes.items():
                if beats:
                    self._took[name] += beats
                    self._readers[name].take(beats, max(begin, end - step.cycles), end - 1)
        self._going = False
        if self._open == 0 and self._done is not None:
            self._done(self._free + _quiet(self._config))

    def _written(self, at: int):
        self._open -= 1
        self._last = max(self._last, at)
        if self._open == 0 and self._done is not None:
            self._done(self._last)


def _outputs(action: str, registers: Registers) -> list[str]:
    names = [] if action == "check" else ["out0"]
    if action in ("sgd", "maxpool"):
        names.append("out1")
    if action == "sgd":
        copies = registers["copies"]
        for i, name in enumerate(("ff", "bp")):
            if copies >> (16 + 2 * i) & 1:
                names.append(f"{name}_values")
                if copies >> (17 + 2 * i) & 1:
                    names.append(f"{name}_indices")
    return names


def _quiet(config: Config) -> int:
    """From the last vector's being taken to the unit's being done, if nothing is written."""
    return conversions(config)[0] + 4


def _steps(config: Config, action: str, registers: Registers, inputs, outputs, written: dict[str, list[int]]):
    """The command's vectors, in steps of a burst's beats or so."""
    lanes, bits = config.vector_lanes, config.memory_bits
    flags = registers["flags"]
    sgd, windowed = action == "sgd", action in _WINDOWED
    width = {
        "x": 32 if (flags & 1 or sgd) and action != "maxpool" else 16,
        "y": 32 if (flags & 2 or sgd) and action != "select_sum" else 16,
        "z": 32,
        "out0": 32 if (flags & 4 or sgd) and action != "maxpool" else 16,
        "out1": 32 if sgd else 16,
    }
    count = registers["count"]
    chunk = registers["chunk"] if windowed else count
    run = registers["run"] or chunk
    runs = -(-count // run)
    per_chunk = -(-chunk // run)  # runs
    window = registers["window"] if windowed else 1
    vectors = -(-run // lanes)
    last = run - (vectors - 1) * lanes
    passes = (4 + (flags >> 8 & 1)) if sgd else 1

    def beats(name: str, elements: int) -> int:
        return -(-elements * width[name] // bits)

    # Cycles of a full vector and of a run's last: those of its beats. Of windows, few vectors give any.
    wide = inputs if windowed else [name for name in (*inputs, *outputs) if name in width]
    full, ends = (max(passes, *(beats(name, many) for name in wide)) for many in (lanes, last))
    widen, narrow = conversions(config)
    late = {
        name: widen + passes * Lane.latency + 6
        + (narrow if width.get(name, 16) == 16 else 0)
        for name in outputs
    }  # fmt: skip
    for name in outputs:
        if name not in ("out0", "out1"):
            late[name] += 24
    totals = {name: sum(lengths) for name, lengths in written.items()}
    if not windowed:
        yield from _plain(config, run, runs, vectors, full, ends, beats, inputs, outputs, totals, late)
        return
    least = _CONTEST if action == "maxpool" else _CHAIN
    alone = per_chunk * ((vectors - 1) * full + ends)
    # Only within a window a chunk waits for the one before.
    cycles = max(alone, least)
    # Results leave when nothing else is read; vectors of a chunk that come one a cycle leave no time for that.
    leaves = per_chunk * vectors if cycles <= per_chunk * vectors else 0
    takes = {name: per_chunk * beats(name, run) for name in inputs}
    chunks = runs // per_chunk
    scales = action == "sum" and flags >> 4 & 1
    for number in range(chunks):
        final = number % window == window - 1
        gives = {name: per_chunk * beats(name, run) for name in outputs} if final else {}
        extra = {
            name: per_chunk * vectors * (beats(name, lanes) - 1) + scales * Lane.latency for name in gives
        }
        yield _Step(takes, (cycles if number % window else alone) + final * leaves, gives, {name: late[name] + extra[name] for name in gives})


def _plain(config, run, runs, vectors, full, ends, beats, inputs, outputs, totals, late):
    """Steps of a command without windows: a burst's beats of the widest input each."""
    lanes = config.vector_lanes
    each = max(1, BURST // max(beats(name, lanes) for name in inputs))  # vectors of a step
    if vectors <= each:
        together = max(1, each // vectors)
        done = 0
        while done < runs:
            now = min(together, runs - done)
            takes = {name: now * beats(name, run) for name in inputs}
            gives = {
                name: totals[name] * (done + now) // runs - totals[name] * done // runs for name in outputs
            }
            yield _Step(takes, now * ((vectors - 1) * full + ends), gives, late)
            done += now
        return
    per_beat = max(1, config.memory_bits // 16 // lanes)  # vectors of a beat of the narrowest
    each = max(1, each // per_beat) * per_beat
    for number in range(runs):
        before = dict.fromkeys((*inputs, *outputs), 0)
        for first in range(0, vectors, each):
            upto = min(first + each, vectors)
            elements = min(upto * lanes, run)
            takes, gives = {}, {}
            for name in inputs:
                now = beats(name, elements)
                takes[name], before[name] = now - before[name], now
            share = number * run + elements
            for name in outputs:
                now = totals[name] * share // (runs * run)
                gives[name], before[name] = (
                    now - (before[name] if first else totals[name] * number // runs),
                    now,
                )
            cycles = (upto - first) * full if upto < vectors else (upto - first - 1) * full + ends
            yield _Step(takes, cycles, gives, late)
