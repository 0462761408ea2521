"""The weights of PyTorch modules in this project's order."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sat_hdl.compiler.graph import Graph, Node
from sat_hdl.compiler.layers import Conv2d, Flatten
from sat_hdl.config import require

__all__ = ["parameters"]

Order = tuple[int, int, int]


def parameters(
    graph: Graph, modules: Mapping[str, Any], flat_input: tuple[int, ...] | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Weights (Q, Cin, Cout) and biases (Cout,), float32, by layer name.

    Arguments
    ---------
    graph: the network.
    modules: its torch.nn.Linear and torch.nn.Conv2d by layer name.
    flat_input: (C, H, W) of an input that the graph takes as a vector; None if it takes it as it is.
    """
    orders = _orders(graph, flat_input)
    weights = {
        node.name: _weights(node, modules[node.name], orders.get(node.inputs[0])) for node in graph.weighted
    }
    biases = {node.name: _array(modules[node.name].bias) for node in graph.weighted if node.has_bias}
    return weights, biases


def _weights(node: Node, module: Any, order: Order | None) -> np.ndarray:
    """The weights of a layer. ``order``: (H, W, C) of the image that its input is, flattened, if it is one."""
    weight = _array(module.weight)
    positions, cin, cout = node.weight_shape
    require(
        weight.shape[1] == cin,
        f"Node {node.name!r} takes {weight.shape[1]} channels, but its input has {cin}: check the input's shape.",
    )
    if isinstance(node.layer, Conv2d):
        return np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(positions, cin, cout))
    if order is not None:  # PyTorch flattens (C, H, W)
        height, width, channels = order
        image = weight.reshape(cout, channels, height, width)
        weight = image.transpose(0, 2, 3, 1).reshape(cout, cin)
    return np.ascontiguousarray(weight.T)[None]


def _array(parameter: Any) -> np.ndarray:
    return np.array(parameter.detach().cpu().float().numpy(), np.float32)


def _orders(graph: Graph, flat_input: tuple[int, ...] | None) -> dict[int, Order]:
    """Of the nodes whose outputs are flattened images, in whatever way they were changed since: (H, W, C).

    ``flat_input``: (C, H, W) of the input if it is a flattened image itself."""
    orders: dict[int, Order] = {}
    if flat_input is not None:
        channels, height, width = flat_input
        orders[0] = height, width, channels
    for node in graph.nodes[1:]:
        if isinstance(node.layer, Flatten):
            if node.in_shape[:2] != (1, 1):
                orders[node.number] = node.in_shape
            elif node.inputs[0] in orders:
                orders[node.number] = orders[node.inputs[0]]
        elif not node.has_weights:
            found = {orders.get(number) for number in node.inputs}
            require(
                len(found) == 1,
                f"Node {node.name!r} adds a flattened image to what is none, in another order: flatten after adding.",
            )
            order = found.pop()
            if order is not None and node.shape[:2] == (1, 1):
                orders[node.number] = order
    return orders
