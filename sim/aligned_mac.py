"""A multiply-accumulate whose three operands enter in one cycle, for tests and measurements."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.mac import Mac
from sat_hdl.arith.normalise import Normalise
from sat_hdl.formats import FloatFormat
from sat_hdl.stce.skew import delay

__all__ = ["AlignedMac"]


class AlignedMac(wiring.Component):
    """:class:`Normalise` for both operands, :class:`Mac`, and ``acc`` delayed until its product comes.

    Lock-step: one result a cycle, ``latency`` cycles after the operands.

    Arguments
    ---------
    format, target: see :class:`Mac`.

    Members
    -------
    a, b: In(format.width). Any operand.
    acc: In(32). A binary32 word; if it is NaN its quiet bit must be set.
    o: Out(32).
    """

    def __init__(self, *, format: FloatFormat, target: str = "portable"):
        self._mac = Mac(format=format, target=target)
        self._a, self._b = Normalise(format=format), Normalise(format=format)
        super().__init__({"a": In(format.width), "b": In(format.width), "acc": In(32), "o": Out(32)})

    @property
    def latency(self) -> int:
        """Cycles from the operands to ``o``: the normaliser's and the multiply-accumulate's."""
        return self._a.latency + self._mac.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.normalise_a, m.submodules.normalise_b, m.submodules.mac = self._a, self._b, self._mac
        m.d.comb += [
            self._a.i.eq(self.a),
            self._b.i.eq(self.b),
            self._mac.a.eq(self._a.o),
            self._mac.b.eq(self._b.o),
            self._mac.acc.eq(delay(m, self.acc, self._a.latency + self._mac.acc_delay, "acc")),
            self.o.eq(self._mac.o),
        ]
        return m
