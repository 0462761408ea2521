"""cocotb bench of a first-in first-out buffer between two streams: what goes in comes out, in order."""

import os
import random

import cocotb
from cocotb.clock import Clock

from sat_hdl.sim.run import HEAVY, LIGHT, NONE
from sat_hdl.sim.streams import reset, stream_get, stream_put


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[NONE, LIGHT, HEAVY])
async def beats_pass(dut, stall):
    seed = int(os.environ["SEED"])
    dut._log.info("seed %d", seed)
    rng = random.Random(seed)
    beats = [rng.getrandbits(len(dut.i__payload)) for _ in range(200)]
    Clock(dut.clk, 10, unit="ns").start()
    dut.fault.value = int(os.environ["FAULT"])
    await reset(dut)
    source = cocotb.start_soon(stream_put(dut, "i", beats, stall=stall.with_seed(seed), timeout=500))
    got = await stream_get(dut, "o", len(beats), stall=stall.with_seed(seed), timeout=500)
    await source
    assert got == beats
