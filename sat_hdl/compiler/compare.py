"""A schedule beside other figures: SCALE-Sim's closed form, the paper's speedup, and operations ÷ peak."""

from collections.abc import Callable
from dataclasses import dataclass

from sat_hdl.compiler.blocks import PRUNING
from sat_hdl.compiler.dataflows import Dataflow, kept_of
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import METHODS, STAGES, Network, Vector
from sat_hdl.compiler.schedule import Schedule, schedule
from sat_hdl.config import Config

__all__ = ["PAPER_SPEEDUP", "Comparison", "compare", "scale_sim_cycles"]

#: arXiv 2309.13015: BDWP over dense training on the same SAT at 2:8, the mean of five networks. It states none of the
#: other sparsities.
PAPER_SPEEDUP: dict[tuple[int, int], float] = {(2, 8): 1.75}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A network at a sparsity, sparse and dense, each with its own best schedule.

    Members
    -------
    sparse, dense: schedules. scale_sim, scale_sim_dense: cycles of the products by SCALE-Sim's form.
    """

    sparse: Schedule
    dense: Schedule
    scale_sim: int
    scale_sim_dense: int

    @property
    def speedup(self) -> float:
        """Of the whole step."""
        return self.dense.cycles / self.sparse.cycles

    @property
    def product_speedup(self) -> float:
        return self.dense.product_cycles / self.sparse.product_cycles

    @property
    def scale_sim_speedup(self) -> float:
        return self.scale_sim_dense / self.scale_sim

    @property
    def ideal_speedup(self) -> float:
        """By operations."""
        return self.dense.macs / self.sparse.macs

    @property
    def paper_speedup(self) -> float | None:
        """The paper's mean over its networks, where it gives one."""
        sparsity = self.sparse.sparsity
        return None if sparsity is None or self.sparse.method != "bdwp" else PAPER_SPEEDUP.get(sparsity)


def scale_sim_cycles(
    network: Network, rows: int, cols: int, *, batch: int, method: str, sparsity: tuple[int, int] | None
) -> int:
    """Cycles of a step's products by the form that SCALE-Sim v3 follows for output-stationary R × C:
    ⌈m/R⌉ · ⌈n/C⌉ · (k·N/M + R + C − 2) − 1, with memory that never stalls."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, Vector):
            continue
        for stage in STAGES:
            for gemm in layer.products(stage, batch, sparsity if stage in METHODS[method] else None):
                tiles = -(-gemm.m // rows) * -(-gemm.n // cols)
                total += gemm.count * (tiles * (kept_of(gemm, gemm.k) + rows + cols - 2) - 1)
    return total


def compare(
    network: Network,
    config: Config,
    port: MemoryPort,
    sparsity: tuple[int, int],
    *,
    method: str = "bdwp",
    batch: int | None = None,
    parts: int | None = None,
    dataflows: tuple[Dataflow, ...] | None = None,
    pruning: tuple[str, ...] = PRUNING,
    dense: Schedule | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Schedules ``network`` sparse and dense; arguments as of :func:`~sat_hdl.compiler.schedule.schedule`.

    ``dense``: the dense schedule, if it is there already.
    """
    sparse = schedule(
        network, config, port, method=method, sparsity=sparsity, batch=batch, parts=parts, dataflows=dataflows,
        pruning=pruning, progress=progress,
    )  # fmt: skip
    if dense is None:
        dense = schedule(
            network, config, port, method="dense", sparsity=None, batch=batch, parts=parts, dataflows=dataflows,
            progress=progress,
        )  # fmt: skip
    form = [
        scale_sim_cycles(
            network, config.rows, config.cols, batch=sparse.batch, method=each.method, sparsity=each.sparsity
        )
        for each in (sparse, dense)
    ]
    return Comparison(sparse=sparse, dense=dense, scale_sim=form[0], scale_sim_dense=form[1])
