"""Addresses in the west buffer of the elements of a product, in its order."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO

from sat_hdl.config import Config
from sat_hdl.control.turns import TurnWalk, samples_log

__all__ = ["west_addresses"]


def west_addresses(m: Module, config: Config, west, run, tile, queue: SyncFIFO, start):
    """Drives ``west`` with, for every tile of ``queue``, its words, element by element, from k = 0. Folded, for group
    of k, for band of the tile. Weight-stationary, turn by turn, whatever ``queue`` has.

    Returns whether an address is past the buffer's end.
    """
    step = config.west_elements
    lane_bits = (config.ingest - 1).bit_length()
    k = Signal(config.dim_bits + 1)
    base = Signal(18)
    first = Signal()  # of a tile: its base is taken
    here = Signal.like(base)  # of the band in hand
    with m.If(start):
        m.d.sync += [k.eq(0), base.eq(run.west), first.eq(1)]
        if config.fold > 1:
            m.d.sync += here.eq(run.west)
    word = Signal(26)
    m.d.comb += [
        word.eq((here if config.fold > 1 else base) + (k >> lane_bits)),
        west.payload.word.eq(word),
        west.payload.lane.eq(k[:lane_bits]),
    ]
    last = Signal()
    m.d.comb += last.eq(k + step >= run.job.k)
    live = queue.r_rdy & ~run.job.stationary
    with m.If(live & first):
        with m.If(tile.opens):
            m.d.sync += base.eq(run.west)
        m.d.sync += first.eq(0)
        if config.fold > 1:
            m.d.sync += here.eq(Mux(tile.opens, run.west, base))
    with m.Elif(live):
        m.d.comb += west.valid.eq(1)
        with m.If(west.ready):
            m.d.sync += k.eq(k + step)
            if config.fold == 1:
                with m.If(last):
                    m.d.comb += queue.r_en.eq(1)
                    m.d.sync += [k.eq(0), base.eq(base + run.west_pitch), first.eq(1)]
            else:
                _bands(m, config, run, tile, queue, k, base, here, first, last)
    beyond = west.valid & (word >= config.west_depth)
    if config.weight_stationary:
        beyond &= _turns(m, config, west, run, queue, start, k)
    return beyond


def _bands(m: Module, config: Config, run, tile, queue: SyncFIFO, k, base, here, first, last):
    """After an element of a tile that may be folded: the group again, of the next band, or what follows."""
    inside = Signal.like(run.job.group)  # bits of a place in a group
    band = Signal.like(tile.bands)
    m.d.comb += inside.eq(run.job.group - 1)
    with m.If(last | (((k + config.west_elements) & inside) == 0)):
        with m.If(band != tile.bands):
            m.d.sync += [
                band.eq(band + 1),
                here.eq(here + run.west_pitch),
                k.eq(Cat(k[: len(inside)] & ~inside, k[len(inside) :])),
            ]
        with m.Else():
            m.d.sync += [band.eq(0), here.eq(base)]
            with m.If(last):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += [k.eq(0), base.eq(here + run.west_pitch), first.eq(1)]


def _turns(m: Module, config: Config, west, run, queue: SyncFIFO, start, k):
    """Weight-stationary: for every turn its groups, one after the other. Returns whether what is read matters."""
    job = run.job
    step = config.west_elements
    m.submodules.turn_walk = turns = TurnWalk(config)
    for name in ("m", "k", "n", "keep", "group", "slots"):
        m.d.comb += getattr(turns, name).eq(job[name])
    m.d.comb += turns.start.eq(start & job.stationary)
    log = Signal(3)  # of the elements of a turn
    with m.Switch(Cat(job.slots, job.group)):
        for s in range(4):
            for length in (1, *config.group_lengths()):
                with m.Case(s | length << 2):
                    m.d.comb += log.eq(samples_log(config, s, length) + length.bit_length() - 1)
    i = Signal(range(config.max_m + step))
    with m.If(start):
        m.d.sync += i.eq(0)
    with m.If(job.stationary):
        m.d.comb += [
            queue.r_en.eq(1),
            west.valid.eq(turns.tiles.valid & turns.tiles.payload.computes),
            west.payload.skew.eq(log + 1),
        ]
        ends = ((i + step) >> log) != 0
        with m.If(~turns.tiles.payload.computes):
            m.d.comb += turns.tiles.ready.eq(1)
        with m.Elif(turns.tiles.valid & west.ready):
            # A turn of an odd number of elements, 1, is a beat by itself.
            m.d.sync += [i.eq(i + step), k.eq(k + Mux(log == 0, 1, step))]
            with m.If(ends):
                m.d.comb += turns.tiles.ready.eq(1)
                m.d.sync += i.eq(0)
    return ~job.stationary | turns.tiles.payload.takes.any()
