"""What the passes over a network share: its tensors in memory."""

from collections.abc import Callable

from sat_hdl.compiler.formats import Activation, Blocked, Copy, Vector, check_device
from sat_hdl.compiler.graph import Graph, Node, Window, sparse_products
from sat_hdl.compiler.jobs import Job
from sat_hdl.compiler.layers import Add, Relu
from sat_hdl.compiler.memory_plan import MemoryPlan, Tensor
from sat_hdl.compiler.tiling import Plan
from sat_hdl.config import Config, require

__all__ = ["Placed", "window_of"]


class Placed:
    """A network's tensors in memory: parameters first, then what the passes add.

    Arguments
    ---------
    graph, config, batch, method, keep, group: see :func:`~sat_hdl.compiler.lower.compile_step`.
    choose: how each product is to be cut.

    Members
    -------
    memory: the plan. parameters_end: where its parameters end.
    outputs, argmax: outputs of nodes, and argmax of max-poolings, by node number, once the forward pass is lowered.
    fused: by number, nodes whose results the ReLU of this number takes as they are stored.
    """

    def __init__(
        self,
        graph: Graph,
        config: Config,
        *,
        batch: int,
        method: str,
        keep: int,
        group: int,
        choose: Callable[[Job], Plan],
    ):
        check_device(config)
        if method != "dense":
            config.check_sparsity(keep, group)
        self.graph, self.config, self.batch = graph, config, batch
        self.keep, self.group, self.choose = keep, group, choose
        self.sparse = sparse_products(graph, method, group)
        self.memory = MemoryPlan(config)
        self.outputs: dict[int, Tensor] = {}
        self.argmax: dict[int, Tensor] = {}
        self.fused = {
            node.number: node.consumers[0]
            for node in graph.nodes
            if (node.has_weights or isinstance(node.layer, Add))
            and len(node.consumers) == 1
            and isinstance(graph.nodes[node.consumers[0]].layer, Relu)
        }
        for node in graph.weighted:
            self._parameters(node)
        self.parameters_end = self.memory.next

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

    def image(self, name: str, shape: tuple[int, int, int], *, wide: bool = False) -> Tensor:
        return self.memory.add(name, Activation(self.config, (self.batch, *shape), wide))

    def flat(self, name: str, tensor: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """A tensor as an image of another shape, which must not need its pixels moved."""
        form = Activation(self.config, (self.batch, *shape))
        # It goes from pixels to one on the way forward, and back on the way back.
        height, width, channels = max(shape, tensor.image.shape[1:], key=lambda size: size[0] * size[1])
        require(
            height * width == 1 or channels % (self.config.memory_bits // 16) == 0,
            f"Layer {name!r} flattens pixels that don't fill whole beats of {self.config.memory_bits} bits: "
            f"give the layer before it a multiple of {self.config.memory_bits // 16} channels.",
        )
        return self.memory.alias(name, tensor, form)

    def strides(self, tensor: Tensor, steps: tuple[int, int] = (1, 1)) -> tuple[int, int, int]:
        """Bytes from image to image, and from every so many rows and columns to the next."""
        form = tensor.form
        assert isinstance(form, Activation)
        _, height, width, _ = form.shape
        return height * width * form.pixel, steps[0] * width * form.pixel, steps[1] * form.pixel

    def copy(self, node: Node, part: str) -> tuple[Tensor, Tensor | None]:
        tensors = self.memory.tensors
        return tensors[f"{node.name}.{part}"], tensors.get(f"{node.name}.{part}_indices")


def window_of(node: Node) -> Window:
    """The window of a layer that has one."""
    if node.window is None:
        raise ValueError(f"Layer {node.name!r} has no window")
    return node.window
