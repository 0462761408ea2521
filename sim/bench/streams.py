"""cocotb: plays a :class:`StreamPlan` on every stream at once, under three kinds of back-pressure."""

import os

import cocotb
from cocotb.clock import Clock

from sat_hdl.sim.bench.plan import StreamPlan
from sat_hdl.sim.run import HEAVY, LIGHT, NONE
from sat_hdl.sim.streams import reset, stream_get, stream_put


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(stall=[NONE, LIGHT, HEAVY])
async def play(dut, stall):
    plan = StreamPlan.read(os.environ["PLAN"])
    dut._log.info("seed %d", plan.seed)
    stall = stall.with_seed(plan.seed)
    Clock(dut.clk, 10, unit="ns").start()
    for port, value in plan.constants.items():
        getattr(dut, port).value = value
    await reset(dut)
    sources = [
        cocotb.start_soon(stream_put(dut, name, beats, stall=stall)) for name, beats in plan.inputs.items()
    ]
    sinks = {
        name: cocotb.start_soon(stream_get(dut, name, len(beats), stall=stall))
        for name, beats in plan.outputs.items()
    }
    for name, sink in sinks.items():
        got = await sink
        for number, (beat, (value, mask)) in enumerate(zip(got, plan.outputs[name])):
            assert beat & mask == value & mask, f"beat {number} of {name!r}: {beat:#x}, not {value:#x}"
    for source in sources:
        await source
