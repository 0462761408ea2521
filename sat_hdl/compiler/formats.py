"""How tensors lie in the device's memory: to bytes and back.

All are little-endian. D is the width of the memory port, E the panel: the edge of a block of weights.
"""

from dataclasses import dataclass

import numpy as np

from sat_hdl.compiler.product import kept_length
from sat_hdl.config import Config, require
from sat_hdl.sim.golden.prune import Pruned

__all__ = ["Activation", "Blocked", "Copy", "Vector", "check_device", "up"]


def up(value: int, step: int) -> int:
    """``value`` rounded up to a multiple of ``step``."""
    return -(-value // step) * step


def check_device(config: Config):
    """Raises :class:`~sat_hdl.config.ConfigError` unless programs can be made for ``config``: its stores must
    begin at whole beats, and its bands at whole panels."""
    require(
        config.memory_bits <= 32 * config.cols,
        f"Programs need a memory port of at most 32 bits a column, {32 * config.cols} here; `memory_bits` is "
        f"{config.memory_bits}.",
    )
    band = config.cols * config.interleave
    require(
        band % config.panel == 0 and 2 * band % (config.memory_bits // 8) == 0,
        f"Programs need bands of whole panels and beats: `cols` × `interleave` = {band} must be a multiple of "
        f"{config.panel}, and of {config.memory_bits // 16}.",
    )


@dataclass(frozen=True)
class Activation:
    """NHWC: a pixel's channels one after another, padded to whole beats.

    Arguments
    ---------
    config: memory_bits.
    shape: (n, H, W, C).
    wide: binary32 (logits), else 16-bit operands.
    """

    config: Config
    shape: tuple[int, int, int, int]
    wide: bool = False

    @property
    def pixel(self) -> int:
        """Bytes from pixel to pixel."""
        return up(self.shape[3] * (4 if self.wide else 2), self.config.memory_bits // 8)

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape[:3])) * self.pixel

    def pack(self, x: np.ndarray) -> np.ndarray:
        """Operands or float32, of ``shape`` → uint8 (size,)."""
        item = np.dtype(np.uint32 if self.wide else np.uint16)
        padded = np.zeros((*self.shape[:3], self.pixel // item.itemsize), item)
        padded[..., : self.shape[3]] = np.ascontiguousarray(x).reshape(self.shape).view(item)
        return padded.view(np.uint8).ravel()

    def unpack(self, octets: np.ndarray) -> np.ndarray:
        """uint8 (size,) → float32, or 16-bit operands as float16 (bf16: uint16), of ``shape``."""
        item = np.float32 if self.wide else np.float16 if self.config.operand_format == "fp16" else np.uint16
        return octets.view(item).reshape(*self.shape[:3], -1)[..., : self.shape[3]].copy()


@dataclass(frozen=True)
class Blocked:
    """Master weights, their momentum or gradient: binary32 [o][q][i][E rows of Cin][E columns of Cout], +0 past an
    edge.

    Arguments
    ---------
    config: panel.
    shape: (Q, Cin, Cout).
    """

    config: Config
    shape: tuple[int, int, int]

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Blocks (o, q, i)."""
        edge, (positions, cin, cout) = self.config.panel, self.shape
        return -(-cout // edge), positions, -(-cin // edge)

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.blocks)) * self.config.panel**2 * 4

    def pack(self, w: np.ndarray) -> np.ndarray:
        """float32 of ``shape`` → uint8 (size,)."""
        edge, (o, q, i) = self.config.panel, self.blocks
        padded = np.zeros((q, i * edge, o * edge), np.float32)
        padded[:, : self.shape[1], : self.shape[2]] = w
        return padded.reshape(q, i, edge, o, edge).transpose(3, 0, 1, 2, 4).copy().view(np.uint8).ravel()

    def unpack(self, octets: np.ndarray) -> np.ndarray:
        """uint8 (size,) → float32 of ``shape``."""
        edge, (o, q, i) = self.config.panel, self.blocks
        blocks = octets.view(np.float32).reshape(o, q, i, edge, edge).transpose(1, 2, 3, 0, 4)
        return blocks.reshape(q, i * edge, o * edge)[:, : self.shape[1], : self.shape[2]].copy()


@dataclass(frozen=True)
class Vector:
    """Biases, their momentum or gradient: binary32, padded to E and to whole beats by +0.

    Arguments
    ---------
    config: panel, memory_bits.
    length: elements.
    """

    config: Config
    length: int

    @property
    def padded(self) -> int:
        """Elements with padding."""
        return up(self.length, max(self.config.panel, self.config.memory_bits // 32))

    @property
    def size(self) -> int:
        """Bytes."""
        return 4 * self.padded

    def pack(self, x: np.ndarray) -> np.ndarray:
        """float32 (length,) → uint8 (size,)."""
        padded = np.zeros(self.padded, np.float32)
        padded[: self.length] = x
        return padded.view(np.uint8)

    def unpack(self, octets: np.ndarray) -> np.ndarray:
        """uint8 (size,) → float32 (length,)."""
        return octets.view(np.float32)[: self.length].copy()


@dataclass(frozen=True)
class Copy:
    """The weights as a product takes them, pruned along its k or in full: panels of E columns, and in each for
    position in the kernel, for block of E channels, its kept lines of E columns, from a beat on.

    Arguments
    ---------
    config: panel, memory_bits, max_m.
    positions, channels, columns: Q, and of W_FF Cin and Cout, of W_BP Cout and Cin.
    keep, group: N:M, or None: in full.
    """

    config: Config
    positions: int
    channels: int
    columns: int
    keep: int | None = None
    group: int | None = None

    @property
    def sparse(self) -> bool:
        return self.keep is not None

    @property
    def job(self) -> tuple[int, int]:
        """N and M as the compute unit takes them: dense is N = M."""
        full = self.config.max_m
        return self.keep or full, self.group or full

    @property
    def lines(self) -> int:
        """Of a block."""
        return kept_length(self.config.panel, *self.job)

    def kept(self, channels: int) -> int:
        """Lines of that many channels at a position."""
        return kept_length(channels, *self.job)

    @property
    def panels(self) -> int:
        return -(-self.columns // self.config.panel)

    @property
    def channel_blocks(self) -> int:
        return -(-self.channels // self.config.panel)

    def block(self, *, indices: bool = False) -> int:
        """Bytes from block to block, of values or of indices."""
        size = self.lines * self.config.panel
        return up(size // 2 if indices else 2 * size, self.config.memory_bits // 8)

    def size(self, *, indices: bool = False) -> int:
        """Bytes."""
        return self.panels * self.positions * self.channel_blocks * self.block(indices=indices)

    def _blocks(self, x: np.ndarray) -> np.ndarray:
        """(Q·kept, n) → (panels, Q, blocks, lines, E)."""
        edge, count = self.config.panel, self.channel_blocks
        padded = np.zeros((self.positions, count * self.lines, self.panels * edge), x.dtype)
        padded[:, : self.kept(self.channels), : self.columns] = x.reshape(self.positions, -1, self.columns)
        blocks = padded.reshape(self.positions, count, self.lines, self.panels, edge)
        return np.ascontiguousarray(blocks.transpose(3, 0, 1, 2, 4))

    def _matrix(self, blocks: np.ndarray) -> np.ndarray:
        """(panels, Q, blocks, lines, E) → (Q·kept, n)."""
        rows = blocks.transpose(1, 2, 3, 0, 4).reshape(self.positions, -1, self.panels * self.config.panel)
        return rows[:, : self.kept(self.channels), : self.columns].reshape(-1, self.columns)

    def pack(self, matrix: np.ndarray | Pruned) -> tuple[np.ndarray, np.ndarray]:
        """Of the golden model's ``Network``, a matrix of ``ff`` or ``bp`` → bytes of values and of indices."""
        values = matrix.values if isinstance(matrix, Pruned) else matrix
        blocks = self._blocks(np.ascontiguousarray(values).view(np.uint16))
        shape = blocks.shape[:3]
        octets = self._beats(blocks.reshape(*shape, -1).view(np.uint8), indices=False)
        if not isinstance(matrix, Pruned):
            return octets, np.zeros(0, np.uint8)
        nibbles = self._blocks(matrix.indices).reshape(*shape, -1)
        return octets, self._beats(nibbles[..., ::2] | nibbles[..., 1::2] << 4, indices=True)

    def _beats(self, blocks: np.ndarray, *, indices: bool) -> np.ndarray:
        padded = np.zeros((*blocks.shape[:3], self.block(indices=indices)), np.uint8)
        padded[..., : blocks.shape[3]] = blocks
        return padded.ravel()

    def unpack_values(self, octets: np.ndarray) -> np.ndarray:
        """Bytes of the values → operands' bits, uint16 (Q·kept, n)."""
        edge, size = self.config.panel, self.lines * self.config.panel
        shape = (self.panels, self.positions, self.channel_blocks)
        operands = octets.reshape(*shape, -1)[..., : 2 * size].copy().view(np.uint16)
        return self._matrix(operands.reshape(*shape, self.lines, edge))

    def unpack_indices(self, octets: np.ndarray) -> np.ndarray:
        """Bytes of the indices → uint8 (Q·kept, n)."""
        edge, size = self.config.panel, self.lines * self.config.panel
        shape = (self.panels, self.positions, self.channel_blocks)
        pairs = octets.reshape(*shape, -1)[..., : size // 2]
        nibbles = np.stack([pairs & 15, pairs >> 4], -1)
        return self._matrix(nibbles.reshape(*shape, self.lines, edge))
