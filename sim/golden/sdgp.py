"""SDGP's pruned gradients (McDanel, Dinh, Magallanes, 2022): the N largest of M consecutive channels of dY are kept
in BP, and rescaled so that sums of magnitudes stay.

A convolution's dY: for each sample and channel, the sum over the pixels, as published. A single pixel (a linear
layer), of which that would leave nothing to rescale: for each sample, the sum over the channels.
"""

from dataclasses import dataclass

import numpy as np

from sat_hdl.sim.golden.convert import narrow, widen
from sat_hdl.sim.golden.engine import Engine
from sat_hdl.sim.golden.prune import Pruned

__all__ = ["KeptGradient", "factors", "keep_gradient", "rescale"]


@dataclass(frozen=True)
class KeptGradient:
    """What is kept of dY (n, OH, OW, Cout), M dividing Cout.

    Arguments
    ---------
    values: operands (n, OH, OW, Cout · N / M), indices: uint8, same shape: in the group of M.
    channels: Cout. keep, group: N and M.
    """

    values: np.ndarray
    indices: np.ndarray
    channels: int
    keep: int
    group: int


def factors(whole: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """float32: what kept entries are multiplied by, from sums of magnitudes in float64.

    It is the host's: their quotient rounded to binary32; 1 where that is no finite number (nothing kept but zeros, or
    an overflow, whose step is skipped anyway).
    """
    with np.errstate(all="ignore"):
        factor = whole / kept
        return np.where(np.isfinite(factor), factor, 1).astype(np.float32)


def rescale(pruned: Pruned, dy: np.ndarray, operand: str) -> Pruned:
    """The kept gradients of each row of ``dy`` (rows, channels) times Σ|dY| / Σ|kept| over its channels, rounded to
    operands. ``pruned`` is the selection from ``dy`` along axis 1."""
    kept = widen(pruned.values, operand)
    with np.errstate(all="ignore"):
        whole = np.abs(widen(dy, operand)).sum(axis=1, dtype=np.float64)
        factor = factors(whole, np.abs(kept).sum(axis=1, dtype=np.float64))
        values = narrow(kept * factor[:, None], operand)
    return Pruned(values, pruned.indices, pruned.shape, pruned.axis, pruned.keep, pruned.group)


def keep_gradient(dy: np.ndarray, keep: int, group: int, engine: Engine) -> KeptGradient:
    """N:M of dY, operands (n, OH, OW, Cout), along its channels, rescaled; the engine selects."""
    n, rows, columns, channels = dy.shape
    flat = dy.reshape(-1, channels)
    pruned = engine.prune(flat, keep, group, 1)
    if rows * columns == 1:
        pruned = rescale(pruned, flat, engine.operand)
        values = pruned.values
    else:
        where = pruned.positions().reshape(n, rows * columns, -1)
        kept = widen(pruned.values, engine.operand).reshape(where.shape)
        with np.errstate(all="ignore"):
            whole = np.abs(widen(dy, engine.operand)).reshape(n, -1, channels).sum(axis=1, dtype=np.float64)
            left = np.zeros((n, rows * columns, channels))
            np.put_along_axis(left, where, np.abs(kept), 2)
            factor = factors(whole, left.sum(axis=1))
            scaled = kept * np.take_along_axis(factor[:, None], where, 2)
            values = narrow(scaled, engine.operand)
    shape = n, rows, columns, -1
    return KeptGradient(values.reshape(shape), pruned.indices.reshape(shape), channels, keep, group)
