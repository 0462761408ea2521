"""Which pixels a kernel sees: gathering for convolutions and poolings, NHWC."""

from collections.abc import Iterator

import numpy as np

from sat_hdl.compiler.graph import Window

__all__ = ["gather", "im2col", "seen_rows_columns", "taps"]


def gather(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of ``x`` (n, H, W, C) at each of ``rows`` and ``columns``, +0 beyond the image.

    Returns them, (n, rows, columns, C), and where the image has them, bool (rows, columns).
    """
    height, width = x.shape[1:3]
    if np.array_equal(rows, np.arange(height)) and np.array_equal(columns, np.arange(width)):
        return x, np.ones((height, width), bool)  # as it is: a kernel of one position, and tokens
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    pixels = x[:, np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    return np.where(inside[:, :, None], pixels, x.dtype.type(0)), inside


def seen_rows_columns(window: Window, height: int, width: int, position: tuple[int, int]):
    """The rows and the columns of the image that the kernel's ``position`` (kh, kw) sees, window by window."""
    return tuple(
        np.arange(count) * stride + at - padding
        for count, stride, at, padding in zip(
            window.output(height, width), window.stride, position, window.padding
        )
    )


def taps(x: np.ndarray, window: Window) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each position of the kernel, (kh, kw) ascending: what :func:`gather` finds there for every window."""
    for kh in range(window.kernel[0]):
        for kw in range(window.kernel[1]):
            yield gather(x, *seen_rows_columns(window, x.shape[1], x.shape[2], (kh, kw)))


def im2col(x: np.ndarray, window: Window) -> np.ndarray:
    """(n, H, W, C) → (n·OH·OW, Q·C): a row for each window, its pixels in the order (kh, kw, c), +0 for padding."""
    columns = np.stack([pixels for pixels, _ in taps(x, window)], axis=3)
    return columns.reshape(-1, window.positions * x.shape[3])
