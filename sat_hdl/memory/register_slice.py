"""A stage between two streams that breaks every path, that of ``ready`` too."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Passes beats on ``latency`` = 1 cycle later, one a cycle; holds up to two.

    Arguments
    ---------
    shape: of the payload.

    Members
    -------
    i: In(stream). Its ``ready`` is a register's.
    o: Out(stream). Its ``valid`` and payload are, too.
    clear: In(1). Forgets what is held, and what comes.
    """

    latency = 1

    def __init__(self, *, shape):
        super().__init__(
            {"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "clear": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal()
        spare = Signal(self.i.payload.shape(), reset_less=True)
        m.d.comb += self.i.ready.eq(~held)
        with m.If(~held):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(held | self.i.valid),
                self.o.payload.eq(Mux(held, spare, self.i.payload)),
                held.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += held.eq(1)
        with m.If(self.clear):
            m.d.sync += [held.eq(0), self.o.valid.eq(0)]
        return m
