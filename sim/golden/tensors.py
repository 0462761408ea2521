"""Element-wise operations on operand tensors between layers: ReLU, its gradient, sums."""

import numpy as np

from sat_hdl.sim.golden import elementwise
from sat_hdl.sim.golden.convert import narrow, widen

__all__ = ["add", "relu", "relu_gradient"]


def relu(x: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """Operands → operands: x where x > 0, the canonical NaN where x is NaN, else +0 (for −0 too)."""
    return narrow(elementwise.relu(widen(x, operand)), operand)


def relu_gradient(dy: np.ndarray, y: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """dX: dY where y > 0, else +0, NaN canonical. ``y`` is ReLU's output, or equally its input."""
    mask = elementwise.relu_mask(widen(y, operand))
    return narrow(elementwise.masked_gradient(widen(dy, operand), mask), operand)


def add(a: np.ndarray, b: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """narrow(RNE32(a + b)) of operands of equal shapes: residual sums, and gradients where a tensor fans out."""
    with np.errstate(all="ignore"):
        return narrow(widen(a, operand) + widen(b, operand), operand)
