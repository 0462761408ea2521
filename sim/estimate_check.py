"""The schedule's estimate of products beside what the cycle model says of their programs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from sat_hdl.compiler.blocks import PRUNING, plan
from sat_hdl.compiler.choose import best
from sat_hdl.compiler.cycle_model import Memory
from sat_hdl.compiler.dataflows import find_dataflows
from sat_hdl.compiler.layers import AvgPool, Conv2d, Flatten, Linear, Model
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import STAGES, Weighted
from sat_hdl.config import Config
from sat_hdl.sim.choice_check import Net, products

__all__ = ["LAYERS", "Estimate", "estimates"]

#: Layers of the kinds that networks have, of a size that is quickly predicted, and samples.
LAYERS = {
    "pointwise": (Weighted(name="x", cin=64, cout=64, height=14, width=14), 1),
    "pointwise, 7 × 7": (Weighted(name="x", cin=256, cout=64, height=7, width=7), 4),
    "3 × 3": (Weighted(name="x", cin=64, cout=64, height=14, width=14, kernel=3, padding=1), 1),
    "3 × 3, strided": (Weighted(name="x", cin=32, cout=64, height=16, width=16, kernel=3, stride=2, padding=1), 1),
    "stem": (Weighted(name="x", cin=3, cout=32, height=16, width=16, kernel=3, padding=1), 1),
    "tokens": (Weighted(name="x", cin=192, cout=256, width=50), 1),
}  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """Cycles of a product: by the schedule's estimate, and of its program by the cycle model."""

    name: str
    estimated: int
    predicted: int

    @property
    def error(self) -> float:
        return self.estimated / self.predicted - 1


def estimates(name: str, config: Config, latency: int) -> Iterator[Estimate]:
    """The products of one of LAYERS, dense and 2:8, each in its best way, output- or weight-stationary."""
    layer, batch = LAYERS[name]
    own = Conv2d(layer.cout, layer.kernel, layer.stride, layer.padding, bias=False)
    layers = [Conv2d(layer.cin, 1), own, AvgPool(), Flatten(), Linear(3)]
    memory = Memory(read_latency=latency, write_latency=latency)
    port, flows = MemoryPort.of_device(config, latency), find_dataflows("os,ws")
    for sparsity in (None, (2, 8)):
        net = Net(
            model=Model((layer.height, layer.width, 8), layers), config=config, batch=batch,
            method="bdwp" if sparsity else "dense", memory=memory,
        )  # fmt: skip
        jobs = {}
        for job in products(net):
            shape = job.shape()
            jobs[prod(shape.m), prod(shape.k), shape.n, shape.keep != shape.group] = job
        for stage in STAGES:
            for gemm in layer.products(stage, batch, sparsity if stage != "wu" else None):
                job = jobs[gemm.m, gemm.k, gemm.n, gemm.keep is not None]
                found = plan(config, port, replace(gemm, count=1), flows, PRUNING[:1])
                told = f"{name}, {sparsity}, {stage}: {gemm.m} × {gemm.k} × {gemm.n}"
                yield Estimate(told, found.cycles, best(config, memory, job, "auto").cycles)
