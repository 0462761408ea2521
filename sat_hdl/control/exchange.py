"""Swaps results for initial accumulators while the array computes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout
from sat_hdl.layouts import result_layout
from sat_hdl.stce.skew import delay
from sat_hdl.stce.tokens import exchange_control

__all__ = ["Exchanger"]


class Exchanger(wiring.Component):
    """One pass a tile over a bank of accumulators: in with tile p's initial values, out with the results of
    tile p - 2, which used the same bank. After its pass tile p is granted to the sequencer.

    A pass goes slot by slot, one place a row: rows × rounds cycles, while tile p - 1 computes. Two more
    passes follow the last tile, and two come before a wide one. Without accumulators to load and
    without results a pass takes a cycle.

    A slot of a folded tile belongs to a band of R rows of A, the last of which may have fewer: a pass has a place for
    each row of the band then.

    Weight-stationary, a tile is a turn and has a place for each slot, where every element takes the sum of the one
    above. The elements at the top take initial accumulators, or +0; what the last ones give are results in
    some of the turns.

    Arguments
    ---------
    config: everything.
    result_latency: of the array: cycles from a sum's last weight to the exchange that may fetch it.

    Members
    -------
    start: In(1). Takes accumulate and stationary.
    tiles: In(stream of tile_layout).
    initial: In(stream of result_layout). A beat a slot and row: for tile, for slot, for row.
    final: In(1). A slot's last weight enters the array.
    grant: Out(1). passed: Out(1): a slot's place has gone.
    room: In(1), issue: Out(1): of the drain.
    control: Out(exchange_control), words: Out(result_layout): to the array.
    starved: Out(1). An initial accumulator is missing. blocked: Out(1). Results find no room.
    busy: Out(1).
    """

    def __init__(self, config: Config, *, result_latency: int):
        if not isinstance(result_latency, int) or result_latency < 1:
            raise ValueError(f"Result latency must be a positive integer, not {result_latency!r}")
        self._config = config
        self._result_latency = result_latency
        super().__init__(
            {
                "start": In(1),
                "accumulate": In(1),
                "stationary": In(1),
                "tiles": In(stream.Signature(tile_layout(config))),
                "initial": In(stream.Signature(result_layout(config))),
                "final": In(1),
                **({"starts": In(1)} if config.ring else {}),
                "grant": Out(1),
                "passed": Out(1),
                "room": In(1),
                "issue": Out(1),
                "control": Out(exchange_control(config)),
                "words": Out(result_layout(config)),
                "starved": Out(1),
                "blocked": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        accumulate, stationary = Signal(), Signal()
        slot = Signal.like(self.control.entry)
        parity = Signal()
        tile = self.tiles.payload
        row = Signal.like(tile.rows)
        # Tiles p - 1 and p - 2 of pass p.
        history = data.StructLayout({"valid": 1, "tile": tile_layout(config)})
        previous, drained = Signal(history), Signal(history)
        walking = Signal()  # the last tile's pass is still to come

        # Slots of tile p - 2 whose results are final by now.
        finals = Signal(range((1 << config.entry_bits) + 1))
        final = delay(m, self.final, self._result_latency - 1, "final", reset=True)

        # In a ring sums and initial accumulators share a memory, which weights use when a sum begins or is final.
        free = Signal()
        m.d.comb += free.eq(1)
        if config.ring:
            wait = self._result_latency - config.least_span
            starts = delay(m, self.starts, wait, "starts", reset=True)
            m.d.comb += free.eq(~(starts | final))

        # A wide tile shares its banks with nobody: before it two passes only drain. Wide tiles make up the last
        # band, so what follows one is wide too, or the end.
        unfinished = previous.valid | drained.valid
        flush = tile.wide & unfinished
        current = self.tiles.valid & walking & ~flush
        active = current | ((~walking | (self.tiles.valid & flush)) & unfinished)
        loads, drains = current & (accumulate | stationary), drained.valid
        loading, draining, waiting = (
            Signal(),
            Signal(),
            Signal(),
        )  # the place takes a word, brings one, needs a sum
        step = Signal()
        last_row, last_slot = Signal(), Signal()
        # Rows of the slot, less one: of the tile that comes and of the one that goes.
        rows_in, rows_out = (
            self._rows(m, part, step & last_row, last_slot, name)
            for part, name in ((tile, "in"), (drained.tile, "out"))
        )
        m.d.comb += [
            loading.eq(loads & (slot <= tile.rounds) & (row <= rows_in)),
            draining.eq(drains & (slot <= drained.tile.rounds) & (row <= rows_out)),
            waiting.eq(draining & (row == 0)),
            self.control.load.eq(loading),
            self.words.eq(self.initial.payload),
        ]
        if config.weight_stationary:
            place = slot[: (config.least_span - 1).bit_length()]
            m.d.comb += self.control.passes.eq(stationary)
            with m.If(stationary):
                m.d.comb += [
                    loading.eq(current & accumulate & tile.takes.bit_select(place, 1)),
                    draining.eq(drains & drained.tile.gives.bit_select(place, 1)),
                    waiting.eq(drains),
                    self.control.load.eq(1),
                ]
                with m.If(~loading):
                    m.d.comb += self.words.eq(0)
        ready = active & free & (~draining | self.room) & (~waiting | (finals != 0))

        rows = Signal.like(row)
        rounds = Signal.like(slot)
        m.d.comb += [
            rows.eq(Mux(loads & ~(drains & (rows_out > rows_in)), rows_in, rows_out)),
            rounds.eq(
                Mux(loads & ~(drains & (drained.tile.rounds > tile.rounds)), tile.rounds, drained.tile.rounds)
            ),
        ]
        idle = active & ~loads & ~drains
        end = Signal()
        m.d.comb += [
            last_row.eq(row == rows),
            last_slot.eq(slot == rounds),
            self.initial.ready.eq(ready & loading),
            step.eq(ready & ~idle & (~loading | self.initial.valid)),
            end.eq((step & last_row & last_slot) | idle),
            self.tiles.ready.eq(end & current),
            self.grant.eq(end & current),
            self.issue.eq(step & draining),
            self.control.valid.eq(step),
            self.control.taken.eq(0),
            self.control.start.eq(row == 0),
            self.passed.eq(step & current),
            self.control.entry.eq(Cat(slot[:-1], slot[-1] ^ parity)),
            self.starved.eq(ready & loading & ~self.initial.valid),
            self.blocked.eq(active & draining & ~self.room),
            self.busy.eq(walking | unfinished),
        ]
        m.d.sync += finals.eq(finals + final - (step & waiting))
        with m.If(step):
            m.d.sync += row.eq(row + 1)
            with m.If(last_row):
                m.d.sync += [row.eq(0), slot.eq(slot + 1)]
        with m.If(end):
            m.d.sync += [
                slot.eq(0),
                parity.eq(~parity),
                drained.eq(previous),
                previous.valid.eq(current),
                previous.tile.eq(tile),
            ]
            with m.If(current & tile.last):
                m.d.sync += walking.eq(0)
        with m.If(self.start):
            m.d.sync += [walking.eq(1), accumulate.eq(self.accumulate), stationary.eq(self.stationary)]
        return m

    def _rows(self, m: Module, tile, ends, last_slot, name: str):
        """Rows, less one, that the slot in hand of ``tile`` has; ``ends``: it ends."""
        config = self._config
        if config.fold == 1:
            return tile.rows
        band = Signal.like(tile.bands, name=f"band_{name}")
        last = band == tile.bands
        with m.If(ends):
            m.d.sync += band.eq(Mux(last | last_slot, 0, band + 1))
        return Mux(last, tile.rows, config.rows - 1)
