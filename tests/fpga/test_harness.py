"""The harness: every input is driven by its own bit, and every output reaches the one pin."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.fpga.harness import Harness, flat_ports


class Through(wiring.Component):
    """Outputs are the inputs, exclusive-ored with ``mask``."""

    a: In(3)
    s: In(stream.Signature(data.StructLayout({"x": 2, "y": 1})))
    t: Out(stream.Signature(data.StructLayout({"x": 2, "y": 1})))
    o: Out(3)

    def __init__(self, mask=0):
        self.mask = mask
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.s), wiring.flipped(self.t))
        m.d.comb += self.o.eq(self.a ^ self.mask)
        return m


def test_flat_ports_are_complete():
    inputs, outputs = flat_ports(Through())
    assert sorted(map(len, inputs)) == [1, 1, 3, 3]  # a, s.payload, s.valid, t.ready
    assert sorted(map(len, outputs)) == [1, 1, 3, 3]


def fold_of(simulate, mask, bits):
    """The bits that come out in the 20 cycles after ``bits`` (the first ends up highest) were loaded."""
    dut = Harness(Through(mask))
    seen = []

    async def bench(ctx):
        for bit in bits:
            ctx.set(dut.serial_in, bit)
            await ctx.tick()
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for _ in range(20):
            await ctx.tick()
            seen.append(ctx.get(dut.serial_out))

    simulate(dut, bench, cycles=60)
    return seen


def test_every_input_bit_is_seen_at_the_pin(simulate):
    zero = fold_of(simulate, 0, [0] * 8)
    ones = [fold_of(simulate, 0, [index == bit for index in range(8)]) for bit in range(8)]
    assert all(one != zero for one in ones)


def test_every_output_bit_is_seen_at_the_pin(simulate):
    plain = fold_of(simulate, 0, [0] * 8)
    assert all(fold_of(simulate, 1 << bit, [0] * 8) != plain for bit in range(3))


def test_something_else_is_refused():
    with pytest.raises(TypeError, match=r"must be an amaranth.lib.wiring.Component, not 5"):
        Harness(5)
