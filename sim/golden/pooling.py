"""Pooling of operand images, NHWC, and its gradients (sattop: Numerics of a network)."""

import numpy as np

from sat_hdl.compiler.graph import Window
from sat_hdl.sim.golden.convert import narrow, widen
from sat_hdl.sim.golden.windows import taps

__all__ = ["avgpool", "avgpool_gradient", "maxpool", "maxpool_gradient"]


def maxpool(x: np.ndarray, window: Window, operand: str = "fp16") -> tuple[np.ndarray, np.ndarray]:
    """The largest of each window, and where it was: operands (n, OH, OW, C) and int32 kh · KW + kw, same shape.

    Over (kh, kw) ascending, padding skipped: the first element starts; a later x replaces the best if x > best,
    or if x is NaN and the best is not. So the first of equals wins, +0 and −0 being equal, and the first NaN.
    The result's NaN are canonical.
    """
    best = where = np.empty(0)
    for position, (pixels, inside) in enumerate(taps(widen(x, operand), window)):
        if position == 0:
            best, where = np.zeros_like(pixels), np.full(pixels.shape, -1, np.int32)
        larger = (where < 0) | (pixels > best) | (np.isnan(pixels) & ~np.isnan(best))
        larger &= inside[:, :, None]
        best, where = np.where(larger, pixels, best), np.where(larger, np.int32(position), where)
    return narrow(best, operand), where


def _spread(dy: np.ndarray, window: Window, size: tuple[int, int], argmax: np.ndarray | None) -> np.ndarray:
    """float32 (n, H, W, C): for each pixel the chain, from +0, of the ``dy`` (float32) of the windows that see it
    (only where ``argmax`` names it, if given), windows ascending: so positions in the kernel descending."""
    (n, rows, columns, c), (top, left) = dy.shape, window.padding
    total = np.zeros((n, size[0] + 2 * top, size[1] + 2 * left, c), np.float32)
    with np.errstate(all="ignore"):
        for position in reversed(range(window.positions)):
            kh, kw = divmod(position, window.kernel[1])
            down, right = (slice(at, at + (count - 1) * s + 1, s) for at, count, s in zip(
                (kh, kw), (rows, columns), window.stride
            ))  # fmt: skip
            seen = total[:, down, right]
            total[:, down, right] = (
                seen + dy if argmax is None else np.where(argmax == position, seen + dy, seen)
            )
    return total[:, top : top + size[0], left : left + size[1]]


def maxpool_gradient(
    dy: np.ndarray, argmax: np.ndarray, window: Window, size: tuple[int, int], operand: str = "fp16"
) -> np.ndarray:
    """dX, operands (n, H, W, C): narrow(chain from +0 of the dY whose argmax is this pixel, windows ascending).

    ``dy``: operands (n, OH, OW, C); ``argmax`` as :func:`maxpool` gave it; ``size``: (H, W) of the input.
    """
    return narrow(_spread(widen(dy, operand), window, size, argmax), operand)


def _share(window: Window) -> np.float32:
    """RNE32(1 / (KH · KW))."""
    return np.float32(1 / window.positions)


def avgpool(x: np.ndarray, window: Window, operand: str = "fp16") -> np.ndarray:
    """The mean of each window: narrow(RNE32(chain from +0 over (kh, kw), padding as +0) × RNE32(1 / (KH · KW)))).

    Operands (n, H, W, C) → operands (n, OH, OW, C).
    """
    total = np.zeros((), np.float32)
    with np.errstate(all="ignore"):
        for pixels, _ in taps(widen(x, operand), window):
            total = total + pixels
        return narrow(total * _share(window), operand)


def avgpool_gradient(
    dy: np.ndarray, window: Window, size: tuple[int, int], operand: str = "fp16"
) -> np.ndarray:
    """dX, operands (n, H, W, C): narrow(RNE32(chain from +0 of dY, windows ascending) × RNE32(1 / (KH · KW)))).

    ``dy``: operands (n, OH, OW, C); ``size``: (H, W) of the input.
    """
    with np.errstate(all="ignore"):
        return narrow(_spread(widen(dy, operand), window, size, None) * _share(window), operand)
