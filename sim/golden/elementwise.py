"""Element-wise operations around the products: ReLU, its gradient, SGD with momentum (numerics: Conversions
and element-wise operations)."""

import numpy as np

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.convert import widen
from sat_hdl.sim.golden.formats import canonicalize

__all__ = [
    "bias_gradient", "decay_pruned", "masked_gradient", "overflowed", "relu", "relu_mask", "sgd_momentum",
    "unscale",
]  # fmt: skip


def _float32(name: str, x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise ConfigError(f"{name} must be float32, not {x.dtype}.")
    return x


def relu(x: np.ndarray) -> np.ndarray:
    """float32 → float32: x where x > 0, the canonical NaN where x is NaN, else +0 (for −0 too)."""
    x = _float32("ReLU's input", x)
    return canonicalize(np.where((x > 0) | np.isnan(x), x, np.float32(0)))


def relu_mask(x: np.ndarray) -> np.ndarray:
    """float32 → bool: where ReLU's gradient passes, x > 0. False for NaN."""
    return _float32("ReLU's input", x) > 0


def masked_gradient(gradient: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``gradient`` (float32) where ``mask``, else +0; NaN canonical."""
    return canonicalize(np.where(mask, _float32("A gradient", gradient), np.float32(0)))


def bias_gradient(dy: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """(batch, n) operands → float32 (n,): the chain of a product with a row of ones, samples in order.

    A running sum from +0 is that chain, since 1 × dY is dY.
    """
    dy = np.asarray(dy)
    if dy.ndim != 2 or 0 in dy.shape:
        raise ConfigError(f"dY must have two dimensions of at least 1, not shape {dy.shape}.")
    chain = np.concatenate([np.zeros((1, dy.shape[1]), np.float32), widen(dy, operand)])
    with np.errstate(all="ignore"):
        return canonicalize(np.add.accumulate(chain, axis=0)[-1])


def overflowed(*gradients: np.ndarray) -> bool:
    """The sticky flag: whether any inf or NaN is in any of the gradients, before they are unscaled."""
    return any(not np.isfinite(g).all() for g in gradients)


def unscale(gradient: np.ndarray, inv_scale: float) -> np.ndarray:
    """g = RNE32(dW × inv_scale)."""
    with np.errstate(all="ignore"):
        return canonicalize(_float32("A gradient", gradient) * np.float32(inv_scale))


def decay_pruned(gradient: np.ndarray, w: np.ndarray, mask: np.ndarray, factor: float) -> np.ndarray:
    """SR-STE's decay: g = RNE32(g + RNE32(λ × w)) where ``mask`` (bool) is False; elsewhere g as it is."""
    gradient, w = _float32("A gradient", gradient), _float32("Weights", w)
    with np.errstate(all="ignore"):
        return canonicalize(np.where(mask, gradient, gradient + np.float32(factor) * w))


def sgd_momentum(
    w: np.ndarray,
    v: np.ndarray,
    gradient: np.ndarray,
    *,
    lr: float,
    momentum: float,
    weight_decay: float = 0.0,
    inv_scale: float = 1.0,
    nesterov: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """One step of SGD with momentum in PyTorch's order, every operation rounded to binary32 on its own.

        g ← dW × inv_scale ;  g ← g + wd × w ;  v ← mu × v + g ;  w ← w − lr × v

    With Nesterov's momentum, w ← w − lr × (mu × v + g), by the new v. The decay is computed for wd = 0 too, as
    hardware without a branch would.

    Arguments
    ---------
    w, v, gradient: float32, equal shapes: master weights, momentum, dW as the product gave it.
    lr, momentum, weight_decay, inv_scale: rounded to binary32 before use.
    nesterov: whether the step looks ahead along the momentum.

    Returns the new (w, v), NaN canonical; the inputs stay as they are. The caller skips the step if
    :func:`overflowed`.
    """
    w, v = _float32("Weights", w), _float32("Momentum", v)
    lr32, momentum32, decay32 = np.float32(lr), np.float32(momentum), np.float32(weight_decay)
    with np.errstate(all="ignore"):
        g = unscale(gradient, inv_scale)
        g = g + decay32 * w
        v = momentum32 * v + g
        step = momentum32 * v + g if nesterov else v
        w = w - lr32 * step
    return canonicalize(w), canonicalize(v)
