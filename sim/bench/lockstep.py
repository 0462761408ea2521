"""cocotb: plays a :class:`LockstepPlan`."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from sat_hdl.sim.bench.plan import LockstepPlan


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def play(dut):
    plan = LockstepPlan.read(os.environ["PLAN"])
    Clock(dut.clk, 10, unit="ns").start()
    for port in plan.inputs:
        getattr(dut, port).value = 0
    if hasattr(dut, "rst"):  # none where nothing is reset
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        dut.rst.value = 0
    await RisingEdge(dut.clk)
    expected = {port: {cycle: value for cycle, value in rows} for port, rows in plan.outputs.items()}
    for cycle in range(len(next(iter(plan.inputs.values())))):
        for port, values in plan.inputs.items():
            getattr(dut, port).value = values[cycle]
        await ReadOnly()
        for port, rows in expected.items():
            if cycle in rows:
                got = int(getattr(dut, port).value)
                assert got == rows[cycle], f"{port} in cycle {cycle}: {got:#x}, not {rows[cycle]:#x}"
        await RisingEdge(dut.clk)
