"""N:M selection as SORE does it (numerics: N:M selection; arXiv 2309.13015, section IV)."""

from dataclasses import dataclass, replace

import numpy as np

from sat_hdl.config import ConfigError

__all__ = ["Pruned", "kept_rows", "positions", "prune"]

#: Indices are stored in a byte.
MAX_GROUP = 256


def check_sparsity(keep: int, group: int):
    """Raises :class:`ConfigError` unless 1 ≤ N ≤ M ≤ 256. (Which M a device runs is its config's matter.)"""
    if not (1 <= keep <= group <= MAX_GROUP):
        raise ConfigError(f"{keep}:{group} sparsity is not possible: N:M needs 1 ≤ N ≤ M ≤ {MAX_GROUP}.")


def kept_rows(length: int, keep: int, group: int) -> int:
    """K': entries kept of ``length`` elements; a short last group keeps min(N, its length)."""
    return length // group * keep + min(keep, length % group)


def positions(indices: np.ndarray, keep: int, group: int) -> np.ndarray:
    """Indices within their groups, (K', n), → positions along the pruned axis, (K', n)."""
    base = np.arange(indices.shape[0]) // keep * group
    return base[:, None] + indices


@dataclass(frozen=True)
class Pruned:
    """The kept entries of a pruned matrix of ``shape`` (k, n).

    Arguments
    ---------
    values: (K', n) for ``axis`` 0, (k, K') for ``axis`` 1: the kept operands, raw, groups in order, and
        ascending index within a group. K' is :func:`kept_rows` of the pruned axis.
    indices: uint8, same shape: each entry's index within its group.
    shape: of the dense matrix.
    axis: the axis along which groups lie: 0 or 1.
    keep, group: N and M.
    """

    values: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]
    axis: int
    keep: int
    group: int

    @property
    def T(self) -> "Pruned":
        """The transposed matrix, pruned along its other axis."""
        return replace(
            self,
            values=self.values.T,
            indices=self.indices.T,
            shape=(self.shape[1], self.shape[0]),
            axis=1 - self.axis,
        )

    def positions(self) -> np.ndarray:
        """Positions of the kept entries along the pruned axis, in the shape of ``values``."""
        if self.axis == 1:
            return positions(self.indices.T, self.keep, self.group).T
        return positions(self.indices, self.keep, self.group)

    def dense(self) -> np.ndarray:
        """The pruned matrix in full, +0 where an entry was dropped; dtype of ``values``."""
        full = np.zeros(self.shape, self.values.dtype)
        np.put_along_axis(full, self.positions(), self.values, self.axis)
        return full

    def mask(self) -> np.ndarray:
        """bool, ``shape``: where an entry was kept."""
        full = np.zeros(self.shape, bool)
        np.put_along_axis(full, self.positions(), True, self.axis)
        return full


def _select(magnitudes: np.ndarray, keep: int) -> np.ndarray:
    """Indices, ascending, of the ``keep`` largest along the last axis; the lower index wins a tie."""
    length = magnitudes.shape[-1]
    # One integer orders by magnitude first and by descending index after: all keys differ.
    index = np.arange(length, dtype=np.uint32)
    key = (magnitudes.astype(np.uint32) << 8) | (MAX_GROUP - 1 - index)
    largest = np.sort(key, axis=-1)[..., length - keep :]
    return np.sort(MAX_GROUP - 1 - (largest & 0xFF), axis=-1).astype(np.uint8)


def prune(w: np.ndarray, keep: int, group: int, axis: int = 0) -> Pruned:
    """Keeps, in each group of ``group`` consecutive elements along ``axis``, the ``keep`` largest magnitudes.

    Magnitudes compare as bit patterns without their sign (NaN > inf > finite, −0 = +0), ties go to the lower
    index, kept zeros stay explicit. A short last group keeps min(N, its length).

    Arguments
    ---------
    w: (k, n), at least 1 × 1, float16 or the uint16 bit patterns of any 16-bit format.
    keep, group: N and M, 1 ≤ N ≤ M ≤ 256.
    axis: 0 (groups along k) or 1 (along n).

    Raises :class:`ConfigError` on anything else.
    """
    check_sparsity(keep, group)
    w = np.asarray(w)
    if w.dtype not in (np.float16, np.uint16):
        raise ConfigError(f"A matrix to prune must be float16 (or uint16 bit patterns), not {w.dtype}.")
    if w.ndim != 2 or 0 in w.shape:
        raise ConfigError(f"A matrix to prune must have two dimensions of at least 1, not shape {w.shape}.")
    if axis not in (0, 1):
        raise ConfigError(f"The axis to prune along must be 0 or 1, not {axis!r}.")
    if axis == 0:
        return prune(w.T, keep, group, 1).T
    rows, length = w.shape
    full = length // group * group
    mag = w.view(np.uint16) & np.uint16(0x7FFF)
    chosen = _select(mag[:, :full].reshape(rows, -1, group), keep).reshape(rows, -1)
    if full < length:
        short = _select(mag[:, full:], min(keep, length - full))
        chosen = np.concatenate([chosen, short], axis=1)
    values = np.take_along_axis(w, positions(chosen.T, keep, group).T, 1)
    return Pruned(values, chosen, w.shape, 1, keep, group)
