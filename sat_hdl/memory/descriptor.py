"""Affine streams: what a reader or a writer walks over, as registers, as Python and as numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data, enum

__all__ = [
    "COORDINATE_BITS",
    "LOOPS",
    "READ_WORDS",
    "WRITE_WORDS",
    "Descriptor",
    "Loop",
    "StreamError",
    "read_descriptor_layout",
    "write_descriptor_layout",
]

#: Nested loops; 0 is the outermost.
LOOPS = 5
#: 32-bit registers of a reader's and of a writer's descriptor.
READ_WORDS, WRITE_WORDS = 14, 12
#: Coordinates wrap in this many bits, two's complement: nothing that makes sense comes near.
COORDINATE_BITS = 18


class StreamError(enum.Enum, shape=2):
    """What was wrong with a stream."""

    NONE = 0
    #: Base, a stride that is used, or a reader's run is no multiple of D/8 bytes; or a writer's run is odd.
    MISALIGNED = 1
    #: The memory answered SLVERR or DECERR.
    BUS_ERROR = 2
    #: A count or the run is 0.
    EMPTY = 3


def _members() -> dict[str, object]:
    loop = data.StructLayout({"count": 16, "dy": signed(8), "dx": signed(8)})
    return {
        "base": 32,
        "strides": data.ArrayLayout(32, LOOPS),
        "loops": data.ArrayLayout(loop, LOOPS),
        "run": 32,
    }


def write_descriptor_layout() -> data.StructLayout:
    """A writer's registers, 0 in the low bits.

    ``base``: byte address of the first run. ``strides``: bytes from step to step of each loop, modulo 2^32.
    ``loops``: its steps, at least 1, and how far a step moves y and x. ``run``: bytes.
    """
    return data.StructLayout(_members())


def read_descriptor_layout() -> data.StructLayout:
    """A reader's registers: a writer's, then ``origin``, y and x of the first run, and ``extent``, the height and
    width outside of which a run is padding; height 0: none is."""
    return data.StructLayout(
        {
            **_members(),
            "origin": data.StructLayout({"y": signed(16), "x": signed(16)}),
            "extent": data.StructLayout({"height": 16, "width": 16}),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Loop:
    """``count`` steps of ``stride`` bytes, each of which moves the coordinates by ``dy`` and ``dx``."""

    count: int
    stride: int = 0
    dy: int = 0
    dx: int = 0


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """An affine stream: nested loops over runs of ``run`` contiguous bytes, from byte address ``base``.

    Arguments
    ---------
    loops: up to 5, outermost first.
    y0, x0, height, width: coordinates of the first run and what of the plane is there (a reader's alone).

    Raises
    ------
    ValueError: a value that its register can't hold.
    """

    base: int
    run: int
    loops: Sequence[Loop] = ()
    y0: int = 0
    x0: int = 0
    height: int = 0
    width: int = 0

    def __post_init__(self):
        if len(self.loops) > LOOPS:
            raise ValueError(f"A descriptor must have at most {LOOPS} loops, not {len(self.loops)}")
        ranges = [("base", self.base, 0, 32), ("run", self.run, 0, 32)]
        ranges += [(name, getattr(self, name), -(1 << 15), 15) for name in ("y0", "x0")]
        ranges += [(name, getattr(self, name), 0, 16) for name in ("height", "width")]
        for i, loop in enumerate(self.loops):
            ranges += [(f"count of loop {i}", loop.count, 0, 16)]
            ranges += [(f"stride of loop {i}", loop.stride, -(1 << 31), 32)]
            ranges += [(f"{name} of loop {i}", getattr(loop, name), -128, 7) for name in ("dy", "dx")]
        for name, value, low, bits in ranges:
            if not low <= value < 1 << bits:
                raise ValueError(f"The {name} must be from {low} to {(1 << bits) - 1}, not {value!r}")

    @property
    def all_loops(self) -> tuple[Loop, ...]:
        """Five loops: those not given go round once, outside the others."""
        return (*[Loop(count=1)] * (LOOPS - len(self.loops)), *self.loops)

    def words(self) -> list[int]:
        """The 14 registers of a reader; the first 12 are a writer's."""
        loops = self.all_loops
        return [
            self.base,
            *(loop.stride & 0xFFFFFFFF for loop in loops),
            *(loop.count | (loop.dy & 255) << 16 | (loop.dx & 255) << 24 for loop in loops),
            self.run,
            self.y0 & 0xFFFF | (self.x0 & 0xFFFF) << 16,
            self.height | self.width << 16,
        ]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "Descriptor":
        """From 14 registers, or a writer's 12."""
        words = [*map(int, words), *[0] * (READ_WORDS - len(words))]
        loops = [
            Loop(count=word & 0xFFFF, stride=stride, dy=_signed(word >> 16, 8), dx=_signed(word >> 24, 8))
            for stride, word in zip(words[1:6], words[6:11], strict=True)
        ]
        return cls(
            base=words[0], run=words[11], loops=loops,
            y0=_signed(words[12], 16), x0=_signed(words[12] >> 16, 16),
            height=words[13] & 0xFFFF, width=words[13] >> 16,
        )  # fmt: skip

    def error(self, data_bits: int, *, writes: bool = False) -> StreamError:
        """What a reader (a writer) of ``data_bits`` says of it before any access."""
        loops, size = self.all_loops, data_bits // 8
        if self.run == 0 or any(loop.count == 0 for loop in loops):
            return StreamError.EMPTY
        aligned = [self.base, *(loop.stride for loop in loops if loop.count > 1)]
        if any(value % size for value in aligned) or self.run % (2 if writes else size):
            return StreamError.MISALIGNED
        return StreamError.NONE

    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Byte address, uint32, and whether it is padding, of each run in order: what the hardware walks."""
        address = np.array([self.base], np.int64)
        y, x = np.array([self.y0]), np.array([self.x0])
        for loop in self.all_loops:
            steps = np.arange(loop.count)
            address = (address[:, None] + steps * loop.stride).ravel()
            y = (y[:, None] + steps * loop.dy).ravel()
            x = (x[:, None] + steps * loop.dx).ravel()
        half = 1 << (COORDINATE_BITS - 1)
        y, x = ((c + half) % (2 * half) - half for c in (y, x))
        inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        return (address % (1 << 32)).astype(np.uint32), ~inside if self.height else np.zeros_like(inside)

    def read(self, memory: np.ndarray, *, fill: int = 0) -> np.ndarray:
        """The stream of a reader: uint8 (runs, run) out of ``memory``, uint8, whose byte 0 is at address 0 (addresses
        beyond its end are taken modulo its length); padding is ``fill``, 16 bits, over and over."""
        address, padding = self.runs()
        places = (address[:, None].astype(np.int64) + np.arange(self.run)) % (1 << 32) % len(memory)
        pattern = np.resize(np.array([fill & 255, fill >> 8], np.uint8), self.run)
        return np.where(padding[:, None], pattern, memory[places])

    def write(self, memory: np.ndarray, values: np.ndarray):
        """Writes ``values``, uint8 (runs, run), where a writer does. Runs may overlap: the later one stays."""
        address, _ = self.runs()
        for start, row in zip(address.tolist(), values, strict=True):
            memory[(start + np.arange(self.run)) % (1 << 32) % len(memory)] = row


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
