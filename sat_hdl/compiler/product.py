"""The beats of a product's streams, in the order in which :class:`~sat_hdl.control.control.Control` takes them.

Beats are integer arrays of lanes, one row a beat: (beats, lanes) in the layouts of ``sat_hdl.layouts``; how
lanes are packed into words is the transport's business.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sat_hdl.config import Config, ConfigError

__all__ = ["Product", "kept_length"]


def kept_length(k: int, keep: int, group: int) -> int:
    """Entries that a chain of ``k`` keeps at ``keep``:``group``; a short last group keeps min(N, its length)."""
    return k // group * keep + min(keep, k % group)


@dataclass(frozen=True, kw_only=True)
class Product:
    """An m × k by k × n product on an array.

    Arguments
    ---------
    config: of the array.
    m, k, n: at least 1.
    keep, group: N:M of B along k, or None for a dense B.
    fold: F, rows of A that an element works on at once: a power of two. Above 1 n is at most (J + 7) / F slots.

    Raises
    ------
    ConfigError: if the array can't run it.
    """

    config: Config
    m: int
    k: int
    n: int
    keep: int | None = None
    group: int | None = None
    fold: int = 1

    def __post_init__(self):
        limit = (1 << self.config.dim_bits) - 1
        for name in ("m", "k", "n"):
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise ConfigError(f"A product's {name} must be from 1 to {limit}, not {value}.")
        if self.keep is not None and self.group is not None:
            self.config.check_sparsity(self.keep, self.group)
        if self.fold != 1:
            folds = self.folds(self.config, self.n, self.group)
            if self.fold not in folds:
                raise ConfigError(
                    f"A product of {self.n} columns can't be folded {self.fold} times here; it can be "
                    f"{', '.join(map(str, folds))} times."
                )

    @staticmethod
    def folds(config: Config, n: int, group: int | None) -> list[int]:
        """The ``fold`` that a product of ``n`` columns and ``group`` can have. A dense one has groups as long as
        there is room for."""
        slots, room = -(-n // config.cols), config.interleave + config.least_span - 1
        most = config.most_fold(group or min(config.group_lengths()))
        return [1, *(fold for fold in (2, 4, 8) if fold <= most and fold * slots <= room)]

    # --- shape on the array ---------------------------------------------------------------------------

    @property
    def job(self) -> dict[str, int]:
        """Fields of ``job_layout`` but ``accumulate``. Dense is N = M, with the largest M."""
        longest = min(self.config.max_m, self.config.group_depth // self.fold)
        keep, group = self.keep or longest, self.group or longest
        fold = {"fold": self.fold.bit_length() - 1} if self.fold > 1 else {}
        return {"m": self.m, "k": self.k, "n": self.n, "keep": keep, "group": group} | fold

    @property
    def kept(self) -> int:
        """Length of a chain."""
        return kept_length(self.k, self.job["keep"], self.job["group"])

    @property
    def macs(self) -> int:
        """Multiply-accumulates that count."""
        return self.m * self.n * self.kept

    def bands(self) -> Iterator[slice]:
        """Columns of each band of tiles: J slots of C each; what is less than 8 slots joins the band before, unless
        sums go round in a ring."""
        cols = self.config.cols
        width, least = cols * self.config.interleave, cols * self.config.least_span
        joins = 0 if self.config.ring else least - cols
        start = 0
        while start < self.n:
            stop = start + width
            if self.n - stop <= joins:
                stop = self.n
            yield slice(start, stop)
            start = stop

    @property
    def height(self) -> int:
        """Rows of a tile that is not the last."""
        return self.config.rows * self.fold

    def row_tiles(self) -> Iterator[slice]:
        for start in range(0, self.m, self.height):
            yield slice(start, min(start + self.height, self.m))

    # --- beats ----------------------------------------------------------------------------------------

    def west(self, a: np.ndarray) -> np.ndarray:
        """A, bits (m, k) → (beats, R·E)."""
        rows, step = self.config.rows, self.config.west_elements
        if self.fold > 1:
            return np.concatenate([self._folded(a[tile]) for tile in self.row_tiles()])
        padded = np.zeros((_up(self.m, rows), _up(self.k, step)), a.dtype)
        padded[: self.m, : self.k] = a
        tiles = padded.reshape(-1, rows, padded.shape[1] // step, step).swapaxes(1, 2)
        once = tiles.reshape(-1, rows * step)
        return np.tile(once, (sum(1 for _ in self.bands()), 1))

    def _folded(self, a: np.ndarray) -> np.ndarray:
        """A tile's rows: for group of k, for band of R rows, for k of the group."""
        rows, step, group = self.config.rows, self.config.west_elements, self.job["group"]
        bands = -(-len(a) // rows)
        parts = []
        for start, length in ((0, self.k // group * group), (self.k // group * group, self.k % group)):
            groups = max(1, length // group)
            size = _up(length // groups, step)
            padded = np.zeros((bands * rows, groups * size), a.dtype)
            padded[: len(a), :length] = a[:, start : start + length]
            lanes = padded.reshape(bands, rows, groups, size // step, step).transpose(2, 0, 3, 1, 4)
            parts.append(lanes.reshape(-1, rows * step))
        return np.concatenate(parts)

    def north(self, b: np.ndarray) -> np.ndarray:
        """Kept weights, any integers (kept, n) → (beats, C)."""
        repeat = sum(1 for _ in self.row_tiles())
        parts = []
        for band in self.bands():
            once = self._slots(b[:, band]).reshape(-1, self.config.cols)
            parts.append(np.tile(once, (repeat, 1)))
        return np.concatenate(parts)

    def initial(self, acc: np.ndarray) -> np.ndarray:
        """Initial accumulators, bits (m, n) → (beats, C)."""
        parts = []
        for band in self.bands():
            for rows in self.row_tiles():
                lanes = self._slots(acc[rows, band])
                parts.append(lanes.swapaxes(0, 1).reshape(-1, self.config.cols))
        return np.concatenate(parts)

    @property
    def results(self) -> int:
        """Beats of results."""
        return self.m * sum(_up(b.stop - b.start, self.config.cols) // self.config.cols for b in self.bands())

    def collect(self, beats: np.ndarray) -> np.ndarray:
        """Beats of results (beats, C) → Y (m, n)."""
        y = np.empty((self.m, self.n), beats.dtype)
        cols, at = self.config.cols, 0
        for band in self.bands():
            width = band.stop - band.start
            slots = _up(width, cols) // cols
            for rows in self.row_tiles():
                height = rows.stop - rows.start
                tile = beats[at : at + slots * height].reshape(slots, height, cols)
                y[rows, band] = tile.swapaxes(0, 1).reshape(height, -1)[:, :width]
                at += slots * height
        return y

    def _slots(self, block: np.ndarray) -> np.ndarray:
        """(rows, up to C·J columns) → (rows, slots, C)."""
        cols = self.config.cols
        padded = np.zeros((block.shape[0], _up(block.shape[1], cols)), block.dtype)
        padded[:, : block.shape[1]] = block
        return padded.reshape(block.shape[0], -1, cols)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
