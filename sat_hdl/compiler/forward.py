"""The forward pass of a network as a program."""

from itertools import product

from sat_hdl.compiler.graph import Node, Window
from sat_hdl.compiler.jobs import Correlation, Walk
from sat_hdl.compiler.layers import Add, AvgPool, Flatten, MaxPool, Relu
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.parts import ranges
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

    The batch is cut into parts: a product and the vector work after it are lowered for the first part, then for the
    next, and so on, so that one part's vector work runs beside the next one's product. No part reads or writes
    what is another's. Weights are loaded again for each.

    Arguments
    ---------
    placed: the network. Its outputs get their places.
    """

    def __init__(self, placed: Placed):
        self.placed = placed
        outputs = placed.outputs
        outputs[0] = placed.image("input", placed.graph.input_shape)
        #: What is done for each part in turn: a product, and what comes before the next one.
        self._groups: list[list[Node]] = [[]]
        for node in placed.graph.nodes[1:]:
            if node.number in placed.fused.values():
                continue
            if isinstance(node.layer, Flatten):
                outputs[node.number] = placed.flat(node.name, outputs[node.inputs[0]], node.shape)
                continue
            to, wide = self._stored(node), not node.consumers
            outputs[to.number] = placed.image("logits" if wide else to.name, node.shape, wide=wide)
            if isinstance(node.layer, MaxPool):
                placed.argmax[node.number] = placed.image(f"{node.name}.argmax", node.shape)
            if node.has_weights:
                self._groups.append([])
            self._groups[-1].append(node)

    def _stored(self, node: Node) -> Node:
        """Whose output the results of a node are: its own, or the ReLU's that takes them."""
        fused = self.placed.fused
        return self.placed.graph.nodes[fused[node.number]] if node.number in fused else node

    def lower(self, parts: int = 1) -> Program:
        """The program, with the batch in so many parts, at most one a sample."""
        program = Program()
        products = Products(self.placed.config, program, self.placed.choose)
        vectors = Vectors(self.placed.config, program)
        for group, samples in product(self._groups, ranges(self.placed.batch, parts)):
            for node in group:
                program.label = Label(node.name, "FF")
                out = self.placed.outputs[self._stored(node).number].samples(samples)
                inputs = [self.placed.outputs[number].samples(samples) for number in node.inputs]
                relu = node.number in self.placed.fused or isinstance(node.layer, Relu)
                if node.has_weights:
                    form = "wide_rows" if not node.consumers else "rows_relu" if relu else "rows"
                    self._forward_product(products, node, inputs[0], out, form)
                elif isinstance(node.layer, MaxPool | AvgPool):
                    self._forward_pool(vectors, node, inputs[0], out, samples)
                else:
                    action = "add" if isinstance(node.layer, Add) else "convert"
                    vectors.elementwise(action, inputs, out, relu=relu)
        return program

    def _forward_product(self, products: Products, node: Node, x: Tensor, out: Tensor, form: str):
        window = window_of(node)
        values, indices = self.placed.copy(node, "ff")
        bias = self.placed.memory.tensors[f"{node.name}.b"].place if node.has_bias else None
        products.add(
            Correlation(
                x=x.place, image=x.image, walk=window_walk(window), outputs=out.image.shape[:3],
                kernel=window.kernel, values=values.place, indices=indices.place if indices else None,
                copy=values.copy, position_steps=(window.kernel[1], 1), bias=bias, y=out.place, y_base=0,
                y_strides=self.placed.strides(out), form=form,
            )
        )  # fmt: skip

    def _forward_pool(self, vectors: Vectors, node: Node, x: Tensor, out: Tensor, samples: range):
        window, largest = window_of(node), isinstance(node.layer, MaxPool)
        vectors.windowed(
            Windowed(
                action="maxpool" if largest else "sum", x=x, walk=window_walk(window), kernel=window.kernel,
                outputs=out.image.shape[:3], out=out, out_strides=self.placed.strides(out),
                argmax=self.placed.argmax[node.number].samples(samples) if largest else None,
                factor=None if largest else 1 / window.positions,
            )
        )  # fmt: skip
