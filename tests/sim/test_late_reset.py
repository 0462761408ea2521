"""A register before the reset changes when a design is reset, and nothing else."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.sim.late_reset import late_reset
from sat_hdl.sim.model import Model
from sat_hdl.sim.verilog import emit


class Accumulator(wiring.Component):
    """A sum that a reset clears, and the number of cycles since power-up, which it does not."""

    add: In(8)
    sum: Out(16, init=7)
    cycles: Out(8)

    def elaborate(self, platform):
        m = Module()
        cycles = Signal(8, reset_less=True)
        m.d.sync += [self.sum.eq(self.sum + self.add), cycles.eq(cycles + 1)]
        m.d.comb += self.cycles.eq(cycles)
        return m


class Adder(wiring.Component):
    """Has no clock."""

    a: In(8)
    o: Out(9)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a + 1)
        return m


def test_it_counts_from_the_reset():
    random = np.random.default_rng(5)
    with Model(Accumulator(), "accumulator") as model:
        for _ in range(3):
            total = 7
            assert model.get("sum") == total
            for value in random.integers(0, 256, 20).tolist():
                model.set("add", value)
                model.step()
                total = (total + value) % 2**16
                assert model.get("sum") == total
            model.reset()


def test_only_the_reset_passes_the_register():
    text = emit(Accumulator(), "accumulator")
    late = late_reset(text, "accumulator")
    assert late.endswith(text.split("module accumulator", 1)[1])
    assert late.count("always") == text.count("always") + 1


@pytest.mark.parametrize(
    "text",
    [emit(Adder(), "top"), "module top (input clk, input rst, output o);\n  assign o = rst;\nendmodule\n"],
)
def test_what_has_no_reset_or_is_not_ours_is_left_alone(text):
    assert late_reset(text, "top") == text
