"""From a layer list to a checked graph: who feeds whom, every shape, which products are sparse.

Nodes are numbered as the layers are, from 1; node 0 is the network's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sat_hdl.compiler.layers import (
    MAX_CHANNELS,
    Add,
    AvgPool,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Model,
    Pair,
)
from sat_hdl.config import ConfigError, require

__all__ = [
    "NETWORK_METHODS", "Graph", "Node", "SparseProducts", "Window", "build", "layer_products", "sparse_products",
]  # fmt: skip

#: What may be sparse in a network on the device: nothing, the weights in FF and BP, or the weights in BP alone.
NETWORK_METHODS = ("dense", "bdwp", "sdwp")

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """A kernel that moves over an image, each of its measures (of rows, of columns)."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    @property
    def positions(self) -> int:
        """Q: positions in the kernel, kh · KW + kw."""
        return self.kernel[0] * self.kernel[1]

    def output(self, height: int, width: int) -> Pair:
        """Rows and columns of windows over an image; below 1 if the kernel does not fit."""
        measures = zip((height, width), self.kernel, self.stride, self.padding)
        rows, columns = ((size + 2 * p - k) // s + 1 for size, k, s, p in measures)
        return rows, columns


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    Arguments
    ---------
    number, name: 0 and "input" for the network's input.
    layer: None for the network's input.
    inputs: numbers of the nodes it takes, ``add``'s other last.
    consumers: numbers of the nodes that take it, ascending; twice the same if it takes it twice.
    in_shape: (H, W, C) of its first input.
    shape: (H, W, C) of its output.
    window: of a convolution or a pooling (global pooling: the whole image); 1 × 1 for a linear layer.
    differentiable: whether the gradient of its output is needed: it or a layer before it has parameters.
    """

    number: int
    name: str
    layer: Layer | None
    inputs: tuple[int, ...]
    consumers: tuple[int, ...]
    in_shape: Shape
    shape: Shape
    window: Window | None
    differentiable: bool

    @property
    def has_weights(self) -> bool:
        return isinstance(self.layer, Linear | Conv2d)

    @property
    def has_bias(self) -> bool:
        return isinstance(self.layer, Linear | Conv2d) and self.layer.bias

    @property
    def weight_shape(self) -> Shape:
        """(Q, Cin, Cout) of a layer with weights."""
        if self.window is None or not self.has_weights:
            raise ValueError(f"Layer {self.name!r} has no weights")
        return self.window.positions, self.in_shape[2], self.shape[2]


@dataclass(frozen=True)
class Graph:
    """The nodes by number."""

    nodes: tuple[Node, ...]

    @property
    def input_shape(self) -> Shape:
        return self.nodes[0].shape

    @property
    def classes(self) -> int:
        return self.nodes[-1].shape[2]

    @property
    def weighted(self) -> list[Node]:
        """The layers with weights, in order."""
        return [node for node in self.nodes if node.has_weights]

    def needs_input_gradient(self, node: Node) -> bool:
        """Whether anything needs the dX of ``node``."""
        return any(self.nodes[number].differentiable for number in node.inputs)


def _title(number: int, layer: Layer) -> str:
    name = f", {layer.name!r}" if layer.name else ""
    return f"Layer {number} ({layer.kind}{name})"


def _pixels(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _window(layer: Layer, shape: Shape) -> Window | None:
    if isinstance(layer, Linear):
        return Window()
    if isinstance(layer, MaxPool | AvgPool) and layer.kernel is None:
        return Window(shape[:2], shape[:2])
    if isinstance(layer, Conv2d | MaxPool | AvgPool):
        return Window(layer.kernel, layer.stride, layer.padding)  # type: ignore[arg-type]  # pairs by now
    return None


def _shape(title: str, layer: Layer, shapes: list[Shape], window: Window | None) -> Shape:
    """The shape of a layer's output, from those of its inputs."""
    height, width, channels = shapes[0]
    if isinstance(layer, Linear):
        require(
            (height, width) == (1, 1),
            f"{title} takes a vector, but its input is an image of {height} × {width} pixels; put a `flatten` "
            "or a global `avgpool` before it.",
        )
        return 1, 1, layer.out
    if isinstance(layer, Flatten):
        count = height * width * channels
        require(
            count <= MAX_CHANNELS,
            f"{title} would make a vector of {count} channels; at most {MAX_CHANNELS} are possible.",
        )
        return 1, 1, count
    if isinstance(layer, Add):
        require(
            shapes[0] == shapes[1],
            f"{title} adds tensors of one shape, but its input is {_pixels(shapes[0])} and {layer.of!r} is "
            f"{_pixels(shapes[1])}.",
        )
    if window is not None:
        rows, columns = window.output(height, width)
        require(
            rows > 0 and columns > 0,
            f"{title}: its kernel of {_pixels(window.kernel)} doesn't fit its input of {height} × {width} pixels "
            f"with a padding of {_pixels(window.padding)}; take a smaller kernel or more padding.",
        )
        return rows, columns, layer.out if isinstance(layer, Conv2d) else channels
    return shapes[0]


def _find(title: str, what: str, name: str, numbers: dict[str, int]) -> int:
    if name not in numbers:
        raise ConfigError(
            f"{title} names {name!r} as `{what}`, but no layer before it is called so; those are "
            f"{', '.join(numbers)}."
        )
    return numbers[name]


def build(model: Model) -> Graph:
    """Names every layer, links it to its inputs, and infers its shape.

    Raises :class:`ConfigError`, naming the layer, if a name is unknown or used twice, shapes don't fit, a
    layer's output is of no use, or the last layer isn't linear.
    """
    shape: Shape = tuple(model.input)  # type: ignore[assignment]  # three by now
    numbers, count = {"input": 0}, dict[str, int]()
    nodes = [Node(0, "input", None, (), (), shape, shape, None, False)]
    used: list[list[int]] = [[]]
    for number, layer in enumerate(model.layers, 1):
        title = _title(number, layer)
        count[layer.kind] = count.get(layer.kind, 0) + 1
        name = layer.name or f"{layer.kind}{count[layer.kind]}"
        require(
            name not in numbers,
            f"Layers {numbers.get(name)} and {number} are both called {name!r}; name them apart.",
        )
        before = nodes[-1].number if layer.input is None else _find(title, "input", layer.input, numbers)
        inputs = [before]
        if isinstance(layer, Add):
            inputs.append(_find(title, "of", layer.of, numbers))
        shapes = [nodes[i].shape for i in inputs]
        window = _window(layer, shapes[0])
        differentiable = isinstance(layer, Linear | Conv2d) or any(nodes[i].differentiable for i in inputs)
        shape = _shape(title, layer, shapes, window)
        for i in inputs:
            used[i].append(number)
        used.append([])
        numbers[name] = number
        nodes.append(Node(number, name, layer, tuple(inputs), (), shapes[0], shape, window, differentiable))
    last = model.layers[-1]
    require(
        isinstance(last, Linear),
        f"{_title(len(model.layers), last)} is the last layer, which must be `linear`: its outputs are the "
        "logits of the softmax cross-entropy.",
    )
    for number, layer in enumerate(model.layers[:-1], 1):
        require(
            len(used[number]) > 0,
            f"{_title(number, layer)} is taken by no other layer; remove it, or name it as an `input` or `of`.",
        )
    return Graph(tuple(replace(node, consumers=tuple(used[node.number])) for node in nodes))


@dataclass(frozen=True)
class SparseProducts:
    """Which products of a layer are N:M sparse; WU never is."""

    ff: bool
    bp: bool


def layer_products(method: str, cin: int, cout: int, group: int, *, needs_dx: bool) -> SparseProducts:
    """FF is sparse where ``method`` prunes weights for it and M divides Cin; BP where it prunes weights or gradients
    for it, M divides Cout, and anything needs the layer's dX."""
    return SparseProducts(
        ff=method in ("bdwp", "srste") and cin % group == 0,
        bp=method in ("bdwp", "sdwp", "sdgp") and cout % group == 0 and needs_dx,
    )


def sparse_products(graph: Graph, method: str, group: int) -> dict[str, SparseProducts]:
    """:func:`layer_products` of each layer with weights, by name.

    Raises :class:`ConfigError` for a method that the device doesn't train networks by.
    """
    require(
        method in NETWORK_METHODS, f"`method` must be one of {', '.join(NETWORK_METHODS)}, not {method!r}."
    )
    return {
        node.name: layer_products(
            method, node.in_shape[2], node.shape[2], group, needs_dx=graph.needs_input_gradient(node)
        )
        for node in graph.weighted
    }
