"""Products for the weight-stationary dataflow: how one is cut, and the beats of each job.

Beats are those of :mod:`sat_hdl.compiler.product`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.turns import samples_log

__all__ = ["Piece", "StationaryJob", "pieces"]


@dataclass(frozen=True, kw_only=True)
class StationaryJob:
    """A product whose weights the array holds all at once: row r of the array has group r of k.

    Arguments
    ---------
    config: of the array.
    m, k, n: k at most R groups, n at most C·2**slots.
    keep, group: N:M of B along k; a dense one has groups of 1, 2, … max_m elements, all kept.
    slots: logarithm of the slots of columns.
    """

    config: Config
    m: int
    k: int
    n: int
    keep: int
    group: int
    slots: int

    @property
    def job(self) -> dict[str, int]:
        """Fields of ``job_layout`` but ``accumulate``."""
        names = ("m", "k", "n", "keep", "group", "slots")
        return {name: getattr(self, name) for name in names} | {"stationary": 1}

    @property
    def kept(self) -> int:
        """Length of a chain."""
        return kept_length(self.k, self.keep, self.group)

    @property
    def macs(self) -> int:
        """Multiply-accumulates that count."""
        return self.m * self.n * self.kept

    @property
    def rows(self) -> int:
        """Rows of the array that hold weights."""
        return -(-self.k // self.group)

    @property
    def samples(self) -> int:
        """U: rows of A of a turn."""
        return 1 << samples_log(self.config, self.slots, self.group)

    @property
    def turns(self) -> int:
        """Turns, of 8·N cycles each, from the first weights to the last result."""
        return -(-self.m // self.samples) + 2 * self.rows - 1

    @property
    def columns(self) -> int:
        """Slots of C columns that exist."""
        return -(-self.n // self.config.cols)

    # --- beats ----------------------------------------------------------------------------------------

    def west(self, a: np.ndarray) -> np.ndarray:
        """A, bits (m, k) → (beats, R·E)."""
        step, length = self.config.west_elements, self.samples * self.group
        beats = -(-length // step)
        steps = -(-self.m // self.samples)
        lanes = np.zeros((self.turns - 1, beats * step, self.config.rows), a.dtype)
        for row in range(self.rows):
            part = a[:, row * self.group : (row + 1) * self.group]
            padded = np.zeros((steps * self.samples, self.group), a.dtype)
            padded[: self.m, : part.shape[1]] = part
            lanes[2 * row : 2 * row + steps, :length, row] = padded.reshape(steps, length)
        return lanes.reshape(-1, step, self.config.rows).swapaxes(1, 2).reshape(-1, self.config.rows * step)

    def north(self, b: np.ndarray) -> np.ndarray:
        """Kept weights, any integers (kept, n) → (beats, C)."""
        return self._slots(b)

    def initial(self, acc: np.ndarray) -> np.ndarray:
        """Initial accumulators, bits (m, n) → (beats, C)."""
        return self._slots(acc)

    @property
    def results(self) -> int:
        """Beats of results."""
        return self.m * self.columns

    def collect(self, beats: np.ndarray) -> np.ndarray:
        """Beats of results (beats, C) → Y (m, n)."""
        return beats.reshape(self.m, -1)[:, : self.n]

    def _slots(self, block: np.ndarray) -> np.ndarray:
        padded = np.zeros((block.shape[0], self.columns * self.config.cols), block.dtype)
        padded[:, : self.n] = block
        return padded.reshape(-1, self.config.cols)

    # --- cost -----------------------------------------------------------------------------------------

    def cycles(self, *, accumulate: bool = False) -> int:
        """From the first operand in to the last result out, if no stream stalls."""
        raise NotImplementedError


@dataclass(frozen=True)
class Piece:
    """A job of a product that is cut along k and n: its share of k, of the kept entries, and of the columns."""

    k: slice
    kept: slice
    columns: slice
    job: StationaryJob


@dataclass(frozen=True)
class _Form:
    """How a product is cut: the group length of a dense one, and the logarithm of the slots of columns."""

    product: Product
    group: int
    slots: int

    @property
    def keep(self) -> int:
        return self.product.keep or self.group

    def pieces(self) -> Iterator[Piece]:
        """Piece after piece along k, for one block of columns after the other."""
        product, config = self.product, self.product.config
        wide, deep = config.cols << self.slots, config.rows * self.group
        for left, top in itertools.product(range(0, product.n, wide), range(0, product.k, deep)):
            k = slice(top, min(top + deep, product.k))
            columns = slice(left, min(left + wide, product.n))
            kept = slice(*(kept_length(stop, self.keep, self.group) for stop in (k.start, k.stop)))
            job = StationaryJob(
                config=config, m=product.m, k=k.stop - k.start, n=columns.stop - columns.start,
                keep=self.keep, group=self.group, slots=self.slots,
            )  # fmt: skip
            yield Piece(k, kept, columns, job)

    @cached_property
    def cycles(self) -> int:
        """Of all pieces, of which only the last along each axis differ."""
        return sum(piece.job.cycles(accumulate=piece.k.start > 0) for piece in self.pieces())


def pieces(product: Product) -> list[Piece]:
    """Cuts ``product`` for the weight-stationary dataflow in the way that takes the fewest cycles.

    The pieces of a block of columns follow one another along k, each one's results being the next one's initial
    accumulators.

    Raises
    ------
    ConfigError: if the array can't hold weights, or not so many as a group keeps.
    """
    config = product.config
    if not config.weight_stationary:
        raise ConfigError(
            "This configuration has no weight-stationary dataflow; set `weight_stationary = true` in it."
        )
    groups = [product.group] if product.group else [1, *config.group_lengths()]
    forms = [
        _Form(product, group, slots)
        for group in groups
        for slots in range(4)
        if (product.keep or group) << slots <= config.held
    ]
    return list(min(forms, key=lambda form: form.cycles).pieces())
