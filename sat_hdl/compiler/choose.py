"""The way to do a product in the fewest cycles by the cycle model.

Each candidate of :func:`~sat_hdl.compiler.tiling.candidates` is a program, whose cycles
:func:`~sat_hdl.compiler.cycle_model.predict` tells. Those that can't be the best, by what the units must do at least,
are not predicted; a prediction ends as soon as it is beyond the best one so far.

A program of more than :data:`MOST_RUNS` runs of the array is predicted from two programs of its first blocks: what
the full one takes beyond the larger of them grows as it does from the smaller to the larger. Off by 0.4 % on average.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, inf, prod
from typing import TypeVar

from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.compiler.cycle_model.streams import BURST, FIRST_BURST
from sat_hdl.compiler.cycle_model.units import compute_run, gathered, scatter_costs
from sat_hdl.compiler.jobs import Correlation, Job
from sat_hdl.compiler.products import Products, folded_form, stationary_form, west_action
from sat_hdl.compiler.program import Program
from sat_hdl.compiler.tiling import Box, Plan, candidates
from sat_hdl.config import Config
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor

__all__ = ["MOST_RUNS", "Choice", "Chooser", "best", "bound", "placeless", "predicted", "words"]

#: Runs of the array in a program that is predicted as a whole.
MOST_RUNS = 64
#: Predictions of a product: where so many with the least to do are about equal, others are not much better.
_MOST_TRIED = 16
#: Blocks of which a part of a program has so many, however long they are.
_LEAST_BLOCKS = 8


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a product is done.

    Members
    -------
    plan: how it is cut. cycles: of its program by itself, as the model predicts them.
    tried, of: candidates that were predicted, and how many there are.
    """

    plan: Plan
    cycles: int
    tried: int
    of: int


class Chooser:
    """Chooses for the products of a network.

    Arguments
    ---------
    config: the device. memory: that it works with. dataflow: see :func:`~sat_hdl.compiler.tiling.candidates`.
    """

    def __init__(self, config: Config, memory: Memory | None = None, dataflow: str = "auto"):
        self._config, self._memory, self._dataflow = config, memory or Memory(), dataflow

    def __call__(self, job: Job) -> Plan:
        return best(self._config, self._memory, placeless(self._config, job), self._dataflow).plan


def placeless(config: Config, job: Job) -> Job:
    """``job`` with its operands near address 0, where bursts are cut alike: the same for all jobs of a kind."""
    names = ("x", "values", "indices", "bias", "y") if isinstance(job, Correlation) else ("x", "dy", "dw")
    places = {}
    for name in names:
        place = getattr(job, name)
        if place is not None:
            places[name] = replace(
                place, name=name, address=place.address % (BURST * config.memory_bits // 8), cuts=()
            )
    return replace(job, **places)


@lru_cache(maxsize=1 << 14)
def best(config: Config, memory: Memory, job: Job, dataflow: str, every: bool = False) -> Choice:
    """The candidate of fewest predicted cycles; of equals, the one of least :func:`bound`.

    Arguments
    ---------
    dataflow, every: see :func:`~sat_hdl.compiler.tiling.candidates`.
    """
    least = _Least(config, memory, job)
    plans = list(candidates(config, job.shape(), dataflow, every=every))
    bounds = [least.cycles(plan) for plan in plans]
    found, fewest, tried = plans[0], inf, 0
    for number in sorted(range(len(plans)), key=bounds.__getitem__):
        if bounds[number] >= fewest or (tried == _MOST_TRIED and not every):
            break
        cycles = predicted(config, memory, job, plans[number], limit=fewest)
        tried += 1
        if cycles < fewest:
            found, fewest = plans[number], cycles
    return Choice(plan=found, cycles=int(fewest), tried=tried, of=len(plans))


def bound(config: Config, memory: Memory, job: Job, plan: Plan) -> float:
    """Cycles that no program of ``plan`` goes below."""
    return _Least(config, memory, job).cycles(plan)


def predicted(config: Config, memory: Memory, job: Job, plan: Plan, limit: float = inf) -> int:
    """Cycles of ``job``'s program, cut by ``plan``; of one of many blocks as the module says. Beyond ``limit``, a
    lower bound of them."""
    # A block whose weights the array holds is a run for every R elements of k.
    runs = -(-max(box.size for box in plan.k) // config.rows) if plan.stationary else 1
    if plan.jobs * runs <= MOST_RUNS or plan.jobs <= _LEAST_BLOCKS:
        return _cycles(config, memory, job, plan, limit)
    most = max(_LEAST_BLOCKS, MOST_RUNS // runs)
    parts = [_first_blocks(plan, blocks) for blocks in (most // 2, most)]
    least = _Least(config, memory, job)
    low, high = (least.cycles(part) for part in parts)
    few, more = (_cycles(config, memory, job, part, inf) for part in parts)
    return ceil(more + (more - few) / (high - low) * (least.cycles(plan) - high))


def words(config: Config, job: Job, plan: Plan) -> list[int]:
    """The program that does nothing but ``job``."""
    program = Program()
    Products(config, program, lambda _: plan).add(job)
    return program.words()


def _cycles(config: Config, memory: Memory, job: Job, plan: Plan, limit: float) -> int:
    return predict(words(config, job, plan), config, memory, limit=limit).cycles


def _first_blocks(plan: Plan, most: int) -> Plan:
    """At most ``most`` of the blocks: fewer rounds of the outer loop, then of those in it."""
    m, n, k = plan.m, plan.n, plan.k
    outer, inner = (m, n) if plan.rows_outer else (n, m)
    k = k[: max(1, most // 4)]
    inner = inner[: max(1, most // (2 * len(k)))]
    outer = outer[: max(1, most // (len(inner) * len(k)))]
    m, n = (outer, inner) if plan.rows_outer else (inner, outer)
    return replace(plan, m=m, n=n, k=k)


Bands = tuple[range, ...]


class _Least:
    """What the units have to do at least for a job, in cycles.

    Each unit does one thing after another. The array begins when its first operands are there, and its last results
    are stored when it has ended; so nothing is faster than what a unit does altogether, with what must be before and
    after it.
    """

    def __init__(self, config: Config, memory: Memory, job: Job):
        self._config, self._memory, self._job = config, memory, job
        self._shape = job.shape()
        self._known: dict[tuple, float] = {}

    def cycles(self, plan: Plan) -> float:
        """Of a program of ``plan``."""
        held, again = plan.stationary, len(plan.k) > 1
        high, across = len(plan.m), len(plan.n)
        m, n, k = _alike(plan.m, _counts), _alike(plan.n, _widths), _alike(plan.k, _counts)

        def array(rows: Box, wide: Bands) -> float:
            """Of a block of results."""
            total = sum(count * self._array(rows, deep, wide, plan, True) for deep, count in k)
            first = self._array(rows, plan.k[0], wide, plan, True)
            return total - first + self._array(rows, plan.k[0], wide, plan, self._shape.bias)

        blocks = [(rows, wide, many * times) for rows, many in m for wide, times in n]
        compute = sum(count * array(rows, wide) for rows, wide, count in blocks)
        store = sum(count * self._store(rows, wide) for rows, wide, count in blocks)
        west = sum(a * b * self._west(rows, deep, held) for rows, a in m for deep, b in k)
        north = sum(a * b * self._north(deep, wide) for deep, a in k for wide, b in n)
        # With all of k in a block, what the outer loop chooses stays while the inner one runs.
        if again or (high > 1 and not plan.rows_outer):
            west *= across
        if again or (across > 1 and plan.rows_outer):
            north *= high
        before = self._west(plan.m[0], plan.k[0], held) + self._north(plan.k[0], plan.n[0])
        after = self._store(plan.m[-1], plan.n[-1])
        end = self._array(plan.m[-1], plan.k[-1], plan.n[-1], plan, False)
        return max(
            before + compute + after,
            west + north + end + after,
            before + array(plan.m[0], plan.n[0]) + store,
        )

    def _array(self, m: Box, k: Box, bands: Bands, plan: Plan, more: bool) -> float:
        """Of a block on the array; ``more``: it goes on with sums."""
        config, held, n = self._config, plan.stationary, _columns(bands)

        def find() -> float:
            if not held:
                form = folded_form(config, self._shape, plan.fold)
                return compute_run(config, more, m.size, k.size, len(n), form).cycles
            full, rest = divmod(k.size, config.rows)
            form = stationary_form(config, len(n))
            runs = [
                (full - 1, config.rows, True),
                (full > 0, config.rows, more),
                (rest > 0, rest, full > 0 or more),
            ]
            return sum(
                count * compute_run(config, goes_on, m.size, deep, len(n), form).cycles
                for count, deep, goes_on in runs if count > 0
            )  # fmt: skip

        return self._once(("array", m.size, k.size, len(n), held, plan.fold, more), find)

    def _west(self, m: Box, k: Box, held: bool) -> float:
        def find() -> float:
            _, stream, take, inner = self._job.west(m, k)
            return self._load(west_action(self._job, held), stream, take, inner)

        return self._once(("west", m.counts, k.counts, held), find)

    def _north(self, k: Box, bands: Bands) -> float:
        n = _columns(bands)

        def find() -> float:
            loads = self._job.north(k, n)
            return sum(self._load(action, stream, take, inner) for action, _, stream, take, inner, _ in loads)

        return self._once(("north", k.counts, len(n)), find)

    def _load(self, action: str, stream: Descriptor, take: int, inner: int) -> float:
        config = self._config
        beats = -(-stream.run // (config.memory_bits // 8))
        costs = scatter_costs(config, action, min(take, stream.run // 2), beats, max(1, inner))
        rounds = prod(loop.count for loop in stream.all_loops) // max(1, inner)
        # What lies outside an image comes at once.
        latency = 0 if stream.height else self._memory.read_latency
        return READ_WORDS + FIRST_BURST + latency + rounds * costs[-1]

    def _store(self, m: Box, bands: Bands) -> float:
        config = self._config

        def find() -> float:
            total = 0.0
            for band in bands:
                for action, stream, rows, _, columns in self._job.stores(config, m, band, 0):
                    beats = prod(loop.count for loop in stream.all_loops) * -(
                        -stream.run // (config.memory_bits // 8)
                    )
                    total += WRITE_WORDS + FIRST_BURST + self._memory.write_latency
                    total += max(beats, gathered(config, action, rows, columns)[0][-1])
            return total

        return self._once(("store", m.counts, *(len(band) for band in bands)), find)

    def _once(self, key: tuple, find: Callable[[], float]) -> float:
        value = self._known.get(key)
        if value is None:
            value = self._known[key] = find()
        return value


_Part = TypeVar("_Part")


def _alike(parts: Iterable[_Part], kind: Callable[[_Part], Hashable]) -> list[tuple[_Part, int]]:
    """One of each kind, and how many there are."""
    found: dict[Hashable, tuple[_Part, int]] = {}
    for part in parts:
        first, count = found.get(kind(part), (part, 0))
        found[kind(part)] = first, count + 1
    return list(found.values())


def _columns(bands: Bands) -> range:
    return range(bands[0].start, bands[-1].stop)


def _widths(bands: Bands) -> tuple[int, ...]:
    return tuple(len(band) for band in bands)


def _counts(box: Box) -> tuple[int, int, int]:
    return box.counts
