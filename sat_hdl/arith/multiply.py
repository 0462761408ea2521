"""Floating-point multiplication of narrow operands into a wide product, one a cycle."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.integer_multiply import IntegerMultiply
from sat_hdl.formats import BINARY32, FloatFormat

__all__ = ["Multiply"]


class Multiply(wiring.Component):
    """``p = a × b`` in ``product``, subnormals in and out, canonical NaN (inf × 0 included).

    ``p`` follows ``a`` and ``b`` by ``latency`` cycles; one product a cycle, lock-step: no valid, no
    enable, no reset of the registers.

    Raw significands are multiplied and the product is normalised, once, instead of both operands: its
    leading-zero count and shifter cover subnormal operands at half the cost. Where the product's format
    holds every product (binary16 in binary32) that is all: 4 ranks, exact. Otherwise (bfloat16) two more
    ranks denormalise and round to nearest even; the significand itself is always exact, so that rounding
    happens below the least normal only.

    Arguments
    ---------
    format: of the operands.
    target: of the integer multiplier, "portable" or "ecp5".
    product: of the result; its significand must hold the exact product's, 2 × format.sig_bits.

    Members
    -------
    a: In(format.width), b: In(format.width), p: Out(product.width).
    """

    def __init__(self, *, format: FloatFormat, target: str = "portable", product: FloatFormat = BINARY32):
        if not isinstance(format, FloatFormat):
            raise ValueError(f"format must be a FloatFormat, not {format!r}")
        if not isinstance(product, FloatFormat):
            raise ValueError(f"product must be a FloatFormat, not {product!r}")
        if product.sig_bits < 2 * format.sig_bits or product.exp_bits < format.exp_bits:
            raise ValueError(
                f"product must have at least {format.exp_bits} exponent and {2 * format.sig_bits - 1} "
                f"fraction bits for operands in {format.name}, not {product!r}"
            )
        self._format = format
        self._product = product
        self._integer = IntegerMultiply(width_a=format.sig_bits, width_b=format.sig_bits, target=target)
        super().__init__({"a": In(format.width), "b": In(format.width), "p": Out(product.width)})

    @property
    def _exact(self) -> bool:
        """Whether every finite product is zero or a normal number of the product's format."""
        fmt, product = self._format, self._product
        least = 2 * (1 - fmt.bias - fmt.frac_bits)  # exponent of the least subnormal's square
        most = 2 * (fmt.exp_max - 1 - fmt.bias) + 1  # of the largest finite's
        return least >= 1 - product.bias and most <= product.exp_max - 1 - product.bias

    @property
    def latency(self) -> int:
        """Cycles from operands to product: the integer multiplier's 2, plus 2 if exact, else plus 4."""
        return self._integer.latency + (2 if self._exact else 4)

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        fmt, product = self._format, self._product
        m.submodules.integer = integer = self._integer

        fields = []
        for operand in (self.a, self.b):
            fraction, exponent = operand[: fmt.frac_bits], operand[fmt.frac_bits : -1]
            subnormal = exponent == 0
            fields.append(
                {
                    "significand": Cat(fraction, ~subnormal),
                    "exponent": exponent | subnormal,  # a subnormal's exponent is 1, its field 0
                    "zero": subnormal & ~fraction.any(),
                    "inf": (exponent == fmt.exp_max) & ~fraction.any(),
                    "nan": (exponent == fmt.exp_max) & fraction.any(),
                }
            )
        a, b = fields
        m.d.comb += [integer.a.eq(a["significand"]), integer.b.eq(b["significand"])]

        # Ranks 1 and 2, beside the integer multiplier. Biased exponents are the product's, as if the
        # integer product's top bit were its leading one.
        rebias = product.bias - 2 * fmt.bias + 1
        reach = product.exp_max + 4 * fmt.sig_bits + 2
        biased = Signal(range(-reach, reach), reset_less=True)
        m.d.sync += biased.eq(a["exponent"] + b["exponent"] + rebias)
        nan = a["nan"] | b["nan"] | (a["inf"] & b["zero"]) | (a["zero"] & b["inf"])
        flags = _delay(m, Cat(self.a[-1] ^ self.b[-1], nan, a["inf"] | b["inf"]), integer.latency)
        biased = _delay(m, biased, integer.latency - 1)

        # Rank 3: count the leading zeros.
        width = len(integer.p)
        zeros = Signal(range(width), reset_less=True)
        for bit in range(width):
            with m.If(integer.p[bit]):
                m.d.sync += zeros.eq(width - 1 - bit)
        with m.If(integer.p == 0):
            m.d.sync += zeros.eq(0)
        raw = _delay(m, integer.p, 1)
        biased = _delay(m, biased, 1)
        flags = _delay(m, flags, 1)

        # Rank 4: normalise. Without a leading one the product is 0.
        significand = Signal(width)
        m.d.comb += significand.eq(raw << zeros)
        exponent = Signal(signed(len(biased)))
        m.d.comb += exponent.eq(biased - zeros)
        if self._exact:
            appended = Const(0, product.sig_bits - width)
            finite = Mux(significand[-1], Cat(appended, significand[:-1], exponent[: product.exp_bits]), 0)
        else:
            finite, overflow, flags = self._round(m, significand, exponent, flags)
            flags = flags | (overflow << 2)
        sign, is_nan, is_inf = flags[0], flags[1], flags[2]
        result = Signal(product.width, reset_less=True)
        with m.If(is_nan):
            m.d.sync += result.eq(product.nan)
        with m.Elif(is_inf):
            m.d.sync += result.eq(Cat(Const(product.inf, product.width - 1), sign))
        with m.Else():
            m.d.sync += result.eq(Cat(finite, sign))
        m.d.comb += self.p.eq(result)
        return m

    def _round(self, m: Module, significand, exponent, flags):
        """Ranks 4 and 5, and the sum of rank 6: move a product below the least normal right, and round it.

        Returns the packed magnitude, whether it overflows, and the flags of its rank.
        """
        product = self._product
        # Further than this leaves only a sticky bit.
        furthest = product.sig_bits + 1
        normal = exponent > 0
        shift = Signal(range(furthest + 1), reset_less=True)
        field = Signal(product.exp_bits, reset_less=True)
        overflow = Signal(reset_less=True)
        m.d.sync += [
            shift.eq(Mux(normal, 0, Mux(exponent < 1 - furthest, furthest, 1 - exponent))),
            # A zero product has no leading one to carry the exponent 1 of the least normal.
            field.eq(Mux(normal & significand[-1], exponent, 0)),
            overflow.eq(significand[-1] & (exponent >= product.exp_max)),
        ]
        held = _delay(m, significand, 1)
        flags = _delay(m, flags, 1)

        wide = Signal(product.sig_bits + 1)  # a round bit at the low end
        m.d.comb += wide.eq(Cat(Const(0, product.sig_bits + 1 - len(held)), held))
        moved = _delay(m, wide >> shift, 1)
        lost = [wide[bit] & (shift > bit) for bit in range(len(wide))]
        sticky = _delay(m, Cat(lost).any(), 1)
        field, overflow, flags = _delay(m, field, 1), _delay(m, overflow, 1), _delay(m, flags, 1)

        magnitude = Signal(product.width - 1)
        round_up = moved[0] & (sticky | moved[1])
        # A carry out of the fraction makes the least normal.
        m.d.comb += magnitude.eq(Cat(moved[1:-1], field) + round_up)
        return magnitude, overflow, flags


def _delay(m: Module, value, ranks: int):
    """``value`` behind ``ranks`` registers without reset."""
    for _ in range(ranks):
        shape = value.shape()
        register = Signal(signed(len(value)) if shape.signed else unsigned(len(value)), reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
