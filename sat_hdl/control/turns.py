"""Cuts a weight-stationary product into turns."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout

__all__ = ["TurnWalk", "samples_log"]


def samples_log(config: Config, slots: int, group: int) -> int:
    """Logarithm of U, the rows of A that an element works on in a turn of 8 slots with 2**``slots`` slots of columns
    each: as many as there are slots for, and as half of the group memory has room for their groups."""
    span = (config.least_span - 1).bit_length()
    return min(span - slots, (config.max_m // group).bit_length() - 1)


class TurnWalk(wiring.Component):
    """Walks over the turns of a weight-stationary product, each of the form of a tile of one row and 8 slots.

    In a turn every element works on U rows of A, with a slot for each of them and of S = 2**slots slots of columns:
    u·S + s. Row r of the array has its weights brought in turn 2·r, works on the first rows of A in the next one,
    and hands on its sums two turns after that; so a row is always two turns behind the one above. There are
    ceil(m / U) + 2·A - 1 turns, A being the rows that hold weights. A turn lasts 8·N cycles; the walk takes one, and
    a cycle a slot of columns before the first.

    Arguments
    ---------
    config: everything.

    Members
    -------
    start: In(1). Takes m, k, n, keep, group and slots.
    tiles: Out(stream of tile_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "m": In(config.dim_bits),
                "k": In(config.dim_bits),
                "n": In(config.dim_bits),
                "keep": In(config.count_bits),
                "group": In(config.count_bits),
                "slots": In(2),
                "tiles": Out(stream.Signature(tile_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        span = config.least_span
        tile = self.tiles.payload
        keep, group, slots = Signal.like(self.keep), Signal.like(self.group), Signal.like(self.slots)
        k_left, n_left = Signal.like(self.k), Signal.like(self.n)
        # Rows of A that are still to enter at the top, and to leave at the bottom.
        enter, leave = Signal.like(self.m), Signal.like(self.m)
        columns, exists = Signal(range(span)), Signal(span)  # the last slot of columns, and which there are
        row = Signal(config.row_bits)
        first, brings, working, leaving = Signal(), Signal(), Signal(), Signal()

        log = Signal(2)
        with m.Switch(Cat(slots, group)):
            for s in range(4):
                for length in (1, *config.group_lengths()):
                    with m.Case(s | length << 2):
                        m.d.comb += log.eq(samples_log(config, s, length))
        at_once = Signal(4)
        m.d.comb += at_once.eq(1 << log)

        def slots_of(left, enable):
            """Slots that exist of a turn before whose rows of A ``left`` are left."""
            exist = Signal(span)
            with m.Switch(slots):
                for s in range(4):
                    with m.Case(s):
                        m.d.comb += exist.eq(
                            Cat(
                                enable & (at_once > j >> s) & (left > j >> s) & exists[j % (1 << s)]
                                for j in range(span)
                            )
                        )
            return exist

        length = Signal.like(group)
        last_group = Signal()
        m.d.comb += [
            last_group.eq(k_left <= group),
            length.eq(Mux(last_group, k_left, group)),
            tile.rounds.eq(span - 1),
            tile.span.eq(span - 1),
            tile.last.eq(leaving & (leave <= at_once)),
            tile.clears.eq(first),
            tile.computes.eq(~first),
            tile.brings.eq(brings),
            tile.row.eq(row),
            tile.keeps.eq(Mux(length < keep, length, keep)),
            tile.columns.eq(columns),
            tile.takes.eq(slots_of(enter, working)),
            tile.gives.eq(slots_of(leave, leaving)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    keep.eq(self.keep),
                    group.eq(self.group),
                    slots.eq(self.slots),
                    k_left.eq(self.k),
                    n_left.eq(self.n),
                    enter.eq(self.m),
                    leave.eq(self.m),
                    columns.eq(0),
                    exists.eq(1),
                    row.eq(0),
                    first.eq(1),
                    brings.eq(1),
                    working.eq(0),
                    leaving.eq(0),
                ]
                with m.If(self.start):
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                with m.If(n_left <= config.cols):
                    m.next = "TURNS"
                with m.Else():
                    m.d.sync += [
                        n_left.eq(n_left - config.cols),
                        columns.eq(columns + 1),
                        exists.eq(Cat(1, exists[:-1])),
                    ]
            with m.State("TURNS"):
                m.d.comb += self.tiles.valid.eq(1)
                with m.If(self.tiles.ready):
                    m.d.sync += [first.eq(0), working.eq(1), brings.eq(~brings & (k_left != 0))]
                    with m.If(brings):
                        m.d.sync += [k_left.eq(k_left - length), row.eq(row + 1)]
                        with m.If(last_group):
                            m.d.sync += leaving.eq(1)
                    with m.If(working):
                        m.d.sync += enter.eq(Mux(enter < at_once, 0, enter - at_once))
                    with m.If(leaving):
                        m.d.sync += leave.eq(leave - at_once)
                    with m.If(tile.last):
                        m.next = "IDLE"
        return m
