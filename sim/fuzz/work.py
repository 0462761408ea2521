"""What random programs are made of: runs of units, the memory that they may touch, and streams over it."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product as indices
from random import Random

import numpy as np

from sat_hdl.compiler.program import OVERFLOW, Operation
from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS, RunFlag
from sat_hdl.memory.descriptor import LOOPS, WRITE_WORDS, Descriptor, Loop

__all__ = ["Arena", "Nest", "NoRoom", "Span", "Work", "contents", "divisor", "spans", "walk"]

#: First byte, and the one after the last.
Span = tuple[int, int]
#: Bytes of a piece of memory that counts as one where programs are ordered.
_BLOCK = 256
_RAISES = 1 << 9  # of the vector unit's flags


class NoRoom(Exception):
    """What was wanted does not fit; take something else."""


@dataclass(frozen=True)
class Work:
    """A RUN.

    Arguments
    ---------
    unit, action, flags: of the instruction.
    streams: descriptors by the prefix of their registers; those of ``writes`` are writers'.
    registers: that matter to it beside.
    takes, changes: parts of on-chip buffers, by any names.
    """

    unit: str
    action: str
    streams: Mapping[str, Descriptor] = field(default_factory=dict)
    registers: Mapping[str, int] = field(default_factory=dict)
    takes: tuple[Hashable, ...] = ()
    changes: tuple[Hashable, ...] = ()
    flags: tuple[RunFlag, ...] = ()

    @staticmethod
    def writes(prefix: str, unit: str) -> bool:
        return unit == "store" or (unit == "vector" and prefix not in ("x_", "y_", "z_"))

    def moved(self, by: Mapping[str, int]) -> "Work":
        """With the bases of streams moved by so many bytes."""
        streams = {
            prefix: replace(stream, base=(stream.base + by.get(prefix, 0)) % (1 << 32))
            for prefix, stream in self.streams.items()
        }
        return replace(self, streams=streams)

    def all_registers(self) -> dict[str, int]:
        """Every register that matters, by name."""
        found = {}
        for prefix, stream in self.streams.items():
            names = [r.name.removeprefix("x_") for r in UNITS["vector"].registers]
            words = stream.words()[: WRITE_WORDS if self.writes(prefix, self.unit) else None]
            found |= {f"{prefix}{name}": word for name, word in zip(names, words)}
        return {**found, **self.registers}

    def output(self) -> list[Span]:
        """What it may write."""
        return [
            span
            for prefix, stream in self.streams.items()
            if self.writes(prefix, self.unit)
            for span in spans(stream)
        ]

    def operation(self) -> Operation:
        """With the memory that it reads and writes as pieces of memory."""
        reads, writes = set(self.takes), set(self.changes)
        for prefix, stream in self.streams.items():
            into = writes if self.writes(prefix, self.unit) else reads
            for start, end in spans(stream):
                into |= {("memory", block) for block in range(start // _BLOCK, (end - 1) // _BLOCK + 1)}
        if self.action == "wide_columns_checked" or self.registers.get("flags", 0) & _RAISES:
            reads.add(OVERFLOW)
        if self.flags:
            writes.add(OVERFLOW)
        order = sorted(reads, key=str), sorted(writes, key=str)
        return Operation(
            self.unit, self.action, self.all_registers(), tuple(order[0]), tuple(order[1]), self.flags
        )


@dataclass(frozen=True)
class Nest:
    """Runs of different units, over and over, in nested loops.

    Arguments
    ---------
    counts: rounds of each loop, outermost first.
    body: in order. strides: for each of them, of streams by prefix: bytes from round to round of each loop.
    """

    counts: tuple[int, ...]
    body: Sequence[Work]
    strides: Sequence[Mapping[str, tuple[int, ...]]]

    def unrolled(self) -> Iterator[Work]:
        for at in indices(*map(range, self.counts)):
            for work, strides in zip(self.body, self.strides):
                yield work.moved(
                    {prefix: sum(i * s for i, s in zip(at, moves)) for prefix, moves in strides.items()}
                )


def _reach(stream: Descriptor, moves: Iterable[tuple[int, int]] = ()) -> Span:
    """From the lowest byte to the highest, the base at 0; ``moves``: (count, stride) of loops around it."""
    starts, padding = replace(stream, base=0).runs()
    offsets = starts.view(np.int32)[~padding]
    if not len(offsets):
        return 0, 0
    low, high = int(offsets.min()), int(offsets.max()) + stream.run
    for count, stride in moves:
        low, high = low + min(0, (count - 1) * stride), high + max(0, (count - 1) * stride)
    return low, high


def spans(stream: Descriptor) -> list[Span]:
    """The memory that a stream touches."""
    starts, padding = stream.runs()
    found: list[Span] = []
    for start in np.unique(starts[~padding]).tolist():
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], start + stream.run
        else:
            found.append((start, start + stream.run))
    return found


class Arena:
    """A piece of memory, from ``low`` to ``high``, for streams to lie in.

    Members
    -------
    image: the whole memory's contents before the program, uint8.
    kept: what nobody may write. written: what somebody may.
    """

    def __init__(self, rng: Random, config: Config, image: np.ndarray, low: int, high: int):
        self.rng, self.config, self.image = rng, config, image
        self.low, self.high = low, high
        self.kept: list[Span] = []
        self.written: list[Span] = []

    @property
    def beat(self) -> int:
        """Bytes."""
        return self.config.memory_bits // 8

    def place(
        self, stream: Descriptor, *, writes: bool, beside: Sequence[Span] = ()
    ) -> tuple[Descriptor, Span]:
        """The stream somewhere; and from where to where it reaches. It keeps away from ``beside``, and if it
        ``writes`` from what is kept."""
        low, high = _reach(stream)
        first, last = -(-(self.low - low) // self.beat), (self.high - high) // self.beat
        avoid = [*beside, *self.kept] if writes else beside
        for _ in range(20 if first <= last else 0):
            base = self.rng.randint(first, last) * self.beat
            span = base + low, base + high
            if not any(touch(span, other) for other in avoid):
                if writes:
                    self.written.append(span)
                return replace(stream, base=base % (1 << 32)), span
        raise NoRoom

    def stretch(self, work: Work, counts: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Strides for the streams of ``work`` in loops of ``counts`` rounds that keep it within bounds; 0 where there
        are none."""
        found: dict[str, tuple[int, ...]] = {}
        taken = {prefix: self._span(stream, ()) for prefix, stream in work.streams.items()}
        for prefix, stream in work.streams.items():
            writes = work.writes(prefix, work.unit)
            for _ in range(8):
                moves = tuple(self.beat * self.rng.randint(-24, 24) for _ in counts)
                span = self._span(stream, zip(counts, moves))
                others = [other for name, other in taken.items() if name != prefix]
                avoid = [*others, *self.kept] if writes else others
                inside = self.low <= span[0] and span[1] <= self.high
                if inside and not any(touch(span, other) for other in avoid):
                    found[prefix], taken[prefix] = moves, span
                    if writes:
                        self.written.append(span)
                    break
        return found

    def _span(self, stream: Descriptor, moves: Iterable[tuple[int, int]]) -> Span:
        low, high = _reach(stream, moves)
        base = stream.base - (stream.base >> 31 << 32)
        return base + low, base + high


def touch(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def divisor(rng: Random, number: int, most: int = 6) -> int:
    """One of its divisors up to ``most``."""
    return rng.choice([i for i in range(1, most + 1) if number % i == 0])


def walk(
    rng: Random, count: int, run: int, beat: int, *, pads: bool = False, overlap: float = 0.15
) -> Descriptor:
    """A stream of ``count`` runs of ``run`` bytes, base 0: packed, with gaps, in another order, any way round, or
    (in so many of all cases) one over the other."""
    counts = []
    for _ in range(LOOPS - 1):
        counts.append(divisor(rng, count))
        count //= counts[-1]
    counts.append(count)
    rng.shuffle(counts)
    gap = beat * rng.choice([0, 0, 1, rng.randint(0, 8)])
    stride = -(-run // beat) * beat + gap
    strides = [0] * LOOPS
    order = list(reversed(range(LOOPS)))
    if rng.random() < 0.3:
        rng.shuffle(order)
    for k in order:
        strides[k] = stride * rng.choice([1, 1, 1, -1])
        stride = stride * counts[k] + beat * rng.choice([0, 0, 0, 1, 3])
    if rng.random() < overlap:
        strides = [beat * rng.randint(-20, 20) for _ in strides]
    for k, steps in enumerate(counts):
        # What does not step has a stride that must not matter.
        if steps == 1 and rng.random() < 0.3:
            strides[k] = rng.randint(-999, 999)
    extra = {}
    moves = [(0, 0)] * LOOPS
    if pads:
        moves = [(rng.randint(-1, 2), rng.randint(-1, 2)) for _ in counts]
        extra = {
            "y0": rng.randint(-2, 2), "x0": rng.randint(-2, 2), "height": rng.randint(1, 6),
            "width": rng.randint(1, 6),
        }  # fmt: skip
    loops = [Loop(count=c, stride=s, dy=dy, dx=dx) for c, s, (dy, dx) in zip(counts, strides, moves)]
    return Descriptor(base=0, run=run, loops=loops, **extra)


def contents(rng: Random, config: Config, size: int) -> np.ndarray:
    """Memory full of numbers of both formats, everything special among them, and of what is none, uint8 (size,)."""
    dice = np.random.default_rng(rng.getrandbits(64))
    piece = 512
    pieces = size // piece
    image = dice.integers(0, 256, (pieces, piece), np.uint8)
    kinds = dice.integers(0, 8, pieces)
    wide = dice.standard_normal((pieces, piece // 4)).astype(np.float32)
    half = dice.standard_normal((pieces, piece // 2)).astype(np.float32)
    bits = config.format
    special = np.array(
        [0, bits.inf, bits.nan, bits.nan + 1, bits.inf + 1, 1, (1 << bits.frac_bits) - 1, bits.inf - 1],
        np.uint16,
    )
    special = np.concatenate([special, special | 0x8000])
    if config.operand_format == "fp16":
        operands = half.astype(np.float16).view(np.uint16)
    else:
        operands = (half.view(np.uint32) >> 16).astype(np.uint16)
    strange = np.where(
        dice.random(operands.shape) < 0.1, dice.choice(special, operands.shape), operands
    ).astype(np.uint16)
    small = dice.integers(0, 9, operands.shape).astype(np.uint16)
    for kind, values in enumerate((wide, operands, wide, operands, strange, small)):
        image[kinds == kind] = values[kinds == kind].view(np.uint8)
    return image.reshape(-1)
