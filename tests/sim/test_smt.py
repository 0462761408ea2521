"""The SMT route: a small multiplier is proved, and a wrong one refuted."""

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect, flipped

from sat_hdl.arith.multiply import Multiply
from sat_hdl.formats import FloatFormat
from sat_hdl.sim.smt import multiply_problem, solve

#: binary32's exponent and a 2-bit fraction: overflow, underflow and rounding as with bfloat16, in seconds.
SMALL = FloatFormat(name="e8m2", exp_bits=8, frac_bits=2)


class LatencyOff(Multiply):
    """Claims its result a cycle too late."""

    @property
    def latency(self) -> int:
        return super().latency + 1


class Flipped(Multiply):
    """Returns −0 for +0."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Multiply(format=SMALL)
        connect(m, flipped(self), inner)
        with m.If(inner.p == 0):
            m.d.comb += self.p.eq(1 << 31)
        return m


def test_small_multiplier_is_proved():
    assert not solve(multiply_problem(Multiply(format=SMALL), SMALL))


@pytest.mark.parametrize("wrong", [LatencyOff, Flipped])
def test_wrong_multiplier_is_refuted(wrong):
    assert solve(multiply_problem(wrong(format=SMALL), SMALL))


def test_format_unknown_to_the_solver_is_refused():
    fmt = FloatFormat(name="e4m3", exp_bits=4, frac_bits=3)
    with pytest.raises(ValueError, match="fmt must be binary16 or have 8 exponent bits"):
        multiply_problem(Multiply(format=fmt), fmt)
