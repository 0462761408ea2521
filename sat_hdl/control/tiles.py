"""Cuts a product into tiles."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config

__all__ = ["TileWalk", "tile_layout"]


def tile_layout(config: Config) -> data.StructLayout:
    """A tile of up to R × C·J results, or more where ``wide``. All counts are less one.

    ``rows``: rows that have results. ``rounds``: slots that have results, each of up to C columns.
    ``span``: slots that a weight's turn takes: at least 8, the adder's loop. ``wide``: it takes more than J
    slots, so both banks of sums: no other tile's may be in use. ``opens``: the first of its band. ``last``: of the
    product.

    Where products can be folded there is more. ``bands`` of R rows of A, the last of ``rows`` rows, have a slot each
    for every slot of columns, of which there are ``across``.

    Where the array can hold weights there is more, for a turn (see :class:`~sat_hdl.control.turns.TurnWalk`).
    ``clears``: no element holds weights yet. ``computes``: the element at the top has weights and a group of
    activations. ``brings``: weights come, for row ``row``: ``keeps`` (not less one) in each of ``columns`` slots.
    ``takes``: slots that need initial accumulators at the top; ``gives``: slots whose sums are results at the bottom.
    """
    slot_bits = config.entry_bits
    fields = {
        "rows": max(1, (config.rows - 1).bit_length()),
        "rounds": slot_bits,
        "span": slot_bits,
        "wide": 1,
        "opens": 1,
        "last": 1,
    }
    if config.fold > 1:
        fields |= {"bands": range(config.most_fold(2)), "across": slot_bits}
    if config.weight_stationary:
        fields |= {
            "clears": 1,
            "computes": 1,
            "brings": 1,
            "row": config.row_bits,
            "keeps": config.count_bits,
            "columns": 3,
            "takes": config.least_span,
            "gives": config.least_span,
        }
    return data.StructLayout(fields)


class TileWalk(wiring.Component):
    """Walks over the tiles of an m × n product: bands of up to C·J columns, and in each, R rows at a time.

    Slot s of a tile holds its columns s·C to s·C + C - 1; so the columns of an edge tile fill whole slots,
    and slots with none are skipped down to the least span, 8. If fewer than 8 slots would be left for the
    last band, the one before takes them too: a wide tile does not overlap with its neighbours, which costs
    R cycles a slot, but two tiles would cost up to 7 idle slots for every k. Not so where sums go round in a ring of
    as many places as J.

    Folded, a tile has F·R rows of A, as many bands of R rows as are left, and for each of them a slot where there is
    one of columns: slot s·B + f has columns s·C on of band f of B.

    A band takes a cycle a slot to measure, a tile one more, and a folded one another for each of its bands, so the
    walk is ahead of the array at once.

    Arguments
    ---------
    config: rows, cols, interleave.

    Members
    -------
    start: In(1). Takes m and n, both at least 1.
    m, n: In(dim_bits). fold: In(2), where products can be folded: logarithm of F.
    tiles: Out(stream of tile_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        members = {
            "start": In(1),
            "m": In(config.dim_bits),
            "n": In(config.dim_bits),
            "tiles": Out(stream.Signature(tile_layout(config))),
        }
        super().__init__(members | ({"fold": In(2)} if config.fold > 1 else {}))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        rows, cols, slots = config.rows, config.cols, config.interleave
        least = config.least_span
        m_all, m_left, n_left = Signal.like(self.m), Signal.like(self.m), Signal.like(self.n)
        tile = self.tiles.payload
        rounds = Signal.like(tile.rounds)
        opens = Signal()
        last_rows, last_band = m_left <= rows, n_left == 0
        band_rows, all_rounds, is_wide = Mux(last_rows, m_left - 1, rows - 1), rounds, rounds >= slots

        folds = config.fold > 1
        most = Signal(range(config.most_fold(2)))  # F - 1
        bands, more = Signal.like(most), Signal.like(rounds)  # after the first: bands, their slots
        wide = Signal()  # whether a tile was
        if folds:
            all_rounds = (rounds + more)[: len(rounds)]
            is_wide = wide | (all_rounds >= slots)
            m.d.comb += [tile.bands.eq(bands), tile.across.eq(rounds)]
            with m.If(self.start):
                m.d.sync += [most.eq((1 << self.fold) - 1), wide.eq(0)]
        m.d.comb += [
            tile.rows.eq(band_rows),
            tile.rounds.eq(all_rounds),
            tile.span.eq(Mux(all_rounds < least - 1, least - 1, all_rounds)),
            tile.wide.eq(is_wide),
            tile.opens.eq(opens),
            tile.last.eq(last_rows & last_band),
        ]

        def measured():
            m.next = "TILES"
            if folds:
                with m.If(most != 0):
                    m.next = "CUT"

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    m_all.eq(self.m),
                    m_left.eq(self.m),
                    n_left.eq(self.n),
                    rounds.eq(0),
                ]
                with m.If(self.start):
                    m.next = "BAND"
            with m.State("BAND"):
                m.d.sync += opens.eq(1)
                with m.If(n_left <= cols):
                    m.d.sync += n_left.eq(0)
                    measured()
                with m.Else():
                    m.d.sync += n_left.eq(n_left - cols)
                    # This slot is the last of the band unless what follows is too little for one.
                    with m.If((rounds == slots - 1) & (1 if config.ring else n_left > cols * least)):
                        measured()
                    with m.Else():
                        m.d.sync += rounds.eq(rounds + 1)
            with m.State("TILES"):
                m.d.comb += self.tiles.valid.eq(1)
                with m.If(self.tiles.ready):
                    m.d.sync += [m_left.eq(m_left - rows), opens.eq(0)]
                    if folds:
                        m.d.sync += [bands.eq(0), more.eq(0), wide.eq(is_wide)]
                        with m.If(most != 0):
                            m.next = "CUT"
                    with m.If(last_rows):
                        m.d.sync += [m_left.eq(m_all), rounds.eq(0)]
                        m.next = "BAND"
                        with m.If(last_band):
                            m.next = "IDLE"
            if folds:
                with m.State("CUT"):
                    with m.If(last_rows | (bands == most)):
                        m.next = "TILES"
                    with m.Else():
                        m.d.sync += [
                            m_left.eq(m_left - rows),
                            bands.eq(bands + 1),
                            more.eq(more + rounds + 1),
                        ]
        return m
