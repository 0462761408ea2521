"""Parts of a transformer that the device doesn't compute: layer normalisation, GELU, softmax, each with its gradient.

They are numpy's binary32 (or whatever they are given), operation by operation in no stated order: exp, tanh and sums
may differ in the last bit between processors.
"""

import numpy as np

__all__ = ["gelu", "gelu_gradient", "layer_norm", "layer_norm_gradient", "softmax", "softmax_gradient"]

EPSILON = 1e-5
_C, _CUBIC = np.sqrt(2 / np.pi), 0.044715


def layer_norm(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Over the last axis: gain · (x − mean) / √(variance + 1e-5) + bias; and for the gradient (x − mean) / √(…), and
    1 / √(…)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + x.dtype.type(EPSILON))
    unit = centred * inverse
    return gain * unit + bias, unit, inverse


def layer_norm_gradient(dy: np.ndarray, unit: np.ndarray, inverse: np.ndarray, gain: np.ndarray):
    """(dX, dGain, dBias) from what :func:`layer_norm` gave."""
    axes = tuple(range(dy.ndim - 1))
    scaled = dy * gain
    mean = scaled.mean(axis=-1, keepdims=True)
    along = (scaled * unit).mean(axis=-1, keepdims=True)
    return inverse * (scaled - mean - unit * along), (dy * unit).sum(axis=axes), dy.sum(axis=axes)


def gelu(x: np.ndarray) -> np.ndarray:
    """x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³))): GELU's usual approximation."""
    c, cubic, half = x.dtype.type(_C), x.dtype.type(_CUBIC), x.dtype.type(0.5)
    return half * x * (1 + np.tanh(c * (x + cubic * x * x * x)))


def gelu_gradient(x: np.ndarray) -> np.ndarray:
    """Its derivative at x."""
    c, cubic, half = x.dtype.type(_C), x.dtype.type(_CUBIC), x.dtype.type(0.5)
    tanh = np.tanh(c * (x + cubic * x * x * x))
    return half * (1 + tanh) + half * x * (1 - tanh * tanh) * c * (1 + 3 * cubic * x * x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dX from softmax's output."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
