"""Beats → vectors of one element a lane."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.wuve.layouts import beat_layout

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Offers the next vector of a stream whose elements have 16 or 32 bits, chosen at run time.

    A vector comes from a part of a beat, or from several beats, of which all but the last wait here. The
    caller says how many elements the vector has and whether it ends its run; what remains of a run's last
    beat is dropped. Combinational from ``beats.payload`` to ``vector``, and from ``beats.valid`` to ``ok``.

    Arguments
    ---------
    lanes: L, data_bits: D; powers of two.
    wide_only: elements always have 32 bits.

    Members
    -------
    wide: In(1). Elements have 32 bits. many, last: In, as in ``vector_layout``, of the vector wanted.
    wanted: In(1). There is such a vector: beats may be taken for it.
    take: In(1). Takes the vector; only while ``ok``.
    beats: In(stream of beat_layout).
    ok: Out(1). The vector is complete.
    vector: Out(L × 32), pad: Out(1). 16-bit elements have 0 above.
    """

    def __init__(self, *, lanes: int, data_bits: int, wide_only: bool = False):
        self._lanes, self._data_bits = lanes, data_bits
        self._widths = (32,) if wide_only else (16, 32)
        super().__init__(
            {
                "wide": In(1),
                "many": In(max(1, (lanes - 1).bit_length())),
                "last": In(1),
                "wanted": In(1),
                "take": In(1),
                "beats": In(stream.Signature(beat_layout(data_bits, pad=True))),
                "ok": Out(1),
                "vector": Out(data.ArrayLayout(32, lanes)),
                "pad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, beat = self._lanes, self.beats.payload
        # Parts of a beat taken, or beats of a vector held.
        steps = max(max(self._data_bits // w // lanes, lanes * w // self._data_bits) for w in self._widths)
        place = Signal(range(max(2, steps)))
        held_bits = max(0, lanes * max(self._widths) - self._data_bits)
        held = Signal(held_bits, reset_less=True)
        load = Signal()
        m.d.comb += self.pad.eq(beat.pad)

        ways = {}  # by width: vector, whether this beat completes it, whether it uses the beat up
        for width in self._widths:
            elements = self._data_bits // width
            if elements >= lanes:
                parts = elements // lanes
                part = beat.data.word_select(place[: (parts - 1).bit_length()], lanes * width)
                ways[width] = part, Const(1, 1), self.last | (place == parts - 1)
            else:
                slots = lanes // elements
                shift = (elements - 1).bit_length()
                joined = []
                for slot in range(slots - 1):
                    kept = held[slot * self._data_bits : (slot + 1) * self._data_bits]
                    joined.append(Mux(place == slot, beat.data, kept))
                    with m.If(load & (place == slot) & (self.wide if width == 32 else ~self.wide)):
                        m.d.sync += kept.eq(beat.data)
                ways[width] = Cat(joined, beat.data), place == self.many >> shift, Const(1, 1)

        elements_of = {
            width: [value[lane * width : (lane + 1) * width] for lane in range(lanes)]
            for width, (value, _, _) in ways.items()
        }
        complete, exhausted = Signal(), Signal()
        if len(ways) == 1:
            m.d.comb += [complete.eq(ways[32][1]), exhausted.eq(ways[32][2])]
            m.d.comb += [self.vector[lane].eq(elements_of[32][lane]) for lane in range(lanes)]
        else:
            m.d.comb += [
                complete.eq(Mux(self.wide, ways[32][1], ways[16][1])),
                exhausted.eq(Mux(self.wide, ways[32][2], ways[16][2])),
            ]
            for lane in range(lanes):
                wide, narrow = elements_of[32][lane], elements_of[16][lane]
                m.d.comb += self.vector[lane].eq(Mux(self.wide, wide, narrow))
        m.d.comb += [
            self.ok.eq(self.beats.valid & complete),
            load.eq(self.wanted & self.beats.valid & ~complete),
            self.beats.ready.eq(load | (self.take & exhausted)),
        ]
        with m.If(load | self.take):
            m.d.sync += place.eq(Mux(self.take & exhausted, 0, place + 1))
        return m
