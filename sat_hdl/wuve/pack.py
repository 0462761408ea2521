"""Rows of a fixed size → beats."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Pack", "row_layout"]


def row_layout(row_bits: int) -> data.StructLayout:
    """``row``: its first element in the low bits. ``last``: of its run. ``second``: for the second output."""
    return data.StructLayout({"row": row_bits, "last": 1, "second": 1})


class Pack(wiring.Component):
    """Packs rows into beats for one of two outputs; a run begins a new beat, what one leaves of its last is 0.

    A beat a cycle, offered from registers the cycle after its last row came; the outputs share them. All rows of
    a run go to one output.

    Arguments
    ---------
    row_bits, data_bits: of a row and of a beat, powers of two.

    Members
    -------
    rows: In(stream of row_layout). first, second: Out(stream of data_bits).
    busy: Out(1). A beat waits to be taken.
    """

    def __init__(self, *, row_bits: int, data_bits: int):
        for name, value in (("row_bits", row_bits), ("data_bits", data_bits)):
            if not isinstance(value, int) or value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        self._row_bits, self._data_bits = row_bits, data_bits
        super().__init__(
            {
                "rows": In(stream.Signature(row_layout(row_bits))),
                "first": Out(stream.Signature(data_bits)),
                "second": Out(stream.Signature(data_bits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row_bits, data_bits = self._row_bits, self._data_bits
        rows = self.rows.payload
        steps = max(row_bits, data_bits) // min(row_bits, data_bits)
        place = Signal(range(max(2, steps)))
        valid, second = Signal(), Signal(reset_less=True)
        beat = Signal(data_bits, reset_less=True)
        if row_bits >= data_bits:  # several beats of a row
            following = rows.row.word_select(place[: (steps - 1).bit_length()], data_bits)
            whole, done = Const(1, 1), place == steps - 1
        else:  # several rows in a beat
            joined = []
            for i in range(steps):
                kept = beat[i * row_bits : (i + 1) * row_bits]
                below = Mux(place > i, kept, 0) if i < steps - 1 else Const(0, 1)
                joined.append(Mux(place == i, rows.row, below)[:row_bits])
            following = Cat(joined)
            whole, done = rows.last | (place == steps - 1), Const(1, 1)
        room = ~valid | Mux(second, self.second.ready, self.first.ready)
        m.d.comb += self.rows.ready.eq(room & done)
        with m.If(room):
            m.d.sync += valid.eq(self.rows.valid & whole)
        with m.If(room & self.rows.valid):
            m.d.sync += [beat.eq(following), second.eq(rows.second)]
            m.d.sync += place.eq(Mux(whole & done, 0, place + 1))
        m.d.comb += [
            self.first.valid.eq(valid & ~second),
            self.second.valid.eq(valid & second),
            self.first.payload.eq(beat),
            self.second.payload.eq(beat),
            self.busy.eq(valid),
        ]
        return m
