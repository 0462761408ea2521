"""A training step of a network on a device: how every layer's products are best done, and when everything runs.

What is assumed, beside what :mod:`sat_hdl.compiler.blocks` says of a single product:

- Both passes go over the batch in parts, see :mod:`~sat_hdl.compiler.parts`: FF in the order of the layers, BP in the
  opposite order, a part waiting for the same part of the layer before. Vector work (normalisation, activation,
  pooling, sums) runs in the vector unit, beside other parts' products. ReLU and bias of the forward pass cost
  nothing: the store and the product's start do them.
- How many parts is chosen for each pass, by this estimate: powers of two, as long as twice as many are faster. The
  compiler's programs (:mod:`~sat_hdl.compiler.lower`) go in parts, too, but each unit in a fixed order, and one that
  waits soon holds up the others' commands behind its own.
- Array and vector unit run at the same time where neither waits for the other: WU of a layer, bias gradients, and
  updates wait but for dY (and dW), so they fill what the backward chain leaves; the chain goes first. Two units
  share memory's bandwidth; beyond it both slow down in proportion.
- The update of a layer's weights reads w, v and dW and writes w, v and the copies for FF and BP in one sweep, N:M
  pruned if pre-generated (arXiv 2309.13015), else whole in binary16.
- The loss and its gradient are the host's, of the whole batch, and take no time. Operands have arrived in memory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from sat_hdl.compiler.blocks import DECISIVE, PRUNING, Plan
from sat_hdl.compiler.dataflows import Dataflow, device_dataflows
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import METHODS, Network, Vector
from sat_hdl.compiler.overlap import Slot, run
from sat_hdl.compiler.parts import MOST_PARTS, Pass, Work, shares
from sat_hdl.compiler.passes import Passes
from sat_hdl.config import Config, require

__all__ = ["Entry", "Schedule", "schedule"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is done for a layer in a stage.

    Members
    -------
    layer: its name. stage: "ff", "bp" or "wu"; "forward" or "backward" of vector work; "update".
    unit: "array" or "vector". plans: of its products, part after part.
    cycles: if it had memory for itself. memory_cycles: of those, how many the port is busy.
    start, end: when its first part starts and its last one ends. slots: when each runs, in the order in which they
        are begun; longer than ``cycles`` where memory is shared.
    macs: multiply-accumulates that count. read, written: bytes. bound: by what, of "array", "memory", "vector" and
        "latency".
    """

    layer: str
    stage: str
    unit: str
    plans: tuple[Plan, ...]
    cycles: float
    memory_cycles: float
    slots: tuple[Slot, ...]
    macs: int
    read: float
    written: float
    bound: str

    @property
    def start(self) -> float:
        return self.slots[0].start

    @property
    def end(self) -> float:
        return max(slot.end for slot in self.slots)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A scheduled training step. ``entries`` are in the order in which they start on their unit. ``parts``: of the
    batch, forward and backward."""

    network: Network
    config: Config
    port: MemoryPort
    batch: int
    method: str
    sparsity: tuple[int, int] | None
    parts: tuple[int, int]
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
        if self.product_cycles < DECISIVE * self.cycles:
            return "vector"
        shares: dict[str, float] = {}
        for entry in self.entries:
            if entry.unit == "array":
                shares[entry.bound] = shares.get(entry.bound, 0.0) + entry.cycles
        return max(shares, key=lambda name: shares[name])


def schedule(
    network: Network,
    config: Config,
    port: MemoryPort,
    *,
    method: str = "bdwp",
    sparsity: tuple[int, int] | None = (2, 8),
    batch: int | None = None,
    parts: int | None = None,
    dataflows: tuple[Dataflow, ...] | None = None,
    pruning: tuple[str, ...] = PRUNING,
    progress: Callable[[str], None] | None = None,
) -> Schedule:
    """Schedules a training step of ``network``.

    Arguments
    ---------
    method: of METHODS. sparsity: N:M of its sparse products; None if it has none.
    batch: samples; the network's own if None.
    parts: of the batch, at most one a sample; the best number for each pass if None.
    dataflows: to choose from; the device's if None. pruning: moments to choose from.
    progress: called with each layer's name.

    Raises
    ------
    ConfigError: for an unknown method, a sparsity that ``config`` can't run, or a product that nothing can do.
    """
    require(method in METHODS, f"`method` must be one of {', '.join(METHODS)}, not {method!r}.")
    require(batch is None or batch >= 1, f"`batch` must be at least 1, not {batch!r}.")
    require(parts is None or parts >= 1, f"`parts` must be at least 1, not {parts!r}.")
    if method == "dense":
        sparsity = None
    else:
        require(sparsity is not None, f"The method {method!r} needs a sparsity N:M.")
    if sparsity is not None:
        config.check_sparsity(*sparsity)
    size = network.batch if batch is None else batch
    flows = device_dataflows(config) if dataflows is None else dataflows

    step = Passes(
        network=network,
        config=config,
        port=port,
        method=method,
        sparsity=sparsity,
        dataflows=flows,
        pruning=pruning,
    )
    for layer in network.layers:
        if not isinstance(layer, Vector):
            if progress is not None:
                progress(layer.name)
            step.foresee(layer, size, (1, 2, 4, 8) if parts is None else (parts,))
    forward = _best(step.forward, size, parts)
    backward = _best(partial(step.backward, shares(size, forward.parts)), size, parts)
    entries = forward.entries(0.0) + backward.entries(forward.cycles)
    return Schedule(
        network=network, config=config, port=port, batch=size, method=method, sparsity=sparsity,
        parts=(forward.parts, backward.parts),
        entries=tuple(sorted(entries, key=lambda entry: (entry.start, entry.unit))),
    )  # fmt: skip


@dataclass(frozen=True)
class _Timed:
    """A pass in so many parts, and when each of its tasks runs, from its start on."""

    parts: int
    tasks: Pass
    slots: list[Slot]

    @property
    def cycles(self) -> float:
        return max((slot.end for slot in self.slots), default=0.0)

    def entries(self, begin: float) -> list[Entry]:
        """What is done in it if it starts at ``begin``."""
        return [self._entry(work, begin) for work in self.tasks.works]

    def _entry(self, work: Work, begin: float) -> Entry:
        tasks = [self.tasks.tasks[number] for number in work.tasks]
        slots = sorted((self.slots[number] for number in work.tasks), key=lambda slot: slot.start)
        return Entry(
            layer=work.layer, stage=work.stage, unit=work.unit, plans=work.plans,
            cycles=sum(task.cycles for task in tasks), memory_cycles=sum(task.memory for task in tasks),
            slots=tuple(Slot(begin + slot.start, begin + slot.end) for slot in slots),
            macs=sum(each.macs for each in work.plans), read=work.read, written=work.written, bound=work.bound,
        )  # fmt: skip


def _best(make: Callable[[tuple[int, ...]], Pass], batch: int, parts: int | None) -> _Timed:
    """The pass in ``parts``, or in the best number of them."""

    def timed(count: int) -> _Timed:
        made = shares(batch, count)
        tasks = make(made)
        return _Timed(len(made), tasks, run(tasks.tasks))

    if parts is not None:
        return timed(parts)
    best = timed(1)
    while 2 * best.parts <= min(batch, MOST_PARTS):
        more = timed(2 * best.parts)
        if more.cycles >= best.cycles:
            break
        best = more
    return best
