"""cocotb bench of a rig on cocotbext-axi's AxiRam, which knows nothing of this project; run by test_axi.py."""

import itertools
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiRam

from sat_hdl.memory.descriptor import Descriptor, Loop, StreamError
from sat_hdl.sim.run import Stall
from sat_hdl.sim.streams import reset, stream_get, stream_put

SEED = int(os.environ.get("SEED", "1"))
STALL = float(os.environ.get("STALL", "0"))
MEMORY = 1 << 16

SOURCES = [
    Descriptor(base=0x0FE8, run=8 * 37, loops=[Loop(count=7, stride=-8 * 5), Loop(count=2, stride=8 * 41)]),
    Descriptor(
        base=0x4000, run=16, height=6, width=7, y0=-1, x0=-1,
        loops=[Loop(count=8, stride=7 * 16, dy=1), Loop(count=9, stride=16, dx=1)],
    ),
]  # fmt: skip
TARGET = Descriptor(base=0x8FF0, run=8 * 37 - 6, loops=[Loop(count=14, stride=8 * 40)])


def pauses(seed: int):
    rng = random.Random(seed)
    return (rng.random() < STALL for _ in itertools.count())


async def done(dut, name: str) -> StreamError:
    while True:
        await RisingEdge(dut.clk)
        if getattr(dut, f"{name}_done").value == 1:
            return StreamError(int(getattr(dut, f"{name}_error").value))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def copies_and_pads(dut):
    Clock(dut.clk, 10, unit="ns").start()
    ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY)
    channels = [ram.write_if.aw_channel, ram.write_if.w_channel, ram.write_if.b_channel,
                ram.read_if.ar_channel, ram.read_if.r_channel]  # fmt: skip
    if STALL:
        for i, channel in enumerate(channels):
            channel.set_pause_generator(pauses(SEED + i))
    image = np.random.default_rng(SEED).integers(0, 256, MEMORY, dtype=np.uint8)
    ram.write(0, image.tobytes())
    for name in ("r0", "r1", "w0"):
        getattr(dut, f"{name}_halt").value = 0
    await reset(dut)
    await RisingEdge(dut.clk)

    stall = Stall(input=STALL, output=STALL, seed=SEED)
    fill = 0xFC00
    wanted = [descriptor.read(image, fill=fill) for descriptor in SOURCES]
    reads = []
    ends = [cocotb.start_soon(done(dut, name)) for name in ("r0", "r1", "w0")]
    for i, descriptor in enumerate(SOURCES):
        await stream_put(dut, f"r{i}_words", [*descriptor.words(), fill])
        reads.append(cocotb.start_soon(stream_get(dut, f"r{i}_out", wanted[i].size // 8, stall=stall)))
    await stream_put(dut, "w0_words", TARGET.words()[:12])
    rows = wanted[0].view(np.uint64).ravel().tolist()
    await stream_put(dut, "w0_data", rows, stall=stall)
    await with_timeout(Combine(*ends), 500, "us")
    assert all(end.result() == StreamError.NONE for end in ends)
    for got, want in zip(reads, wanted, strict=True):
        words = [beat & (1 << 64) - 1 for beat in await got]
        assert words == want.view(np.uint64).ravel().tolist()
    expected = image.copy()
    TARGET.write(expected, wanted[0][:, : TARGET.run])
    assert ram.read(0, MEMORY) == expected.tobytes()
