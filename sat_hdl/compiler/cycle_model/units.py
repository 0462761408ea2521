"""Load, compute and store unit of the cycle model: what a RUN takes from the cycle in which the unit takes it."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from sat_hdl.arith.convert import Narrow
from sat_hdl.compiler.cycle_model.array import Supply, run_product
from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.compiler.cycle_model.streams import FIRST_BURST, Reader, Writer, bursts
from sat_hdl.compiler.cycles import stationary_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor

__all__ = ["ComputeModel", "LoadModel", "Registers", "StoreModel", "descriptor"]

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

    #: Cycles in which registers are copied.
    copies = READ_WORDS

    def __init__(self, config: Config, clock: Clock, ports: Ports):
        self._config = config
        self._reader = Reader(clock, ports, self._arrived)
        self._costs: list[int] = []  # of a row's beats, summed from the first
        self._place = self._left = self._free = 0
        self._done: Done | None = None

    def start(self, at: int, action: str, registers: Registers, done: Done):
        config = self._config
        stream = descriptor("load", registers)
        lengths, padding, beats = bursts(stream, config.memory_bits // 8)
        self._costs = _scatter_costs(
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
            # What is taken last is written a cycle after it was looked at.
            self._done(self._free + 2)


@lru_cache(maxsize=1024)
def _scatter_costs(config: Config, action: str, take: int, beats: int, inner: int) -> list[int]:
    """Cycles in which the scatter is at work on a row's beats, summed up."""
    per_beat = config.memory_bits // 16
    word = {
        "west_rows": config.ingest, "west_columns": config.rows, "north_rows": config.panel,
        "north_values": config.panel, "north_indices": config.panel // 4, "results": 2 * config.cols,
    }[action]  # fmt: skip
    step = min(config.ingest, word)
    costs, place = [0], 0
    # Of results no row ends: what is here repeats with the place in the word.
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
    """A product in the buffers."""

    copies = 0

    def __init__(self, config: Config):
        self._config = config
        #: Cycles in which the array has taken a weight.
        self.array_busy = 0

    def start(self, at: int, action: str, registers: Registers, done: Done):
        cycles, busy = _compute(
            self._config, action != "from_zero", *(registers[name] for name in ("m", "k", "n", "sparsity"))
        )
        self.array_busy += busy
        done(at + cycles)


@lru_cache(maxsize=4096)
def _compute(config: Config, accumulate: bool, m: int, k: int, n: int, sparsity: int) -> tuple[int, int]:
    """Cycles of a product out of the buffers, from the unit's start to its end; and those in which the array is busy."""
    keep, group = sparsity & 255, sparsity >> 8 & 255
    # To the walks' start, and from the last result to the end.
    around = 3 + config.count_bits + 4 + 3
    through = Banks.latency + 1  # a word's way out of a buffer
    if sparsity >> 16 & 1:
        job = StationaryJob(config=config, m=m, k=k, n=n, keep=keep, group=group, slots=sparsity >> 17 & 3)
        busy = m * job.columns * min(keep, k)
        return around + job.columns + stationary_cycles(job) + _STATIONARY, busy
    product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group)
    slots = -(-next(product.bands()).stop // config.cols)
    supply = Supply(
        west=through - 1 + config.weight_stationary, north=through - 1, initial=through - 1, gap=1
    )
    run = run_product(product, accumulate, supply)
    return around + slots + run.last, run.busy


#: What the way out of the buffers takes of a weight-stationary job.
_STATIONARY = 0


class StoreModel:
    """The gather, and the affine writer that takes its beats."""

    copies = WRITE_WORDS
    #: From the start, once the slots are counted, to the first word: a cycle each to open the walk and for the first
    #: address, and the way out of the buffer.
    _first = 2 + Banks.latency + 1

    def __init__(self, config: Config, clock: Clock, ports: Ports):
        self._config = config
        self._writer = Writer(clock, ports, self._written)
        self._done: Done | None = None
        self._beats: np.ndarray = np.zeros(0, int)
        self._made = 0
        self._shift = 0

    def start(self, at: int, action: str, registers: Registers, done: Done):
        config = self._config
        stream = descriptor("store", registers, writes=True)
        lengths, _, _ = bursts(stream, config.memory_bits // 8)
        slots = -(-registers["n"] // config.cols)
        self._beats = at + slots + self._first + _gathered(config, action, registers["m"], registers["n"])
        self._ends = np.cumsum(lengths).tolist()
        self._next = 0
        self._shift = 0
        self._done = done
        # The writer takes none before its own walk has begun.
        self._shift = max(0, at + WRITE_WORDS + FIRST_BURST - int(self._beats[0]))
        self._writer.start(lengths, self._go)
        self._go()

    def _go(self):
        while self._next < len(self._ends):
            end = self._ends[self._next]
            room = self._writer.room(end)
            if room is None:
                return
            at = int(self._beats[min(end, len(self._beats)) - 1]) + self._shift
            if room > at:
                self._shift += room - at
                at = room
            self._next += 1
            self._writer.make(end, at)

    def _written(self, at: int):
        if self._done is not None:
            self._done(at)


@lru_cache(maxsize=256)
def _gathered(config: Config, action: str, m: int, n: int) -> np.ndarray:
    """When each beat of a band is there, from the first word's being taken on, if nothing waits."""
    per_beat, cols, rows = config.memory_bits // 16, config.cols, config.rows
    slots = -(-n // cols)
    narrow = action in ("rows", "rows_relu")
    columns = action.startswith("wide_columns")
    step = min(per_beat, cols) if narrow else min(per_beat // 2, cols)
    elements = step if narrow else 2 * step
    through = Narrow(format=config.format).latency + 1
    counts = [cols] * slots if columns else [cols] * (slots - 1) + [n - (slots - 1) * cols]
    times: list[int] = []
    word, now, filled = 0, 0, 0
    for tile, first in enumerate(range(0, m, rows)):
        height = min(rows, m - first)
        ends = columns and config.panel > cols
        for i in range(height * slots):
            # An address a cycle, and one between tiles.
            now = max(now, word + tile)
            word += 1
            slot = i // height if columns else i % slots
            run_end = ends or (i % height == height - 1 if columns else slot == slots - 1)
            chunks = -(-counts[slot] // step)
            for chunk in range(1, chunks + 1):
                now += 1
                filled += elements
                if filled >= per_beat or (run_end and chunk == chunks):
                    times.append(now + through)
                    filled = 0
    return np.array(times)
