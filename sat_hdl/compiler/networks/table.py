"""What a network's table is made of: layers with weights, products without weights, and vector work.

Sizes are of one sample; a batch multiplies pixels and elements. Products are those of the design: FF
Y = X · W, BP dX = dY · Wᵀ, WU dW = Xᵀ · dY; a convolution is a product whose k runs over the positions of its
kernel and its input channels, and whose rows are pixels.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

from sat_hdl.config import require

__all__ = ["METHODS", "STAGES", "Gemm", "Layer", "Matmul", "Network", "Vector", "Weighted"]

#: Stages of a training step that are products.
STAGES = ("ff", "bp", "wu")

#: By method, the stages whose weights are N:M sparse (arXiv 2309.13015, section on baselines). SDGP is not among
#: them: it prunes activation gradients, which the device does not do by itself.
METHODS: dict[str, tuple[str, ...]] = {
    "dense": (),
    "bdwp": ("ff", "bp"),
    "sdwp": ("bp",),
    "srste": ("ff",),
}


@dataclass(frozen=True, kw_only=True)
class Gemm:
    """``count`` products of m × k by k × n; the second operand is N:M sparse along k, or dense.

    Arguments
    ---------
    m, k, n: at least 1. count: how many there are.
    keep, group: N:M, or None for dense.
    run: elements of the first operand that lie together in memory; of whole runs is k made, or m where
        it is read transposed.
    result_bytes: of a result in memory: 2, or 4 where it stays binary32.
    weights: whether the second operand is weights, of which copies are made.
    """

    m: int
    k: int
    n: int
    count: int = 1
    keep: int | None = None
    group: int | None = None
    run: int = 0
    result_bytes: int = 2
    weights: bool = False

    @property
    def dense_macs(self) -> int:
        """Multiply-accumulates if nothing is pruned, of all ``count``."""
        return self.count * self.m * self.k * self.n


#: A measure of both axes, or of rows and of columns.
Measure = int | tuple[int, int]


def _pair(value: Measure) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A linear layer or a convolution; a linear one has a kernel of 1 over ``height`` × ``width`` tokens.

    Arguments
    ---------
    name: unique in its network.
    cin, cout: channels. groups: of channels that are a convolution of their own each.
    height, width: of its input. kernel, stride, padding, dilation: of both axes, or (rows, columns).
    bias: whether it has one. first: whether nothing needs its input's gradient; then it stays dense, too, unless
        it is ``first_sparse``.
    """

    name: str
    cin: int
    cout: int
    height: int = 1
    width: int = 1
    kernel: Measure = 1
    stride: Measure = 1
    padding: Measure = 0
    dilation: Measure = 1
    groups: int = 1
    bias: bool = False
    first: bool = False
    first_sparse: bool = False

    @property
    def positions(self) -> int:
        return math.prod(_pair(self.kernel))

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of its output."""
        height, width = (
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, padding, dilation in self._axes
        )
        return height, width

    @property
    def _axes(self) -> list[tuple[int, int, int, int, int]]:
        """Size of the input, kernel, stride, padding and dilation, of rows and of columns."""
        measures = (self.kernel, self.stride, self.padding, self.dilation)
        return list(zip((self.height, self.width), *map(_pair, measures), strict=True))

    @property
    def pixels(self) -> int:
        """Of its output."""
        height, width = self.outputs
        return height * width

    @property
    def weights(self) -> int:
        return self.positions * self.cin * self.cout // self.groups

    @property
    def parameters(self) -> int:
        return self.weights + (self.cout if self.bias else 0)

    @property
    def macs(self) -> int:
        """Of the forward pass of one sample."""
        return self.pixels * self.weights

    def products(self, stage: str, batch: int, sparsity: tuple[int, int] | None = None) -> list[Gemm]:
        """Its products in a stage, with weights of N:M ``sparsity`` where the paper's rule lets them be sparse:
        M divides the channels along which they are pruned, and it is not the first layer.

        BP of a layer with a stride is one product for each class of input pixels that see the same positions
        of the kernel. Groups are as many equal products.
        """
        rows, groups = batch * self.pixels, self.groups
        cin, cout = self.cin // groups, self.cout // groups
        if stage == "ff":
            gemm = Gemm(m=rows, k=self.positions * cin, n=cout, count=groups, run=cin, weights=True)
            return [self._pruned(gemm, cin, sparsity)]
        if stage == "wu":
            return [Gemm(m=self.positions * cin, k=rows, n=cout, count=groups, run=cin, result_bytes=4)]
        require(stage == "bp", f"A stage is one of {', '.join(STAGES)}, not {stage!r}.")
        if self.first:
            return []
        classes: Counter[tuple[int, int]] = Counter()
        along_rows, along_columns = map(self._classes, self._axes)
        for rows_of, seen_y in along_rows:
            for columns_of, seen_x in along_columns:
                if seen_y * seen_x:
                    classes[batch * rows_of * columns_of, seen_y * seen_x] += 1
        return [
            self._pruned(
                Gemm(m=m, k=seen * cout, n=cin, count=count * groups, run=cout, weights=True),
                cout,
                sparsity,
            )
            for (m, seen), count in classes.items()
        ]

    @staticmethod
    def _classes(axis: tuple[int, int, int, int, int]) -> list[tuple[int, int]]:
        """Along an axis: (input pixels, positions of the kernel that they see), by phase of the stride."""
        size, kernel, stride, padding, dilation = axis
        phases = [
            [i for i in range(kernel) if (phase + padding - i * dilation) % stride == 0]
            for phase in range(stride)
        ]
        return [
            (len(range(phase, size, stride)), len(seen))
            for phase, seen in enumerate(phases)
            if phase < size
        ]  # fmt: skip

    def _pruned(self, gemm: Gemm, channels: int, sparsity: tuple[int, int] | None) -> Gemm:
        if sparsity is None or (self.first and not self.first_sparse) or channels % sparsity[1]:
            return gemm
        return replace(gemm, keep=sparsity[0], group=sparsity[1])


@dataclass(frozen=True, kw_only=True)
class Matmul:
    """A product of two activations, as in attention: no weights, so dense; ``count`` of m × k by k × n a sample."""

    name: str
    m: int
    k: int
    n: int
    count: int = 1

    parameters = 0

    @property
    def macs(self) -> int:
        return self.count * self.m * self.k * self.n

    def products(self, stage: str, batch: int, sparsity: tuple[int, int] | None = None) -> list[Gemm]:
        """FF is A · B; BP is both dA = dY · Bᵀ and dB = Aᵀ · dY; WU is nothing."""
        m, k, n, count = self.m, self.k, self.n, batch * self.count
        if stage == "ff":
            return [Gemm(m=m, k=k, n=n, count=count, run=k)]
        if stage == "bp":
            return [Gemm(m=m, k=n, n=k, count=count, run=n), Gemm(m=k, k=m, n=n, count=count, run=k)]
        return []


@dataclass(frozen=True, kw_only=True)
class Vector:
    """Work of the vector unit on ``elements`` of a sample; ``kind`` has its cost in
    :data:`~sat_hdl.compiler.networks.vector_costs.COSTS`. ``parameters`` are those that it has."""

    name: str
    kind: str
    elements: int
    parameters: int = 0

    macs = 0


Layer = Weighted | Matmul | Vector


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to be trained.

    Arguments
    ---------
    name, title: for the command line, and for people, with the variant and the data set.
    batch: samples of a training step, as is usual.
    layers: in the order of the forward pass. A branch stands before what its result is added to.
    other_parameters: those beside the layers' own (position embeddings).
    uncounted: what else it does, that has no cost here.
    """

    name: str
    title: str
    batch: int
    layers: tuple[Layer, ...]
    other_parameters: int = 0
    uncounted: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        return self.other_parameters + sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the products of a forward pass of one sample."""
        return sum(layer.macs for layer in self.layers)
