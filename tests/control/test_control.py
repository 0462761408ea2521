"""Which jobs are refused, with which code, and that nothing is touched. (Legal ones: tests/test_top.py.)"""

import itertools

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.control.control import Control
from sat_hdl.layouts import ErrorCode, job_layout, report_layout
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, NONE, Simulation

from .stepping import bits, fields

CONFIGS = {f"m{max_m}": Config(rows=1, cols=1, max_m=max_m) for max_m in (2, 4, 8, 16)}
CONFIGS |= {
    "m4_fold2": Config(rows=1, cols=1, max_m=4, fold=2),
    "m8_fold4_os": Config(rows=1, cols=1, max_m=8, fold=4, interleave=13, weight_stationary=False),
}
CONFIGS["m4_os"] = Config(rows=1, cols=1, max_m=4, weight_stationary=False)
STREAMS = ("west", "north", "initial")


@pytest.fixture(scope="module")
def simulation():
    parts = {name: Control(config, result_latency=10) for name, config in CONFIGS.items()}
    with Simulation(Bundle(parts)) as sim:
        yield sim


def error_of(
    config: Config,
    m: int,
    k: int,
    n: int,
    keep: int,
    group: int,
    stationary: int = 0,
    slots: int = 0,
    fold: int = 0,
) -> ErrorCode:
    if 0 in (m, k, n):
        return ErrorCode.EMPTY_SHAPE
    if group not in ({1, 2, 4, 8, 16} if stationary and config.weight_stationary else {2, 4, 8, 16}):
        return ErrorCode.BAD_GROUP
    if group > config.max_m:
        return ErrorCode.BAD_GROUP
    if not 1 <= keep <= group:
        return ErrorCode.BAD_KEEP
    if fold:
        fits = (
            group << fold <= config.max_m * config.fold
            and -(-n // config.cols) << fold <= config.interleave + 7
        )
        return ErrorCode.NONE if fits and not stationary else ErrorCode.BAD_DATAFLOW
    fits = k <= config.rows * group and n <= config.cols * 2**slots and keep * 2**slots <= 16
    return ErrorCode.NONE if not stationary or (config.weight_stationary and fits) else ErrorCode.BAD_DATAFLOW


@pytest.mark.parametrize("stall", [NONE, HEAVY], ids=["none", "heavy"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_illegal_job(simulation, name, stall):
    config = CONFIGS[name]
    limit = (1 << config.dim_bits) - 1
    counts = range(1 << config.count_bits)
    jobs = [
        (*shape, keep, group)
        for shape in ((1, 1, 1), (limit, 5, 1 << 12))
        for keep in counts
        for group in counts
    ]
    jobs += [(*shape, keep, 2) for shape in itertools.product((0, 1), repeat=3) for keep in (0, 1)]
    jobs += [
        (1, k, n, keep, group, 1, slots)
        for group in counts
        for keep in {1, group, group // 2, group + 1 & counts[-1]}
        for slots in range(4)
        for k, n in ((group + 1, 1), (group, 2**slots + 1), (group, 2**slots), (1 << 20, 1), (1, 1 << 20))
    ]
    if config.fold > 1:
        jobs += [
            (1, 1, n, 1, group, stationary, 0, fold)
            for group in config.group_lengths()
            for n in (*range(1, 2 * config.cols * config.interleave), 1 << 23)
            for stationary in range(2 if n == 1 else 1)
            for fold in range(4)
        ]
    jobs = [job for job in jobs if error_of(config, *job) != ErrorCode.NONE]
    layout = job_layout(config)
    names = ("m", "k", "n", "keep", "group", "stationary", "slots", "fold")
    numbers = [bits(layout, **dict(zip(names, job)), accumulate=i % 2) for i, job in enumerate(jobs)]
    beats = np.array(
        [[n >> (32 * i) & 0xFFFFFFFF for i in range(-(-layout.size // 32))] for n in numbers], np.uint32
    )
    # Operands are on offer all the time; the run's end does not wait for them.
    operands = {f"{name}__{stream}": np.zeros((1, 1), np.uint32) for stream in STREAMS}
    simulation.reset()
    simulation.set(f"{name}__room", 1)
    simulation.set(f"{name}__empty", 1)
    result = simulation.run(
        {f"{name}__job": beats} | operands,
        {f"{name}__report": len(jobs)},
        stall=stall,
        idle_timeout=200,
        wait_inputs=False,
        quiet=20,
    )
    for job, words in zip(jobs, result.outputs[f"{name}__report"]):
        report = fields(report_layout(), int.from_bytes(words.tobytes(), "little"))
        assert report == dict.fromkeys(report, 0) | {"error": error_of(config, *job).value}, job
    assert [result.beats[stream] for stream in operands] == [0, 0, 0]
    for port in ("issue", "west_control", "north_control", "exchange_control"):
        assert simulation.get(f"{name}__{port}") & 1 == 0


def test_a_report_waits_for_its_reader(simulation):
    """It stays, and no further job is accepted before it is taken."""
    simulation.reset()
    simulation.set("m2__job__valid", 1)  # all fields 0
    simulation.step(10)
    for _ in range(20):
        assert simulation.get("m2__report__valid") == 1
        assert simulation.get("m2__report__payload") == ErrorCode.EMPTY_SHAPE.value
        assert simulation.get("m2__job__ready") == 0
        simulation.step()
    simulation.set("m2__job__valid", 0)
    simulation.set("m2__report__ready", 1)
    simulation.step()
    simulation.set("m2__report__ready", 0)
    assert simulation.get("m2__report__valid") == 0
    assert simulation.get("m2__job__ready") == 1
