"""The light: what it shows of each state."""

from itertools import pairwise

import pytest

from sat_hdl.fpga.status_light import StatusLight


def test_patterns(simulate):
    dut = StatusLight(clock_hz=100)
    shown = {}
    assert 2 / 3 * 100 <= dut.period <= 4 / 3 * 100

    async def bench(ctx):
        async def watch(name):
            lights = [(await ctx.tick().sample(dut.led))[2] for _ in range(4 * dut.period)]
            shown[name] = (sum(lights), sum(a != b for a, b in pairwise(lights)))

        await watch("waits")
        ctx.set(dut.running, 1)
        await watch("runs")
        ctx.set(dut.running, 0)
        await watch("has run")
        ctx.set(dut.damaged, 1)
        await ctx.tick()
        ctx.set(dut.damaged, 0)
        await watch("missed a frame")
        ctx.set(dut.running, 1)
        await ctx.tick()
        ctx.set(dut.running, 0)
        await watch("has run again")
        ctx.set(dut.failed, 1)
        await ctx.tick()
        await watch("failed")

    simulate(dut, bench, cycles=40 * dut.period)
    cycles = 4 * dut.period
    for name in ("waits", "has run", "has run again"):
        lit, changes = shown[name]
        assert lit == cycles / 8 and 7 <= changes <= 8, name
    assert shown["runs"] == (cycles, 0)
    for name in ("missed a frame", "failed"):
        lit, changes = shown[name]
        assert lit == cycles / 2 and 63 <= changes <= 64, name


@pytest.mark.parametrize("clock_hz", [0, 1, None, float("nan")])
def test_a_bad_clock_is_refused(clock_hz):
    with pytest.raises(ValueError, match="clock_hz must be a number"):
        StatusLight(clock_hz=clock_hz)
