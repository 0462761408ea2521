"""What a weight-stationary job takes on the product core, to the cycle: the rules of its control, turn by turn."""

from functools import lru_cache

from sat_hdl.compiler.array_cycles import AT_ONCE, ArrayRun, Supply, latencies
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = ["run_stationary"]


@lru_cache(maxsize=4096)
def run_stationary(job: StationaryJob, accumulate: bool, supply: Supply = AT_ONCE) -> ArrayRun:
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

    def take(self, at: int) -> int:
        """When the next one is taken, from cycle ``at`` on."""
        taken = self._taken
        number = len(taken)
        there = self._next
        if self._gap:
            if number and number % self._tile == 0:
                there += self._gap
            if number >= ReadPipe.depth:
                there = max(there, taken[number - ReadPipe.depth] + 1 + ReadPipe.latency)
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
        held = ReadPipe.words
        asked = [self._taken[0] - held + i for i in range(held)] if self._taken else []
        asked += self._taken[:-held]
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
