"""The best way to do a product: dataflow, blocks, order of loops, what stays in the buffers, when it is pruned.

The model of time. A product is cut into blocks that fit half of each buffer. Each block is a job of the array, whose
cycles are those of :mod:`sat_hdl.compiler.cycles`; jobs follow one another, one at a time. Its k is the innermost
loop, so that sums stay in the result buffer. An operand stays in its buffer while consecutive blocks want the
same part. While a job runs, the next one's operands are loaded and the last one's results stored; so every job but
the first takes the greater of its array's cycles and of its memory's, and the first load, the last job and the last
store are exposed. A load waits for the memory's latency once. Activations of convolutions are loaded once for each
position of the kernel, as the device does (implicit im2col without reuse).

Moment of pruning. Pre-generated copies hold kept values and 4-bit indices; the update writes them. On the
fly, every load of a block of weights brings all of them as binary16 through SORE, whose lanes take an element a cycle
(M cycles a group).
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from sat_hdl.compiler.dataflows import Dataflow, kept_of
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import Gemm
from sat_hdl.config import Config, ConfigError

__all__ = ["DECISIVE", "PRUNING", "Blocks", "Plan", "candidates", "cost", "plan", "update_bytes"]

#: Moments of pruning.
PRUNING = ("pregenerated", "on the fly")
#: Bytes of a kept value and of its index.
_VALUE, _INDEX = 2.0, 0.5
#: Share of the time from which on the array, memory or the vector unit is what bounds it.
DECISIVE = 0.8


@dataclass(frozen=True)
class Blocks:
    """Most rows, most of k and most columns of a block; whether rows are the outermost loop (k is the innermost)."""

    m: int
    k: int
    n: int
    rows_outer: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a product is to be done, and what that costs; of all ``gemm.count``.

    Members
    -------
    cycles: all. array_cycles: of the jobs alone. memory_cycles: of loads and stores alone.
    macs: multiply-accumulates that count. read, written: bytes. jobs: of the array.
    bound: "array", "memory" or "latency", by which of the first two takes most of the time, if any does.
    """

    gemm: Gemm
    dataflow: str
    blocks: Blocks
    pruning: str | None
    cycles: int
    array_cycles: int
    memory_cycles: int
    macs: int
    read: float
    written: float
    jobs: int

    @property
    def bound(self) -> str:
        most = max(self.array_cycles, self.memory_cycles)
        if most < DECISIVE * self.cycles:
            return "latency"
        return "array" if self.array_cycles >= self.memory_cycles else "memory"


def _pieces(length: int, most: int, step: int) -> list[tuple[int, int]]:
    """``length`` in pieces of at most ``most``, about equal, multiples of ``step`` but the last: (size, count)."""
    each = min(length, -(-length // (-(-length // most) * step)) * step)
    full, rest = divmod(length, each)
    return [(size, count) for size, count in ((each, full), (rest, 1)) if size and count]


def _parts(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 … up to ``most``: four an octave."""
    count = 1
    while count <= most:
        yield count
        count += max(1, 1 << (count.bit_length() - 3)) if count >= 4 else 1


def _sizes(length: int, step: int, most: int) -> set[int]:
    """``length`` in 1, 2, 3 … about equal parts, multiples of ``step`` and at most ``most``."""
    sizes = {min(length, -(-length // (parts * step)) * step) for parts in _parts(-(-length // step))}
    return {size for size in sizes if size <= most}


def _depths(config: Config, turned: Gemm, dataflow: Dataflow, n: int, step: int) -> list[int]:
    """Lengths of k worth trying with ``n`` columns, largest first: equal parts, and the most that fit with one, two
    and four tiles of rows."""
    depths = _sizes(turned.k, step, turned.k)

    def short(k: int) -> int:
        return -dataflow.most_rows(config, k * step, kept_of(turned, k * step), n)

    for tiles in (1, 2, 4):
        most = bisect_right(range(1, turned.k // step + 1), -tiles * config.rows, key=short)
        if most:
            parts = -(-turned.k // (most * step))
            depths.add(min(turned.k, -(-turned.k // (parts * step)) * step))
    return sorted(depths, reverse=True)


def candidates(config: Config, gemm: Gemm, dataflow: Dataflow) -> Iterator[Blocks]:
    """Ways to cut a product that fit: columns in 1, 2, 3 … equal parts and in full bands of slots; k in equal
    parts of whole panels and beats, as much as fits or down to an eighth of it; as many rows as fit, in equal parts,
    or a half or a quarter of them."""
    turned = dataflow.turned(gemm)
    if turned is None:
        return
    step = max(gemm.group or 1, config.panel, config.memory_bits // 16)
    widest = dataflow.widest(config, turned.n)
    # Panels of weights and beats of results are cut by no block.
    unit = math.lcm(config.panel, config.memory_bits // 16)
    widths = _sizes(turned.n, unit, widest)
    widths |= {
        config.cols * slots << i
        for slots in (config.least_span, config.interleave)
        for i in range(4)
        if config.cols * slots << i <= widest and (config.cols * slots << i) % unit == 0
    }
    for n in sorted(widths, reverse=True):
        first = 0
        for k in _depths(config, turned, dataflow, n, step):
            rows = dataflow.most_rows(config, k, kept_of(turned, k), n)
            if rows == 0:
                continue
            first = first or k
            if 8 * k < first:
                break
            fitting = -(-turned.m // rows)
            for m in dict.fromkeys(-(-turned.m // (fitting * more)) for more in (1, 2, 4)):
                tiles = -(-m // config.rows) * config.rows
                sizes = [min(rows, m), min(rows, turned.m, tiles)]
                if (tile := dataflow.tile(config, n, turned.group)) > config.rows:
                    whole = -(-m // tile) * tile
                    sizes.append(min(turned.m, whole if whole <= rows else rows // tile * tile or rows))
                for size in dict.fromkeys(sizes):
                    # What is not cut goes inside: there it stays, and the other operand comes but once.
                    for rows_outer in (
                        (False,) if n >= turned.n else (True,) if size >= turned.m else (False, True)
                    ):
                        yield Blocks(size, k, n, rows_outer)


@dataclass(frozen=True)
class _Jobs:
    """``count`` equal jobs: a block's sizes, which operands they load, whether they start from sums, and store."""

    count: int
    m: int
    k: int
    n: int
    loads_a: bool
    loads_b: bool
    more: bool
    stores: bool


def _jobs(config: Config, turned: Gemm, blocks: Blocks) -> Iterator[_Jobs]:
    """The jobs of a product, the first one first."""
    rows = _pieces(turned.m, blocks.m, 1)
    columns = _pieces(turned.n, blocks.n, config.panel)
    depth, repeats = list[int](), list[int]()
    for k, count in _pieces(turned.k, blocks.k, turned.group or 1):
        # The first starts from nothing and the last stores; all between them are alike.
        alike = [1] * count if count <= 3 else [1, count - 2, 1]
        depth += [k] * len(alike)
        repeats += alike
    outer, inner = (rows, columns) if blocks.rows_outer else (columns, rows)
    for outer_size, outer_count in outer:
        for number, (inner_size, inner_count) in enumerate(inner):
            m, n = (outer_size, inner_size) if blocks.rows_outer else (inner_size, outer_size)
            # With all of k in a block, what the outer loop chooses stays while the inner one runs.
            fresh = [(False, 1), (True, inner_count - 1)] if number == 0 else [(True, inner_count)]
            for stays, times in fresh:
                for i, (k, repeat) in enumerate(zip(depth, repeats)):
                    held = stays and len(depth) == 1
                    if times:
                        yield _Jobs(
                            count=times * outer_count * repeat, m=m, k=k, n=n,
                            loads_a=not (held and blocks.rows_outer), loads_b=not held or blocks.rows_outer,
                            more=i > 0, stores=i == len(depth) - 1,
                        )  # fmt: skip


def _timed(config: Config, gemm: Gemm, dataflow: Dataflow, blocks: Blocks) -> list[tuple[_Jobs, int]]:
    """The jobs of a product with the array's cycles of each."""
    turned = dataflow.turned(gemm)
    if turned is None:
        raise ValueError(f"dataflow must be able to do the product, not {dataflow.name!r}")
    pattern = None if gemm.keep is None or gemm.group is None else (gemm.keep, gemm.group)
    return [
        (job, dataflow.cycles(config, job.m, job.k, job.n, pattern, job.more))
        for job in _jobs(config, turned, blocks)
    ]


def cost(
    config: Config,
    port: MemoryPort,
    gemm: Gemm,
    dataflow: Dataflow,
    blocks: Blocks,
    pruning: str | None = None,
) -> Plan:
    """What it costs to do ``gemm`` so, by the model of this module."""
    return _cost(config, port, gemm, dataflow, blocks, pruning, _timed(config, gemm, dataflow, blocks))


def _cost(
    config: Config,
    port: MemoryPort,
    gemm: Gemm,
    dataflow: Dataflow,
    blocks: Blocks,
    pruning: str | None,
    timed: list[tuple[_Jobs, int]],
) -> Plan:
    turned = dataflow.turned(gemm)
    assert turned is not None
    panel = config.panel
    run_a, run_b = gemm.run, panel if gemm.weights else gemm.n
    if turned.m != gemm.m or turned.n != gemm.n:
        run_a, run_b = run_b, run_a
    total = read = written = first = last = 0.0
    array = memory = jobs = 0

    def stored_columns(columns: int, panels: bool) -> int:
        """As they lie in memory, in panels or not."""
        if not panels or turned.m != gemm.m:
            return columns
        return -(-columns // panel) * panel

    for job, compute in timed:
        bytes_a = 2.0 * job.m * job.k * job.loads_a
        elements_b = float(job.k * stored_columns(job.n, gemm.weights) * job.loads_b)
        bytes_b = 2.0 * elements_b
        if pruning == PRUNING[0]:
            bytes_b = (_VALUE + _INDEX) * kept_of(turned, job.k) * stored_columns(job.n, True) * job.loads_b
        loading = port.latency * (job.loads_a + job.loads_b) + max(
            port.cycles(bytes_a + bytes_b, 0),
            port.load_cycles(bytes_a / 2, run_a) + port.load_cycles(bytes_b / 2, run_b),
            elements_b / config.sore_lanes if pruning == PRUNING[1] else 0.0,
        )
        stored = float(job.m * stored_columns(job.n, gemm.result_bytes == 4) * gemm.result_bytes * job.stores)
        storing = port.cycles(0, stored)
        moving = max(loading, storing) if port.duplex else loading + storing
        if jobs == 0:
            first = loading - max(compute, moving)
        last = compute + storing + port.latency
        total += job.count * max(compute, moving)
        array += job.count * compute
        memory += job.count * moving
        read += job.count * (bytes_a + bytes_b)
        written += job.count * stored
        jobs += job.count
    count = gemm.count
    # Of equal products, one follows another without a gap.
    return Plan(
        gemm=gemm, dataflow=dataflow.name, blocks=blocks, pruning=pruning,
        cycles=math.ceil(total * count + first + last),
        array_cycles=array * count, memory_cycles=math.ceil(memory * count),
        macs=count * gemm.m * gemm.n * kept_of(gemm, gemm.k), read=read * count, written=written * count,
        jobs=jobs * count,
    )  # fmt: skip


def _least(config: Config, port: MemoryPort, gemm: Gemm, dataflow: Dataflow, blocks: Blocks) -> float:
    """Cycles that :func:`cost` does not go below: of the jobs of full size, and of all bytes, each by itself."""
    turned = dataflow.turned(gemm)
    assert turned is not None
    pattern = None if gemm.keep is None or gemm.group is None else (gemm.keep, gemm.group)
    sizes, counts, full = [], [], 1
    for length, most, step in (
        (turned.m, blocks.m, 1),
        (turned.k, blocks.k, turned.group or 1),
        (turned.n, blocks.n, config.panel),
    ):
        pieces = _pieces(length, most, step)
        sizes.append(pieces[0][0])
        counts.append(sum(count for _, count in pieces))
        full *= pieces[0][1]
    times_a, times_b = counts[2], counts[0]
    if counts[1] == 1:
        times_a, times_b = (1, times_b) if blocks.rows_outer else (times_a, 1)
    value = 2.0 if pattern is None else min(2.0, (_VALUE + _INDEX) * pattern[0] / pattern[1])
    read = 2.0 * turned.m * turned.k * times_a + value * turned.k * turned.n * times_b
    memory = port.cycles(read, gemm.result_bytes * turned.m * turned.n)
    return gemm.count * max(
        memory, full * dataflow.cycles(config, sizes[0], sizes[1], sizes[2], pattern, False)
    )


def update_bytes(gemm: Gemm, pruning: str | None) -> float:
    """What an update writes for the copy of the weights that this product reads."""
    weights = gemm.k * gemm.n if gemm.weights else 0
    if pruning == PRUNING[0]:
        return (_VALUE + _INDEX) * kept_of(gemm, gemm.k) * gemm.n
    return 2.0 * weights


@lru_cache(maxsize=1 << 14)
def plan(
    config: Config,
    port: MemoryPort,
    gemm: Gemm,
    dataflows: tuple[Dataflow, ...],
    pruning: tuple[str, ...] = PRUNING,
) -> Plan:
    """The plan of fewest cycles, those of writing the weights' copy included; of equals, of fewest bytes.

    Raises
    ------
    ConfigError: if no way of ``dataflows`` can do it with these buffers.
    """
    best: tuple[float, float, Plan] | None = None
    ways = [
        (_least(config, port, gemm, dataflow, blocks), number, dataflow, blocks)
        for number, (dataflow, blocks) in enumerate(
            (dataflow, blocks) for dataflow in dataflows for blocks in candidates(config, gemm, dataflow)
        )
    ]
    for least, _, dataflow, blocks in sorted(ways, key=lambda way: way[:2]):
        if best is not None and least >= best[0]:
            break
        timed = _timed(config, gemm, dataflow, blocks)
        for moment in pruning if gemm.keep is not None else (None,):
            found = _cost(config, port, gemm, dataflow, blocks, moment, timed)
            key = found.cycles + port.cycles(0, update_bytes(gemm, moment)), found.read + found.written
            if best is None or key < best[:2]:
                best = *key, found
    if best is None:
        raise ConfigError(
            f"A product of {gemm.m} × {gemm.k} × {gemm.n} can't be done by "
            f"{', '.join(each.name for each in dataflows)} with these buffers; allow another dataflow, or make "
            "`west_depth`, `north_depth` or `result_depth` larger."
        )
    return best[2]
