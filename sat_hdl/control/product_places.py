"""Places of a product's results, and of what its sums start from, in the result buffer."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO

from sat_hdl.config import Config
from sat_hdl.control.product_run import Initial

__all__ = ["result_places"]


def result_places(m: Module, config: Config, run, tile, queue: SyncFIFO, start, taken, name: str):
    """Places in the result buffer, from ``run``'s register ``name`` on, and whether there is one; ``taken``: it
    is used. Weight-stationary they come for row, for slot of a tile."""
    place, opening = Signal(18, name=f"{name}_place"), Signal(18, name=f"{name}_opening")
    slot = Signal.like(tile.rounds, name=f"{name}_slot")
    row = Signal.like(tile.rows, name=f"{name}_row")
    first, valid = Signal(name=f"{name}_first"), Signal(name=f"{name}_valid")
    bias = (run.start == Initial.BIAS) if name == "initial" else Const(0, 1)
    unused = Const(0, 1)
    last_row, last_slot = row == tile.rows, slot == tile.rounds
    follows, last_band = place + 1, 1
    with m.If(start):
        m.d.sync += [place.eq(run[name]), slot.eq(0), row.eq(0), first.eq(1)]
    if name == "initial":
        unused = run.start == Initial.ZERO
        with m.If(unused):
            m.d.comb += queue.r_en.eq(1)
    live = queue.r_rdy & ~unused
    if config.fold > 1:
        last_row, follows, last_band = _bands(
            m, config, tile, row, last_slot, place, first, live & taken, name
        )
    with m.If(live & first):
        with m.If(tile.opens | ~bias):
            m.d.sync += opening.eq(place)
        with m.Else():
            m.d.sync += place.eq(opening)
        m.d.sync += first.eq(0)
    with m.Elif(live):
        m.d.comb += valid.eq(1)
        with m.If(taken):
            with m.If(run.job.stationary):
                m.d.sync += [slot.eq(slot + 1), place.eq(place + Mux(bias, 1, tile.rows + 1))]
                with m.If(last_slot):
                    # The next row begins beside this one's first word, the next tile after all words.
                    m.d.sync += [slot.eq(0), row.eq(row + 1)]
                    m.d.sync += place.eq(Mux(last_row, place + 1, opening + Mux(bias, 0, row + 1)))
            with m.Else():
                m.d.sync += place.eq(Mux(bias, place + (last_row & last_band), follows))
                m.d.sync += row.eq(Mux(last_row, 0, row + 1))
                with m.If(last_row):
                    m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
            with m.If(last_row & last_slot):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += [row.eq(0), first.eq(1)]
    return place, valid


def _bands(m: Module, config: Config, tile, row, last_slot, place, first, taken, name: str):
    """Of a tile that may be folded, whose bands lie one behind the other, each slot by slot: whether ``row`` is
    the band's last, the place after this one, and whether the band is the slot's last."""
    rows = config.rows
    band = Signal.like(tile.bands, name=f"{name}_band")
    # Where the slot of columns begins in the first and in the last band; whether it is not the first one.
    head, tail = Signal.like(place, name=f"{name}_head"), Signal.like(place, name=f"{name}_tail")
    again = Signal(name=f"{name}_again")
    last_band, last_row = Signal(name=f"{name}_last_band"), Signal(name=f"{name}_last_row")
    follows = Signal.like(place, name=f"{name}_follows")
    m.d.comb += [
        last_band.eq(band == tile.bands),
        last_row.eq(row == Mux(last_band, tile.rows, rows - 1)),
        follows.eq(place + 1),
    ]
    with m.If(last_row & ~last_band):
        m.d.comb += follows.eq(place + tile.across * rows + 1)
        with m.If(again & (band + 1 == tile.bands)):
            m.d.comb += follows.eq(tail)
    with m.Elif(last_row & (tile.bands != 0) & ~last_slot):
        m.d.comb += follows.eq(head + rows)
    with m.If(first):
        m.d.sync += [head.eq(place), again.eq(0)]
    with m.Elif(taken & last_row):
        m.d.sync += band.eq(Mux(last_band, 0, band + 1))
        with m.If(last_band):
            m.d.sync += [head.eq(head + rows), tail.eq(place + 1), again.eq(1)]
    return last_row, follows, last_band
