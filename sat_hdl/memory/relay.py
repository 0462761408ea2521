"""A stage between two streams that breaks every path, for beats that come seldom."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Relay"]


class Relay(wiring.Component):
    """Passes beats on ``latency`` = 1 cycle later, at most one every other cycle; holds one.

    So it takes no LUT for a bit of the payload, and half the registers of a
    :class:`~sat_hdl.memory.register_slice.RegisterSlice`.

    Arguments
    ---------
    shape: of the payload.

    Members
    -------
    i: In(stream). Its ``ready`` is a register's.
    o: Out(stream). Its ``valid`` and payload are, too.
    """

    latency = 1

    def __init__(self, *, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        held, word = Signal(), Signal(self.i.payload.shape(), reset_less=True)
        m.d.comb += [self.i.ready.eq(~held), self.o.valid.eq(held), self.o.payload.eq(word)]
        m.d.sync += held.eq((held & ~self.o.ready) | (~held & self.i.valid))
        with m.If(~held):
            m.d.sync += word.eq(self.i.payload)
        return m
