"""Layer lists as the device trains them, as tables for the scheduler."""

import math

from sat_hdl.compiler.graph import Graph, Node
from sat_hdl.compiler.layers import Add, AvgPool, MaxPool, Relu
from sat_hdl.compiler.networks.table import Layer, Network, Vector, Weighted

__all__ = ["USUAL_BATCH", "layered"]

#: Samples a step where nothing is usual.
USUAL_BATCH = 64


def layered(graph: Graph, name: str) -> Network:
    """The table of a layer list. Weights are sparse where the device has them so: wherever M divides the channels,
    in the first layer, too."""
    layers: list[Layer] = []
    for node in graph.nodes[1:]:
        height, width, channels = node.shape
        elements = height * width * channels
        if node.has_weights:
            layers.append(_weighted(graph, node))
            if node.has_bias:
                layers.append(Vector(name=f"{node.name}.bias", kind="bias", elements=elements))
        elif isinstance(node.layer, MaxPool | AvgPool):
            assert node.window is not None
            kind = "maxpool" if isinstance(node.layer, MaxPool) else "avgpool"
            layers.append(Vector(name=node.name, kind=kind, elements=node.window.positions * elements))
        elif isinstance(node.layer, Relu | Add):
            layers.append(Vector(name=node.name, kind=node.layer.kind, elements=elements))
    shape = " × ".join(
        map(str, graph.input_shape if math.prod(graph.input_shape[:2]) > 1 else graph.input_shape[2:])
    )
    return Network(
        name=name, title=f"{name} ({shape}), batch {USUAL_BATCH}", batch=USUAL_BATCH, layers=tuple(layers)
    )  # fmt: skip


def _weighted(graph: Graph, node: Node) -> Weighted:
    assert node.window is not None
    height, width, cin = node.in_shape
    return Weighted(
        name=node.name, cin=cin, cout=node.shape[2], height=height, width=width, kernel=node.window.kernel,
        stride=node.window.stride, padding=node.window.padding, bias=node.has_bias,
        first=not graph.needs_input_gradient(node), first_sparse=True,
    )  # fmt: skip
