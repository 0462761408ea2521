"""cocotb bench of SORE against the golden model; run by test_sore_bench.py, which sets its environment."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock

from sat_hdl.config import Config
from sat_hdl.layouts import ErrorCode, pair_layout, prune_job_layout
from sat_hdl.sim.golden.prune import prune
from sat_hdl.sim.run import Stall
from sat_hdl.sim.streams import reset, stream_get, stream_put
from sat_hdl.sim.vectors import words

CONFIG = Config(max_m=8, sore_lanes=2)
SEED = int(os.environ.get("SEED", "1"))
STALL = float(os.environ.get("STALL", "0"))


def job(length: int, vectors: int, keep: int, group: int) -> int:
    fields = {"length": length, "vectors": vectors, "keep": keep, "group": group}
    return prune_job_layout(CONFIG).const(fields).as_bits()


def packed(lanes: list[int], width: int) -> int:
    return sum(int(value) << (width * lane) for lane, value in enumerate(lanes))


@cocotb.test()
async def prunes_as_the_golden_model(dut):
    rng = np.random.default_rng(SEED)
    stall = Stall(input=STALL, output=STALL, seed=SEED)
    lanes, width = CONFIG.sore_lanes, CONFIG.format.width
    jobs, dense, pairs, codes = [], [], [], []
    for group in CONFIG.group_lengths():
        for keep in range(1, group):
            length, vectors = int(rng.integers(1, 4 * group)), int(rng.integers(1, 3))
            jobs += [job(length, vectors, keep, group), job(length, vectors, group + 1, group)]
            codes += [ErrorCode.NONE.value, ErrorCode.BAD_KEEP.value]
            for _ in range(vectors):
                w = words(CONFIG.format, length * lanes, rng).reshape(length, lanes)
                dense += [packed(row, width) for row in w]
                kept = prune(w, keep, group)
                for values, indices in zip(kept.values, kept.indices):
                    beat = [int(v) | int(i) << width for v, i in zip(values, indices)]
                    pairs.append(packed(beat, pair_layout(CONFIG).size))
    Clock(dut.clk, 2, "ns").start()
    await reset(dut)
    cocotb.start_soon(stream_put(dut, "job", jobs, stall=stall))
    cocotb.start_soon(stream_put(dut, "dense", dense, stall=stall))
    statuses = cocotb.start_soon(stream_get(dut, "status", len(jobs), stall=stall))
    assert await stream_get(dut, "pairs", len(pairs), stall=stall) == pairs
    assert await statuses == codes
