"""Vectors of one element a lane → beats."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.wuve.layouts import beat_layout, vector_layout

__all__ = ["Spread"]


class Spread(wiring.Component):
    """Packs vectors into beats of 16- or 32-bit elements, chosen at run time; a run begins a new beat.

    A vector fills a part of a beat, or several beats of which only those with elements come. What a run leaves of
    its last beat is 0, if the vectors are 0 past their end. A beat a cycle; ``beats`` comes from registers.

    Arguments
    ---------
    lanes: L, data_bits: D; powers of two.

    Members
    -------
    wide: In(1). Elements have 32 bits; else the low 16 of each count.
    vectors: In(stream of vector_layout).
    beats: Out(stream of beat_layout).
    """

    def __init__(self, *, lanes: int, data_bits: int):
        self._lanes, self._data_bits = lanes, data_bits
        super().__init__(
            {
                "wide": In(1),
                "vectors": In(stream.Signature(vector_layout(lanes))),
                "beats": Out(stream.Signature(beat_layout(data_bits, pad=False))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, bits = self._lanes, self._data_bits
        vector = self.vectors.payload
        steps = max(max(bits // w // lanes, lanes * w // bits) for w in (16, 32))
        place = Signal(range(max(2, steps)))
        valid = Signal()
        beat = Signal(bits, reset_less=True)
        last = Signal(reset_less=True)

        ways = {}  # by width: the beat to load, whether it is whole then, whether the vector is used up
        for width in (16, 32):
            packed = Cat(vector.data[lane][:width] for lane in range(lanes))
            elements = bits // width
            if elements >= lanes:
                parts = elements // lanes
                joined = []
                for part in range(parts):
                    kept = beat[part * len(packed) : (part + 1) * len(packed)]
                    below = Mux(place > part, kept, 0) if part < parts - 1 else Const(0, 1)
                    joined.append(Mux(place == part, packed, below)[: len(packed)])
                ways[width] = Cat(joined), vector.last | (place == parts - 1), Const(1, 1)
            else:
                slots = lanes // elements
                part = packed.word_select(place[: (slots - 1).bit_length()], bits)
                shift = (elements - 1).bit_length()
                ways[width] = part, Const(1, 1), place == vector.many >> shift
        whole, done = (Mux(self.wide, ways[32][i], ways[16][i]) for i in (1, 2))

        load = Signal()
        m.d.comb += [
            load.eq(self.vectors.valid & (~valid | self.beats.ready)),
            self.vectors.ready.eq((~valid | self.beats.ready) & done),
            self.beats.valid.eq(valid),
            self.beats.payload.data.eq(beat),
            self.beats.payload.last.eq(last),
        ]
        with m.If(self.beats.ready):
            m.d.sync += valid.eq(0)
        with m.If(load):
            m.d.sync += [
                valid.eq(whole),
                beat.eq(Mux(self.wide, ways[32][0], ways[16][0])),
                last.eq(vector.last & done),
                # One more part of a beat, or beat of a vector.
                place.eq(Mux(whole & done, 0, place + 1)),
            ]
        return m
