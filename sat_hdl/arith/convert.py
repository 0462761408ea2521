"""Conversions between binary32 and an operand format (IEEE 754-2019, section 5.4.2), one a cycle.

Both pipelines are lock-step: no valid, no enable, no reset of their registers.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.constants import at_least, plus
from sat_hdl.formats import BINARY32, FloatFormat

__all__ = ["Narrow", "Widen"]


def _checked(fmt: FloatFormat) -> FloatFormat:
    if not isinstance(fmt, FloatFormat):
        raise ValueError(f"format must be a FloatFormat, not {fmt!r}")
    same_range = fmt.exp_bits == BINARY32.exp_bits
    # Every subnormal of a smaller range must be a normal binary32.
    smaller = fmt.exp_bits < BINARY32.exp_bits and BINARY32.bias - fmt.bias >= fmt.frac_bits
    if fmt.frac_bits > BINARY32.frac_bits - 2 or not (same_range or smaller):
        raise ValueError(f"format must have at most 8 exponent and 21 fraction bits, not {fmt!r}")
    return fmt


class Narrow(wiring.Component):
    """binary32 → ``format``: round to nearest even, overflow to inf, subnormals in full, canonical NaN.

    ``o`` follows ``i`` by ``latency`` cycles; one conversion a cycle.

    Ranks for a smaller exponent (binary16): the exponent and how far the significand has to move into
    the subnormals; the move; the rounding. The bits below the round bit only ever move right, so they
    are one sticky bit from the start and the shifter is ``frac_bits + 3`` wide. With binary32's own
    exponent (bfloat16) subnormals are already aligned and the middle rank falls away.

    Arguments
    ---------
    format: of the result: exp_bits ≤ 8, frac_bits ≤ 21.

    Members
    -------
    i: In(32), o: Out(format.width).
    """

    def __init__(self, *, format: FloatFormat):
        self._format = _checked(format)
        super().__init__({"i": In(BINARY32.width), "o": Out(format.width)})

    @property
    def _same_range(self) -> bool:
        return self._format.exp_bits == BINARY32.exp_bits

    @property
    def latency(self) -> int:
        """Cycles from input to output: 2 with binary32's exponent range, else 3."""
        return 2 if self._same_range else 3

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        fmt = self._format
        sig_bits, dropped = fmt.sig_bits, BINARY32.frac_bits - fmt.frac_bits
        fraction, exponent, sign = self.i[:23], self.i[23:31], self.i[31]

        # Rank 1.
        biased = Signal(fmt.exp_bits, reset_less=True)
        kept = Signal(sig_bits + 1, reset_less=True)  # hidden bit, fraction, round bit
        sticky = Signal(reset_less=True)
        overflow = Signal(reset_less=True)
        nan = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        m.d.sync += [
            sticky.eq(fraction[: dropped - 1].any()),
            nan.eq((exponent == BINARY32.exp_max) & fraction.any()),
            negative.eq(sign),
        ]
        if self._same_range:
            # The hidden bit is left out: the exponent field says it all, for subnormals too.
            m.d.sync += [
                biased.eq(exponent),
                kept.eq(fraction[dropped - 1 :]),
                overflow.eq(exponent == BINARY32.exp_max),
            ]
        else:
            offset = BINARY32.bias - fmt.bias
            # Moving by more than this leaves only a sticky bit.
            furthest = sig_bits + 1
            shift = Signal(range(furthest + 1), reset_less=True)
            # Of few bits and a constant: carry chains would take several times the LUTs.
            normal = at_least(exponent, offset + 1)
            near = at_least(exponent, offset + 2 - furthest)
            m.d.sync += [
                biased.eq(plus(exponent[: fmt.exp_bits], -offset) & normal.replicate(fmt.exp_bits)),
                shift.eq(
                    Mux(near, plus(~exponent[: len(shift)], offset + 2), furthest)
                    & (~normal).replicate(len(shift))
                ),
                # binary32's own subnormals are far below: their missing hidden bit changes nothing.
                kept.eq(Cat(fraction[dropped - 1 :], Const(1, 1))),
                overflow.eq(at_least(exponent, offset + fmt.exp_max)),
            ]
            # Rank 2.
            biased, kept, sticky, overflow, nan, negative = self._shift(
                m, shift, biased, kept, sticky, overflow, nan, negative
            )

        # Last rank. A carry out of the fraction is the next exponent, up to inf.
        magnitude = Signal(fmt.width - 1)
        round_up = kept[0] & (sticky | kept[1])
        m.d.comb += magnitude.eq(Cat(kept[1:sig_bits], biased) + round_up)
        special = Mux(nan, fmt.nan, Cat(Const(fmt.inf, fmt.width - 1), negative))
        result = Signal(fmt.width, reset_less=True)
        m.d.sync += result.eq(Mux(nan | overflow, special, Cat(magnitude, negative)))
        m.d.comb += self.o.eq(result)
        return m

    def _shift(self, m: Module, shift: Signal, biased, kept, sticky, overflow, nan, negative) -> list[Signal]:
        """One rank that moves ``kept`` right by ``shift`` and keeps the rest for the next one."""
        moved = Signal.like(kept, reset_less=True)
        jam = Signal(reset_less=True)
        lost = [kept[bit] & (shift > bit) for bit in range(len(kept))]
        m.d.sync += [moved.eq(kept >> shift), jam.eq(sticky | Cat(lost).any())]
        later = []
        for signal in (overflow, nan, negative):
            later.append(Signal(reset_less=True))
            m.d.sync += later[-1].eq(signal)
        next_biased = Signal.like(biased, reset_less=True)
        m.d.sync += next_biased.eq(biased)
        return [next_biased, moved, jam, *later]


class Widen(wiring.Component):
    """``format`` → binary32: exact, canonical NaN.

    ``o`` follows ``i`` by ``latency`` cycles; one conversion a cycle.

    A subnormal of a smaller exponent range becomes a normal binary32: one rank finds its leading one,
    the next moves it to the hidden place. With binary32's own exponent (bfloat16) one rank, for NaN.

    Arguments
    ---------
    format: of the operand: exp_bits ≤ 8, frac_bits ≤ 21.

    Members
    -------
    i: In(format.width), o: Out(32).
    """

    def __init__(self, *, format: FloatFormat):
        self._format = _checked(format)
        super().__init__({"i": In(format.width), "o": Out(BINARY32.width)})

    @property
    def latency(self) -> int:
        """Cycles from input to output: 1 with binary32's exponent range, else 2."""
        return 1 if self._format.exp_bits == BINARY32.exp_bits else 2

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        fmt = self._format
        appended = Const(0, BINARY32.frac_bits - fmt.frac_bits)
        fraction, exponent, sign = self.i[: fmt.frac_bits], self.i[fmt.frac_bits : -1], self.i[-1]
        nan = (exponent == fmt.exp_max) & fraction.any()
        result = Signal(BINARY32.width, reset_less=True)
        m.d.comb += self.o.eq(result)
        if fmt.exp_bits == BINARY32.exp_bits:
            m.d.sync += result.eq(Mux(nan, BINARY32.nan, Cat(appended, fraction, exponent, sign)))
            return m

        # Rank 1: how far the leading one of a subnormal is from the hidden place.
        shift = Signal(range(fmt.frac_bits + 1), reset_less=True)
        held = Signal(fmt.width, reset_less=True)
        is_zero = Signal(reset_less=True)
        is_special = Signal(reset_less=True)
        is_nan = Signal(reset_less=True)
        m.d.sync += [
            held.eq(self.i),
            shift.eq(0),
            is_zero.eq((exponent == 0) & ~fraction.any()),
            is_special.eq(exponent == fmt.exp_max),
            is_nan.eq(nan),
        ]
        with m.If(exponent == 0):
            for bit in range(fmt.frac_bits):
                with m.If(fraction[bit]):
                    m.d.sync += shift.eq(fmt.frac_bits - bit)

        # Rank 2.
        moved = Signal(fmt.frac_bits)
        rebased = Signal(BINARY32.exp_bits)
        offset = BINARY32.bias - fmt.bias
        held_exponent = held[fmt.frac_bits : -1]
        m.d.comb += [
            moved.eq(held[: fmt.frac_bits] << shift),
            # A subnormal's exponent field is 0 and stands for 1.
            rebased.eq(held_exponent + offset + (shift != 0) - shift),
        ]
        with m.If(is_nan):
            m.d.sync += result.eq(BINARY32.nan)
        with m.Elif(is_special):
            m.d.sync += result.eq(Cat(Const(BINARY32.inf, 31), held[-1]))
        with m.Elif(is_zero):
            m.d.sync += result.eq(Cat(Const(0, 31), held[-1]))
        with m.Else():
            m.d.sync += result.eq(Cat(appended, moved, rebased, held[-1]))
        return m
