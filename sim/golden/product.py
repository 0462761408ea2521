"""The matrix products, dense and sparse, step by step in binary32 (numerics: Matrix product).

Each step is numpy's float32 multiply and float32 add over all outputs at once, which round as IEEE 754
says. ``np.matmul`` is of no use here: it picks its own order, and fuses.
"""

import numpy as np

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.convert import widen
from sat_hdl.sim.golden.formats import canonicalize
from sat_hdl.sim.golden.prune import check_sparsity, kept_rows, positions

__all__ = ["matmul", "products", "require_subnormals", "sparse_matmul"]

#: Outputs worked on at once, so that accumulators and products stay in the second-level cache.
BLOCK = 1 << 15


def require_subnormals():
    """Raises RuntimeError if the process flushes subnormals to zero: a library built with -ffast-math can do that."""
    smallest = np.full(1, 1, np.uint32).view(np.float32)
    if not (smallest + smallest > smallest)[0]:
        raise RuntimeError(
            "This process flushes subnormal numbers to zero, so the golden model can't compute; a library "
            "built with -ffast-math was probably loaded into it."
        )


def _operand(name: str, x: np.ndarray, operand: str) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or 0 in x.shape:
        raise ConfigError(f"{name} must have two dimensions of at least 1, not shape {x.shape}.")
    return widen(x, operand)


def _start(acc: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """A fresh array of accumulators: ``acc`` broadcast, or +0."""
    if acc is None:
        return np.zeros(shape, np.float32)
    acc = np.asarray(acc)
    if acc.dtype != np.float32:
        raise ConfigError(f"Initial accumulators must be float32, not {acc.dtype}.")
    try:
        return np.broadcast_to(acc, shape).copy()
    except ValueError:
        raise ConfigError(f"Initial accumulators must have shape {shape}, not {acc.shape}.") from None


def matmul(
    a: np.ndarray, b: np.ndarray, *, acc: np.ndarray | None = None, operand: str = "fp16"
) -> np.ndarray:
    """Y[m, n] = acc[m, n] + Σ A[m, k] · B[k, n]: for k ascending, acc ← RNE32(acc + RNE32(a × b)).

    Arguments
    ---------
    a, b: (m, k) and (k, n) operands, each dimension at least 1: float16, or uint16 bit patterns.
    acc: float32, (m, n) or broadcast to it; +0 if None.
    operand: "fp16" or "bf16" (uint16 bit patterns only).

    Returns float32 (m, n), NaN canonical. Raises :class:`ConfigError` on a wrong dtype or shape.
    """
    a, b = _operand("A", a, operand), _operand("B", b, operand)
    if a.shape[1] != b.shape[0]:
        raise ConfigError(
            f"A is {a.shape[0]} × {a.shape[1]} and B {b.shape[0]} × {b.shape[1]}: A's columns "
            "must be as many as B's rows."
        )
    require_subnormals()
    (m, k), n = a.shape, b.shape[1]
    y = _start(acc, (m, n))
    rows = max(1, BLOCK // n)
    with np.errstate(all="ignore"):
        for top in range(0, m, rows):
            part = y[top : top + rows]
            columns = np.ascontiguousarray(a[top : top + rows].T)[:, :, None]
            product = np.empty_like(part)
            for step in range(k):
                np.multiply(columns[step], b[step], out=product)
                np.add(part, product, out=part)
    # A NaN accumulator stays NaN whatever is added, so its payload shows in the result alone: made canonical
    # here, it is as if it had been at every step.
    return canonicalize(y)


def products(
    a: np.ndarray, b: np.ndarray, *, acc: np.ndarray | None = None, operand: str = "fp16"
) -> np.ndarray:
    """:func:`matmul` of each of a batch: operands (batch, m, k) and (batch, k, n) → float32 (batch, m, n)."""
    return np.stack(
        [
            matmul(x, y, acc=None if acc is None else acc[i], operand=operand)
            for i, (x, y) in enumerate(zip(a, b))
        ]
    )


def sparse_matmul(
    a: np.ndarray,
    values: np.ndarray,
    indices: np.ndarray,
    *,
    k: int,
    keep: int,
    group: int,
    acc: np.ndarray | None = None,
    operand: str = "fp16",
) -> np.ndarray:
    """The chain of :func:`matmul` over the kept entries of B alone, in ascending k.

    Dropped entries are not multiplied (it differs where an activation is inf or NaN, or acc is −0), and
    a short last group has min(N, its length) entries: padding is never visited.

    Arguments
    ---------
    a: (m, k) operands.
    values, indices: (K', n), as :func:`~sat_hdl.sim.golden.prune.prune` gives them along axis 0.
    k, keep, group: rows of the dense B; N and M.
    acc, operand: as for :func:`matmul`.

    Returns float32 (m, n), NaN canonical. Raises :class:`ConfigError` on a wrong dtype or shape, and on
    indices beyond their group or not ascending in it.
    """
    a, values = _operand("A", a, operand), _operand("The kept values", values, operand)
    check_sparsity(keep, group)
    indices = np.asarray(indices)
    if a.shape[1] != k:
        raise ConfigError(f"A has {a.shape[1]} columns; they must be as many as B's rows, {k}.")
    if values.shape[0] != kept_rows(k, keep, group) or indices.shape != values.shape:
        raise ConfigError(
            f"{keep}:{group} of {k} rows keeps {kept_rows(k, keep, group)}, but values have shape "
            f"{values.shape} and indices {indices.shape}."
        )
    if indices.dtype.kind not in "iu":
        raise ConfigError(f"Indices must be integers, not {indices.dtype}.")
    place = positions(indices, keep, group)
    if (
        (indices >= group).any() or (indices < 0).any() or (place >= k).any()
        or (np.diff(place, axis=0) <= 0).any()
    ):  # fmt: skip
        raise ConfigError(
            f"Indices must lie in their group of {group}, before row {k}, and ascend within it."
        )
    require_subnormals()
    m, n = a.shape[0], values.shape[1]
    # Transposed, an output's activations are a row: gathering rows by index is a copy of whole rows.
    y = _start(acc, (m, n)).T.copy()
    activations = np.ascontiguousarray(a.T)
    columns = max(1, BLOCK // m)
    with np.errstate(all="ignore"):
        for left in range(0, n, columns):
            part = y[left : left + columns]
            product = np.empty_like(part)
            for step in range(values.shape[0]):
                np.take(activations, place[step, left : left + columns], axis=0, out=product, mode="clip")
                product *= values[step, left : left + columns, None]
                part += product
    return canonicalize(np.ascontiguousarray(y.T))
