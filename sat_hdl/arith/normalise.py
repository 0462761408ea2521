"""Operands as the multipliers take them: normalised once at the array's edge."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.formats import BINARY16, FloatFormat

__all__ = ["Normalise", "operand_layout"]

#: Added to the exponent of a normalised binary16. The sum of two exponents plus 64 is then the product's
#: exponent biased as binary32, for its upper leading position; adding 64 is an inverter and a wire.
EXP_OFFSET = 17


def operand_layout(format: FloatFormat) -> data.StructLayout:
    """An operand inside the array.

    binary16: ``sig`` with its leading bit set unless the value is 0, ``exp`` biased by 15 + 17, ``sign``,
    ``special``: infinity if the leading bit of sig is set, else NaN. 19 bits.

    Other formats stay as they are (``raw``): their products are not exact in binary32, so their multiplier
    unpacks them itself.
    """
    if format == BINARY16:
        return data.StructLayout({"sig": 11, "exp": 6, "sign": 1, "special": 1})
    return data.StructLayout({"raw": format.width})


class Normalise(wiring.Component):
    """Unpacks a word into ``operand_layout``; binary16 subnormals get their leading bit on top.

    Lock-step: one operand a cycle, ``latency`` = 2 cycles (0 for formats that stay as they are).

    Arguments
    ---------
    format: of the operand.

    Members
    -------
    i: In(format.width).
    o: Out(operand_layout(format)).
    """

    def __init__(self, *, format: FloatFormat):
        self._format = format
        super().__init__({"i": In(format.width), "o": Out(operand_layout(format))})

    @staticmethod
    def latency_of(format: FloatFormat) -> int:
        """Cycles from ``i`` to ``o`` with operands of ``format``."""
        return 2 if format == BINARY16 else 0

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return self.latency_of(self._format)

    def elaborate(self, platform):
        m = Module()
        if self._format != BINARY16:
            m.d.comb += self.o.raw.eq(self.i)
            return m

        frac, exp, sign = self.i[:10], self.i[10:15], self.i[15]
        special = exp.all()
        subnormal = ~exp.any()
        # Of a special only the leading bit counts: set for infinity.
        lead = Mux(special, ~frac.any(), ~subnormal)
        sig = Cat(frac, lead)
        shift8 = subnormal & ~sig[3:].any()
        by8 = Mux(shift8, sig << 8, sig)[:11]
        shift4 = subnormal & ~by8[7:].any()
        m_sig = Signal(11, reset_less=True)
        m_shift = Signal(2, reset_less=True)
        m_exp = Signal(5, reset_less=True)
        m_sign = Signal(reset_less=True)
        m_special = Signal(reset_less=True)
        m_subnormal = Signal(reset_less=True)
        m.d.sync += [
            m_sig.eq(Mux(shift4, by8 << 4, by8)),
            m_shift.eq(Cat(shift4, shift8)),
            m_exp.eq(exp),
            m_sign.eq(sign),
            m_special.eq(special),
            m_subnormal.eq(subnormal),
        ]

        shift2 = m_subnormal & ~m_sig[9:].any()
        by2 = Mux(shift2, m_sig << 2, m_sig)[:11]
        shift1 = m_subnormal & ~by2[10]
        shift = Cat(shift1, shift2, m_shift)
        o = Signal(operand_layout(self._format), reset_less=True)
        m.d.sync += [
            o.sig.eq(Mux(shift1, by2 << 1, by2)),
            o.exp.eq(Mux(m_subnormal, EXP_OFFSET + 1 - shift, EXP_OFFSET + m_exp)),
            o.sign.eq(m_sign),
            o.special.eq(m_special),
        ]
        m.d.comb += self.o.eq(o)
        return m
