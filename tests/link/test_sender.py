"""From bodies to bytes: the very ones that the host's own framing gives, whatever stalls."""

import random

import pytest

from sat_hdl.link.protocol import frame
from sat_hdl.link.sender import FrameSender


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_as_the_host_frames(simulate, stall):
    seed = 8
    print(f"seed {seed}")
    rng = random.Random(seed)
    sent = [
        bytes(rng.choice([0x7E, 0x7D, rng.randrange(256)]) for _ in range(size)) for size in (1, 2, 3, 5, 40)
    ]
    wanted = b"".join(map(frame, sent))
    dut, got, cycles = FrameSender(), bytearray(), []

    async def source(ctx):
        for body in sent:
            for i, octet in enumerate(body):
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload.octet, octet)
                ctx.set(dut.i.payload.last, i == len(body) - 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        held, count = None, 0
        while len(got) < len(wanted):
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            count += 1
            assert held is None or (valid and payload == held), "what was offered changed"
            held = payload if valid and not ready else None
            if valid and ready:
                got.append(payload)
        cycles.append(count)

    simulate(dut, source, sink, cycles=10 * len(wanted))
    assert got == wanted
    if not stall:
        assert cycles == [len(wanted)]
