"""The serial port: what one end sends the other receives, rates apart within the tolerance."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sat_hdl.fpga.uart import UartReceiver, UartTransmitter, divisor_for


class Pair(wiring.Component):
    """A transmitter wired to a receiver of another rate; ``force_low`` holds the line down."""

    force_low: In(1)

    def __init__(self, send: int, receive: int):
        self.sender = UartTransmitter(divisor=send)
        self.receiver = UartReceiver(divisor=receive)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = self.sender
        m.submodules.receiver = self.receiver
        m.d.comb += self.receiver.rx.eq(self.sender.tx & ~self.force_low)
        return m


@pytest.mark.parametrize("send, receive", [(4, 4), (8, 8), (51, 50), (50, 51)])
def test_bytes_arrive(simulate, send, receive):
    seed = send * 1000 + receive
    print(f"seed {seed}")
    rng = random.Random(seed)
    sent = [0x00, 0xFF, 0x55, 0xAA, *rng.randbytes(8)]
    dut = Pair(send, receive)
    got = []

    async def source(ctx):
        port = dut.sender.bytes
        for byte in sent:
            for _ in range(rng.choice([0, 0, 1, 37])):
                await ctx.tick()
            ctx.set(port.payload, byte)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    async def sink(ctx):
        port = dut.receiver.bytes
        ctx.set(port.ready, 1)
        while len(got) < len(sent):
            _, _, valid, payload, overrun = await ctx.tick().sample(
                port.valid, port.payload, dut.receiver.overrun
            )
            assert not overrun
            if valid:
                got.append(payload)

    simulate(dut, source, sink, cycles=len(sent) * (11 * send + 40))
    assert got == sent


def test_a_byte_not_taken_is_told(simulate):
    dut = Pair(8, 8)
    overruns = []

    async def source(ctx):
        port = dut.sender.bytes
        ctx.set(port.valid, 1)
        for byte in (1, 2):
            ctx.set(port.payload, byte)
            await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def watch(ctx):
        for _ in range(200):
            _, _, overrun = await ctx.tick().sample(dut.receiver.overrun)
            overruns.append(overrun)

    simulate(dut, source, watch, cycles=300)
    assert sum(overruns) == 1


def test_a_break_is_not_a_byte(simulate):
    dut = Pair(8, 8)

    async def hold(ctx):
        ctx.set(dut.force_low, 1)
        for _ in range(500):
            _, _, valid = await ctx.tick().sample(dut.receiver.bytes.valid)
            assert not valid
        ctx.set(dut.force_low, 0)
        for _ in range(500):
            _, _, valid = await ctx.tick().sample(dut.receiver.bytes.valid)
            assert not valid

    simulate(dut, hold, cycles=1100)


def test_divisor():
    assert divisor_for(100e6, 1_000_000) == 100
    with pytest.raises(ValueError, match="must be a fraction of the clock"):
        divisor_for(25e6, 10_000_000)
    with pytest.raises(ValueError, match="must be a fraction of the clock"):
        divisor_for(1e6, 220_000)


@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [3, 0, 4.5, None])
def test_a_bad_divisor_is_refused(part, divisor):
    with pytest.raises(ValueError, match="must be an integer of at least 4, not"):
        part(divisor=divisor)
