"""Layers with weights: their masters, copies and products, by every method (numerics; arXiv 2309.13015, section III).

    FF   Y  = X · W_FF + b
    BP   dX = dY_BP · W_BP^T
    WU   dW = X^T · dY, always dense; db = a row of ones · dY

| method | W_FF | W_BP | dY_BP | update |
| --- | --- | --- | --- | --- |
| dense | W | W | dY | |
| bdwp | N:M along Cin | N:M along Cout | dY | |
| sdwp | W | N:M along Cout | dY | |
| srste | N:M along Cin | the entries of W_FF, computed densely | dY | dW + λ · W where W_FF dropped it |
| sdgp | W | W | N:M along Cout, rescaled | |

SR-STE (Zhou et al., ICLR 2021) differentiates the pruned network straight through the selection, so its dX sees the
pruned weights; that mask groups along Cin, of no use to a reduction along Cout, so nothing is skipped. SDGP (McDanel
et al., 2022): see :mod:`~sat_hdl.sim.golden.sdgp`. SR-STE's decay is the optimiser's: see
:meth:`WeightedLayers.mask`. A channel count that is no multiple of M leaves that direction of the layer dense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sat_hdl.compiler.graph import Window, layer_products
from sat_hdl.sim.golden import conv
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import NetworkEngine
from sat_hdl.sim.golden.prune import Pruned, check_sparsity
from sat_hdl.sim.golden.sdgp import keep_gradient

__all__ = ["Gradient", "LayerShape", "WeightedLayers"]

#: (dW, db) of a layer; db is None without a bias.
Gradient = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class LayerShape:
    """A convolution, or a linear layer: of ``window`` 1 × 1, over one pixel or over tokens.

    ``needs_dx``: whether anything needs the gradient of its input. ``gain``: of the first weights' variance,
    gain / (Q · Cin); He's is 2.
    """

    name: str
    window: Window
    cin: int
    cout: int
    bias: bool
    needs_dx: bool
    gain: float = 2


class WeightedLayers:
    """Master parameters, their operand copies, and the products with them.

    Arguments
    ---------
    layers: in the order in which their first weights are drawn.
    method: "dense", "bdwp", "srste", "sdgp" or "sdwp".
    keep, group: N and M; of no effect for "dense".
    engine: computes every product and every selection.
    rng: draws the weights, layer by layer, normal by their ``gain``; biases start at 0.

    Members
    -------
    weights: float32 (Q, Cin, Cout) by layer name; biases: float32 (Cout,), of the layers that have one.
    copies: the weights as operands; call :meth:`refresh` after changing ``weights``.
    ff, bp: the matrices that the products take, (Q·Cin, Cout) and (Q·Cout, Cin), by layer name: operands, or
        :class:`~sat_hdl.sim.golden.prune.Pruned` along axis 0 where they are sparse. ``bp`` lacks the layers whose dX
        nothing needs.
    plan: which products are sparse, by layer name.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        *,
        method: str,
        keep: int,
        group: int,
        engine: NetworkEngine,
        rng: np.random.Generator,
    ):
        check_sparsity(keep, group)
        self.method, self.keep, self.group, self.engine = method, keep, group, engine
        self._layers = {layer.name: layer for layer in layers}
        self.plan = {
            layer.name: layer_products(method, layer.cin, layer.cout, group, needs_dx=layer.needs_dx)
            for layer in layers
        }
        self.weights: dict[str, np.ndarray] = {}
        self.biases: dict[str, np.ndarray] = {}
        for layer in layers:
            positions = layer.window.positions
            draw = rng.standard_normal((positions, layer.cin, layer.cout))
            draw *= np.sqrt(layer.gain / (positions * layer.cin))
            self.weights[layer.name] = draw.astype(np.float32)
            if layer.bias:
                self.biases[layer.name] = np.zeros(layer.cout, np.float32)
        self.refresh()

    def begin_with(self, weights: Mapping[str, np.ndarray], biases: Mapping[str, np.ndarray]):
        """Takes these weights and biases by layer name, float32, in place of those drawn; those not given stay."""
        for own, given in ((self.weights, weights), (self.biases, biases)):
            for name, values in given.items():
                if name not in own or own[name].shape != values.shape:
                    raise ValueError(
                        f"Parameters of {name!r} must be of the network's shape, not {values.shape!r}"
                    )
                own[name] = values.astype(np.float32)
        self.refresh()

    def refresh(self):
        """Pre-generation: rounds and prunes the weights once, for every product until the next update."""
        self.copies = {name: self.engine.narrow(self.weights[name]) for name in self._layers}
        self.ff: dict[str, np.ndarray | Pruned] = {}
        self.bp: dict[str, np.ndarray | Pruned] = {}
        for name, layer in self._layers.items():
            copy, plan = self.copies[name], self.plan[name]
            ff = self.ff[name] = self._prune(conv.ff_weights(copy), plan.ff)
            if layer.needs_dx:
                if self.method == "srste" and isinstance(ff, Pruned):
                    copy = ff.dense().reshape(copy.shape)
                self.bp[name] = self._prune(conv.bp_weights(copy), plan.bp and self.method != "sdgp")

    def _prune(self, matrix: np.ndarray, sparse: bool) -> np.ndarray | Pruned:
        return self.engine.prune(matrix, self.keep, self.group, 0) if sparse else matrix

    def mask(self, name: str) -> np.ndarray | None:
        """Which weights FF keeps, bool in the shape of the weights, or None if it takes all of them."""
        pruned = self.ff.get(name)
        return pruned.mask().reshape(self.weights[name].shape) if isinstance(pruned, Pruned) else None

    def product(self, name: str, x: np.ndarray, stage: str = "ff") -> np.ndarray:
        """FF: operands (n, H, W, Cin) → float32 (n, OH, OW, Cout), bias included."""
        return conv.conv2d(
            x,
            self.ff[name],
            self._layers[name].window,
            bias=self.biases.get(name),
            engine=self.engine,
            stage=stage,
        )

    def parameter_gradient(self, name: str, x: np.ndarray, dy: np.ndarray) -> Gradient:
        """WU, from what FF took and the gradient of what it gave, both operands."""
        layer = self._layers[name]
        dw = conv.weight_gradient(x, dy, layer.window, engine=self.engine)
        return dw, bias_gradient(dy.reshape(-1, dy.shape[3]), self.engine.operand) if layer.bias else None

    def input_gradient(self, name: str, dy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """BP: operands (n, OH, OW, Cout) → operands (n, H, W, Cin); ``size`` is (H, W)."""
        layer = self._layers[name]
        sparse = self.plan[name].bp and self.method == "sdgp"
        gradient = keep_gradient(dy, self.keep, self.group, self.engine) if sparse else dy
        dx = conv.input_gradient(gradient, self.bp[name], layer.window, size, engine=self.engine)
        return self.engine.narrow(dx)
