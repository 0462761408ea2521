"""The forward pass of a network as a program."""

from sat_hdl.compiler.graph import Node, Window
from sat_hdl.compiler.jobs import Correlation, Walk
from sat_hdl.compiler.layers import Add, AvgPool, Flatten, MaxPool, Relu
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.placed import Placed, window_of
from sat_hdl.compiler.products import Products
from sat_hdl.compiler.program import Label, Program
from sat_hdl.compiler.vectors import Vectors, Windowed

__all__ = ["Forward", "window_walk"]


def window_walk(window: Window) -> Walk:
    """How a window moves over its layer's input."""
    top, left = window.padding
    return Walk(origin=(-top, -left), step=window.stride, kernel_step=(1, 1))


class Forward:
    """From "input" to "logits".

    Arguments
    ---------
    placed: the network.
    """

    def __init__(self, placed: Placed):
        self.placed = placed

    def lower(self) -> Program:
        program = Program()
        products = Products(self.placed.config, program, self.placed.choose)
        vectors = Vectors(self.placed.config, program)
        self.placed.outputs[0] = self.placed.image("input", self.placed.graph.input_shape)
        for node in self.placed.graph.nodes[1:]:
            if node.number in self.placed.fused.values():
                continue
            if isinstance(node.layer, Flatten):
                self.placed.outputs[node.number] = self.placed.flat(
                    node.name, self.placed.outputs[node.inputs[0]], node.shape
                )
                continue
            program.label = Label(node.name, "FF")
            relu = node.number in self.placed.fused
            to = self.placed.graph.nodes[self.placed.fused[node.number]] if relu else node
            wide = not node.consumers
            out = self.placed.image("logits" if wide else to.name, node.shape, wide=wide)
            self.placed.outputs[to.number] = out
            if node.has_weights:
                self._forward_product(
                    products, node, out, "rows_relu" if relu else "wide_rows" if wide else "rows"
                )
            elif isinstance(node.layer, MaxPool | AvgPool):
                self._forward_pool(vectors, node, out)
            else:
                inputs = [self.placed.outputs[number] for number in node.inputs]
                relu = relu or isinstance(node.layer, Relu)
                vectors.elementwise(
                    "add" if isinstance(node.layer, Add) else "convert", inputs, out, relu=relu
                )
        return program

    def _forward_product(self, products: Products, node: Node, out: Tensor, form: str):
        window, x = window_of(node), self.placed.outputs[node.inputs[0]]
        values, indices = self.placed.copy(node, "ff")
        bias = self.placed.memory.tensors[f"{node.name}.b"].place if node.has_bias else None
        products.add(
            Correlation(
                x=x.place, image=x.image, walk=window_walk(window), outputs=(self.placed.batch, *node.shape[:2]),
                kernel=window.kernel, values=values.place, indices=indices.place if indices else None,
                copy=values.copy, position_steps=(window.kernel[1], 1), bias=bias, y=out.place, y_base=0,
                y_strides=self.placed.strides(out), form=form,
            )
        )  # fmt: skip

    def _forward_pool(self, vectors: Vectors, node: Node, out: Tensor):
        window, x = window_of(node), self.placed.outputs[node.inputs[0]]
        largest = isinstance(node.layer, MaxPool)
        if largest:
            self.placed.argmax[node.number] = self.placed.image(f"{node.name}.argmax", node.shape)
        vectors.windowed(
            Windowed(
                action="maxpool" if largest else "sum", x=x, walk=window_walk(window), kernel=window.kernel,
                outputs=(self.placed.batch, *node.shape[:2]), out=out, out_strides=self.placed.strides(out),
                argmax=self.placed.argmax.get(node.number), factor=None if largest else 1 / window.positions,
            )
        )  # fmt: skip
