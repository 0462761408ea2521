"""A schedule beside other figures: SCALE-Sim's, the paper's speedup, and operations ÷ peak."""

from collections.abc import Callable
from dataclasses import dataclass

from sat_hdl.compiler.blocks import PRUNING
from sat_hdl.compiler.dataflows import Dataflow
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import Network
from sat_hdl.compiler.scale_sim import ScaleSim, Total, step_cycles
from sat_hdl.compiler.schedule import Schedule, schedule
from sat_hdl.config import Config

__all__ = ["PAPER_SPEEDUP", "Comparison", "compare"]

#: arXiv 2309.13015: BDWP over dense training on the same SAT at 2:8, the mean of five networks. It states none of the
#: other sparsities.
PAPER_SPEEDUP: dict[tuple[int, int], float] = {(2, 8): 1.75}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A network at a sparsity, sparse and dense, each with its own best schedule.

    Members
    -------
    sparse, dense: schedules. scale_sim, scale_sim_dense: cycles of the products by SCALE-Sim.
    """

    sparse: Schedule
    dense: Schedule
    scale_sim: Total
    scale_sim_dense: Total

    @property
    def speedup(self) -> float:
        """Of the whole step."""
        return self.dense.cycles / self.sparse.cycles

    @property
    def product_speedup(self) -> float:
        return self.dense.product_cycles / self.sparse.product_cycles

    @property
    def scale_sim_speedup(self) -> float:
        return self.scale_sim_dense.cycles / self.scale_sim.cycles

    @property
    def scale_sim_source(self) -> str:
        """Of both: ``"live"``, ``"form"``, or ``"mixed"``."""
        sources = {self.scale_sim.source, self.scale_sim_dense.source}
        return sources.pop() if len(sources) == 1 else "mixed"

    @property
    def ideal_speedup(self) -> float:
        """By operations."""
        return self.dense.macs / self.sparse.macs

    @property
    def paper_speedup(self) -> float | None:
        """The paper's mean over its networks, where it gives one."""
        sparsity = self.sparse.sparsity
        return None if sparsity is None or self.sparse.method != "bdwp" else PAPER_SPEEDUP.get(sparsity)


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
    tool: ScaleSim | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Schedules ``network`` sparse and dense; arguments as of :func:`~sat_hdl.compiler.schedule.schedule`.

    ``dense``: the dense schedule, if it is there already. ``tool``: SCALE-Sim, if it is to be run.
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
    scale_sim, scale_sim_dense = (
        step_cycles(
            network, config, batch=sparse.batch, method=each.method, sparsity=each.sparsity, tool=tool
        )
        for each in (sparse, dense)
    )
    return Comparison(sparse=sparse, dense=dense, scale_sim=scale_sim, scale_sim_dense=scale_sim_dense)
