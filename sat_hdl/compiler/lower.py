"""A network → the programs of a training step: forward, then, from the gradient of the logits, backward and update."""

from dataclasses import dataclass, replace

import numpy as np

from sat_hdl.compiler.formats import Activation, Blocked, Copy, Vector, check_device
from sat_hdl.compiler.graph import Graph, Node, Window, sparse_products
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Relu
from sat_hdl.compiler.memory_plan import MemoryPlan, Tensor
from sat_hdl.compiler.products import Correlation, Products, Walk, WeightGradient
from sat_hdl.compiler.program import Program
from sat_hdl.compiler.vectors import Vectors, Windowed
from sat_hdl.config import Config, ConfigError, require
from sat_hdl.control.isa import RunFlag

__all__ = ["Step", "compile_step"]


@dataclass(frozen=True)
class Step:
    """The programs of a training step, and where everything is.

    Arguments
    ---------
    config: the device that they are for.
    tensors: by name. Of a layer "L": "L.w" (weights), "L.v" (their momentum), "L.dw", "L.b", "L.bv", "L.db", and the
        copies "L.ff", "L.ff_indices", "L.bp", "L.bp_indices". "input" and "logits_gradient" are the host's to write,
        "logits" its to read.
    forward, backward: programs, uint8. forward_address, backward_address: where they go.
    size: bytes of memory, all told.
    """

    config: Config
    tensors: dict[str, Tensor]
    forward: np.ndarray
    forward_address: int
    backward: np.ndarray
    backward_address: int
    size: int


def _sizes(window: Window, size: tuple[int, int]) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """Of rows and of columns: the classes of an image's pixels by their remainder by the stride. Of each: its ``first``
    pixel and its pixels' ``count``; the first and the last kernel position that sees them, and ``seen`` of those."""
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


class _Lowering:
    """Builds the two programs over one memory plan."""

    def __init__(self, graph: Graph, config: Config, *, batch: int, method: str, keep: int, group: int):
        check_device(config)
        if method != "dense":
            config.check_sparsity(keep, group)
        self.graph, self.config, self.batch = graph, config, batch
        self.keep, self.group = keep, group
        self.sparse = sparse_products(graph, method, group)
        self.memory = MemoryPlan(config)
        #: Outputs of nodes, and argmax of max-poolings, by node number.
        self.outputs: dict[int, Tensor] = {}
        self.argmax: dict[int, Tensor] = {}
        self._fused = {
            node.number: node.consumers[0]
            for node in graph.nodes
            if (node.has_weights or isinstance(node.layer, Add))
            and len(node.consumers) == 1
            and isinstance(graph.nodes[node.consumers[0]].layer, Relu)
        }
        for node in graph.weighted:
            self._parameters(node)

    # --- memory -----------------------------------------------------------------------------------------

    def _parameters(self, node: Node):
        name, shape = node.name, node.weight_shape
        positions, cin, cout = shape
        for part in ("w", "v", "dw"):
            self.memory.add(f"{name}.{part}", Blocked(self.config, shape))
        plan = self.sparse[name]
        copies = [("ff", plan.ff, cin, cout)]
        if self.graph.needs_input_gradient(node):
            copies.append(("bp", plan.bp, cout, cin))
        for part, sparse, channels, columns in copies:
            pattern = (self.keep, self.group) if sparse else (None, None)
            form = Copy(self.config, positions, channels, columns, *pattern)
            self.memory.add(f"{name}.{part}", form, "values")
            if sparse:
                self.memory.add(f"{name}.{part}_indices", form, "indices")
        if node.has_bias:
            for part in ("b", "bv", "db"):
                self.memory.add(f"{name}.{part}", Vector(self.config, cout))

    def _image(self, name: str, shape: tuple[int, int, int], *, wide: bool = False) -> Tensor:
        return self.memory.add(name, Activation(self.config, (self.batch, *shape), wide))

    def _flat(self, name: str, tensor: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """A tensor as an image of another shape, which must not need its pixels moved."""
        form = Activation(self.config, (self.batch, *shape))
        require(
            form.size == tensor.size,
            f"Layer {name!r} flattens pixels that don't fill whole beats of the {self.config.memory_bits}-bit memory: "
            f"give the layer before it a multiple of {self.config.memory_bits // 16} channels.",
        )
        return self.memory.alias(name, tensor, form)

    def _strides(self, tensor: Tensor, steps: tuple[int, int] = (1, 1)) -> tuple[int, int, int]:
        """Bytes from image to image, and from every so many rows and columns to the next."""
        form = tensor.form
        assert isinstance(form, Activation)
        _, height, width, _ = form.shape
        return height * width * form.pixel, steps[0] * width * form.pixel, steps[1] * form.pixel

    def _copy(self, node: Node, part: str) -> tuple[Tensor, Tensor | None]:
        tensors = self.memory.tensors
        return tensors[f"{node.name}.{part}"], tensors.get(f"{node.name}.{part}_indices")

    # --- forward ----------------------------------------------------------------------------------------

    def forward(self) -> Program:
        program = Program()
        products, vectors = Products(self.config, program), Vectors(self.config, program)
        self.outputs[0] = self._image("input", self.graph.input_shape)
        for node in self.graph.nodes[1:]:
            if node.number in self._fused.values():
                continue
            if isinstance(node.layer, Flatten):
                self.outputs[node.number] = self._flat(node.name, self.outputs[node.inputs[0]], node.shape)
                continue
            relu = node.number in self._fused
            to = self.graph.nodes[self._fused[node.number]] if relu else node
            wide = not node.consumers
            out = self._image("logits" if wide else to.name, node.shape, wide=wide)
            self.outputs[to.number] = out
            if node.has_weights:
                self._forward_product(
                    products, node, out, "rows_relu" if relu else "wide_rows" if wide else "rows"
                )
            elif isinstance(node.layer, MaxPool | AvgPool):
                self._forward_pool(vectors, node, out)
            else:
                inputs = [self.outputs[number] for number in node.inputs]
                relu = relu or isinstance(node.layer, Relu)
                vectors.elementwise(
                    "add" if isinstance(node.layer, Add) else "convert", inputs, out, relu=relu
                )
        return program

    def _walk(self, window: Window) -> Walk:
        top, left = window.padding
        return Walk(origin=(-top, -left), step=window.stride, kernel_step=(1, 1))

    def _forward_product(self, products: Products, node: Node, out: Tensor, form: str):
        window, x = _window(node), self.outputs[node.inputs[0]]
        values, indices = self._copy(node, "ff")
        bias = self.memory.tensors[f"{node.name}.b"].place if node.has_bias else None
        products.add(
            Correlation(
                x=x.place, image=x.form, walk=self._walk(window), outputs=(self.batch, *node.shape[:2]),
                kernel=window.kernel, values=values.place, indices=indices.place if indices else None,
                copy=values.form, position_steps=(window.kernel[1], 1), bias=bias, y=out.place, y_base=0,
                y_strides=self._strides(out), form=form,
            )
        )  # fmt: skip

    def _forward_pool(self, vectors: Vectors, node: Node, out: Tensor):
        window, x = _window(node), self.outputs[node.inputs[0]]
        largest = isinstance(node.layer, MaxPool)
        if largest:
            self.argmax[node.number] = self._image(f"{node.name}.argmax", node.shape)
        vectors.windowed(
            Windowed(
                action="maxpool" if largest else "sum", x=x, walk=self._walk(window), kernel=window.kernel,
                outputs=(self.batch, *node.shape[:2]), out=out, out_strides=self._strides(out),
                argmax=self.argmax.get(node.number), factor=None if largest else 1 / window.positions,
            )
        )  # fmt: skip

    # --- backward ---------------------------------------------------------------------------------------

    def backward(self, *, nesterov: bool) -> Program:
        program = Program()
        products, vectors = Products(self.config, program), Vectors(self.config, program)
        nodes = self.graph.nodes
        arrived: dict[int, list[tuple[int, Tensor]]] = {node.number: [] for node in nodes}
        arrived[nodes[-1].number] = [(len(nodes), self._image("logits_gradient", nodes[-1].shape))]
        for node in reversed(nodes):
            if not node.differentiable:
                continue
            dy = self._sum(vectors, node, sorted(arrived.pop(node.number), key=lambda pair: pair[0]))
            if self.graph.needs_input_gradient(node):
                dx = self._input_gradient(products, vectors, node, dy)
                for number in node.inputs:
                    arrived[number].append((node.number, dx))
            if node.has_weights:
                self._parameter_gradient(products, vectors, node, dy)
        for node in self.graph.weighted:
            self._update(vectors, node, nesterov)
        program.operations[0] = replace(program.operations[0], flags=(RunFlag.CLEAR_OVERFLOW,))
        return program

    def _sum(self, vectors: Vectors, node: Node, gradients: list[tuple[int, Tensor]]) -> Tensor:
        """The gradient of a node's output: the sum of its consumers', in their order."""
        _, total = gradients[0]
        for number, gradient in gradients[1:]:
            out = self._image(f"{node.name}.sum{number}", node.shape)
            # One that takes the tensor twice is told apart by the place in the list.
            vectors.elementwise("add", [total, gradient], out)
            total = out
        return total

    def _input_gradient(self, products: Products, vectors: Vectors, node: Node, dy: Tensor) -> Tensor:
        if isinstance(node.layer, Add):
            return dy
        name = f"{node.name}.dx"
        if isinstance(node.layer, Flatten):
            return self._flat(name, dy, node.in_shape)
        dx = self._image(name, node.in_shape)
        match node.layer:
            case Relu():
                vectors.elementwise("mask", [dy, self.outputs[node.number]], dx)
            case MaxPool() | AvgPool():
                self._pool_gradient(vectors, node, dy, dx)
            case Linear() | Conv2d():
                self._product_gradient(products, node, dy, dx)
            case _:
                raise ConfigError(f"Layer {node.name!r} has no backward pass on the device.")
        return dx

    def _classes(self, node: Node, dx: Tensor):
        """The classes of input pixels: rows, columns, where in dX the first is, and the strides from one to another.
        Pixels that no window sees have none: their gradient is +0, as memory is from the start."""
        window, form = _window(node), dx.form
        assert isinstance(form, Activation)
        for rows in (axes := _sizes(window, node.in_shape[:2]))[0]:
            for columns in axes[1]:
                base = (rows["first"] * node.in_shape[1] + columns["first"]) * form.pixel
                yield rows, columns, base, self._strides(dx, window.stride)

    def _product_gradient(self, products: Products, node: Node, dy: Tensor, dx: Tensor):
        window = _window(node)
        values, indices = self._copy(node, "bp")
        for rows, columns, base, strides in self._classes(node, dx):
            origin = tuple(
                (axis["first"] + p - axis["low"]) // s
                for axis, s, p in zip((rows, columns), window.stride, window.padding)
            )
            products.add(
                Correlation(
                    x=dy.place, image=dy.form, walk=Walk(origin=origin, step=(1, 1), kernel_step=(-1, -1)),
                    outputs=(self.batch, rows["count"], columns["count"]),
                    kernel=(rows["seen"], columns["seen"]), values=values.place,
                    indices=indices.place if indices else None, copy=values.form,
                    position=rows["low"] * window.kernel[1] + columns["low"],
                    position_steps=(window.stride[0] * window.kernel[1], window.stride[1]), y=dx.place,
                    y_base=base, y_strides=strides, form="rows",
                )
            )  # fmt: skip

    def _pool_gradient(self, vectors: Vectors, node: Node, dy: Tensor, dx: Tensor):
        window = _window(node)
        largest = isinstance(node.layer, MaxPool)
        for rows, columns, base, strides in self._classes(node, dx):
            # Windows ascend, so kernel positions descend.
            origin = tuple(
                (axis["first"] + p - axis["high"]) // s
                for axis, s, p in zip((rows, columns), window.stride, window.padding)
            )
            vectors.windowed(
                Windowed(
                    action="select_sum" if largest else "sum", x=dy, y=self.argmax.get(node.number),
                    walk=Walk(origin=origin, step=(1, 1), kernel_step=(1, 1)),
                    kernel=(rows["seen"], columns["seen"]),
                    outputs=(self.batch, rows["count"], columns["count"]), out=dx, out_base=base,
                    out_strides=strides, factor=None if largest else 1 / window.positions,
                    want=(
                        rows["high"] * window.kernel[1] + columns["high"], -window.stride[1],
                        -window.stride[0] * window.kernel[1],
                    ),
                )
            )  # fmt: skip

    def _parameter_gradient(self, products: Products, vectors: Vectors, node: Node, dy: Tensor):
        tensors, window, x = self.memory.tensors, _window(node), self.outputs[node.inputs[0]]
        dw = tensors[f"{node.name}.dw"]
        if node.has_bias:
            vectors.bias_gradient(dy, tensors[f"{node.name}.db"])
        products.add(
            WeightGradient(
                x=x.place, image=x.form, walk=self._walk(window), kernel=window.kernel, dy=dy.place,
                gradient=dy.form, dw=dw.place, blocked=dw.form,
            )
        )  # fmt: skip

    def _update(self, vectors: Vectors, node: Node, nesterov: bool):
        tensors, name = self.memory.tensors, node.name
        copies = [
            tensors[key]
            for key in (f"{name}.{part}{end}" for part in ("ff", "bp") for end in ("", "_indices"))
            if key in tensors
        ]
        vectors.update(
            *(tensors[f"{name}.{part}"] for part in ("w", "v", "dw")), copies, nesterov=nesterov, bias=False
        )
        if node.has_bias:
            vectors.update(
                *(tensors[f"{name}.{part}"] for part in ("b", "bv", "db")), [], nesterov=nesterov, bias=True
            )


def _window(node: Node) -> Window:
    if node.window is None:
        raise ValueError(f"Layer {node.name!r} has no window")
    return node.window


def compile_step(
    graph: Graph,
    config: Config,
    *,
    batch: int,
    method: str = "dense",
    keep: int = 2,
    group: int = 8,
    nesterov: bool = False,
) -> Step:
    """Compiles a training step of ``batch`` samples.

    Parameters lie at the same addresses for every batch.

    Arguments
    ---------
    graph: the network.
    config: the device.
    method, keep, group: what is sparse, see :func:`~sat_hdl.compiler.graph.sparse_products`; N and M.
    nesterov: whether the momentum is Nesterov's.

    Raises
    ------
    ConfigError: what the device or its memory can't do; the text names the layer where there is one.
    """
    lowering = _Lowering(graph, config, batch=batch, method=method, keep=keep, group=group)
    forward, backward = lowering.forward(), lowering.backward(nesterov=nesterov)
    images, addresses = [], []
    for program in (forward, backward):
        images.append(program.image())
        addresses.append(lowering.memory.take(len(images[-1])))
    return Step(
        config,
        lowering.memory.tensors,
        images[0],
        addresses[0],
        images[1],
        addresses[1],
        lowering.memory.next,
    )
