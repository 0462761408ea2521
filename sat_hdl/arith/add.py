"""Addition of binary32 words."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.arith.zeros import leading_zeros
from sat_hdl.formats import BINARY32

__all__ = ["Add"]

_WINDOW = 27  # bits of the aligned significands: 24, guard, round and sticky
_SUM = _WINDOW + 1


class Add(wiring.Component):
    """``o = RNE32(a + b)``, by the numerics contract: subnormals in full, NaN canonical, x - x = +0.

    Lock-step: one sum a cycle, ``latency`` = 10 cycles later.

    The ranks: compare magnitudes, both differences of exponents; swap; align by 16 and 8; by 4 and 2; by 1
    and add; leading zeros; the shift that gradual underflow allows; normalise by 16 and 8; by 4 and 2; by 1
    and round. :class:`~sat_hdl.arith.accumulate.Accumulate` does it in fewer, for a sum that feeds itself;
    here only the clock counts, so the larger magnitude is found first and no difference is negative.

    - A subtrahend is inverted while operands are swapped, where that costs no LUT; the shifters then fill
      with its sign.
    - The last shift of each shifter is folded into the carry chain behind it (:class:`MuxAdder`).
    - Rounding adds half a unit at the guard bit; a tie clears the last bit afterwards.

    Arguments
    ---------
    target: "ecp5" or "portable".

    Members
    -------
    a, b: In(32). Any binary32 words.
    o: Out(32).
    """

    latency = 10

    def __init__(self, *, target: str = "portable"):
        check_target(target)
        self._target = target
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()

        def rank(value, name):
            q = Signal.like(value, name=name, reset_less=True)
            m.d.sync += q.eq(value)
            return q

        def lost(bits, filler):
            """Whether bits that are shifted out hold anything but the filler."""
            return Mux(filler, ~bits.all(), bits.any())

        # --- A: which magnitude is larger; differences of exponents -----------------------------------
        a, b = self.a, self.b
        exps = [Cat(word[23] | ~word[23:31].any(), word[24:31]) for word in (a, b)]
        a_swap = rank(a[:31] < b[:31], "a_swap")
        a_differences = [rank((x - y)[:8], f"a_difference{i}") for i, (x, y) in enumerate((exps, exps[::-1]))]
        a_words = [rank(word, f"a_word{i}") for i, word in enumerate((a, b))]
        a_normal = [rank(word[23:31].any(), f"a_normal{i}") for i, word in enumerate((a, b))]
        a_sub = rank(a[31] ^ b[31], "a_sub")

        # --- B: swap ----------------------------------------------------------------------------------
        sigs = [Cat(word[:23], normal) for word, normal in zip(a_words, a_normal)]
        exps = [Cat(word[23] | ~normal, word[24:31]) for word, normal in zip(a_words, a_normal)]
        amount = Mux(a_swap, a_differences[1], a_differences[0])
        # Any distance beyond the window leaves a sticky bit alone; 31 is one.
        b_amount = rank(amount[:5] | amount[5:].any().replicate(5), "b_amount")
        b_larger = rank(Mux(a_swap, sigs[1], sigs[0]), "b_larger")
        b_small = rank(Mux(a_swap, sigs[0], sigs[1]) ^ a_sub.replicate(24), "b_small")
        b_exp = rank(Mux(a_swap, exps[1], exps[0]), "b_exp")
        # Beside an infinity, another infinity of the other sign makes NaN.
        b_other_special = rank(Mux(a_swap, a_words[0][23:31], a_words[1][23:31]).all(), "b_other_special")
        b_sign = rank(Mux(a_swap, a_words[1][31], a_words[0][31]), "b_sign")
        b_sub = rank(a_sub, "b_sub")

        # --- C: align by 16 and 8 ---------------------------------------------------------------------
        wide = Cat(b_sub.replicate(3), b_small)
        by16 = Mux(b_amount[4], Cat(wide[16:], b_sub.replicate(16)), wide)
        by8 = Mux(b_amount[3], Cat(by16[8:], b_sub.replicate(8)), by16)
        c_small = rank(by8, "c_small")
        c_sticky = rank(
            (b_amount[4] & lost(wide[3:16], b_sub)) | (b_amount[3] & lost(by16[:8], b_sub)), "c_sticky"
        )
        c_amount = rank(b_amount[:3], "c_amount")
        c_special = rank(b_exp.all(), "c_special")
        # The magnitude of a NaN is above that of an infinity, so the larger operand holds it.
        c_nan = rank(b_larger[:23].any() | (b_other_special & b_sub), "c_nan")
        c_larger, c_exp = rank(b_larger, "c_larger"), rank(b_exp, "c_exp")
        c_sub, c_sign = rank(b_sub, "c_sub"), rank(b_sign, "c_sign")

        # --- D: align by 4 and 2 ----------------------------------------------------------------------
        by4 = Mux(c_amount[2], Cat(c_small[4:], c_sub.replicate(4)), c_small)
        by2 = Mux(c_amount[1], Cat(by4[2:], c_sub.replicate(2)), by4)
        d_small = rank(by2, "d_small")
        d_sticky = rank(
            c_sticky | (c_amount[2] & lost(c_small[:4], c_sub)) | (c_amount[1] & lost(by4[:2], c_sub)),
            "d_sticky",
        )
        d_by1 = rank(c_amount[0], "d_by1")
        d_larger, d_exp = rank(c_larger, "d_larger"), rank(c_exp, "d_exp")
        d_sub, d_sign = rank(c_sub, "d_sub"), rank(c_sign, "d_sign")
        d_special, d_nan = rank(c_special, "d_special"), rank(c_nan & c_special, "d_nan")

        # --- E: align by 1, add -----------------------------------------------------------------------
        m.submodules.add = add = MuxAdder(width=_SUM, carry=True, target=self._target)
        # The last bit stands for everything below it.
        low0 = (d_small[0] ^ d_sub) | d_sticky
        low1 = (d_small[1] ^ d_sub) | low0
        m.d.comb += [
            add.x.eq(Cat(Const(0, 3), d_larger)),
            add.y0.eq(Cat(low0 ^ d_sub, d_small[1:], d_sub)),
            add.y1.eq(Cat(low1 ^ d_sub, d_small[2:], d_sub.replicate(2))),
            add.s.eq(d_by1),
            add.carry.eq(d_sub),
        ]
        e_sum, e_exp = rank(add.o, "e_sum"), rank(d_exp, "e_exp")
        e_sub, e_sign = rank(d_sub, "e_sub"), rank(d_sign, "e_sign")
        e_special, e_nan = rank(d_special, "e_special"), rank(d_nan, "e_nan")

        # --- F: leading zeros -------------------------------------------------------------------------
        zeros, nonzero = leading_zeros(e_sum)
        f_zeros, f_zero = rank(zeros, "f_zeros"), rank(~nonzero, "f_zero")
        f_value, f_exp = rank(e_sum, "f_value"), rank(e_exp, "f_exp")
        f_positive = rank(e_sub & ~nonzero, "f_positive")
        f_infinite = rank(e_special | (e_exp[1:].all() & ~e_exp[0] & e_sum[-1]), "f_infinite")
        f_sign, f_nan = rank(e_sign, "f_sign"), rank(e_nan, "f_nan")

        # --- G: gradual underflow: no shift takes the exponent below 1 --------------------------------
        # `exp` is the exponent of the sum's second bit, so it is also the furthest shift of its first one.
        left = Signal(9)
        m.d.comb += left.eq(f_exp - f_zeros)
        g_shift = rank(Mux(left[8], f_exp[:5], f_zeros), "g_shift")
        g_exp = Signal(8, reset_less=True)
        m.d.sync += g_exp.eq(left[:8])
        with m.If(left[8] | f_zero):
            m.d.sync += g_exp.eq(0)
        g_value, g_infinite = rank(f_value, "g_value"), rank(f_infinite, "g_infinite")
        g_sign, g_nan = rank(f_sign & ~f_positive & ~f_nan, "g_sign"), rank(f_nan, "g_nan")

        # --- H: normalise by 16 and 8 -----------------------------------------------------------------
        by16 = Mux(g_shift[4], Cat(Const(0, 16), g_value[:-16]), g_value)
        h_value = rank(Mux(g_shift[3], Cat(Const(0, 8), by16[:-8]), by16), "h_value")
        h_shift, h_exp = rank(g_shift[:3], "h_shift"), rank(g_exp, "h_exp")
        h_sign, h_nan, h_infinite = (
            rank(g_sign, "h_sign"),
            rank(g_nan, "h_nan"),
            rank(g_infinite, "h_infinite"),
        )

        # --- I: normalise by 4 and 2 ------------------------------------------------------------------
        by4 = Mux(h_shift[2], Cat(Const(0, 4), h_value[:-4]), h_value)
        i_value = rank(Mux(h_shift[1], Cat(Const(0, 2), by4[:-2]), by4), "i_value")
        i_by1, i_exp = rank(h_shift[0], "i_by1"), rank(h_exp, "i_exp")
        i_sign, i_nan, i_infinite = (
            rank(h_sign, "i_sign"),
            rank(h_nan, "i_nan"),
            rank(h_infinite, "i_infinite"),
        )

        # --- J: normalise by 1, round -----------------------------------------------------------------
        # The leading bit, if there is one, adds 1 to the exponent; its absence makes a subnormal.
        m.submodules.round = add = MuxAdder(width=_SUM - 1 + 8, target=self._target)
        m.d.comb += [
            add.x.eq(Cat(Const(8, _SUM - 1), i_exp)),
            add.y0.eq(i_value),
            add.y1.eq(Cat(Const(0, 1), i_value[:-1])),
            add.s.eq(i_by1),
        ]
        tie = ~add.o[:4].any()
        frac = Signal(23, reset_less=True)
        exp = Signal(8, reset_less=True)
        m.d.sync += [frac.eq(Cat(add.o[4] & ~tie, add.o[5:27])), exp.eq(add.o[27:])]
        with m.If(i_infinite):
            m.d.sync += [exp.eq(BINARY32.exp_max), frac.eq(0), frac[22].eq(i_nan)]
        m.d.comb += self.o.eq(Cat(frac, exp, rank(i_sign, "j_sign")))
        return m
