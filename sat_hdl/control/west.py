"""Feeds activations to the array's west edge."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout
from sat_hdl.layouts import west_layout
from sat_hdl.stce.tokens import west_control

__all__ = ["WestFeeder"]


class WestFeeder(wiring.Component):
    """For every tile, takes the groups of M activations in order of k, a beat of E elements at a time.

    A folded tile has several bands of R rows: a group of each of them comes, band after band, before the next groups
    of k, and all of them take one half of the group memory.

    One group is filled while another is in use. A beat of the next one is accepted in the cycle after the last weight
    that uses the memory's old content (``release``), for an element may take a cycle to choose a weight.

    Arguments
    ---------
    config: everything.

    Members
    -------
    start: In(1). Takes k and group.
    k: In(dim_bits), group: In(count_bits).
    tiles: In(stream of tile_layout).
    elements: In(stream of west_layout).
    control: Out(west_control), west: Out(west_layout): to the array.
    release: In(1). The oldest filled group is used for the last time.
    filled: Out(1). There is a filled group to use.
    starved: Out(1). A beat could be taken, but none is offered.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "k": In(config.dim_bits),
                "group": In(config.count_bits),
                "tiles": In(stream.Signature(tile_layout(config))),
                "elements": In(stream.Signature(west_layout(config))),
                "control": Out(west_control(config)),
                "west": Out(west_layout(config)),
                "release": In(1),
                "filled": Out(1),
                "starved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = self._config.west_elements
        k, k_left = Signal.like(self.k), Signal.like(self.k)
        group = Signal.like(self.group)
        beat = Signal.like(self.control.address)  # in its group
        bank = Signal()
        count = Signal(range(3))
        with m.If(self.start):
            m.d.sync += [k.eq(self.k), k_left.eq(self.k), group.eq(self.group)]

        room = count != 2
        wanted = self.tiles.valid & room
        take, ends = Signal(), Signal()  # ends: a band's group
        # Elements from this beat's first one to the end of the group and of k.
        last_group = k_left <= group
        length = Mux(last_group, k_left, group)[: len(group)]
        start, last_band = self._bands(m, take, group, ends)
        filled = Signal()
        m.d.comb += [
            self.elements.ready.eq(wanted),
            take.eq(wanted & self.elements.valid),
            self.starved.eq(wanted & ~self.elements.valid),
            self.control.valid.eq(take),
            self.control.bank.eq(bank),
            self.control.address.eq(beat | start),
            self.west.eq(self.elements.payload),
            ends.eq((beat + 1) * step >= length),
            filled.eq(take & ends & last_band),
            self.filled.eq(count != 0),
            self.tiles.ready.eq(filled & last_group),
        ]
        m.d.sync += count.eq(count + filled - self.release)
        with m.If(take):
            m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
        with m.If(filled):
            m.d.sync += [bank.eq(~bank), k_left.eq(Mux(last_group, k, k_left - group))]
        return m

    def _bands(self, m: Module, take, group, ends):
        """Of a folded tile: the beat with which the band's group begins, and whether it is the last band."""
        config = self._config
        if config.fold == 1:
            return 0, 1
        band = Signal.like(self.tiles.payload.bands)
        last, start = Signal(), Signal.like(self.control.address)
        m.d.comb += last.eq(band == self.tiles.payload.bands)
        with m.If(take & ends):
            m.d.sync += band.eq(Mux(last, 0, band + 1))
        with m.Switch(group):
            for length in config.group_lengths():
                with m.Case(length):
                    m.d.comb += start.eq(band * (length // config.west_elements))
        return start, last
