"""What a job takes on the product core, to the cycle: the rules of its control, tile by tile."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sat_hdl.compiler.product import Product
from sat_hdl.config import Config
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = ["AT_ONCE", "ArrayRun", "Supply", "conversions", "cuts", "latencies", "run_product"]


@dataclass(frozen=True)
class Supply:
    """When the first beats of the streams are there, in cycles from that in which the first tile is; and cycles that
    pass between two tiles' beats."""

    west: int = 0
    north: int = 0
    initial: int = 0
    gap: int = 0


#: Streams that never wait.
AT_ONCE = Supply()


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
    operands = 2 if config.group_ram == "block" else int(config.weight_stationary)
    if config.operand_format == "fp16":
        return 10 + operands, 4 + edges
    # Of other formats products are rounded, but operands not normalised at the edge.
    return 15 + operands, 2 + edges


def conversions(config: Config) -> tuple[int, int]:
    """``latency`` of :class:`~sat_hdl.arith.convert.Widen` and :class:`~sat_hdl.arith.convert.Narrow`."""
    return (2, 3) if config.operand_format == "fp16" else (1, 2)


@dataclass
class _Tile:
    """``rows`` and ``slots`` that have results, ``span``: slots of a turn. ``there``: when users may begin.
    ``bands`` of ``most`` rows take turns, slot by slot; the last one has ``rows``."""

    rows: int
    slots: int
    span: int
    wide: bool
    there: int
    bands: int
    most: int
    begin: int = 0  # of its first weight
    end: int = 0  # of its last weight

    def height(self, slot: int) -> int:
        """Rows of a slot."""
        return self.rows if slot % self.bands == self.bands - 1 else self.most

    @property
    def words(self) -> int:
        """Of results."""
        return self.slots // self.bands * ((self.bands - 1) * self.most + self.rows)


def _tiles(product: Product) -> list[_Tile]:
    config = product.config
    tiles: list[_Tile] = []
    for band in product.bands():
        across = -(-(band.stop - band.start) // config.cols)
        for i, rows in enumerate(product.row_tiles()):
            height = rows.stop - rows.start
            bands = -(-height // config.rows)
            slots = across * bands
            # The walk takes a cycle a tile, one a slot to measure a band, and folded one for each band of rows.
            there = tiles[-1].there + 1 + (across if i == 0 else 0) + cuts(product, bands) if tiles else 0
            tiles.append(
                _Tile(
                    height - (bands - 1) * config.rows,
                    slots,
                    max(slots, config.least_span),
                    slots > config.interleave or (bool(tiles) and product.fold > 1 and tiles[-1].wide),
                    there,
                    bands,
                    config.rows,
                )
            )
    return tiles


def cuts(product: Product, bands: int) -> int:
    """Cycles that the walk takes to cut a tile into ``bands`` bands of rows."""
    return bands if product.fold > 1 else 0


class _Operands:
    """Feeder and sequencer: a tile's groups of k, two of which the array holds."""

    def __init__(self, product: Product, supply: Supply):
        job, step = product.job, product.config.west_elements
        self._groups = -(-product.k // job["group"])
        last = product.k - (self._groups - 1) * job["group"]
        self._keep = min(job["keep"], product.k), min(job["keep"], last)
        self._beats = -(-min(job["group"], product.k) // step), -(-last // step)
        self._kept, self._supply, self._ring = product.kept, supply, product.config.ring
        self.first = supply.west
        # Last cycles: of filling a group, of the use of the last one and of that before.
        self._filled = supply.west - 1
        self._released = [-1, -1]
        # When the next tile's first weights are there.
        self._north = supply.north

    #: Beats that the pipe behind a buffer holds.
    _held = ReadPipe.depth

    def run(self, tile: _Tile, granted: int) -> int:
        """→ the cycle of the tile's last weight. ``granted``: from when on its sums may be used."""
        supply, groups = self._supply, self._groups
        if tile.there + supply.west > self._filled + 1 + supply.gap:
            self._filled = tile.there + supply.west - 1
        elif tile.there:
            self._filled += supply.gap
        start = max(granted, tile.there, self._released[1] + 1, self._north)
        full = self._keep[0] * tile.span
        steady = max(full, self._beats[0] * tile.bands)
        number = 0
        while number < groups:
            last = number == groups - 1
            self._filled = max(self._filled, self._released[0]) + self._beats[last] * tile.bands
            begin = max(start, self._filled + 1)
            if number and self._ring:
                begin = start + -(-(begin - start) // tile.span) * tile.span
            if number == 0:
                tile.begin = begin
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
            beats = self._kept * tile.slots // tile.bands
            if tile.slots == tile.span and tile.bands == 1:
                late = self._north + beats - 1 - self._released[1]
                if late > 0:
                    self._released[1] += late
            left = max(self._north + beats, self._released[1] - self._held + 5)
            self._north = left + supply.gap
        return self._released[1]


@lru_cache(maxsize=4096)
def run_product(product: Product, accumulate: bool, supply: Supply = AT_ONCE) -> ArrayRun:
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
            taken = _taken(previous, drained, accumulate, result_latency) if config.ring else []
            now, initial, issued = _pass(
                tile if loads else None, drained, now, initial, result_latency, taken
            )
            if loads:
                initial += supply.gap
                assert tile is not None
                reads.append((now - tile.words, now))
                if tile is ahead[0]:
                    first = min(first, now - tile.words)
            if issued is not None and drained is not None:
                # Results queue behind one another; the walk over their places takes a cycle between tiles.
                popped = max(issued + drain_latency, popped + drained.words + supply.gap)
        else:
            now += 1
        if tile is not None:
            tile.end = operands.run(tile, now)
            number += 1
        drained, previous = previous, tile
    return ArrayRun(first, popped, busy, _ahead(reads))


def _pass(
    tile: _Tile | None,
    drained: _Tile | None,
    now: int,
    initial: int,
    result_latency: int,
    taken: Sequence[tuple[int, int]],
) -> tuple[int, int, int | None]:
    """A pass over a bank of sums from cycle ``now`` on, which loads those of ``tile`` and drains those of
    ``drained``; no place passes in cycles that are ``taken``. → the cycle after it, when the next initial accumulator
    is there, and the cycle of its last result."""
    parts = [part for part in (tile, drained) if part is not None]
    slots = max((part.slots for part in parts), default=0)
    issued = None
    for slot in range(slots):
        if drained is not None and slot < drained.slots:
            now = max(now, drained.end - (drained.span - 1) + slot + result_latency)
        if tile is not None and slot < tile.slots:
            now = max(now, initial)
            initial = max(initial, now) + tile.height(slot)
        if drained is not None and slot < drained.slots:
            issued = _after(now, drained.height(slot), taken) - 1
        now = _after(now, max(part.height(slot) for part in parts), taken)
    return now, initial, issued


def _taken(previous: _Tile | None, drained: _Tile | None, accumulate: bool, result_latency: int):
    """In a ring, when weights use the memory of sums: for a tile's initial accumulators, and for its results."""
    found = []
    for tile in (drained, previous):
        if tile is not None:
            if accumulate:
                start = tile.begin + result_latency - tile.span
                found.append((start, start + tile.slots))
            start = tile.end - tile.span + result_latency
            found.append((start, start + tile.slots))
    return found


def _after(now: int, cycles: int, taken: Sequence[tuple[int, int]]) -> int:
    """The cycle after the ``cycles`` next ones that are free."""
    end = now + cycles
    for start, stop in taken:
        start = max(start, now)
        if start < min(stop, end):
            end += stop - start
            now = stop
    return end


def _ahead(used: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """When words are asked for that are used so: the first as soon as possible, then one for each that is used, as
    many ahead as the pipe holds."""
    if not used:
        return ()
    held = ReadPipe.words
    asked = [(used[0][0] - held, used[0][0])]
    asked += used[:-1]
    start, end = used[-1]
    if end - start > held:
        asked.append((start, end - held))
    return tuple(asked)
