"""``o = RNE32(acc + p)``: the adder inside a multiply-accumulate, and of binary32 addition."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.formats import BINARY32

__all__ = ["Accumulate", "addend_layout"]

_WINDOW = 27  # bits of the aligned significands: 24, and 3 below
_SUM = _WINDOW + 1


def addend_layout(exact: bool) -> data.StructLayout:
    """The addend p: ``(-1)**sign × sig × 2**(exp - 127 - (bits of sig - 1))``.

    ``exact``: sig has 22 bits and either of its top two may lead; otherwise 24, the top one leading unless
    the value is subnormal. ``special``: infinity, or with ``nan`` NaN; sig and exp are then ignored.
    ``exact``: sig comes a cycle after the rest, for it needs no rank of its own behind a multiplier's registers.
    Zero has sig 0 and, if ``exact``, exp 0 and ``zero`` set (NaN may set it too), else exp 1; subnormals
    have exp 1.
    """
    fields = {"sig": 22 if exact else 24, "exp": 8, "sign": 1, "special": 1, "nan": 1}
    return data.StructLayout(fields | ({"zero": 1} if exact else {}))


class Accumulate(wiring.Component):
    """Adds an unpacked addend to a binary32 word, rounding to nearest even.

    Lock-step: one result a cycle, ``latency`` = 7 cycles after ``p`` and ``acc``.

    The ranks: exponent difference; swap and align by 16; by 8 and 4; by 2 and 1 and add; leading zeros and
    shift by 16; by 8 and 4; by 2 and 1 and round. Each has about four levels of LUTs or one and a carry
    chain. What keeps it small (all of it holds for the exact product only where said):

    - The operand with the smaller *exponent* is shifted; significands are never compared. A difference may
      come out negative, then it is inverted on its way into the first normalising shift.
    - A subtraction adds the complement without the carry. What is missing, 1 in the last place, enters at
      the rounding: the normalising shifts fill with ones, which moves it to the last place again. So the
      negative case needs no increment, and no adder a carry input.
    - Rounding adds half a unit at the guard bit; a tie clears the last bit afterwards. So rounding needs no
      decision before its chain, and that chain adds the exponent too.
    - The last shift of each shifter is folded into the carry chain behind it (:class:`MuxAdder`).
    - ``exact``: a product of two binary16 is 0 or from 2**-48 to 2**32, with 22 bits. So the sum is never
      subnormal unless the product is 0, and never overflows unless ``acc`` is infinite; a subnormal ``acc``
      may count as 1.f × 2**-127, for it either comes out unchanged or is far below the rounding.

    Arguments
    ---------
    exact: the addend is a product of two binary16 (see ``addend_layout``); otherwise any binary32.
    target: "ecp5" or "portable".

    Members
    -------
    p: In(addend_layout(exact)).
    acc: In(32). A binary32 word; if it is NaN its quiet bit must be set.
    o: Out(32). NaN is canonical.
    """

    latency = 7

    def __init__(self, *, exact: bool, target: str = "portable"):
        check_target(target)
        self._exact = exact
        self._target = target
        super().__init__({"p": In(addend_layout(exact)), "acc": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        exact = self._exact

        def rank(value, name, reset=None):
            """The value, registered. Data needs no reset; ``reset`` clears it synchronously, for the register's
            own set/reset input costs no LUT."""
            q = Signal.like(value, name=name, reset_less=True)
            m.d.sync += q.eq(value)
            if reset is not None:
                with m.If(reset):
                    m.d.sync += q.eq(0)
            return q

        # --- A: exponent difference -------------------------------------------------------------------
        p, acc = self.p, self.acc
        frac, exp, sign = acc[:23], acc[23:31], acc[31]
        exp_zero = exp == 0
        exp_eff = exp if exact else exp | exp_zero
        hidden = Const(1, 1) if exact else ~exp_zero
        a_diff = rank((p.exp - exp_eff)[:9], "a_diff")
        a_pexp, a_psign = rank(p.exp, "a_pexp"), rank(p.sign, "a_psign")
        a_psig = p.sig if exact else rank(p.sig, "a_psig")
        a_aexp, a_asign = rank(exp_eff, "a_aexp"), rank(sign, "a_asign")
        a_asig = rank(Cat(frac, hidden), "a_asig")
        a_pspecial, a_pnan = rank(p.special, "a_pspecial"), rank(p.nan, "a_pnan")
        a_ones = rank(Cat(exp[:4].all(), exp[4:].all()), "a_ones")
        # -0 + (+0) is +0. Elsewhere the sign falls out of the sum.
        a_pluszero = rank(p.zero & ~p.sign, "a_pluszero") if exact else None

        # --- B: the larger exponent wins; swap; align by 16 -------------------------------------------
        swap = a_diff[8]  # acc has the larger exponent
        amount = a_diff[:5] ^ swap.replicate(5)  # swapped: |difference| - 1, for p starts one lower
        far = Mux(swap, ~a_diff[5:8].all(), a_diff[5:8].any())
        aspecial = a_ones.all()
        special = aspecial | a_pspecial
        nan = (a_pspecial & a_pnan) | (aspecial & (a_asig[22] | (a_pspecial & (a_psign ^ a_asign))))
        pad = 24 - len(p.sig)
        wide_p = Cat(Const(0, pad), a_psig) if pad else a_psig
        pre = Signal(_WINDOW)
        m.d.comb += pre.eq(Mux(swap, Cat(Const(0, 2), wide_p), Cat(Const(0, 3), a_asig)))
        b_small = rank(Mux(amount[4], pre >> 16, pre), "b_small", reset=far | special)
        b_sticky = rank(amount[4] & pre[:16].any(), "b_sticky", reset=far | special)
        b_amount = rank(amount[:4], "b_amount")
        larger = Mux(swap, a_asig, wide_p)
        b_low = rank(larger[:22], "b_low", reset=special)
        b_high = rank(Cat(Mux(special, nan, larger[22]), larger[23] | special), "b_high")
        b_exp = Signal(8, reset_less=True)
        m.d.sync += b_exp.eq(Mux(swap, a_aexp, a_pexp))
        with m.If(special):
            m.d.sync += b_exp.eq(BINARY32.exp_max)
        b_sub = rank(a_psign ^ a_asign, "b_sub")
        b_sign = rank(Mux(swap & ~a_pspecial, a_asign, a_psign), "b_sign", reset=nan)
        b_other = rank(Mux(swap, a_psign, a_asign), "b_other")
        acc_negzero = a_asign & ~Cat(a_asig[:23], a_aexp).any()
        b_negzero = rank(a_pluszero & acc_negzero, "b_negzero") if exact else None

        # --- C: align by 8 and 4 ----------------------------------------------------------------------
        by8 = Mux(b_amount[3], b_small >> 8, b_small)
        by4 = Mux(b_amount[2], by8 >> 4, by8)
        c_small = rank(by4, "c_small")
        c_sticky = rank(
            b_sticky | (b_amount[3] & b_small[:8].any()) | (b_amount[2] & by8[:4].any()), "c_sticky"
        )
        c_amount = rank(b_amount[:2], "c_amount")
        c_larger, c_exp = rank(Cat(b_low, b_high), "c_larger"), rank(b_exp, "c_exp")
        c_sub, c_sign, c_other = rank(b_sub, "c_sub"), rank(b_sign, "c_sign"), rank(b_other, "c_other")
        c_negzero = rank(b_negzero, "c_negzero") if exact else None

        # --- D: align by 2 and 1, complement, add -----------------------------------------------------
        by2 = Mux(c_amount[1], c_small >> 2, c_small)[:_WINDOW]
        addend = Signal(_SUM)
        m.d.comb += addend.eq(Cat(by2, Const(0, 1)) ^ c_sub.replicate(_SUM))
        m.submodules.add = add = MuxAdder(width=_SUM, target=self._target)
        m.d.comb += [
            add.x.eq(Cat(Const(0, 3), c_larger)),
            add.y0.eq(addend),
            add.y1.eq(Cat(addend[1:], c_sub)),
            add.s.eq(c_amount[0]),
        ]
        sticky = c_sticky | (c_amount[1] & c_small[:2].any()) | (c_amount[0] & by2[0])
        d_sum = rank(add.o, "d_sum")
        d_sticky = rank(sticky, "d_sticky")
        d_sub, d_exp = rank(c_sub, "d_sub"), rank(c_exp, "d_exp")
        d_sign, d_other = rank(c_sign, "d_sign"), rank(c_other, "d_other")
        d_negzero = rank(c_negzero, "d_negzero") if exact else None

        # --- E: sign of the difference; leading zeros; normalise by 16 --------------------------------
        negative = d_sub & d_sum[-1]
        # The missing 1 in the last place. A negative difference is just inverted; where bits were lost
        # below the window, the true difference lies between the sum and the sum plus 1.
        plus = d_sub & ~d_sticky & ~d_sum[-1]
        value = Signal(_SUM)
        m.d.comb += value.eq(d_sum ^ negative.replicate(_SUM))
        quads = [~value[_SUM - 4 * i - 4 : _SUM - 4 * i].any() for i in range(6)]
        zero16 = quads[0] & quads[1] & quads[2] & quads[3]
        zero8 = quads[0] & quads[1] & (~(quads[2] & quads[3]) | (quads[4] & quads[5]))
        if exact:
            shift16, room = zero16, d_exp
            e_zero8 = rank(zero8, "e_zero8")
        else:
            # Gradual underflow: no shift takes the exponent below 1. `room` is what remains.
            shift16 = zero16 & d_exp[4:].any()
            room = rank(d_exp - (shift16 << 4), "e_room")
            zero8 = Mux(shift16, ~value[4:12].any(), quads[0] & quads[1])
            e_zero8 = rank(zero8, "e_zero8")
        e_value = rank(Mux(shift16, Cat(plus.replicate(16), value[:-16]), value), "e_value")
        e_shift16, e_plus = rank(shift16, "e_shift16"), rank(plus, "e_plus")
        e_sticky, e_exp = rank(d_sticky, "e_sticky"), rank(d_exp, "e_exp")
        e_sign = rank(Mux(negative, d_other, d_sign), "e_sign")
        if exact:
            e_negzero = rank(d_negzero, "e_negzero")
        else:
            e_negzero = rank(~value.any() & d_sub, "e_negzero")
        # A sum that carries out of the largest exponent; the exact product is too small to bring that about.
        e_overflow = rank((d_exp == BINARY32.exp_max - 1) & value[-1], "e_overflow")

        # --- F: normalise by 8 and 4 ------------------------------------------------------------------
        shift8 = e_zero8 if exact else e_zero8 & room[3:].any()
        by8 = Mux(shift8, Cat(e_plus.replicate(8), e_value[:-8]), e_value)
        shift4 = ~by8[-4:].any()
        if not exact:
            room8 = (room - (shift8 << 3))[:8]
            shift4 = shift4 & room8[2:].any()
            room = rank(room8 - (shift4 << 2), "f_room")
        f_value = rank(Mux(shift4, Cat(e_plus.replicate(4), by8[:-4]), by8), "f_value")
        f_shifts = rank(Cat(shift4, shift8, e_shift16), "f_shifts")
        f_plus, f_sticky, f_exp = rank(e_plus, "f_plus"), rank(e_sticky, "f_sticky"), rank(e_exp, "f_exp")
        f_sign, f_negzero = rank(e_sign, "f_sign"), rank(e_negzero, "f_negzero")

        # --- G: normalise by 2 and 1, round, exponent -------------------------------------------------
        top = f_value[-4:]
        shift2 = ~top[2:].any()
        if not exact:
            shift2 = shift2 & room[1:].any()
        by2 = Mux(shift2, Cat(f_plus.replicate(2), f_value[:-2]), f_value)
        shift1 = ~by2[-1]
        m.submodules.round = add = MuxAdder(width=_SUM - 1 + 8, carry=True, target=self._target)
        if exact:
            # The exponent is exp + 1 - shift; 1 - shift is written out of the shifts' bits.
            half = Cat(shift2, f_shifts)
            negated = Signal(4)
            m.d.comb += negated.eq(-half)
            upper = Cat(negated, half.any().replicate(3))
            exp_x, exp_y0, exp_y1 = f_exp, Cat(Const(1, 1), upper), Cat(Const(0, 1), upper)
        else:
            room2 = (room - (shift2 << 1))[:8]
            shift1 = shift1 & room2.any()
            hidden = Mux(shift1, by2[-2], by2[-1])
            exp_x = (room2 - shift1)[:8]
            exp_y0 = exp_y1 = Cat(hidden, Const(0, 7))
        m.d.comb += [
            add.x.eq(Cat(Const(8, _SUM - 1), exp_x)),
            add.y0.eq(Cat(by2[:-1], exp_y0)),
            add.y1.eq(Cat(f_plus, by2[:-2], exp_y1)),
            add.s.eq(shift1),
            add.carry.eq(f_plus),
        ]
        tie = ~add.o[:4].any() & ~f_sticky
        out_frac = Signal(23, reset_less=True)
        out_exp = Signal(8, reset_less=True)
        out_sign = Signal(reset_less=True)
        zero = ~top.any() if exact else f_negzero
        m.d.sync += [
            out_frac.eq(Cat(add.o[4] & ~tie, add.o[5:27])),
            out_exp.eq(add.o[27:]),
            out_sign.eq(f_sign),
        ]
        with m.If(zero):
            m.d.sync += out_exp.eq(0)
        with m.If((zero | f_negzero) if exact else f_negzero):
            m.d.sync += out_sign.eq(0)
        if not exact:
            with m.If(rank(e_overflow, "f_overflow")):
                m.d.sync += out_frac.eq(0)
        m.d.comb += self.o.eq(Cat(out_frac, out_exp, out_sign))
        return m
