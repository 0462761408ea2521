"""A pass over a network, forward or backward, with the batch cut into parts: its tasks, and what waits for what.

Part p of a layer waits for part p of the one before it. Where vector work has a second phase (batch normalisation's
application, after its sums), every part of that one waits for all parts of the first. Vector work between two
products goes part by part, each part through all of it, so that the next product can begin with the first; otherwise
the earlier layer goes first. Weight gradients wait for all parts: they sum over the whole batch in one go, as the
golden model does. They are cut into slices of results instead, between which the array turns to what the next layer
waits for. Bias gradients go on part by part.

Each part's products are planned for as many rows as it has, so weights that are loaded again, remainders of tiles,
and the first load and last store of each are paid for every part, as is the latency of every vector command. A whole
batch in one part goes through all phases of its vector work in one command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from sat_hdl.compiler.blocks import DECISIVE, Plan
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.vector_costs import Sweep
from sat_hdl.compiler.overlap import Task
from sat_hdl.config import Config

__all__ = ["MOST_PARTS", "Pass", "Work", "ranges", "shares"]

#: Parts that are tried, at most.
MOST_PARTS = 32
#: From a vector command to the next, beside memory's latency.
_COMMAND_CYCLES = 30


def shares(batch: int, parts: int) -> tuple[int, ...]:
    """Samples of each of ``parts`` about equal parts, at most one a sample; the larger ones first."""
    parts = min(parts, batch)
    each, more = divmod(batch, parts)
    return (each + 1,) * more + (each,) * (parts - more)


def ranges(batch: int, parts: int) -> list[range]:
    """The samples of each of :func:`shares`."""
    ends = [0, *accumulate(shares(batch, parts))]
    return [range(*pair) for pair in pairwise(ends)]


@dataclass(kw_only=True)
class Work:
    """What is done for a layer in a stage, all parts of it.

    Members
    -------
    layer, stage, unit: as of :class:`~sat_hdl.compiler.schedule.Entry`.
    tasks: numbers of its tasks in their pass. plans: of its products.
    read, written: bytes. bound: by what, as of an entry.
    """

    layer: str
    stage: str
    unit: str
    tasks: list[int] = field(default_factory=list)
    plans: tuple[Plan, ...] = ()
    read: float = 0.0
    written: float = 0.0
    bound: str = ""


class Pass:
    """Collects the tasks of a pass.

    Arguments
    ---------
    config, port: device and memory.
    parts: samples of each part.

    Members
    -------
    tasks: for :func:`~sat_hdl.compiler.overlap.run`. works: what they belong to.
    """

    def __init__(self, config: Config, port: MemoryPort, parts: Sequence[int]):
        self._config, self._port, self._parts = config, port, tuple(parts)
        self.tasks: list[Task] = []
        self.works: list[Work] = []
        #: For each part, what must have ended for it to have arrived where the pass is.
        self._arrived: list[tuple[int, ...]] = [()] * len(self._parts)
        #: Vector work that no product has come after yet.
        self._pending: list[tuple[Work, int, Sweep]] = []
        self._summed: list[int] = []

    def _work(self, layer: str, stage: str, unit: str) -> Work:
        self.works.append(Work(layer=layer, stage=stage, unit=unit))
        return self.works[-1]

    def _add(self, work: Work, cycles: float, memory: float, after: tuple[int, ...], urgent: bool) -> int:
        work.tasks.append(len(self.tasks))
        self.tasks.append(Task(unit=work.unit, cycles=cycles, memory=memory, after=after, urgent=urgent))
        return work.tasks[-1]

    @property
    def _all(self) -> tuple[int, ...]:
        """What must have ended for all parts to have arrived."""
        return tuple(sorted(set().union(*self._arrived)))

    # --- products ---------------------------------------------------------------------------------------

    def products(self, layer: str, stage: str, plans: Callable[[int], Sequence[Plan]]):
        """Products of each part. ``plans``: of a part of so many samples."""
        self._flush()
        work = self._work(layer, stage, "array")
        for part, samples in enumerate(self._parts):
            self._arrived[part] = (self._multiply(work, plans(samples), self._arrived[part], True),)

    def summed_products(self, layer: str, stage: str, plans: Sequence[Plan]) -> list[int]:
        """Products that sum over the batch, and that no layer waits for, a task each. Returns the tasks' numbers."""
        self._flush()
        work, after = self._work(layer, stage, "array"), self._all
        return [self._multiply(work, [each], after, False) for each in plans]

    def _multiply(self, work: Work, plans: Sequence[Plan], after: tuple[int, ...], urgent: bool) -> int:
        cycles = sum(each.cycles for each in plans)
        memory = sum(self._port.cycles(each.read, each.written) for each in plans)
        work.plans += tuple(plans)
        work.read += sum(each.read for each in plans)
        work.written += sum(each.written for each in plans)
        work.bound = max(work.plans, key=lambda each: each.cycles).bound
        return self._add(work, cycles, min(memory, cycles), after, urgent)

    # --- vector work ------------------------------------------------------------------------------------

    def vector(self, layer: str, stage: str, elements: int, phases: Sequence[Sweep]):
        """Work on ``elements`` of each sample that the next layer waits for."""
        if not phases:
            return
        work = self._work(layer, stage, "vector")
        if len(self._parts) == 1:
            phases = (sum(phases[1:], phases[0]),)
        for number, sweep in enumerate(phases):
            if number:
                self._flush()
                self._arrived = [self._all] * len(self._parts)
            self._pending.append((work, elements, sweep))

    def summed_vector(self, layer: str, stage: str, elements: int, phases: Sequence[Sweep]):
        """Work on ``elements`` of each sample that goes on with the sums of the part before, and that no layer
        waits for."""
        self._flush()
        work, before = self._work(layer, stage, "vector"), tuple[int, ...]()
        for part, samples in enumerate(self._parts):
            for sweep in phases:
                after = self._arrived[part] + before
                before = (self._sweep(work, samples * elements, sweep, after, False),)
        self._summed += before

    def update(self, layer: str, elements: int, sweep: Sweep, after: Sequence[int] | None = None):
        """The update of ``elements`` parameters after so numbered tasks; by default after all that there is but
        products."""
        self._flush()
        waits = tuple(after) if after is not None else self._all + tuple(self._summed)
        self._sweep(self._work(layer, "update", "vector"), elements, sweep, waits, False)

    def _flush(self):
        """Adds the tasks of vector work that nothing stands between."""
        for part, samples in enumerate(self._parts):
            for work, elements, sweep in self._pending:
                number = self._sweep(work, samples * elements, sweep, self._arrived[part], True)
                self._arrived[part] = (number,)
        self._pending.clear()

    def finish(self):
        """To be called once all is added."""
        self._flush()

    def _sweep(self, work: Work, elements: int, sweep: Sweep, after: tuple[int, ...], urgent: bool) -> int:
        lanes = elements * sweep.passes / self._config.vector_lanes
        read, written = elements * sweep.read, elements * sweep.written
        memory = self._port.cycles(read, written)
        cycles = max(lanes, memory) + self._port.latency + _COMMAND_CYCLES
        work.read += read
        work.written += written
        # Of equal parts each has the same bound; of unlike phases the one that takes longest has it.
        if not work.tasks or cycles > max(self.tasks[i].cycles for i in work.tasks):
            work.bound = "vector" if lanes >= memory else "memory"
            if max(lanes, memory) < DECISIVE * cycles:
                work.bound = "latency"
        return self._add(work, cycles, memory, after, urgent)
