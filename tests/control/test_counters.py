"""The performance counters against sums in Python: many events, reads at any time, every counter in its place."""

from collections import deque

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from sat_hdl.control.counters import Counters


def run(counters: Counters, count: int, seed: int, rate: float):
    """Drives ``count`` cycles of random events, amounts, reads and clears; compares every value read."""
    rng = np.random.default_rng(seed)
    events, amounts = len(counters.events), len(counters.amounts)
    module = Module()
    module.submodules.dut = counters
    want = [0] * (events + amounts)
    reads = []

    async def drive(ctx):
        reading, since = False, 32
        #: Of each read that is not answered yet: when it is, which, and what is right.
        asked = deque()
        for cycle in range(count):
            clear = rng.random() < 0.002
            now = rng.random(events) < rate
            since += 1
            added = since > 32 and rng.random() < 0.2
            values = [int(v) for v in rng.integers(0, 1 << 32, amounts)]
            reading = not reading and rng.random() < 0.5
            index = int(rng.integers(0, events + amounts))
            ctx.set(counters.clear, clear)
            ctx.set(counters.events, sum(int(bit) << i for i, bit in enumerate(now)))
            ctx.set(counters.added, added)
            for i, value in enumerate(values):
                ctx.set(counters.amounts[i], value)
            ctx.set(counters.reads, reading)
            ctx.set(counters.index, index)
            if asked and asked[0][0] == cycle:
                _, number, right = asked.popleft()
                reads.append((number, ctx.get(counters.value), right))
            await ctx.tick()
            if clear:
                want[:] = [0] * len(want)
                asked.clear()
            else:
                want[:events] = [w + int(bit) for w, bit in zip(want[:events], now)]
                if added:
                    want[events:] = [w + v for w, v in zip(want[events:], values)]
            if added:
                since = 0
            if reading:
                asked.append((cycle + Counters.read_latency, index, want[index]))

    simulator = Simulator(module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return reads


@pytest.mark.parametrize("events, amounts", [(11, 4), (1, 1), (12, 4)])
@pytest.mark.parametrize("rate", [1.0, 0.5, 0.02])
def test_every_read_is_exact(events, amounts, rate):
    reads = run(Counters(events=events, amounts=amounts), 3000, events * 7 + int(rate * 100), rate)
    assert len(reads) > 700 and max(want for _, _, want in reads) > 200
    wrong = [(index, hex(got), hex(want)) for index, got, want in reads if got != want]
    assert not wrong, wrong[:5]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"events": 0, "amounts": 1}, "events must be a positive integer, not 0"),
        ({"events": 2, "amounts": -1}, "amounts must be a positive integer, not -1"),
        ({"events": 13, "amounts": 4}, "There may be 16 counters, not 17"),
    ],
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        Counters(**arguments)
    assert str(raised.value) == sentence
