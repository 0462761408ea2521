"""The relay, proved."""

from sat_hdl.memory.relay import Relay

from .bounded import WIDTH, QueueClaim, refuted


def test_proved_for_every_pattern_of_stalls():
    assert not refuted(QueueClaim(Relay(shape=WIDTH), most=1), cycles=12)
    assert refuted(QueueClaim(Relay(shape=WIDTH), most=0), cycles=12)


def test_a_beat_every_other_cycle(simulate):
    dut, taken = Relay(shape=WIDTH), []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(20):
            _, _, comes = await ctx.tick().sample(dut.o.valid & dut.o.ready)
            if comes:
                taken.append(cycle)

    simulate(dut, bench, cycles=30)
    assert taken == list(range(dut.latency, 20, 2))
