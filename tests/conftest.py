"""A simulation in Amaranth's own simulator that can't hang, and a whole device."""

import pytest
from amaranth.sim import Simulator

from sat_hdl.sim.memory import MemoryConfig

from .device import SIZE, device


@pytest.fixture
def simulate():
    """simulate(dut, *benches, cycles=N): runs until every bench is done, and fails after N cycles."""

    def run(dut, *benches, cycles):
        async def watchdog(ctx):
            await ctx.delay(cycles * 1e-6)
            raise TimeoutError(f"The simulation hung: a bench was not done after {cycles} cycles.")

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        for bench in benches:
            simulator.add_testbench(bench)
        simulator.add_testbench(watchdog, background=True)
        simulator.run()

    return run


@pytest.fixture
def system():
    """The small device of :mod:`tests.device`, reset, its memory empty."""
    made = device()
    made.configure(MemoryConfig(size=SIZE))
    made.reset()
    made.memory[:] = 0
    return made
