"""Multiply-accumulate: the arithmetic of a processing element."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.accumulate import Accumulate, addend_layout
from sat_hdl.arith.integer_multiply import IntegerMultiply
from sat_hdl.arith.multiply import Multiply
from sat_hdl.arith.normalise import operand_layout
from sat_hdl.formats import BINARY16, FloatFormat

__all__ = ["Mac"]


class Mac(wiring.Component):
    """``o = RNE32(acc + RNE32(a × b))``, by the numerics contract.

    Lock-step: one result a cycle. ``acc`` is sampled ``acc_delay`` cycles after ``a`` and ``b``, so a sum that
    feeds itself waits for the adder only: ``o`` follows ``acc`` by ``loop_latency`` = 7 cycles and the
    operands by ``latency`` = acc_delay + loop_latency (9 with binary16 operands).

    With binary16 the product is exact and stays unrounded and unnormalised; it goes straight into
    :class:`Accumulate`, whose special cases it shortens. With other formats the product is rounded to
    binary32 first.

    Arguments
    ---------
    format: of the operands.
    target: "ecp5" or "portable".
    idles: whether there are cycles without operands, in which -0 is added: ``o`` is ``acc`` then.

    Members
    -------
    a, b: In(operand_layout(format)), from :class:`Normalise`.
    acc: In(32). A binary32 word; if it is NaN its quiet bit must be set.
    feeds: In(1), if it ``idles``: ``feeds_delay`` cycles after operands, whether they are some; if not, ``b`` must
        have been 0.
    o: Out(32). NaN is canonical.
    """

    loop_latency = Accumulate.latency

    def __init__(self, *, format: FloatFormat, target: str = "portable", idles: bool = False):
        self._format = format
        self._idles = idles
        self._target = target
        self._exact = format == BINARY16
        if self._exact:
            self._multiply = IntegerMultiply(width_a=11, width_b=11, target=target, ranks=3)
        else:
            self._multiply = Multiply(format=format, target=target)
        layout = operand_layout(format)
        members = {"a": In(layout), "b": In(layout), "acc": In(32), "o": Out(32)}
        super().__init__(members | ({"feeds": In(1)} if idles else {}))

    @property
    def acc_delay(self) -> int:
        """Cycles from ``a`` and ``b`` to the ``acc`` that their product is added to."""
        return 2 if self._exact else self._multiply.latency + 1

    @property
    def feeds_delay(self) -> int:
        """Cycles from ``a`` and ``b`` to the ``feeds`` that tells of them."""
        return self.acc_delay - 1

    @property
    def latency(self) -> int:
        """Cycles from ``a`` and ``b`` to ``o``."""
        return self.acc_delay + self.loop_latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply = multiply = self._multiply
        m.submodules.accumulate = accumulate = Accumulate(exact=self._exact, target=self._target)
        m.d.comb += [accumulate.acc.eq(self.acc), self.o.eq(accumulate.o)]
        p = Signal(addend_layout(self._exact), reset_less=True)

        def negative_zero(sign, special):
            """Sign and special of a product, or of -0 where there are no operands."""
            return (sign | ~self.feeds, special & self.feeds) if self._idles else (sign, special)

        if not self._exact:
            product = multiply.p
            exp = product[23:31]
            product_sign, product_special = negative_zero(product[31], exp.all())
            m.d.comb += [multiply.a.eq(self.a.raw), multiply.b.eq(self.b.raw), accumulate.p.eq(p)]
            m.d.sync += [
                p.sig.eq(Cat(product[:23], exp.any())),
                p.exp.eq(exp | ~exp.any()),
                p.sign.eq(product_sign),
                p.special.eq(product_special),
                p.nan.eq(product[22]),
            ]
            if self._idles:
                # Infinity times 0 is NaN, whose bits must not count.
                with m.If(~self.feeds):
                    m.d.sync += [p.sig.eq(0), p.exp.eq(1)]
            return m

        a, b = self.a, self.b
        exp = Signal(7, reset_less=True)
        sign, special, lead = (Signal(name=n, reset_less=True) for n in ("sign", "special", "lead"))
        product_sign, product_special = negative_zero(sign, special)
        m.d.comb += [multiply.a.eq(a.sig), multiply.b.eq(b.sig)]
        m.d.sync += [
            exp.eq(a.exp + b.exp),
            sign.eq(a.sign ^ b.sign),
            special.eq(a.special | b.special),
            # Clear if an operand is 0 or NaN: beside a special operand, either makes NaN.
            lead.eq(a.sig[-1] & b.sig[-1]),
        ]
        m.d.sync += [
            # The operands' offsets and +64 make this the exponent of the product's top bit, biased 127.
            p.exp.eq(Cat(exp[:6], ~exp[6], exp[6])),
            p.sign.eq(product_sign),
            p.special.eq(product_special),
            p.nan.eq(~lead),
            p.zero.eq(~lead),
        ]
        with m.If(~lead):
            m.d.sync += p.exp.eq(0)
        m.d.comb += [accumulate.p.eq(p), accumulate.p.sig.eq(multiply.p)]
        return m
