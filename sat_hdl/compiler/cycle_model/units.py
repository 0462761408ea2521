"""Load, compute and store unit of the cycle model: what a RUN takes from the cycle in which the unit takes it."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sat_hdl.compiler.array_cycles import Supply, conversions, cuts, run_product
from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.compiler.cycle_model.streams import FIRST_BURST, Reader, Writer, bursts
from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.compiler.turn_cycles import run_stationary
from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = [
    "ComputeModel", "ComputeRun", "LoadModel", "Registers", "StoreModel", "compute_run", "descriptor",
    "gathered", "run_costs", "scatter_costs",
]  # fmt: skip

Registers = Mapping[str, int]
#: Told of the cycle in which a unit is done.
Done = Callable[[int], None]


def descriptor(unit: str, registers: Registers, prefix: str = "", *, writes: bool = False) -> Descriptor:
    """The stream whose registers begin with ``prefix``."""
    first = UNITS[unit].index(f"{prefix}base")
    names = [r.name for r in UNITS[unit].registers[first : first + (WRITE_WORDS if writes else READ_WORDS)]]
    return Descriptor.from_words([registers[name] for name in names])


class LoadModel:
    """An affine reader, and the scatter that takes its beats."""

    def __init__(self, config: Config, clock: Clock, ports: Ports):
        self._config = config
        self._reader = Reader(clock, ports, 1, self._arrived)
        self._costs: list[int] = []  # of a row's beats, summed from the first
        self._place = self._left = self._free = 0
        self._done: Done | None = None

    def copies(self, action: str, registers: Registers) -> int:
        return READ_WORDS

    def start(self, at: int, action: str, registers: Registers, done: Done):
        config = self._config
        stream = descriptor("load", registers)
        lengths, padding, beats = bursts(stream, config.memory_bits // 8)
        self._costs = scatter_costs(
            config, action, min(registers["take"], stream.run // 2), beats, max(1, registers["inner"])
        )
        self._place, self._free = 0, 0
        self._left = sum(lengths)
        self._done = done
        self._reader.start(at + READ_WORDS + FIRST_BURST, lengths, padding)

    def _arrived(self, beats: int, first: int, last: int):
        costs = self._costs
        row = len(costs) - 1
        end = self._place + beats
        if end <= row:
            total = costs[end] - costs[self._place]
        else:
            rounds, end = divmod(end, row)
            total = rounds * costs[row] + costs[end] - costs[self._place]
        of_last = costs[end] - costs[end - 1] if end else costs[row] - costs[row - 1]
        begin = max(self._free, first)
        self._free = max(begin + total, last + of_last)
        self._place = end
        self._left -= beats
        if self._left:
            self._reader.take(beats, begin, self._free - of_last)
        elif self._done is not None:
            # What is taken last is written two cycles after it was looked at.
            self._done(self._free + 3)


@lru_cache(maxsize=1024)
def scatter_costs(config: Config, action: str, take: int, beats: int, inner: int) -> list[int]:
    """Cycles in which the scatter is at work on a row's beats, summed up."""
    word = {
        "west_rows": config.ingest, "west_columns": config.rows, "north_rows": config.panel,
        "north_values": config.panel, "north_indices": config.panel // 4, "results": 2 * config.cols,
    }[action]  # fmt: skip
    # Of results no row ends: what is here repeats with the place in the word.
    return run_costs(config.memory_bits // 16, min(config.ingest, word), take, beats, inner)


def run_costs(per_beat: int, step: int, take: int, beats: int, inner: int) -> list[int]:
    """Likewise, of ``inner`` runs of ``take`` elements in ``beats`` beats each, of which ``step`` fill a part of a
    word that is written at once."""
    costs, place = [0], 0
    for _ in range(inner):
        left = take
        for _ in range(beats):
            taken = min(left, per_beat)
            left -= taken
            cycles = 0
            while taken:
                now = min(taken, 1 if place % step else step)
                place += now
                taken -= now
                cycles += 1
            costs.append(costs[-1] + max(1, cycles))
    return costs


class ComputeModel:
    """A product in the buffers.

    Members
    -------
    array_busy: cycles in which the array has taken a weight.
    """

    def __init__(self, config: Config):
        self._config = config
        self.array_busy = 0
        #: From when to when initial accumulators are read.
        self._reads: deque[tuple[int, int]] = deque()

    def copies(self, action: str, registers: Registers) -> int:
        return 0

    def start(self, at: int, action: str, registers: Registers, done: Done):
        run = compute_run(
            self._config, action != "from_zero", *(registers[name] for name in ("m", "k", "n", "sparsity"))
        )
        self.array_busy += run.busy
        self._reads += [(at + start, at + end) for start, end in run.reads]
        done(at + run.cycles)

    def read(self, at: int, words: int) -> int:
        """When so many words, one a cycle from ``at`` on, have been read besides the initial accumulators, which go
        first. ``at`` ascends."""
        while self._reads and self._reads[0][1] <= at:
            self._reads.popleft()
        for start, end in self._reads:
            if at + words <= start:
                break
            words -= max(0, start - at)
            at = max(at, end)
        return at + words


@dataclass(frozen=True)
class ComputeRun:
    """Cycles from the unit's start to its end; those in which the array is busy; from when to when initial
    accumulators are read."""

    cycles: int
    busy: int
    reads: tuple[tuple[int, int], ...]


@lru_cache(maxsize=4096)
def compute_run(config: Config, accumulate: bool, m: int, k: int, n: int, sparsity: int) -> ComputeRun:
    """A product out of the buffers."""
    keep, group = sparsity & 255, sparsity >> 8 & 255
    # To the walks' start: the check, a cycle more than a count has bits to measure, and the job's handing over. From
    # there to the first tile, besides the slots: to measure them, through a queue and a register.
    first = 3 + config.count_bits + 4
    # From the last result's leaving to the unit's being done.
    last = 3
    through = ReadPipe.latency  # a word's way out of a buffer
    supply = Supply(
        west=through - 1 + config.weight_stationary, north=through - 1, initial=through - 1, gap=1
    )
    if sparsity >> 16 & 1:
        job = StationaryJob(config=config, m=m, k=k, n=n, keep=keep, group=group, slots=sparsity >> 17 & 3)
        first += job.columns
        # The walk over turns hands the first group's address on at once.
        run = run_stationary(job, accumulate, replace(supply, west=through - 2))
    else:
        fold = 1 << (sparsity >> 19 & 3)
        product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group, fold=fold)
        first += -(-next(product.bands()).stop // config.cols)
        first += cuts(product, -(-min(m, product.height) // config.rows))
        run = run_product(product, accumulate, supply)
    reads = tuple((first + start, first + end) for start, end in run.reads)
    return ComputeRun(first + run.last + last, run.busy, reads)


class StoreModel:
    """The gather, and the affine writer that takes its beats.

    Arguments
    ---------
    compute: whose initial accumulators are read first.
    """

    #: From the start, once the slots are counted, to the first address: a cycle to open the walk.
    _first = 2
    #: Words that the pipe behind the buffer holds.
    _held = ReadPipe.words

    def __init__(self, config: Config, clock: Clock, ports: Ports, compute: ComputeModel):
        self._config, self._clock, self._compute = config, clock, compute
        self._writer = Writer(clock, ports, 0, self._written)
        self._done: Done | None = None
        self._through = ReadPipe.latency + conversions(config)[1] + 2

    def copies(self, action: str, registers: Registers) -> int:
        return WRITE_WORDS

    def start(self, at: int, action: str, registers: Registers, done: Done):
        config = self._config
        stream = descriptor("store", registers, writes=True)
        lengths, _, _ = bursts(stream, config.memory_bits // 8)
        self._chunks, self._words = gathered(config, action, registers["m"], registers["n"])
        self._ends = np.cumsum(lengths).tolist()
        self._next = 0
        self._done = done
        self._read = at + self._first + -(-registers["n"] // config.cols)  # the next word's address
        # The writer takes no beat before its own walk has begun.
        self._made = max(self._read + self._through, at + WRITE_WORDS + FIRST_BURST - 1)
        self._taken = self._given = 0  # words, and chunks
        self._waits = False
        self._writer.start(lengths, self._room)
        self._clock.at(self._read, self._go)

    def _room(self):
        if self._waits:
            self._waits = False
            self._go()

    def _go(self):
        end = self._ends[self._next]
        room = self._writer.room(end)
        if room is None:
            self._waits = True
            return
        chunks, words = self._chunks[end - 1], self._words[end - 1]
        more = words - self._taken
        # The pipe holds words for so many cycles.
        ahead = self._held * (chunks - self._given) // max(1, more)
        self._read = self._compute.read(max(self._read, self._made - self._through - ahead), more)
        at = max(self._made + chunks - self._given, self._read + self._through, room)
        self._made, self._taken, self._given = at, words, chunks
        self._next += 1
        self._writer.make(end, at)
        if self._next < len(self._ends):
            self._clock.at(at, self._go)

    def _written(self, at: int):
        if self._done is not None:
            self._done(at)


@lru_cache(maxsize=256)
def gathered(config: Config, action: str, m: int, n: int) -> tuple[list[int], list[int]]:
    """For each beat of a band: the chunks that it ends with, and the words read for them, a tile's first counting as
    two, since the walk takes a cycle to open it."""
    per_beat, cols, rows = config.memory_bits // 16, config.cols, config.rows
    slots = -(-n // cols)
    narrow = action in ("rows", "rows_relu")
    columns = action.startswith("wide_columns")
    step = min(per_beat, cols) if narrow else min(per_beat // 2, cols)
    elements = step if narrow else 2 * step
    counts = [cols] * slots if columns else [cols] * (slots - 1) + [n - (slots - 1) * cols]
    chunks: list[int] = []
    words: list[int] = []
    number, word, filled = 0, 0, 0
    for first in range(0, m, rows):
        height = min(rows, m - first)
        word += first > 0
        for i in range(height * slots):
            word += 1
            slot = i // height if columns else i % slots
            run_end = config.panel > cols or i % height == height - 1 if columns else slot == slots - 1
            last = number + -(-counts[slot] // step)
            while number < last:
                number += 1
                filled += elements
                if filled >= per_beat or (run_end and number == last):
                    chunks.append(number)
                    words.append(word)
                    filled = 0
    return chunks, words
