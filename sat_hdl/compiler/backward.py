"""The backward pass and the update of a network as a program."""

from dataclasses import replace

from sat_hdl.compiler.formats import Activation, Blocked
from sat_hdl.compiler.forward import window_walk
from sat_hdl.compiler.graph import Node, Window
from sat_hdl.compiler.jobs import Correlation, Walk, WeightGradient
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Relu
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.parts import ranges
from sat_hdl.compiler.placed import Placed, window_of
from sat_hdl.compiler.products import Products
from sat_hdl.compiler.program import Label, Program
from sat_hdl.compiler.vectors import Vectors, Windowed
from sat_hdl.config import ConfigError
from sat_hdl.control.isa import RunFlag

__all__ = ["Backward"]


def _sizes(window: Window, size: tuple[int, int]) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """Of rows and of columns: the classes of an image's pixels by their remainder by the stride. Of each: its
    ``first`` pixel and its pixels' ``count``; the lowest and the highest kernel position that sees them, and how
    many do, ``seen``."""
    axes = []
    for length, s, p, k in zip(size, window.stride, window.padding, window.kernel):
        classes = []
        for first in range(min(s, length)):
            low = (first + p) % s
            if low < k:
                seen = -(-(k - low) // s)
                classes.append(
                    {"first": first, "count": -(-(length - first) // s), "low": low,
                     "high": low + (seen - 1) * s, "seen": seen}
                )  # fmt: skip
        axes.append(classes)
    return axes[0], axes[1]


class Backward:
    """From "logits_gradient" to new parameters, and their copies.

    The batch is cut into parts: the gradient of a layer's input, and the vector work after it, are lowered for the
    first part, then for the next, and so on; then that of its weights, over the whole batch, which loads each part of
    dY as soon as that is there. So vector work runs beside products.

    Arguments
    ---------
    placed: the network, its forward pass lowered.
    """

    def __init__(self, placed: Placed):
        self.placed = placed
        #: What is done for each part in turn: a product, and what comes before the next one.
        self._groups: list[list[Node]] = [[]]
        for node in reversed(placed.graph.nodes):
            if node.differentiable:
                if node.has_weights and placed.graph.needs_input_gradient(node):
                    self._groups.append([])
                self._groups[-1].append(node)

    def lower(self, parts: int = 1, *, nesterov: bool) -> Program:
        """The program, with the batch in so many parts, at most one a sample."""
        program = Program()
        products = Products(self.placed.config, program, self.placed.choose)
        vectors = Vectors(self.placed.config, program)
        nodes, cut = self.placed.graph.nodes, ranges(self.placed.batch, parts)
        # Whole gradients that arrived at each node, as each part finds them.
        arrived: list[dict[int, list[tuple[int, Tensor]]]] = [
            {node.number: [] for node in nodes} for _ in cut
        ]
        for came in arrived:
            came[nodes[-1].number].append((len(nodes), self._image("logits_gradient", nodes[-1].shape)))
        for group in self._groups:
            gradients: dict[int, Tensor] = {}
            for samples, came in zip(cut, arrived):
                for node in group:
                    program.label = Label(node.name, "BP")
                    found = sorted(came.pop(node.number), key=lambda pair: pair[0])
                    gradients[node.number] = dy = self._sum(vectors, node, found, samples)
                    if self.placed.graph.needs_input_gradient(node):
                        dx = self._input_gradient(products, vectors, node, dy, samples)
                        for number in node.inputs:
                            came[number].append((node.number, dx))
            for node in group:
                if node.has_weights:
                    program.label = Label(node.name, "WU")
                    dy = gradients[node.number].joined(cut)
                    self._parameter_gradient(products, vectors, node, dy)
        for node in self.placed.graph.weighted:
            program.label = Label(node.name, "update")
            self._update(vectors, node, nesterov)
        program.operations[0] = replace(program.operations[0], flags=(RunFlag.CLEAR_OVERFLOW,))
        return program

    def _image(self, name: str, shape: tuple[int, int, int]) -> Tensor:
        """A tensor that every part, and every lowering, finds at the same place."""
        return self.placed.memory.tensors.get(name) or self.placed.image(name, shape)

    def _sum(
        self, vectors: Vectors, node: Node, gradients: list[tuple[int, Tensor]], samples: range
    ) -> Tensor:
        """The gradient of a node's output, of which some samples are made: the sum of its consumers', in their
        order."""
        _, total = gradients[0]
        for number, gradient in gradients[1:]:
            out = self._image(f"{node.name}.sum{number}", node.shape)
            # One that takes the tensor twice is told apart by the place in the list.
            vectors.elementwise(
                "add", [total.samples(samples), gradient.samples(samples)], out.samples(samples)
            )
            total = out
        return total

    def _input_gradient(
        self, products: Products, vectors: Vectors, node: Node, whole: Tensor, samples: range
    ) -> Tensor:
        """The gradient of a node's input, of which some samples are made from those of its output's."""
        if isinstance(node.layer, Add):
            return whole
        name = f"{node.name}.dx"
        if isinstance(node.layer, Flatten):
            return self.placed.memory.tensors.get(name) or self.placed.flat(name, whole, node.in_shape)
        found = self._image(name, node.in_shape)
        dy, dx = whole.samples(samples), found.samples(samples)
        match node.layer:
            case Relu():
                vectors.elementwise("mask", [dy, self.placed.outputs[node.number].samples(samples)], dx)
            case MaxPool() | AvgPool():
                self._pool_gradient(vectors, node, dy, dx, samples)
            case Linear() | Conv2d():
                self._product_gradient(products, node, dy, dx)
            case _:
                raise ConfigError(f"Layer {node.name!r} has no backward pass on the device.")
        return found

    def _classes(self, node: Node, dx: Tensor):
        """The classes of input pixels: rows, columns, where in dX the first is, and the strides from one to another.
        Pixels that no window sees have none: their gradient is +0, as memory is from the start."""
        window, form = window_of(node), dx.form
        assert isinstance(form, Activation)
        for rows in (axes := _sizes(window, node.in_shape[:2]))[0]:
            for columns in axes[1]:
                base = (rows["first"] * node.in_shape[1] + columns["first"]) * form.pixel
                yield rows, columns, base, self.placed.strides(dx, window.stride)

    def _product_gradient(self, products: Products, node: Node, dy: Tensor, dx: Tensor):
        window = window_of(node)
        values, indices = self.placed.copy(node, "bp")
        for rows, columns, base, strides in self._classes(node, dx):
            origin = _origin(rows, columns, window, "low")
            products.add(
                Correlation(
                    x=dy.place, image=dy.image, walk=Walk(origin=origin, step=(1, 1), kernel_step=(-1, -1)),
                    outputs=(dy.image.shape[0], rows["count"], columns["count"]),
                    kernel=(rows["seen"], columns["seen"]), values=values.place,
                    indices=indices.place if indices else None, copy=values.copy,
                    position=rows["low"] * window.kernel[1] + columns["low"],
                    position_steps=(window.stride[0] * window.kernel[1], window.stride[1]), y=dx.place,
                    y_base=base, y_strides=strides, form="rows",
                )
            )  # fmt: skip

    def _pool_gradient(self, vectors: Vectors, node: Node, dy: Tensor, dx: Tensor, samples: range):
        window = window_of(node)
        largest = isinstance(node.layer, MaxPool)
        argmax = self.placed.argmax[node.number].samples(samples) if largest else None
        for rows, columns, base, strides in self._classes(node, dx):
            # Windows ascend, so kernel positions descend.
            origin = _origin(rows, columns, window, "high")
            vectors.windowed(
                Windowed(
                    action="select_sum" if largest else "sum", x=dy, y=argmax,
                    walk=Walk(origin=origin, step=(1, 1), kernel_step=(1, 1)),
                    kernel=(rows["seen"], columns["seen"]),
                    outputs=(dy.image.shape[0], rows["count"], columns["count"]), out=dx, out_base=base,
                    out_strides=strides, factor=None if largest else 1 / window.positions,
                    want=(
                        rows["high"] * window.kernel[1] + columns["high"], -window.stride[1],
                        -window.stride[0] * window.kernel[1],
                    ),
                )
            )  # fmt: skip

    def _parameter_gradient(self, products: Products, vectors: Vectors, node: Node, dy: Tensor):
        tensors, window, x = self.placed.memory.tensors, window_of(node), self.placed.outputs[node.inputs[0]]
        dw = tensors[f"{node.name}.dw"]
        if node.has_bias:
            vectors.bias_gradient(dy, tensors[f"{node.name}.db"])
        # Channels that fill no block come position by position, in tiles hardly full; packed, they fill them.
        positions, cin, cout = node.weight_shape
        config, to = self.placed.config, dw
        alone, together = positions * -(-cin // config.rows), -(-positions * cin // config.rows)
        if cin % config.panel and together < alone:
            form = Blocked(config, (1, positions * cin, cout))
            name = f"{node.name}.dw_packed"
            to = tensors.get(name) or self.placed.memory.add(name, form)
        products.add(
            WeightGradient(
                x=x.place, image=x.image, walk=window_walk(window), kernel=window.kernel, dy=dy.place,
                gradient=dy.image, dw=to.place, blocked=to.blocked,
            )
        )  # fmt: skip
        if to is not dw:
            vectors.unpack(to, dw)

    def _update(self, vectors: Vectors, node: Node, nesterov: bool):
        tensors, name = self.placed.memory.tensors, node.name
        copies = [
            tensors[key]
            for key in (f"{name}.{part}{end}" for part in ("ff", "bp") for end in ("", "_indices"))
            if key in tensors
        ]
        w, v, dw = (tensors[f"{name}.{part}"] for part in ("w", "v", "dw"))
        vectors.update(w, v, dw, copies, nesterov=nesterov, bias=False)
        if node.has_bias:
            b, v, db = (tensors[f"{name}.{part}"] for part in ("b", "bv", "db"))
            vectors.update(b, v, db, [], nesterov=nesterov, bias=True)


def _origin(rows: dict[str, int], columns: dict[str, int], window: Window, edge: str) -> tuple[int, int]:
    """Where in dY the walk over a class of input pixels begins: at its first pixel's kernel position ``edge``."""
    y, x = (
        (axis["first"] + p - axis[edge]) // s
        for axis, s, p in zip((rows, columns), window.stride, window.padding)
    )
    return y, x
