"""A multi-layer perceptron whose products run on an :class:`~sat_hdl.sim.golden.engine.Engine`.

One layer, X: batch × Cin, W: Cin × Cout (numerics; arXiv 2309.13015, section III):

    FF   Y  = X · W_FF + b, then ReLU (but in the last layer), then rounded to operands
    BP   dX = dY · W_BP^T, then ReLU's mask, then rounded to operands
    WU   dW = X^T · dY, always dense; db = a row of ones · dY

| method | W_FF | W_BP | dY in BP |
| --- | --- | --- | --- |
| dense | W | W | dY |
| bdwp | N:M along Cin | N:M along Cout | dY |
| sdwp | W | N:M along Cout | dY |
| srste | N:M along Cin | the same entries as W_FF, computed densely | dY |
| sdgp | W | W | N:M along Cout, rescaled |

SR-STE (Zhou et al., ICLR 2021) differentiates the pruned network straight through the selection, so its dX
sees the pruned weights; that mask groups along Cin, of no use to a reduction along Cout, so nothing is
skipped. A channel count that is no multiple of M leaves that direction of the layer dense.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sat_hdl.sim.golden.convert import narrow, ones
from sat_hdl.sim.golden.elementwise import masked_gradient, relu, relu_mask
from sat_hdl.sim.golden.engine import Engine
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.golden.sdgp import rescale

__all__ = ["METHODS", "LayerPlan", "Mlp", "Tape", "plan_layers"]

METHODS = ("dense", "bdwp", "srste", "sdgp", "sdwp")


@dataclass(frozen=True)
class LayerPlan:
    """Which products of a layer are sparse. ``bp`` of the first layer is False: nothing needs its dX."""

    ff: bool
    bp: bool


def plan_layers(widths: list[int], method: str, group: int) -> list[LayerPlan]:
    """The plan of each layer of a perceptron with ``widths`` inputs, hidden layers and classes."""
    return [
        LayerPlan(
            ff=method in ("bdwp", "srste") and cin % group == 0,
            bp=method in ("bdwp", "sdwp", "sdgp") and cout % group == 0 and number > 0,
        )
        for number, (cin, cout) in enumerate(pairwise(widths))
    ]


@dataclass
class Tape:
    """What the forward pass leaves for the backward one, by layer: operands in, and ReLU's mask out."""

    inputs: list[np.ndarray]
    masks: list[np.ndarray]


class Mlp:
    """Master parameters, their operand copies, and the passes over them.

    Arguments
    ---------
    widths: inputs, hidden layers, classes.
    method: one of :data:`METHODS`.
    keep, group: N and M; of no effect for "dense".
    engine: computes every product and every selection.
    rng: draws the weights, He-normal (standard deviation √(2 / Cin)); biases and momentum start at 0.

    Members
    -------
    weights: float32 (Cin, Cout) each; biases: float32 (Cout,) each.
    copies: the weights as operands; call :meth:`refresh` after changing ``weights``.
    ff, bp: the pruned copies, or None where a product is dense. ``ff`` is (Cin, Cout) and ``bp``
        (Cout, Cin), both pruned along axis 0, as the products take them.
    """

    def __init__(
        self,
        widths: list[int],
        *,
        method: str,
        keep: int,
        group: int,
        engine: Engine,
        rng: np.random.Generator,
    ):
        self.method, self.keep, self.group, self.engine = method, keep, group, engine
        self.plan = plan_layers(widths, method, group)
        self.weights = [
            (rng.standard_normal((cin, cout)) * np.sqrt(2 / cin)).astype(np.float32)
            for cin, cout in pairwise(widths)
        ]
        self.biases = [np.zeros(cout, np.float32) for cout in widths[1:]]
        self.refresh()

    def refresh(self):
        """Pre-generation: rounds and prunes the weights once, for every product until the next update."""
        self.copies = [narrow(w, self.engine.operand) for w in self.weights]
        self.ff: list[Pruned | None] = []
        self.bp: list[Pruned | None] = []
        for copy, plan in zip(self.copies, self.plan):
            self.ff.append(self.engine.prune(copy, self.keep, self.group, 0) if plan.ff else None)
            by_weight = plan.bp and self.method != "sdgp"
            self.bp.append(self.engine.prune(copy, self.keep, self.group, 1).T if by_weight else None)

    def forward(self, x: np.ndarray, stage: str = "ff") -> tuple[np.ndarray, Tape]:
        """Operands (batch, inputs) → float32 logits (batch, classes), and the tape for :meth:`backward`."""
        tape = Tape([], [])
        last = len(self.weights) - 1
        y = np.empty((len(x), 0), np.float32)
        for number, (copy, bias, pruned) in enumerate(zip(self.copies, self.biases, self.ff)):
            tape.inputs.append(x)
            acc = np.broadcast_to(bias, (len(x), len(bias)))
            if pruned is None:
                y = self.engine.matmul(x, copy, acc, stage=stage)
            else:
                y = self.engine.sparse_matmul(x, pruned, acc, stage=stage)
            if number < last:
                tape.masks.append(relu_mask(y))
                x = narrow(relu(y), self.engine.operand)
        return y, tape

    def backward(self, tape: Tape, dy: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Operands dY of the logits (batch, classes) → (dW, db) of each layer, float32, scaled as dY is."""
        gradients = []
        for number in reversed(range(len(self.weights))):
            x = tape.inputs[number]
            # The bias sees an input of constant 1: as a last row of X^T it costs no product of its own.
            x_and_ones = np.concatenate([x.T, ones((1, len(x)), self.engine.operand)])
            gradient = self.engine.matmul(x_and_ones, dy, stage="wu")
            gradients.append((gradient[:-1], gradient[-1]))
            if number > 0:
                dx = masked_gradient(self._input_gradient(number, dy), tape.masks[number - 1])
                dy = narrow(dx, self.engine.operand)
        return gradients[::-1]

    def _input_gradient(self, number: int, dy: np.ndarray) -> np.ndarray:
        """dX of one layer, float32 (batch, Cin)."""
        by_weight, pruned_ff = self.bp[number], self.ff[number]
        if by_weight is not None:
            return self.engine.sparse_matmul(dy, by_weight, stage="bp")
        if self.plan[number].bp:
            # SDGP: the pruned operand is dY, so the product runs transposed, dX^T = W · dY^T.
            pruned = self.engine.prune(dy, self.keep, self.group, 1)
            sparse = rescale(pruned, dy, self.engine.operand).T
            return self.engine.sparse_matmul(self.copies[number], sparse, stage="bp").T
        if self.method == "srste" and pruned_ff is not None:
            return self.engine.matmul(dy, pruned_ff.dense().T, stage="bp")
        return self.engine.matmul(dy, self.copies[number].T, stage="bp")
