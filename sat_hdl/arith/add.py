"""Addition of binary32 words."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.accumulate import Accumulate, addend_layout

__all__ = ["Add"]


class Add(wiring.Component):
    """``o = RNE32(a + b)``, by the numerics contract: subnormals in full, NaN canonical, x - x = +0.

    Lock-step: one sum a cycle, ``latency`` = 8 cycles later: a rank that unpacks, then :class:`Accumulate`.

    Arguments
    ---------
    target: "ecp5" or "portable".

    Members
    -------
    a, b: In(32). Any binary32 words.
    o: Out(32).
    """

    latency = 1 + Accumulate.latency

    def __init__(self, *, target: str = "portable"):
        self._accumulate = Accumulate(exact=False, target=target)
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accumulate = accumulate = self._accumulate
        p = Signal(addend_layout(False), reset_less=True)
        b = Signal(32, reset_less=True)
        frac, exp = self.a[:23], self.a[23:31]
        nan = self.b[23:31].all() & self.b[:23].any()
        m.d.sync += [
            p.sig.eq(Cat(frac, exp.any())),
            p.exp.eq(exp | ~exp.any()),
            p.sign.eq(self.a[31]),
            p.special.eq(exp.all()),
            p.nan.eq(frac.any()),
            b.eq(Cat(self.b[:22], self.b[22] | nan, self.b[23:])),
        ]
        m.d.comb += [accumulate.p.eq(p), accumulate.acc.eq(b), self.o.eq(accumulate.o)]
        return m
