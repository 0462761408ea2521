"""Components with streams at their boundary, on cocotb: the core, its control, the drain, the pruner."""

from pathlib import Path

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.control.control import Control
from sat_hdl.layouts import ErrorCode, job_layout, prune_job_layout, report_layout
from sat_hdl.sim.bench.plan import StreamPlan
from sat_hdl.sim.cocotb_runner import run_bench
from sat_hdl.sim.golden import prune
from sat_hdl.sim.packing import pack_lanes
from sat_hdl.sim.run import SimulationError
from sat_hdl.sore.sore import Sore
from sat_hdl.top import ProductCore

from ...core_bench import inputs_of, make_job
from ...stce.drain_loop import DrainLoop

BENCH = "sat_hdl.sim.bench.streams"
SEED = 8
ERROR = (1 << 4) - 1


def integers(beats: np.ndarray) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in np.ascontiguousarray(beats, "<u4")]


def whole(beats: np.ndarray) -> list[tuple[int, int]]:
    """Beats all of whose bits count."""
    return [(beat, -1) for beat in integers(beats)]


def play(design, plan: StreamPlan, folder: Path):
    plan.write(folder / "plan.json")
    print(f"seed {plan.seed}")
    run_bench(design, "dut", BENCH, parameters={"PLAN": folder / "plan.json"})


def core_plan() -> tuple[ProductCore, StreamPlan]:
    """Products dense and sparse, with and without initial accumulators, over bands and row tiles."""
    config = Config(rows=2, cols=2, sore_lanes=2)
    rng = np.random.default_rng(SEED)
    shapes = [
        (3, 9, 5, (2, 4), True),
        (1, 1, 1, None, False),
        (2, 11, 19, (3, 8), True),
        (5, 2, 49, None, False),
    ]
    jobs = [make_job(config, m, k, n, sparsity, acc=acc, rng=rng) for m, k, n, sparsity, acc in shapes]
    results = []
    for job in jobs:
        # The order of the results is that of the initial accumulators; columns past n do not count.
        y, exists = job.expected(), np.ones((job.product.m, job.product.n), np.uint32) * 0xFFFFFFFF
        beats = [integers(pack_lanes(job.product.initial(lanes), 32)) for lanes in (y, exists)]
        results += zip(*beats)
    inputs = {name: integers(beats) for name, beats in inputs_of(config, jobs).items()}
    reports = [(ErrorCode.NONE.value, ERROR)] * len(jobs)
    return ProductCore(config), StreamPlan(
        inputs=inputs, outputs={"result": results, "report": reports}, seed=SEED
    )


def control_plan() -> tuple[Control, StreamPlan]:
    """Illegal jobs; legal ones need the array."""
    config = Config(rows=1, cols=1)
    layout = job_layout(config)
    good = {"m": 1, "k": 1, "n": 1, "keep": 1, "group": 2, "accumulate": 0}
    bad = [
        ({"k": 0}, ErrorCode.EMPTY_SHAPE),
        ({"group": 3}, ErrorCode.BAD_GROUP),
        ({"keep": 3}, ErrorCode.BAD_KEEP),
    ]
    jobs = [layout.const(good | change).as_bits() for change, _ in bad]
    reports = [(report_layout().const({"error": error}).as_bits(), -1) for _, error in bad]
    plan = StreamPlan(
        inputs={"job": jobs}, outputs={"report": reports}, constants={"room": 1, "empty": 1}, seed=SEED
    )
    return Control(config, result_latency=10), plan


def drain_plan() -> tuple[DrainLoop, StreamPlan]:
    beats = pack_lanes(np.random.default_rng(SEED).integers(0, 1 << 32, (60, 2)), 32)
    return DrainLoop(Config(cols=2), exchange_latency=3), StreamPlan(
        inputs={"i": integers(beats)}, outputs={"o": whole(beats)}, seed=SEED
    )


def sore_plan() -> tuple[Sore, StreamPlan]:
    config = Config(sore_lanes=2)
    rng = np.random.default_rng(SEED)
    jobs, dense, pairs = [], [], []
    for length, keep, group in ((21, 2, 8), (7, 1, 2), (16, 3, 4)):
        w = rng.integers(0, 1 << 16, (length, 2)).astype(np.uint16)
        kept = prune(w, keep, group)
        job = {"length": length, "vectors": 1, "keep": keep, "group": group}
        jobs.append(prune_job_layout(config).const(job).as_bits())
        dense += integers(pack_lanes(w, 16))
        pairs += whole(pack_lanes(kept.values.astype(np.uint32) | kept.indices.astype(np.uint32) << 16, 19))
    status = [(ErrorCode.NONE.value, -1)] * len(jobs)
    return Sore(config), StreamPlan(
        inputs={"job": jobs, "dense": dense}, outputs={"pairs": pairs, "status": status}, seed=SEED
    )


PLANS = {"core": core_plan, "control": control_plan, "drain": drain_plan, "sore": sore_plan}


@pytest.mark.parametrize("name", PLANS)
def test_component(name, tmp_path):
    play(*PLANS[name](), tmp_path)


def test_a_wrong_result_fails(tmp_path):
    """The bench compares: one bit of one expected beat changed, and it says which."""
    design, plan = drain_plan()
    value, mask = plan.outputs["o"][7]
    plan.outputs["o"][7] = value ^ 1 << 40, mask
    with pytest.raises(SimulationError, match=r"(?s)3 of 3 tests.*beat 7 of 'o'"):
        play(design, plan, tmp_path)
