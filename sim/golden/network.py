"""A network of any layers that the layer list knows, its products on an engine (sattop: Numerics of a network).

Between layers tensors are NHWC operands. A product's result is rounded to operands before anything else sees it,
ReLU included; the last layer's is not: the logits are binary32.

| method | W_FF | W_BP |
| --- | --- | --- |
| dense | W | W |
| bdwp | N:M along Cin | N:M along Cout |
| sdwp | W | N:M along Cout |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from sat_hdl.compiler.graph import Graph, Node, Window, sparse_products
from sat_hdl.compiler.layers import Add, AvgPool, Flatten, MaxPool, Relu
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import conv, pooling, tensors
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import Engine
from sat_hdl.sim.golden.prune import Pruned, check_sparsity

__all__ = ["Gradient", "Network", "NetworkTape"]

#: (dW, db) of a layer; db is None without a bias.
Gradient = tuple[np.ndarray, np.ndarray | None]


@dataclass
class NetworkTape:
    """What the forward pass leaves for the backward one, by node number.

    Arguments
    ---------
    tensors: outputs, operands (n, H, W, C); that of the last layer, the logits, is not among them.
    argmax: of max-poolings, int32.
    """

    tensors: dict[int, np.ndarray] = field(default_factory=dict)
    argmax: dict[int, np.ndarray] = field(default_factory=dict)


class Network:
    """Master parameters, their operand copies, and the passes over them.

    Arguments
    ---------
    graph: the layers, from :func:`~sat_hdl.compiler.graph.build`.
    method: "dense", "bdwp" or "sdwp".
    keep, group: N and M; of no effect for "dense".
    engine: computes every product and every selection.
    rng: draws the weights, layer by layer, He-normal (standard deviation √(2 / (Q · Cin))); biases start at 0.

    Members
    -------
    weights: float32 (Q, Cin, Cout) by layer name; biases: float32 (Cout,), of the layers that have one.
    copies: the weights as operands; call :meth:`refresh` after changing ``weights``.
    ff, bp: the matrices that the products take, (Q·Cin, Cout) and (Q·Cout, Cin), by layer name: operands, or
        :class:`~sat_hdl.sim.golden.prune.Pruned` along axis 0 where the product is sparse. ``bp`` lacks the
        layers whose dX nothing needs.
    plan: which products are sparse, by layer name.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        method: str,
        keep: int,
        group: int,
        engine: Engine,
        rng: np.random.Generator,
    ):
        check_sparsity(keep, group)
        self.graph, self.method, self.keep, self.group, self.engine = graph, method, keep, group, engine
        self.plan = sparse_products(graph, method, group)
        self.weights: dict[str, np.ndarray] = {}
        self.biases: dict[str, np.ndarray] = {}
        for node in graph.weighted:
            positions, cin, cout = node.weight_shape
            draw = rng.standard_normal((positions, cin, cout)) * np.sqrt(2 / (positions * cin))
            self.weights[node.name] = draw.astype(np.float32)
            if node.has_bias:
                self.biases[node.name] = np.zeros(cout, np.float32)
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
        self.copies = {name: narrow(w, self.engine.operand) for name, w in self.weights.items()}
        self.ff: dict[str, np.ndarray | Pruned] = {}
        self.bp: dict[str, np.ndarray | Pruned] = {}
        for node in self.graph.weighted:
            copy, plan = self.copies[node.name], self.plan[node.name]
            self.ff[node.name] = self._prune(conv.ff_weights(copy), plan.ff)
            if self.graph.needs_input_gradient(node):
                self.bp[node.name] = self._prune(conv.bp_weights(copy), plan.bp)

    def _prune(self, matrix: np.ndarray, sparse: bool) -> np.ndarray | Pruned:
        return self.engine.prune(matrix, self.keep, self.group, 0) if sparse else matrix

    def forward(self, x: np.ndarray, stage: str = "ff") -> tuple[np.ndarray, NetworkTape]:
        """Operands → float32 logits (n, classes), and the tape for :meth:`backward`.

        ``x`` is (n, H, W, C), or (n, H·W·C) in that order. ``stage`` books the cycles.
        """
        shape = self.graph.input_shape
        if x.ndim < 2 or int(np.prod(x.shape[1:])) != int(np.prod(shape)):
            raise ConfigError(f"A sample must have shape {shape}, or as many values, not {x.shape[1:]}.")
        tape = NetworkTape({0: x.reshape(len(x), *shape)})
        logits = np.empty(0, np.float32)
        for node in self.graph.nodes[1:]:
            if not node.has_weights:
                tape.tensors[node.number] = self._forward(node, tape)
                continue
            y = conv.conv2d(
                tape.tensors[node.inputs[0]],
                self.ff[node.name],
                _window(node),
                bias=self.biases.get(node.name),
                engine=self.engine,
                stage=stage,
            )
            if node.consumers:
                tape.tensors[node.number] = narrow(y, self.engine.operand)
            else:
                logits = y.reshape(len(x), -1)
        return logits, tape

    def _forward(self, node: Node, tape: NetworkTape) -> np.ndarray:
        """The output of a layer without weights."""
        operand = self.engine.operand
        inputs = [tape.tensors[number] for number in node.inputs]
        match node.layer:
            case Relu():
                return tensors.relu(inputs[0], operand)
            case MaxPool():
                y, tape.argmax[node.number] = pooling.maxpool(inputs[0], _window(node), operand)
                return y
            case AvgPool():
                return pooling.avgpool(inputs[0], _window(node), operand)
            case Flatten():
                return inputs[0].reshape(len(inputs[0]), 1, 1, -1)
            case Add():
                return tensors.add(inputs[0], inputs[1], operand)
        raise ValueError(f"There is no forward pass of {node.layer!r}")

    def backward(self, tape: NetworkTape, dy: np.ndarray) -> dict[str, Gradient]:
        """Operands dY of the logits (n, classes) → (dW, db) by layer name, float32, scaled as dY is.

        Where a tensor goes to several layers, its gradients are added as operands, pair by pair, in ascending
        order of those layers' numbers.
        """
        nodes = self.graph.nodes
        gradients: dict[str, Gradient] = {}
        arrived: dict[int, list[tuple[int, np.ndarray]]] = {node.number: [] for node in nodes}
        arrived[nodes[-1].number] = [(len(nodes), dy.reshape(len(dy), 1, 1, -1))]
        for node in reversed(nodes):
            if not node.differentiable:
                continue
            in_order = [
                gradient for _, gradient in sorted(arrived.pop(node.number), key=lambda pair: pair[0])
            ]
            dy = reduce(lambda a, b: tensors.add(a, b, self.engine.operand), in_order)
            if node.has_weights:
                gradients[node.name] = self._parameter_gradient(node, tape, dy)
            if self.graph.needs_input_gradient(node):
                dx = self._input_gradient(node, tape, dy)
                for number in node.inputs:
                    arrived[number].append((node.number, dx))
        return {node.name: gradients[node.name] for node in self.graph.weighted}

    def _parameter_gradient(self, node: Node, tape: NetworkTape, dy: np.ndarray) -> Gradient:
        dw = conv.weight_gradient(tape.tensors[node.inputs[0]], dy, _window(node), engine=self.engine)
        if not node.has_bias:
            return dw, None
        return dw, bias_gradient(dy.reshape(-1, dy.shape[3]), self.engine.operand)

    def _input_gradient(self, node: Node, tape: NetworkTape, dy: np.ndarray) -> np.ndarray:
        """dX of a layer, operands (n, H, W, C); an ``add`` hands it to both of its inputs."""
        operand, size = self.engine.operand, node.in_shape[:2]
        match node.layer:
            case Relu():
                return tensors.relu_gradient(dy, tape.tensors[node.number], operand)
            case MaxPool():
                return pooling.maxpool_gradient(dy, tape.argmax[node.number], _window(node), size, operand)
            case AvgPool():
                return pooling.avgpool_gradient(dy, _window(node), size, operand)
            case Flatten():
                return dy.reshape(len(dy), *node.in_shape)
            case Add():
                return dy
        dx = conv.input_gradient(dy, self.bp[node.name], _window(node), size, engine=self.engine)
        return narrow(dx, operand)


def _window(node: Node) -> Window:
    if node.window is None:
        raise ValueError(f"Layer {node.name!r} has no window")
    return node.window
