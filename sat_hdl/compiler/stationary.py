"""Products for the weight-stationary dataflow: how one is cut, and the beats of each job.

Beats are those of :mod:`sat_hdl.compiler.product`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.turns import samples_log

__all__ = ["Piece", "StationaryJob", "check_stationary", "cuts"]


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


@dataclass(frozen=True)
class Piece:
    """A job of a product that is cut along k and n: its share of k, of the kept entries, and of the columns."""

    k: slice
    kept: slice
    columns: slice
    job: StationaryJob


def check_stationary(config: Config):
    """Raises :class:`ConfigError` unless an array of ``config`` can hold weights."""
    if not config.weight_stationary:
        raise ConfigError(
            "This configuration has no weight-stationary dataflow; set `weight_stationary = true` in it, or use "
            "`--dataflow os`."
        )


def cuts(product: Product) -> Iterator[list[Piece]]:
    """The ways to cut ``product``: by the group length if it is dense, and by the slots of columns.

    The pieces of a block of columns follow one another along k, each one's results being the next one's initial
    accumulators.

    Raises
    ------
    ConfigError: if the array can't hold weights.
    """
    config = product.config
    check_stationary(config)
    groups = [product.group] if product.group else [1, *config.group_lengths()]
    for group, slots in itertools.product(groups, range(4)):
        if (product.keep or group) << slots <= config.held:
            yield list(_pieces(product, group, slots))


def _pieces(product: Product, group: int, slots: int) -> Iterator[Piece]:
    config, keep = product.config, product.keep or group
    wide, deep = config.cols << slots, config.rows * group
    for left, top in itertools.product(range(0, product.n, wide), range(0, product.k, deep)):
        k = slice(top, min(top + deep, product.k))
        columns = slice(left, min(left + wide, product.n))
        kept = slice(*(kept_length(end, keep, group) for end in (k.start, k.stop)))
        job = StationaryJob(
            config=config, m=product.m, k=k.stop - k.start, n=columns.stop - columns.start,
            keep=keep, group=group, slots=slots,
        )  # fmt: skip
        yield Piece(k, kept, columns, job)
