"""From bytes to bodies: as the host's own deframer finds them, whatever stalls; nothing is half taken."""

import random

import pytest

from sat_hdl.link.protocol import Deframer, frame
from sat_hdl.link.receiver import FrameReceiver
from sat_hdl.sim.damage import Damage


def received(simulate, dut, octets, rng, *, gap=0.2, stall=0.3, patience=400):
    """Bodies, and how often something was damaged."""
    bodies, damaged = [[]], []

    async def source(ctx):
        for octet in octets:
            while rng.random() < gap:
                await ctx.tick()
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, octet)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        quiet = 0
        while quiet < patience:
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload, bad = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.damaged)
            quiet = 0 if valid or bad else quiet + 1
            if bad:
                damaged.append(1)
            if valid and ready:
                bodies[-1].append(payload.octet)
                if payload.last:
                    bodies.append([])

    simulate(dut, source, sink, cycles=20 * len(octets) + 4 * patience)
    assert bodies[-1] == []
    return [bytes(body) for body in bodies[:-1]], len(damaged)


@pytest.mark.parametrize("rate, stall", [(0.0, 0.0), (0.5, 0.3)])
def test_as_the_host_finds_them(simulate, rate, stall):
    seed = 4
    print(f"seed {seed}")
    rng = random.Random(seed)
    sent = [
        bytes(rng.choice([0x7E, 0x7D, 0x5E, rng.randrange(256)]) for _ in range(rng.choice([1, 2, 7, 30])))
        for _ in range(40)
    ]
    octets = Damage(rate, seed).feed(b"".join(map(frame, sent)))
    wanted = list(Deframer().feed(octets))
    bodies, damaged = received(simulate, FrameReceiver(size=2048), octets, rng, stall=stall)
    assert bodies == [body for body in wanted if body is not None]
    assert damaged == wanted.count(None)
    assert (damaged > 0) == (rate > 0)


def test_a_frame_for_which_there_is_no_room_is_damaged(simulate):
    """And those before and after it are whole."""
    rng = random.Random(1)
    sent = [rng.randbytes(size) for size in (20, 30, 20, 63, 64, 40)]
    dut = FrameReceiver(size=64)
    octets = b"".join(frame(body) for body in sent[:3])
    bodies, damaged = received(simulate, dut, octets, rng, gap=0, stall=0.97, patience=1000)
    assert bodies in ([sent[0], sent[1]], [sent[0], sent[2]], sent[:2]) and damaged == 1
    bodies, damaged = received(simulate, FrameReceiver(size=64), b"".join(map(frame, sent[3:])), rng, stall=0)
    assert bodies == [sent[3], sent[5]] and damaged == 1


def test_latency(simulate):
    dut = FrameReceiver(size=64)
    octets, count = frame(b"abc"), []

    async def bench(ctx):
        for octet in octets:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, octet)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        cycles = 0
        while not ctx.get(dut.o.valid):
            await ctx.tick()
            cycles += 1
        count.append(cycles + 1)  # the edge that took the FLAG

    simulate(dut, bench, cycles=200)
    assert count == [dut.latency]


@pytest.mark.parametrize("size", [63, 65, 32, 1 << 17, 64.0, None])
def test_a_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="size must be a power of two"):
        FrameReceiver(size=size)
