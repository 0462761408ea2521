"""Leading zeros of words of every width, against Python's integers."""

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from sat_hdl.arith.zeros import leading_zeros


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 11, 24, 28])
def test_leading_zeros(width):
    m = Module()
    word = Signal(width)
    zeros, nonzero = leading_zeros(word)
    counted, found = Signal(len(zeros)), Signal()
    m.d.comb += [counted.eq(zeros), found.eq(nonzero)]
    wrong = []

    async def bench(ctx):
        for top in range(width):
            for rest in {0, 1, (1 << top) - 1, (1 << top) // 3}:
                ctx.set(word, 1 << top | rest & ((1 << top) - 1))
                await ctx.delay(1e-9)
                if (ctx.get(counted), ctx.get(found)) != (width - 1 - top, 1):
                    wrong.append((top, rest, ctx.get(counted)))
        ctx.set(word, 0)
        await ctx.delay(1e-9)
        if ctx.get(found):
            wrong.append(0)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert wrong == []


def test_an_empty_word_is_refused():
    with pytest.raises(ValueError, match=r"^word must have at least 1 bit$"):
        leading_zeros(Const(0, 0))
