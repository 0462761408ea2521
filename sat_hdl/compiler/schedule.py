"""A training step of a network on a device: how every layer's products are best done, and when everything runs.

What is assumed, beside what :mod:`sat_hdl.compiler.blocks` says of a single product:

- A layer waits for the whole tensor of the one before it: FF in the order of the layers, BP in the opposite order.
  Vector work (normalisation, activation, pooling, sums) runs in the vector unit, between its layer's product and
  the next one's. ReLU and bias of the forward pass cost nothing: the store and the product's start do them.
- Array and vector unit run at the same time where neither waits for the other: WU of a layer, bias gradients, and
  updates wait but for dY (and dW), so they fill what the backward chain leaves; the chain goes first. Two units
  share memory's bandwidth; beyond it both slow down in proportion.
- The update of a layer's weights reads w, v and dW and writes w, v and the copies for FF and BP in one sweep, N:M
  pruned if pre-generated (arXiv 2309.13015), else whole in binary16.
- The loss and its gradient are the host's and take no time. Operands have arrived in memory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from sat_hdl.compiler.blocks import PRUNING, Plan, plan, update_bytes
from sat_hdl.compiler.dataflows import Dataflow, device_dataflows
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import METHODS, STAGES, Matmul, Network, Vector, Weighted
from sat_hdl.compiler.networks.vector_costs import COSTS, UPDATE, Sweep
from sat_hdl.compiler.overlap import Task, run
from sat_hdl.config import Config, require

__all__ = ["Entry", "Schedule", "schedule"]

#: From a vector command to the next, beside memory's latency.
_COMMAND_CYCLES = 30
_MOST = 0.8


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is done for a layer in a stage.

    Members
    -------
    layer: its name. stage: "ff", "bp" or "wu"; "forward" or "backward" of vector work; "update".
    unit: "array" or "vector". plans: of its products.
    cycles: if it had memory for itself. memory_cycles: of those, how many the port is busy.
    start, end: when it runs; longer than ``cycles`` where memory is shared.
    macs: multiply-accumulates that count. read, written: bytes. bound: by what, of "array", "memory", "vector" and
        "latency".
    """

    layer: str
    stage: str
    unit: str
    plans: tuple[Plan, ...]
    cycles: float
    memory_cycles: float
    start: float
    end: float
    macs: int
    read: float
    written: float
    bound: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A scheduled training step. ``entries`` are in the order in which they start on their unit."""

    network: Network
    config: Config
    port: MemoryPort
    batch: int
    method: str
    sparsity: tuple[int, int] | None
    entries: tuple[Entry, ...]

    @cached_property
    def cycles(self) -> int:
        """Of the step, first to last."""
        return math.ceil(max((entry.end for entry in self.entries), default=0))

    @cached_property
    def product_cycles(self) -> int:
        """Of the products alone, one after another."""
        return math.ceil(sum(entry.cycles for entry in self.entries if entry.unit == "array"))

    @cached_property
    def vector_cycles(self) -> int:
        """Of vector work alone, updates included, one after another."""
        return math.ceil(sum(entry.cycles for entry in self.entries if entry.unit == "vector"))

    @cached_property
    def macs(self) -> int:
        return sum(entry.macs for entry in self.entries)

    @cached_property
    def bytes(self) -> float:
        return sum(entry.read + entry.written for entry in self.entries)

    @property
    def peak(self) -> int:
        """Multiply-accumulates a cycle."""
        return self.config.rows * self.config.cols

    @cached_property
    def ideal_cycles(self) -> int:
        """Operations ÷ peak."""
        return -(-self.macs // self.peak)

    def utilisation(self, entry: Entry | None = None) -> float:
        """Share of the array's peak; of the whole step without an entry."""
        if entry is None:
            return self.macs / (self.cycles * self.peak) if self.cycles else 0.0
        return entry.macs / (entry.cycles * self.peak) if entry.cycles else 0.0

    @cached_property
    def bound(self) -> str:
        """What takes most of the step: "vector" if the array waits for more than a fifth of it, else what bounds
        most of the array's own time."""
        if self.product_cycles < _MOST * self.cycles:
            return "vector"
        shares: dict[str, float] = {}
        for entry in self.entries:
            if entry.unit == "array":
                shares[entry.bound] = shares.get(entry.bound, 0.0) + entry.cycles
        return max(shares, key=lambda name: shares[name])


class _Step:
    """Collects the tasks of a step."""

    def __init__(self, config: Config, port: MemoryPort):
        self._config, self._port = config, port
        self.tasks: list[Task] = []
        self.entries: list[Callable[[float, float], Entry]] = []

    def _add(self, task: Task, **about) -> int:
        self.tasks.append(task)
        self.entries.append(
            lambda start, end: Entry(
                unit=task.unit, cycles=task.cycles, memory_cycles=task.memory, start=start, end=end, **about
            )
        )
        return len(self.tasks) - 1

    def products(
        self, layer: str, stage: str, plans: list[Plan], after: tuple[int, ...], urgent: bool
    ) -> int:
        cycles = sum(each.cycles for each in plans)
        memory = sum(self._port.cycles(each.read, each.written) for each in plans)
        task = Task(unit="array", cycles=cycles, memory=min(memory, cycles), after=after, urgent=urgent)
        longest = max(plans, key=lambda each: each.cycles)
        return self._add(
            task, layer=layer, stage=stage, plans=tuple(plans), macs=sum(each.macs for each in plans),
            read=sum(each.read for each in plans), written=sum(each.written for each in plans),
            bound=longest.bound,
        )  # fmt: skip

    def vector(
        self, layer: str, stage: str, elements: int, sweep: Sweep, after: tuple[int, ...], urgent: bool
    ) -> int:
        lanes = elements * sweep.passes / self._config.vector_lanes
        read, written = elements * sweep.read, elements * sweep.written
        memory = self._port.cycles(read, written)
        cycles = max(lanes, memory) + self._port.latency + _COMMAND_CYCLES
        bound = "vector" if lanes >= memory else "memory"
        if max(lanes, memory) < _MOST * cycles:
            bound = "latency"
        task = Task(unit="vector", cycles=cycles, memory=memory, after=after, urgent=urgent)
        return self._add(
            task, layer=layer, stage=stage, plans=(), macs=0, read=read, written=written, bound=bound
        )


def schedule(
    network: Network,
    config: Config,
    port: MemoryPort,
    *,
    method: str = "bdwp",
    sparsity: tuple[int, int] | None = (2, 8),
    batch: int | None = None,
    dataflows: tuple[Dataflow, ...] | None = None,
    pruning: tuple[str, ...] = PRUNING,
    progress: Callable[[str], None] | None = None,
) -> Schedule:
    """Schedules a training step of ``network``.

    Arguments
    ---------
    method: of METHODS. sparsity: N:M of its sparse products; None if it has none.
    batch: samples; the network's own if None.
    dataflows: to choose from; the device's if None. pruning: moments to choose from.
    progress: called with each layer's name.

    Raises
    ------
    ConfigError: for an unknown method, a sparsity that ``config`` can't run, or a product that nothing can do.
    """
    require(method in METHODS, f"`method` must be one of {', '.join(METHODS)}, not {method!r}.")
    require(batch is None or batch >= 1, f"`batch` must be at least 1, not {batch!r}.")
    if method == "dense":
        sparsity = None
    else:
        require(sparsity is not None, f"The method {method!r} needs a sparsity N:M.")
    if sparsity is not None:
        config.check_sparsity(*sparsity)
    size = network.batch if batch is None else batch
    flows = device_dataflows(config) if dataflows is None else dataflows
    plans: dict[tuple[str, str], list[Plan]] = {}
    for layer in network.layers:
        if isinstance(layer, Vector):
            continue
        if progress is not None:
            progress(layer.name)
        for stage in STAGES:
            pattern = sparsity if stage in METHODS[method] else None
            gemms = layer.products(stage, size, pattern)
            plans[layer.name, stage] = [plan(config, port, gemm, flows, pruning) for gemm in gemms]
    step = _tasks(network, config, port, size, plans)
    slots = run(step.tasks)
    entries = [make(slot.start, slot.end) for make, slot in zip(step.entries, slots)]
    return Schedule(
        network=network, config=config, port=port, batch=size, method=method, sparsity=sparsity,
        entries=tuple(sorted(entries, key=lambda entry: (entry.start, entry.unit))),
    )  # fmt: skip


def _tasks(
    network: Network, config: Config, port: MemoryPort, batch: int, plans: dict[tuple[str, str], list[Plan]]
) -> _Step:
    step = _Step(config, port)
    last: tuple[int, ...] = ()
    for layer in network.layers:
        if isinstance(layer, Vector):
            sweep = COSTS[layer.kind].forward
            if sweep.passes:
                last = (step.vector(layer.name, "forward", batch * layer.elements, sweep, last, True),)
        else:
            last = (step.products(layer.name, "ff", plans[layer.name, "ff"], last, True),)
    small = 0  # parameters beside weights, which one update sweeps over at the end
    for layer in reversed(network.layers):
        if isinstance(layer, Vector):
            urgent = layer.kind != "bias"
            number = step.vector(
                layer.name, "backward", batch * layer.elements, COSTS[layer.kind].backward, last, urgent
            )
            last = (number,) if urgent else last
            small += layer.parameters
            continue
        gradient = last
        if plans[layer.name, "bp"]:
            last = (step.products(layer.name, "bp", plans[layer.name, "bp"], gradient, True),)
        if isinstance(layer, Matmul):
            continue
        ended = step.products(layer.name, "wu", plans[layer.name, "wu"], gradient, False)
        small += layer.parameters - layer.weights
        sweep = _update_sweep(layer, plans[layer.name, "ff"], plans[layer.name, "bp"])
        step.vector(layer.name, "update", layer.weights, sweep, (ended,), False)
    small += network.other_parameters
    if small:
        step.vector("others", "update", small, UPDATE, last, False)
    return step


def _update_sweep(layer: Weighted, forward: list[Plan], backward: list[Plan]) -> Sweep:
    """The update of a layer's weights with the copies that its products read. Products of one stage share a copy; if
    any of them prunes on the fly, the copy is whole."""
    copies = 0.0
    for stage in (forward, backward):
        if not stage:
            continue
        fly = any(each.pruning == PRUNING[1] for each in stage)
        longest = max(stage, key=lambda each: each.gemm.k)
        moment = PRUNING[1] if fly else longest.pruning
        copies += update_bytes(longest.gemm, moment) / (longest.gemm.k * longest.gemm.n)
    return Sweep(UPDATE.passes, UPDATE.read, UPDATE.written + copies)
