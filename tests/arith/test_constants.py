"""Sums and comparisons with constants against Python's, for every value and constant of a few widths."""

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator

from sat_hdl.arith.constants import at_least, plus


@pytest.mark.parametrize("width", [1, 3, 5])
def test_every_value_with_every_constant(width):
    value, constants = Signal(width), range(1 << width)
    sums, flags = Signal(width << width), Signal(1 << width)
    module = Module()
    module.d.comb += [
        sums.eq(Cat(plus(value, constant) for constant in constants)),
        flags.eq(Cat(at_least(value, constant) for constant in constants)),
    ]
    seen = []

    async def drive(ctx):
        for x in constants:
            ctx.set(value, x)
            await ctx.delay(1e-6)
            seen.append((ctx.get(sums), ctx.get(flags)))

    simulator = Simulator(module)
    simulator.add_testbench(drive)
    simulator.run()
    mask = (1 << width) - 1
    assert seen == [
        (
            sum((x + c & mask) << width * c for c in constants),
            sum((x >= c) << c for c in constants),
        )
        for x in constants
    ]


def test_constants_may_be_negative_or_larger_than_the_value():
    value = Signal(4)
    for constant in (-112, 16, 127):
        assert repr(plus(value, constant)) == repr(plus(value, constant % 16))


@pytest.mark.parametrize("bound", [-1, 16])
def test_a_bound_that_no_value_reaches_is_refused(bound):
    with pytest.raises(ValueError, match=f"bound must be from 0 to 15, not {bound}"):
        at_least(Signal(4), bound)
