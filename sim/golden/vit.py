"""A small vision transformer (Dosovitskiy et al., ICLR 2021), products in the golden model's arithmetic.

Patches → tokens + positions → blocks of x + attention(norm(x)), x + MLP(norm(x)) → norm → mean of tokens → head.

Tensors between operations are operands, as in :mod:`~sat_hdl.sim.golden.network`. Products with weights (patches,
QKV, projection, both of the MLP, head) are of :class:`~sat_hdl.sim.golden.weighted.WeightedLayers`, by every method.
Attention's two products have no weights: dense, forward and backward, by the engine's chains. All else, which the
device doesn't compute (:mod:`~sat_hdl.sim.golden.attention`, positions, the mean of tokens), is numpy's binary32,
its results rounded to operands. The device knows no such network: this one trains in the golden model alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sat_hdl.compiler.graph import Window
from sat_hdl.config import ConfigError, require
from sat_hdl.sim.golden import attention
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import NetworkEngine
from sat_hdl.sim.golden.weighted import Gradient, LayerShape, WeightedLayers

__all__ = ["Vit", "VitShape"]


@dataclass(frozen=True)
class VitShape:
    """A transformer's measures.

    Arguments
    ---------
    input_shape: (H, W, C), of which ``patch`` divides H and W.
    classes: outputs.
    patch: pixels a side. width: channels of a token, of which ``heads`` is a divisor. blocks. hidden: of the MLP.
    """

    input_shape: tuple[int, int, int]
    classes: int
    patch: int
    width: int
    heads: int
    blocks: int
    hidden: int

    def __post_init__(self):
        for name in ("classes", "patch", "width", "heads", "blocks", "hidden"):
            require(getattr(self, name) >= 1, f"`{name}` must be at least 1, not {getattr(self, name)!r}.")
        height, width, _ = self.input_shape
        require(
            height % self.patch == 0 and width % self.patch == 0,
            f"Patches of {self.patch} pixels a side don't cut an image of {height} × {width} evenly.",
        )
        require(self.width % self.heads == 0, f"{self.heads} heads can't share {self.width} channels evenly.")

    @property
    def tokens(self) -> int:
        return self.input_shape[0] // self.patch * (self.input_shape[1] // self.patch)


class Vit(WeightedLayers):
    """Master parameters, their operand copies, and the passes over them.

    Beside the layers' parameters, ``weights`` and ``biases`` have those of normalisations, (width,) each, and
    ``weights["positions"]``, (tokens, width): binary32, never pruned, as the optimiser sees them.

    Arguments
    ---------
    shape: its measures.
    Others: see :class:`~sat_hdl.sim.golden.weighted.WeightedLayers`. Weights that feed no rectifier are drawn with
    variance 1 / (Q · Cin), positions with 1: as large as tokens, or blocks learn for epochs to tell where they are.
    """

    def __init__(self, shape: VitShape, *, engine: NetworkEngine, rng: np.random.Generator, **settings: Any):
        self.shape = shape
        width, token = shape.width, Window()
        patches = Window((shape.patch, shape.patch), (shape.patch, shape.patch))
        layers = [LayerShape("patches", patches, shape.input_shape[2], width, True, False, gain=1)]
        for name in self._blocks():
            layers += [
                LayerShape(f"{name}.qkv", token, width, 3 * width, True, True, gain=1),
                LayerShape(f"{name}.projection", token, width, width, True, True, gain=1),
                LayerShape(f"{name}.up", token, width, shape.hidden, True, True),
                LayerShape(f"{name}.down", token, shape.hidden, width, True, True, gain=1),
            ]
        layers.append(LayerShape("head", token, width, shape.classes, True, True, gain=1))
        super().__init__(layers, engine=engine, rng=rng, **settings)
        self.weights["positions"] = rng.standard_normal((shape.tokens, width)).astype(np.float32)
        for name in [f"{block}.norm{i}" for block in self._blocks() for i in (1, 2)] + ["norm"]:
            self.weights[name], self.biases[name] = np.ones(width, np.float32), np.zeros(width, np.float32)

    def _blocks(self) -> list[str]:
        return [f"block{number}" for number in range(1, self.shape.blocks + 1)]

    # --- forward ----------------------------------------------------------------------------------------

    @np.errstate(all="ignore")  # what overflows is told by the sticky flag
    def forward(self, x: np.ndarray, stage: str = "ff") -> tuple[np.ndarray, dict[str, Any]]:
        """Operands (n, H, W, C), or (n, H·W·C) → float32 logits (n, classes), and the tape for :meth:`backward`."""
        shape = self.shape
        if int(np.prod(x.shape[1:])) != int(np.prod(shape.input_shape)):
            raise ConfigError(
                f"A sample must have shape {shape.input_shape}, or as many values, not {x.shape[1:]}."
            )
        tape: dict[str, Any] = {"patches": x.reshape(len(x), *shape.input_shape)}
        tokens = self.product("patches", tape["patches"], stage).reshape(len(x), shape.tokens, shape.width)
        x = self.engine.narrow(tokens + self.weights["positions"])
        for name in self._blocks():
            y = self._attend(name, self._norm(f"{name}.norm1", x, tape), tape, stage)
            x = self._add(x, y)
            up = self._linear(f"{name}.up", self._norm(f"{name}.norm2", x, tape), tape, stage)
            tape[f"{name}.gelu"] = up
            down = self.engine.narrow(attention.gelu(self.engine.widen(up)))
            x = self._add(x, self._linear(f"{name}.down", down, tape, stage))
        mean = self.engine.widen(self._norm("norm", x, tape)).mean(axis=1)
        tape["head"] = self.engine.narrow(mean)[:, None, None]
        return self.product("head", tape["head"], stage).reshape(len(x), -1), tape

    def _add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The sum of operands, rounded to operands."""
        with np.errstate(all="ignore"):
            return self.engine.narrow(self.engine.widen(a) + self.engine.widen(b))

    def _linear(self, name: str, x: np.ndarray, tape: dict[str, Any], stage: str) -> np.ndarray:
        """Operands (n, tokens, Cin) → operands (n, tokens, Cout)."""
        tape[name] = x[:, :, None]
        return self.engine.narrow(self.product(name, tape[name], stage)[:, :, 0])

    def _norm(self, name: str, x: np.ndarray, tape: dict[str, Any]) -> np.ndarray:
        y, *tape[name] = attention.layer_norm(self.engine.widen(x), self.weights[name], self.biases[name])
        return self.engine.narrow(y)

    def _attend(self, name: str, x: np.ndarray, tape: dict[str, Any], stage: str) -> np.ndarray:
        n, count, _ = x.shape
        heads = self.shape.heads
        qkv = self._linear(f"{name}.qkv", x, tape, stage).reshape(n, count, 3, heads, -1)
        # Each (n · heads, tokens, channels of a head).
        q, k, v = (part.reshape(n * heads, count, -1) for part in qkv.transpose(2, 0, 3, 1, 4))
        scores = self.engine.products(q, k.swapaxes(1, 2), stage=stage) * self._scale(q)
        shares = attention.softmax(scores)
        p = self.engine.narrow(shares)
        tape[f"{name}.attention"] = q, k, v, p, shares
        mixed = self.engine.narrow(self.engine.products(p, v, stage=stage))
        joined = mixed.reshape(n, heads, count, -1).swapaxes(1, 2).reshape(n, count, -1)
        return self._linear(f"{name}.projection", joined, tape, stage)

    @staticmethod
    def _scale(q: np.ndarray) -> np.float32:
        return np.float32(1 / np.sqrt(q.shape[2]))

    # --- backward ---------------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def backward(self, tape: dict[str, Any], dy: np.ndarray) -> dict[str, Gradient]:
        """Operands dY of the logits (n, classes) → (dW, db) of all of ``weights``, float32, scaled as dY is."""
        shape = self.shape
        found: dict[str, Gradient] = {}
        dy = dy[:, None, None]
        found["head"] = self.parameter_gradient("head", tape["head"], dy)
        d_mean = self.engine.widen(self.input_gradient("head", dy, (1, 1))[:, 0])
        d_mean = d_mean * np.float32(1 / shape.tokens)
        d_norm = np.broadcast_to(d_mean, (len(dy), shape.tokens, shape.width))
        dx = self._norm_back("norm", self.engine.narrow(d_norm), tape, found)
        for name in reversed(self._blocks()):
            d_up = self.engine.widen(self._linear_back(f"{name}.down", dx, tape, found))
            d_up = self.engine.narrow(d_up * attention.gelu_gradient(self.engine.widen(tape[f"{name}.gelu"])))
            d_norm = self._linear_back(f"{name}.up", d_up, tape, found)
            dx = self._add(dx, self._norm_back(f"{name}.norm2", d_norm, tape, found))
            d_norm = self._attend_back(name, dx, tape, found)
            dx = self._add(dx, self._norm_back(f"{name}.norm1", d_norm, tape, found))
        by_token = bias_gradient(dx.reshape(len(dx), -1), self.engine.operand)
        found["positions"] = by_token.reshape(shape.tokens, shape.width), None
        image = dx.reshape(len(dx), *self._grid(), shape.width)
        found["patches"] = self.parameter_gradient("patches", tape["patches"], image)
        return {name: found[name] for name in self.weights}

    def _grid(self) -> tuple[int, int]:
        height, width, _ = self.shape.input_shape
        return height // self.shape.patch, width // self.shape.patch

    def _linear_back(self, name: str, dy: np.ndarray, tape: dict[str, Any], found: dict[str, Gradient]):
        dy = dy[:, :, None]
        found[name] = self.parameter_gradient(name, tape[name], dy)
        return self.input_gradient(name, dy, dy.shape[1:3])[:, :, 0]

    def _norm_back(self, name: str, dy: np.ndarray, tape: dict[str, Any], found: dict[str, Gradient]):
        unit, inverse = tape[name]
        dx, d_gain, d_bias = attention.layer_norm_gradient(
            self.engine.widen(dy), unit, inverse, self.weights[name]
        )
        found[name] = d_gain, d_bias
        return self.engine.narrow(dx)

    def _attend_back(self, name: str, dy: np.ndarray, tape: dict[str, Any], found: dict[str, Gradient]):
        q, k, v, p, shares = tape[f"{name}.attention"]
        heads = self.shape.heads
        d_joined = self._linear_back(f"{name}.projection", dy, tape, found)
        n, count, _ = d_joined.shape
        d_mixed = d_joined.reshape(n, count, heads, -1).swapaxes(1, 2).reshape(n * heads, count, -1)
        d_shares = self.engine.products(d_mixed, v.swapaxes(1, 2), stage="bp")
        d_scores = self.engine.narrow(attention.softmax_gradient(d_shares, shares) * self._scale(q))
        parts = [
            self.engine.products(d_scores, k, stage="bp"),
            self.engine.products(d_scores.swapaxes(1, 2), q, stage="bp"),
            self.engine.products(p.swapaxes(1, 2), d_mixed, stage="bp"),
        ]
        each = np.stack([part.reshape(n, heads, count, -1) for part in parts], axis=2)
        d_qkv = each.transpose(0, 3, 2, 1, 4).reshape(n, count, -1)
        return self._linear_back(f"{name}.qkv", self.engine.narrow(d_qkv), tape, found)
