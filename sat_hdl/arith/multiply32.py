"""Multiplication of binary32 words."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.arith.integer_multiply import IntegerMultiply
from sat_hdl.arith.zeros import leading_zeros
from sat_hdl.formats import BINARY32

__all__ = ["Multiply32"]

_LOW = 18  # bits of a significand's lower part: the operand of a device's multiplier
_HIGH = BINARY32.sig_bits - _LOW


class Multiply32(wiring.Component):
    """``o = RNE32(a × b)``, by the numerics contract: subnormals in full, NaN and inf × 0 canonical.

    Lock-step: one product a cycle, ``latency`` = 8 cycles later.

    The ranks: two of the integer multipliers, which take 18 and 6 bits of each significand (four of them;
    leading zeros of a subnormal operand meanwhile); two that add the partial products (the shift
    meanwhile); shift by 32 and 16; by 8 and 4; by 2 and 1; round.

    One shifter serves a subnormal operand (left) and a subnormal product (right): with two subnormal
    operands the product is 0 or rounds like the least bit, so only one operand's zeros ever count, and the
    distance is known before the product is. A carry out of the leading place is resolved by the last,
    one-bit shift, folded into the rounding's carry chain (:class:`MuxAdder`).

    Arguments
    ---------
    target: "ecp5" or "portable".

    Members
    -------
    a, b: In(32). Any binary32 words.
    o: Out(32).
    """

    latency = 8

    def __init__(self, *, target: str = "portable"):
        check_target(target)
        self._target = target
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()

        def rank(value, name, ranks=1):
            for number in range(ranks):
                q = Signal.like(value, name=f"{name}_{number}" if ranks > 1 else name, reset_less=True)
                m.d.sync += q.eq(value)
                value = q
            return value

        # --- A, B: partial products -------------------------------------------------------------------
        words = (self.a, self.b)
        exps = [word[23:31] for word in words]
        normals = [exp.any() for exp in exps]
        parts = []
        for word, normal in zip(words, normals):
            sig = Cat(word[:23], normal)
            parts.append((sig[:_LOW], sig[_LOW:]))
        partial = {}
        for i, x in enumerate(parts[0]):
            for j, y in enumerate(parts[1]):
                m.submodules[f"multiply_{i}{j}"] = unit = IntegerMultiply(
                    width_a=len(x), width_b=len(y), target=self._target
                )
                m.d.comb += [unit.a.eq(x), unit.b.eq(y)]
                partial[i, j] = unit.p

        # --- A: operands --------------------------------------------------------------------------------
        least = [Cat(exp[0] | ~normal, exp[1:]) for exp, normal in zip(exps, normals)]
        a_exp = rank(least[0] + least[1], "a_exp")
        # Of a normal operand nothing has to be counted: its leading one is in place.
        a_frac = Signal(23, reset_less=True)
        m.d.sync += a_frac.eq(Mux(normals[0], self.b[:23], self.a[:23]))
        a_subnormal = rank(~(normals[0] & normals[1]), "a_subnormal")
        a_special = rank(Cat(exp.all() for exp in exps), "a_special")
        a_normal = rank(Cat(normals), "a_normal")
        a_any = rank(Cat(word[:23].any() for word in words), "a_any")
        a_sign = rank(words[0][31] ^ words[1][31], "a_sign")

        # --- B: leading zeros; exponent -----------------------------------------------------------------
        zeros, _ = leading_zeros(Cat(a_frac, Const(0, 1)))
        b_zeros = Signal(5, reset_less=True)
        m.d.sync += b_zeros.eq(zeros)
        with m.If(~a_subnormal):
            m.d.sync += b_zeros.eq(0)
        b_exp = rank((a_exp - BINARY32.bias).as_signed(), "b_exp")  # of the product's second bit
        zero = ~(a_normal | a_any)
        b_zero = rank(zero.any(), "b_zero")
        b_nan = rank((a_special & (a_any | Cat(zero[1], zero[0]))).any(), "b_nan")
        b_infinite = rank(a_special.any(), "b_infinite")

        # --- C: sum of the middle products; exponent of the normalised product --------------------------
        c_middle = rank((partial[0, 1] + partial[1, 0])[: 2 * _HIGH + _LOW + 1], "c_middle")
        c_outer = rank(Cat(partial[0, 0], partial[1, 1]), "c_outer")
        c_exp = Signal(signed(10), reset_less=True)
        m.d.sync += c_exp.eq(b_exp - b_zeros)
        c_zeros, c_raw = rank(b_zeros, "c_zeros"), rank(b_exp, "c_raw")
        c_zero = rank(b_zero, "c_zero")

        # --- D: product; distance, counted to the right from 23 places left of the product's own place --
        d_product = rank(Cat(c_outer[:_LOW], (c_outer[_LOW:] + c_middle)[: 48 - _LOW]), "d_product")
        normal = c_exp > 0
        under = Signal(range(512))
        m.d.comb += under.eq(24 - c_raw)
        d_shift = Signal(6, reset_less=True)
        m.d.sync += d_shift.eq(Mux(normal, 23 - c_zeros, under[:6] | under[6:].any().replicate(6)))
        d_exp = Signal(9, reset_less=True)
        m.d.sync += d_exp.eq(c_exp - 1)
        with m.If(~normal | c_zero):
            m.d.sync += d_exp.eq(0)

        # --- E, F, G: shift. What is kept is 26 bits, and whether anything is below ---------------------
        def shift(value, sticky, amount, steps, width):
            """``value`` right by the steps that ``amount`` selects, cut to ``width`` bits."""
            for bit, step in zip(amount, steps):
                sticky = sticky | (bit & value[:step].any())
                value = Mux(bit, value[step:], value)
            return value[:width], sticky

        wide = Cat(Const(0, 1), d_product, Const(0, 15))
        # Left by 23, but bit 22 is the last that is kept: so left by 1, and nothing is lost yet.
        value, sticky = shift(wide, Const(0, 1), [d_shift[5], d_shift[4]], [32, 16], 41)
        e_value, e_sticky, e_shift = (
            rank(value, "e_value"),
            rank(sticky, "e_sticky"),
            rank(d_shift[:4], "e_shift"),
        )
        value, sticky = shift(e_value, e_sticky, [e_shift[3], e_shift[2]], [8, 4], 29)
        f_value, f_sticky, f_shift = (
            rank(value, "f_value"),
            rank(sticky, "f_sticky"),
            rank(e_shift[:2], "f_shift"),
        )
        value, sticky = shift(f_value, f_sticky, [f_shift[1], f_shift[0]], [2, 1], 26)
        g_value, g_sticky = rank(value, "g_value"), rank(sticky, "g_sticky")
        e_exp = rank(d_exp, "e_exp")
        f_exp = rank(e_exp, "f_exp")
        # `exp` + 1 or + 2 is what the product's exponent becomes.
        f_over = rank(e_exp >= BINARY32.exp_max - 1, "f_over")
        f_edge = rank(e_exp == BINARY32.exp_max - 2, "f_edge")
        g_exp = rank(f_exp[:8], "g_exp")
        f_infinite = rank(b_infinite, "b_infinite", 4)
        g_infinite = rank(f_infinite | f_over | (f_edge & value[25]), "g_infinite")
        g_nan, f_sign = rank(b_nan, "b_nan", 5), rank(a_sign, "a_sign", 5)
        g_sign = rank(f_sign & ~rank(b_nan, "nan", 4), "g_sign")

        # --- H: round -----------------------------------------------------------------------------------
        m.submodules.round = add = MuxAdder(width=2 + 23 + 8, target=self._target)
        m.d.comb += [
            # Half a unit; the leading bit adds 1 to the exponent, one place higher 2.
            add.x.eq(Cat(Const(2, 25), g_exp)),
            add.y0.eq(Cat(g_value[:25], Const(2, 2))),
            add.y1.eq(Cat(Const(0, 1), g_value[:25])),
            add.s.eq(~g_value[25]),
        ]
        tie = ~add.o[:2].any() & ~g_sticky
        frac = Signal(23, reset_less=True)
        exp = Signal(8, reset_less=True)
        m.d.sync += [frac.eq(Cat(add.o[2] & ~tie, add.o[3:25])), exp.eq(add.o[25:])]
        with m.If(g_infinite | g_nan):
            m.d.sync += [exp.eq(BINARY32.exp_max), frac.eq(0), frac[22].eq(g_nan)]
        m.d.comb += self.o.eq(Cat(frac, exp, rank(g_sign, "h_sign")))
        return m
