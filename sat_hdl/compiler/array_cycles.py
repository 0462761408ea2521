"""What a job takes on the product core, to the cycle: the rules of its control, tile by tile and turn by turn."""

from dataclasses import dataclass
from functools import lru_cache

from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = ["ArrayRun", "Supply", "conversions", "latencies", "run_product", "run_stationary"]


@dataclass(frozen=True)
class Supply:
    """When the first beats of the streams are there, in cycles from that in which the first tile is; and cycles that
    pass between two tiles' beats."""

    west: int = 0
    north: int = 0
    initial: int = 0
    gap: int = 0


@dataclass(frozen=True)
class ArrayRun:
    """From the cycle in which the first tile is there: the first operand's and the last result's cycle. ``busy``:
    cycles in which a weight is used for a result. ``reads``: from when to when initial accumulators are asked for."""

    first: int
    last: int
    busy: int
    reads: tuple[tuple[int, int], ...] = ()

    @property
    def cycles(self) -> int:
        """What the core's report says."""
        return self.last - self.first + 1


def latencies(config: Config) -> tuple[int, int]:
    """``result_latency`` of :class:`~sat_hdl.stce.stce.Stce` and ``latency`` of :class:`~sat_hdl.stce.drain.Drain`:
    from a sum's last weight to the exchange that may fetch it; from there to the result's being offered."""
    edges = config.rows + config.cols
    if config.operand_format == "fp16":
        return 10 + config.weight_stationary, 2 + edges
    # Of other formats products are rounded, but operands not normalised at the edge.
    return 15 + config.weight_stationary, edges


def conversions(config: Config) -> tuple[int, int]:
    """``latency`` of :class:`~sat_hdl.arith.convert.Widen` and :class:`~sat_hdl.arith.convert.Narrow`."""
    return (2, 3) if config.operand_format == "fp16" else (1, 2)


@dataclass
class _Tile:
    """``rows`` and ``slots`` that have results, ``span``: slots of a turn. ``there``: when users may begin."""

    rows: int
    slots: int
    span: int
    wide: bool
    opens: bool
    there: int
    end: int = 0  # of its last weight


def _tiles(product: Product) -> list[_Tile]:
    config = product.config
    tiles: list[_Tile] = []
    for band in product.bands():
        slots = -(-(band.stop - band.start) // config.cols)
        for i, rows in enumerate(product.row_tiles()):
            # The walk takes a cycle a tile, and one a slot to measure a band.
            there = tiles[-1].there + 1 + (slots if i == 0 else 0) if tiles else 0
            tiles.append(
                _Tile(rows.stop - rows.start, slots, max(slots, config.least_span), slots > config.interleave,
                      i == 0, there)
            )  # fmt: skip
    return tiles


class _Operands:
    """Feeder and sequencer: a tile's groups of k, two of which the array holds."""

    def __init__(self, product: Product, supply: Supply):
        job, step = product.job, product.config.west_elements
        self._groups = -(-product.k // job["group"])
        last = product.k - (self._groups - 1) * job["group"]
        self._keep = min(job["keep"], product.k), min(job["keep"], last)
        self._beats = -(-min(job["group"], product.k) // step), -(-last // step)
        self._kept, self._supply = product.kept, supply
        self.first = supply.west
        # Last cycles: of filling a group, of the use of the last one and of that before.
        self._filled = supply.west - 1
        self._released = [-1, -1]
        # First and last of a tile's beats that leave the north buffer.
        self._north = supply.north

    #: Beats that the pipe behind a buffer holds.
    _held = 8

    def run(self, tile: _Tile, granted: int) -> int:
        """→ the cycle of the tile's last weight. ``granted``: from when on its sums may be used."""
        supply, groups = self._supply, self._groups
        if tile.there + supply.west > self._filled + 1 + supply.gap:
            self._filled = tile.there + supply.west - 1
        elif tile.there:
            self._filled += supply.gap
        start = max(granted, tile.there, self._released[1] + 1, self._north)
        full = self._keep[0] * tile.span
        steady = max(full, self._beats[0])
        number = 0
        while number < groups:
            last = number == groups - 1
            self._filled = max(self._filled, self._released[0]) + self._beats[last]
            begin = max(start, self._filled + 1)
            end = begin + self._keep[last] * tile.span - 1
            self._released = [self._released[1], end]
            start = end + 1
            number += 1
            if number == 3 and groups > 5:
                # From the third group on it goes on as it does, up to the last.
                skipped = (groups - 4) * steady
                self._filled += skipped
                self._released = [x + skipped for x in self._released]
                start += skipped
                number = groups - 1
        if supply.gap:
            beats = self._kept * tile.slots
            if tile.slots == tile.span:
                late = self._north + beats - 1 - self._released[1]
                if late > 0:
                    self._released[1] += late
            left = max(self._north + beats, self._released[1] - self._held + 5)
            self._north = left + supply.gap
        return self._released[1]


@lru_cache(maxsize=4096)
def run_product(product: Product, accumulate: bool, supply: Supply = Supply()) -> ArrayRun:
    """An output-stationary job. ``accumulate``: initial accumulators are loaded. Every result is taken at once."""
    config = product.config
    result_latency, drain_latency = latencies(config)
    operands = _Operands(product, supply)
    ahead = _tiles(product)
    busy = sum(tile.slots for tile in ahead) * product.kept
    previous: _Tile | None = None
    drained: _Tile | None = None
    now, number = 0, 0  # the exchanger's next cycle, the next tile
    initial = supply.initial  # when the next initial accumulator is there
    popped = -1
    reads: list[tuple[int, int]] = []
    first = operands.first
    while number < len(ahead) or previous or drained:
        tile = ahead[number] if number < len(ahead) else None
        if tile is not None and tile.wide and (previous or drained):
            tile = None
        elif tile is not None:
            now = max(now, tile.there)
        loads = accumulate and tile is not None
        if loads or drained is not None:
            now, initial, issued = _pass(tile if loads else None, drained, now, initial, result_latency)
            if loads:
                initial += supply.gap
                assert tile is not None
                reads.append((now - tile.rows * tile.slots, now))
                if tile is ahead[0]:
                    first = min(first, now - tile.rows * tile.slots)
            if issued is not None and drained is not None:
                # Results queue behind one another; the walk over their places takes a cycle between tiles.
                count = drained.rows * drained.slots
                popped = max(issued + drain_latency, popped + count + supply.gap)
        else:
            now += 1
        if tile is not None:
            tile.end = operands.run(tile, now)
            number += 1
        drained, previous = previous, tile
    return ArrayRun(first, popped, busy, _ahead(reads))


def _pass(
    tile: _Tile | None, drained: _Tile | None, now: int, initial: int, result_latency: int
) -> tuple[int, int, int | None]:
    """A pass over a bank of sums from cycle ``now`` on, which loads those of ``tile`` and drains those of
    ``drained``. → the cycle after it, when the next initial accumulator is there, and the cycle of its last
    result."""
    rows = slots = 0
    for part in (tile, drained):
        if part is not None:
            rows, slots = max(rows, part.rows), max(slots, part.slots)
    issued = None
    for slot in range(slots):
        if drained is not None and slot < drained.slots:
            now = max(now, drained.end - (drained.span - 1) + slot + result_latency)
        if tile is not None and slot < tile.slots:
            now = max(now, initial)
            initial = max(initial, now) + tile.rows
        if drained is not None and slot < drained.slots:
            issued = now + drained.rows - 1
        now += rows
    return now, initial, issued


def _ahead(used: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """When words are asked for that are used so: the first as soon as possible, then one for each that is used, as
    many ahead as the pipe holds."""
    if not used:
        return ()
    held = ReadPipe.depth
    asked = [(used[0][0] - held, used[0][0])]
    asked += used[:-1]
    start, end = used[-1]
    if end - start > held:
        asked.append((start, end - held))
    return tuple(asked)


@lru_cache(maxsize=4096)
def run_stationary(job: StationaryJob, accumulate: bool, supply: Supply = Supply()) -> ArrayRun:
    """A weight-stationary job. ``accumulate``: initial accumulators are loaded. Every result is taken at once."""
    config, samples, columns = job.config, job.samples, job.columns
    result_latency, drain_latency = latencies(config)
    span, keep = config.least_span, job.keep
    turns = job.turns
    beats = -(-samples * job.group // config.west_elements)
    tile = config.rows * columns  # words of R rows of results
    slots = [(j >> job.slots, j & (1 << job.slots) - 1) for j in range(span)]

    def rows(turn: int) -> int:
        """Rows of A that a turn's slots are for, if ``turn`` is counted from their first."""
        return min(samples, job.m - turn * samples) if turn >= 0 else 0

    words = _Words(supply.initial, supply.gap, tile)
    places = _Places(supply.gap, tile)
    finals: list[list[int]] = []
    exchange, step = -1, -1
    north, filled = supply.north, supply.west
    released = [-1, -1]
    first = 1 + supply.west
    for turn in range(turns + 2):
        takes = rows(turn - 1) if accumulate else 0
        gives = rows(turn - 2 - (2 * job.rows - 1))
        passed = []
        for j, (sample, column) in enumerate(slots):
            exchange = max(exchange + 1, turn)
            if turn >= 2:
                exchange = max(exchange, finals[turn - 2][j] + result_latency)
            if sample < takes and column < columns:
                exchange = words.take(exchange)
            if sample < gives and column < columns:
                places.give(exchange + drain_latency)
            passed.append(exchange + 1)
        if turn >= turns:
            continue
        if turn:
            filled = max(filled + 1, released[0] + 1, turn + supply.west) + beats - 1
            step = max(step, filled)
        brings = turn % 2 == 0 and turn // 2 < job.rows
        keeps = min(keep, job.k - turn // 2 * job.group) if brings else 0
        final: list[int] = []
        for kept in range(keep):
            for j, (sample, column) in enumerate(slots):
                step = max(step + 1, passed[j] if kept == 0 else 0, turn)
                if sample == samples - 1 and kept < keeps and column < columns:
                    step = max(step, north)
                    if turn == 0:
                        first = min(first, step)
                    north += 1
                if kept == keep - 1:
                    final.append(step)
        finals.append(final)
        if turn:
            released = [released[1], step]
    if accumulate:
        first = min(first, words.first)
    return ArrayRun(first, places.last, job.m * columns * keep, words.reads)


class _Words:
    """Words that come one a cycle from ``there`` on, ``gap`` later behind every ``tile``, through a pipe that holds
    a few."""

    def __init__(self, there: int, gap: int, tile: int):
        self._next, self._gap, self._tile = there, gap, tile
        self._taken: list[int] = []

    #: From an address to its word.
    _through = 3

    def take(self, at: int) -> int:
        """When the next one is taken, from cycle ``at`` on."""
        taken = self._taken
        number = len(taken)
        there = self._next
        if self._gap:
            if number and number % self._tile == 0:
                there += self._gap
            if number >= ReadPipe.depth:
                there = max(there, taken[number - ReadPipe.depth] + 1 + self._through)
            self._next = there + 1
        at = max(at, there)
        taken.append(at)
        return at

    @property
    def first(self) -> int:
        return self._taken[0]

    @property
    def reads(self) -> tuple[tuple[int, int], ...]:
        """From when to when words are asked for."""
        held = ReadPipe.depth
        asked = [self._taken[0] - held + i for i in range(held)] if self._taken else []
        asked += [taken + 1 for taken in self._taken[:-held]]
        found: list[tuple[int, int]] = []
        for at in asked[: len(self._taken)]:
            if found and at <= found[-1][1]:
                found[-1] = found[-1][0], at + 1
            else:
                found.append((at, at + 1))
        return tuple(found)


class _Places:
    """Results that leave one a cycle, ``gap`` later behind every ``tile``."""

    def __init__(self, gap: int, tile: int):
        self._gap, self._tile, self._count = gap, tile, 0
        self.last = -1

    def give(self, at: int):
        gap = self._gap if self._count and self._count % self._tile == 0 else 0
        self.last = max(at, self.last + 1 + gap)
        self._count += 1
