"""Convolutions as products: forward, and the gradients by input and by weights (sattop: Numerics of a network).

All are chains of :func:`~sat_hdl.sim.golden.product.matmul` or ``sparse_matmul``, on an engine. Images are
NHWC operands, weights (Q, Cin, Cout) with Q = kh · KW + kw. A linear layer is the case of one pixel and a
1 × 1 kernel.
"""

import math
from dataclasses import replace

import numpy as np

from sat_hdl.compiler.graph import Window
from sat_hdl.sim.golden.engine import Engine
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.golden.sdgp import KeptGradient
from sat_hdl.sim.golden.windows import gather, im2col

__all__ = ["bp_weights", "conv2d", "ff_weights", "input_gradient", "weight_gradient"]


def ff_weights(weight: np.ndarray) -> np.ndarray:
    """(Q, Cin, Cout) → (Q·Cin, Cout), the matrix that FF multiplies by, and of which W_FF is pruned along axis 0."""
    return weight.reshape(-1, weight.shape[2])


def bp_weights(weight: np.ndarray) -> np.ndarray:
    """(Q, Cin, Cout) → (Q·Cout, Cin), the matrix that BP multiplies by, and of which W_BP is pruned along axis 0."""
    return weight.transpose(0, 2, 1).reshape(-1, weight.shape[1])


def _product(a: np.ndarray, b: np.ndarray | Pruned, acc: np.ndarray | None, engine: Engine, stage: str):
    if isinstance(b, Pruned):
        return engine.sparse_matmul(a, b, acc, stage=stage)
    return engine.matmul(a, b, acc, stage=stage)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray | Pruned,
    window: Window,
    *,
    bias: np.ndarray | None = None,
    engine: Engine,
    stage: str = "ff",
) -> np.ndarray:
    """Y[n, oy, ox, :] = bias + Σ X[n, oy·s + kh − p, ox·s + kw − p, cin] · W[kh, kw, cin, :].

    The chain starts at the bias (+0 without) and runs over (kh, kw, cin) ascending, +0 for padding.

    Arguments
    ---------
    x: operands (n, H, W, Cin).
    weight: operands (Q·Cin, Cout), or pruned along axis 0 with an M that divides Cin; see :func:`ff_weights`.
    bias: float32 (Cout,), or None.

    Returns float32 (n, OH, OW, Cout).
    """
    cout = weight.shape[1]
    rows, columns = window.output(x.shape[1], x.shape[2])
    patches = im2col(x, window)
    acc = None if bias is None else np.broadcast_to(bias, (len(patches), cout))
    return _product(patches, weight, acc, engine, stage).reshape(len(x), rows, columns, cout)


def _at(weight: np.ndarray | Pruned, chosen: list[int], positions: int) -> np.ndarray | Pruned:
    """The rows of BP's matrix that belong to the ``chosen`` of Q ``positions`` in the kernel."""
    if isinstance(weight, Pruned):
        rows = weight.shape[0] // positions * len(chosen)
        values, indices = (_at(part, chosen, positions) for part in (weight.values, weight.indices))
        return replace(weight, values=values, indices=indices, shape=(rows, weight.shape[1]))
    columns = weight.shape[1]
    return weight.reshape(positions, -1, columns)[chosen].reshape(-1, columns)


def _kept_patches(
    dy: KeptGradient, axes: list[list[tuple[int, np.ndarray]]]
) -> tuple[Pruned, tuple[int, ...]]:
    """The kept of what every pixel sees of dY, (positions · Cout, pixels), and the pixels' (n, rows, columns).

    Beyond dY, +0 at each group's first indices.
    """
    fill = (np.arange(dy.values.shape[3]) % dy.keep).astype(np.uint8)
    parts: list[list[np.ndarray]] = [[], []]
    for _, rows in axes[0]:
        for _, columns in axes[1]:
            parts[0].append(gather(dy.values, rows, columns)[0])
            indices, inside = gather(dy.indices, rows, columns)
            parts[1].append(np.where(inside[:, :, None], indices, fill))
    values, indices = (np.stack(part, axis=3) for part in parts)
    pixels, count = values.shape[:3], values.shape[3]
    flat = (math.prod(pixels), -1)
    shape = (flat[0], count * dy.channels)
    return Pruned(values.reshape(flat), indices.reshape(flat), shape, 1, dy.keep, dy.group).T, pixels


def input_gradient(
    dy: np.ndarray | KeptGradient,
    weight: np.ndarray | Pruned,
    window: Window,
    size: tuple[int, int],
    *,
    engine: Engine,
    stage: str = "bp",
) -> np.ndarray:
    """dX[n, iy, ix, :] = Σ dY[n, oy, ox, cout] · W[kh, kw, :, cout], with oy = (iy + p − kh) / s, ox likewise.

    The chain runs from +0 over (kh, kw, cout) ascending, but for the positions at which oy or ox would be no
    integer; an oy or ox beyond dY counts as a dY of +0. Pixels of equal remainder by the stride have equal
    positions, so each such class is one product.

    Arguments
    ---------
    dy: operands (n, OH, OW, Cout), or what is kept of them.
    weight: operands (Q·Cout, Cin), or, for all of dY, pruned along axis 0 with an M that divides Cout; see
        :func:`bp_weights`.
    size: (H, W) of the input.

    Returns float32 (n, H, W, Cin).
    """
    kept = isinstance(dy, KeptGradient)
    dx = np.zeros((len(dy.values if kept else dy), *size, weight.shape[1]), np.float32)
    strides, paddings, kernels = window.stride, window.padding, window.kernel
    for top in range(min(strides[0], size[0])):
        for left in range(min(strides[1], size[1])):
            axes = []
            for first, length, s, p, k in zip((top, left), size, strides, paddings, kernels):
                pixels = np.arange(first, length, s)
                hits = [at for at in range(k) if (first + p - at) % s == 0]
                axes.append([(at, (pixels + p - at) // s) for at in hits])
            chosen = [kh * kernels[1] + kw for kh, _ in axes[0] for kw, _ in axes[1]]
            if not chosen:
                continue  # a stride beyond the kernel: no window sees these pixels
            chosen_weight = _at(weight, chosen, window.positions)
            if isinstance(dy, KeptGradient):
                # The pruned operand is dY, so the product runs transposed, dX^T = W · dY^T.
                assert not isinstance(chosen_weight, Pruned)
                sparse, pixels = _kept_patches(dy, axes)
                part = engine.sparse_matmul(chosen_weight.T, sparse, stage=stage).T
            else:
                seen = [gather(dy, rows, columns)[0] for _, rows in axes[0] for _, columns in axes[1]]
                patches = np.stack(seen, axis=3)
                pixels = patches.shape[:3]
                rows_of = patches.reshape(-1, len(chosen) * dy.shape[3])
                part = _product(rows_of, chosen_weight, None, engine, stage)
            dx[:, top :: strides[0], left :: strides[1]] = part.reshape(*pixels, -1)
    return dx


def weight_gradient(
    x: np.ndarray, dy: np.ndarray, window: Window, *, engine: Engine, stage: str = "wu"
) -> np.ndarray:
    """dW[q, cin, cout] = Σ X[n, oy·s + kh − p, ox·s + kw − p, cin] · dY[n, oy, ox, cout], dense.

    The chain runs from +0 over (n, oy, ox) ascending, +0 for padding. ``x``: operands (n, H, W, Cin), ``dy``:
    operands (n, OH, OW, Cout). Returns float32 (Q, Cin, Cout).
    """
    product = engine.matmul(im2col(x, window).T, dy.reshape(-1, dy.shape[3]), stage=stage)
    return product.reshape(window.positions, x.shape[3], dy.shape[3])
