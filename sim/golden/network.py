"""A network of any layers that the layer list knows, its products on an engine (sattop: Numerics of a network).

Between layers tensors are NHWC operands. A product's result is rounded to operands before anything else sees it,
ReLU included; the last layer's is not: the logits are binary32. What each method makes sparse:
:mod:`~sat_hdl.sim.golden.weighted`.
"""

from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from sat_hdl.compiler.graph import Graph, Node, Window
from sat_hdl.compiler.layers import Add, AvgPool, Flatten, MaxPool, Relu
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import pooling, tensors
from sat_hdl.sim.golden.engine import NetworkEngine
from sat_hdl.sim.golden.weighted import Gradient, LayerShape, WeightedLayers

__all__ = ["Gradient", "Network", "NetworkTape"]


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


class Network(WeightedLayers):
    """Master parameters, their operand copies, and the passes over them.

    Arguments
    ---------
    graph: the layers, from :func:`~sat_hdl.compiler.graph.build`.
    Others, and the members: see :class:`~sat_hdl.sim.golden.weighted.WeightedLayers`.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        method: str,
        keep: int,
        group: int,
        engine: NetworkEngine,
        rng: np.random.Generator,
    ):
        self.graph = graph
        layers = [
            LayerShape(
                node.name,
                _window(node),
                *node.weight_shape[1:],
                node.has_bias,
                graph.needs_input_gradient(node),
            )
            for node in graph.weighted
        ]
        super().__init__(layers, method=method, keep=keep, group=group, engine=engine, rng=rng)

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
            y = self.product(node.name, tape.tensors[node.inputs[0]], stage)
            if node.consumers:
                tape.tensors[node.number] = self.engine.narrow(y)
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
                gradients[node.name] = self.parameter_gradient(node.name, tape.tensors[node.inputs[0]], dy)
            if self.graph.needs_input_gradient(node):
                dx = self._node_gradient(node, tape, dy)
                for number in node.inputs:
                    arrived[number].append((node.number, dx))
        return {node.name: gradients[node.name] for node in self.graph.weighted}

    def _node_gradient(self, node: Node, tape: NetworkTape, dy: np.ndarray) -> np.ndarray:
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
        return self.input_gradient(node.name, dy, size)


def _window(node: Node) -> Window:
    if node.window is None:
        raise ValueError(f"Layer {node.name!r} has no window")
    return node.window
