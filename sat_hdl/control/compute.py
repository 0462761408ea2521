"""Feeds weights to the array's north edge: the sequence of multiply-accumulates."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout
from sat_hdl.layouts import north_layout
from sat_hdl.stce.tokens import north_control, placed_layout

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """For every tile, group of k and kept weight of the group, one turn over the slots.

    So one beat of C weights a cycle: for tile, for group, for kept weight 0 to N - 1, for slot. Slots with no
    columns in the tile are not fed; they pass as bubbles.

    In a folded product a slot of columns is one slot for each band of rows of A, one after the other, and takes the
    same weights for all of them, each time from where the band's group is.

    Where sums go round in a ring of 8, a weight that is late, or a group of activations, is waited for until its
    slot's turn comes again. What passes without a weight has value 0.

    Weight-stationary, a tile is a turn: one group of k, for kept weight, for slot. A slot may be used as soon as the
    exchange has passed the sums of the turn before the last one (``passed``). The weights of a row come in a turn in
    which the row uses its old ones for the last time, if it has some: in the slots of the turn's last row of A.

    Arguments
    ---------
    config: everything.

    Members
    -------
    start: In(1). Takes k, keep, group and accumulate, stationary and slots. Weight-stationary, k is ``keep``.
    tiles: In(stream of tile_layout).
    weights: In(stream of north_layout). In a dense product the index is made here.
    grant: In(1). The accumulators of one more tile may be used. passed: In(1). Those of one more slot of a turn.
    filled: In(1). A group of activations is in place. release: Out(1). It is used for the last time.
    control: Out(north_control), north: Out(placed_layout): to the array.
    final: Out(1). With the last weight of a slot that has results, or of any slot of a turn.
    busy: Out(1). A weight is used for a result; weight-stationary, by the row at the top.
    starved: Out(1). Weights or activations are missing. blocked: Out(1). No accumulators are free.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "k": In(config.dim_bits),
                "keep": In(config.count_bits),
                "group": In(config.count_bits),
                "accumulate": In(1),
                "stationary": In(1),
                "slots": In(2),
                "tiles": In(stream.Signature(tile_layout(config))),
                "weights": In(stream.Signature(north_layout(config))),
                "grant": In(1),
                "passed": In(1),
                "filled": In(1),
                "release": Out(1),
                "control": Out(north_control(config)),
                "north": Out(placed_layout(config)),
                "final": Out(1),
                "busy": Out(1),
                "starved": Out(1),
                "blocked": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        k, k_left = Signal.like(self.k), Signal.like(self.k)
        keep, group, accumulate = Signal.like(self.keep), Signal.like(self.group), Signal()
        # What holds after this group is worked out while it lasts, which is at least 8 cycles. A short last group
        # keeps min(N, its length).
        k_after, last_after, only_group, last_group = Signal.like(k), Signal(), Signal(), Signal()
        turns_after, turns_only, turns = (
            Signal.like(keep, name=f"turns{n}") for n in ("_after", "_only", "")
        )
        m.d.sync += [
            k_after.eq(k_left - group),
            last_after.eq(k_after <= group),
            turns_after.eq(Mux(k_after < keep, k_after, keep)),
            only_group.eq(k <= group),
            turns_only.eq(Mux(k < keep, k, keep)),
        ]
        with m.If(self.start):
            m.d.sync += [
                k.eq(self.k),
                k_left.eq(self.k),
                last_group.eq(self.k <= self.group),
                turns.eq(Mux(self.k < self.keep, self.k, self.keep)),
                keep.eq(self.keep),
                group.eq(self.group),
                accumulate.eq(self.accumulate),
            ]
        stationary = Signal()
        slot = Signal.like(self.control.entry)
        kept = Signal.like(keep)
        bank, parity = Signal(), Signal()
        first_group = Signal(init=1)
        grants = Signal(range(3))

        tile = self.tiles.payload
        dense = keep == group
        granted, computes, uses, fed = (Signal(name=n) for n in ("granted", "computes", "uses", "fed"))
        ready = self.tiles.valid & granted & (self.filled | ~computes)
        m.d.comb += [
            granted.eq(grants != 0),
            computes.eq(1),
            fed.eq(slot <= tile.rounds),
            uses.eq(fed),
        ]
        step, last_slot, last_turn = Signal(), slot == tile.span, kept + 1 == turns
        first = first_group & (kept == 0)
        if config.ring:
            ready &= self._aligned(m, step, self.tiles.ready)
            first &= step & uses & computes  # else sums that are under way would be lost
        end_of_group = Signal()
        end_of_tile = Signal()
        # Of a folded tile: where the band's group begins, and whether the next slot has other weights.
        start, changes = self._bands(m, tile, step, group, last_slot)
        m.d.comb += [
            self.weights.ready.eq(ready & fed & changes),
            step.eq(ready & (self.weights.valid | ~fed)),
            end_of_group.eq(step & last_slot & last_turn),
            end_of_tile.eq(end_of_group & last_group),
            self.release.eq(end_of_group & computes),
            self.tiles.ready.eq(end_of_tile),
            self.control.valid.eq(step & uses & computes),
            self.busy.eq(self.control.valid),
            self.control.entry.eq(Cat(slot[:-1], slot[-1] ^ parity)),
            self.control.bank.eq(bank),
            self.control.first.eq(first),
            self.control.accumulate.eq(accumulate),
            *([self.control.final.eq(self.final)] if config.ring else []),
            self.final.eq(step & uses & last_turn & last_group),
            self.starved.eq(self.tiles.valid & granted & ~step),
            self.blocked.eq(self.tiles.valid & ~granted),
        ]
        for c in range(config.cols):
            pair = self.weights.payload[c]
            m.d.comb += [
                self.north[c].value.eq(Mux(self.control.valid, pair.value, 0) if config.ring else pair.value),
                self.north[c].index.eq(Mux(dense, kept, pair.index) | start),
            ]
        if config.weight_stationary:
            self._stationary(m, stationary, step, slot, kept, granted, computes, uses, fed)
        with m.If(~stationary):
            m.d.sync += grants.eq(grants + self.grant - end_of_tile)
        with m.If(step):
            m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
            with m.If(last_slot):
                m.d.sync += kept.eq(kept + 1)
        with m.If(end_of_group):
            m.d.sync += [
                kept.eq(0),
                bank.eq(bank ^ computes),
                first_group.eq(last_group),
                k_left.eq(Mux(last_group, k, k_after)),
                last_group.eq(Mux(last_group, only_group, last_after)),
                turns.eq(Mux(last_group, turns_only, turns_after)),
            ]
        with m.If(end_of_tile):
            m.d.sync += parity.eq(~parity)
        return m

    def _aligned(self, m: Module, step, ends):
        """Whether the sum of the slot in hand comes round: at once, or after another round of the ring. The tile's
        first weight waits for none."""
        late, begun = Signal(range(self._config.least_span)), Signal()
        m.d.sync += [late.eq(Mux(step, 0, late + 1)), begun.eq((begun | step) & ~ends)]
        return ~begun | (late == 0)

    def _bands(self, m: Module, tile, step, group, last_slot):
        if self._config.fold == 1:
            return 0, 1
        band = Signal.like(tile.bands)
        changes = Signal()
        m.d.comb += changes.eq(band == tile.bands)
        with m.If(step):
            m.d.sync += band.eq(Mux(changes | last_slot, 0, band + 1))
        start = Signal(self._config.element_bits)
        with m.Switch(group):
            for length in self._config.group_lengths():
                with m.Case(length):
                    m.d.comb += start.eq(band << (length.bit_length() - 1))
        return start, changes

    def _stationary(self, m: Module, stationary, step, slot, kept, granted, computes, uses, fed):
        """What is different when the array holds the weights."""
        config = self._config
        tile = self.tiles.payload
        slots, group = Signal.like(self.slots), Signal.like(self.group)
        with m.If(self.start):
            m.d.sync += [stationary.eq(self.stationary), slots.eq(self.slots), group.eq(self.group)]
        # Both rows' sums of the turn before the last one are in place: that of the element above, too.
        span = config.least_span
        passed = Signal(range(2 * span + 1))
        m.d.sync += passed.eq(passed + (self.passed & stationary) - (step & stationary & (kept == 0)))

        column, sample = Signal(range(span)), Signal(range(span))
        last_sample = Signal()
        with m.Switch(slots):
            for s in range(4):
                with m.Case(s):
                    low, high = slot[:s], slot[s:3]
                    m.d.comb += [
                        column.eq(low),
                        sample.eq(high),
                        last_sample.eq(high.all()),
                        self.control.place.eq(Cat(low, kept)),
                    ]
        offset = Signal(config.element_bits)
        with m.Switch(group):
            for length in (1, *config.group_lengths()):
                with m.Case(length):
                    m.d.comb += offset.eq(sample << (length.bit_length() - 1))
        brings = Signal()
        m.d.comb += brings.eq(tile.brings & last_sample)
        m.d.comb += [
            self.control.held.eq(stationary),
            self.control.hold.eq(step & stationary & brings),
            self.control.keeps.eq(kept < tile.keeps),
            self.control.row.eq(tile.row),
            self.control.clear.eq(step & stationary & tile.clears),
            self.control.offset.eq(offset),
        ]
        with m.If(stationary):
            m.d.comb += [
                granted.eq((kept != 0) | (passed != 0)),
                computes.eq(tile.computes),
                uses.eq(1),
                fed.eq(brings & (kept < tile.keeps) & (column <= tile.columns)),
                self.control.accumulate.eq(1),
                self.busy.eq(step & tile.takes.bit_select(slot[:3], 1)),
            ]
