"""SORE against a naive selection of each group, and its cycle count."""

import zlib
from dataclasses import dataclass

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.formats import OPERAND_FORMATS
from sat_hdl.layouts import ErrorCode, prune_job_layout
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation
from sat_hdl.sim.packing import pack_lanes, unpack_lanes, words_of
from sat_hdl.sim.vectors import specials
from sat_hdl.sore.sore import Sore

STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
ARGUMENTS = {
    "m8": {"max_m": 8, "sore_lanes": 3},
    "m2": {"max_m": 2, "sore_lanes": 1},
    "m4-bf16": {"max_m": 4, "sore_lanes": 2, "operand_format": "bf16"},
    "m16": {"max_m": 16, "sore_lanes": 2, "interleave": 16},
}


@dataclass
class Job:
    """``values``: (vectors, length, lanes) bit patterns. Illegal jobs have none."""

    length: int
    vectors: int
    keep: int
    group: int
    values: np.ndarray | None = None

    def words(self, config: Config) -> np.ndarray:
        layout = prune_job_layout(config)
        fields = {"length": self.length, "vectors": self.vectors, "keep": self.keep, "group": self.group}
        number = layout.const(fields).as_bits()
        return np.frombuffer(number.to_bytes(4 * words_of(layout.size), "little"), "<u4")


def select(group: list[int], keep: int, sign: int) -> list[tuple[int, int]]:
    """The pairs (value, index) to keep of one group, by sorting it."""
    order = sorted(range(len(group)), key=lambda i: (-(group[i] & (sign - 1)), i))
    return [(group[i], i) for i in sorted(order[:keep])]


def expected(job: Job, config: Config) -> list[list[tuple[int, int]]]:
    """Beats of pairs."""
    beats = []
    for vector in job.values.tolist():
        for start in range(0, job.length, job.group):
            rows = vector[start : start + job.group]
            lanes = [select(list(lane), job.keep, 1 << (config.format.width - 1)) for lane in zip(*rows)]
            beats += [list(beat) for beat in zip(*lanes)]
    return beats


def values(config: Config, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform patterns, specials, few distinct values (ties), equal magnitudes of both signs."""
    sign = 1 << (config.format.width - 1)
    uniform = rng.integers(0, 2 * sign, shape)
    special = rng.choice(specials(config.format).astype(np.int64), shape)
    few = rng.choice(rng.integers(0, sign, 3), shape) | rng.integers(0, 2, shape) * sign
    close = (rng.integers(0, sign) + rng.integers(0, 3, shape)) % sign
    return np.choose(rng.integers(0, 4, (*shape[:1], 1, 1)), [uniform, special, few, close])


def make_job(
    config: Config, length: int, vectors: int, keep: int, group: int, rng: np.random.Generator
) -> Job:
    return Job(length, vectors, keep, group, values(config, (vectors, length, config.sore_lanes), rng))


def run(sim: Simulation, config: Config, jobs: list[Job], stall):
    """Runs the jobs in one go; returns beats of pairs as lists of (value, index), status codes, the run."""
    width, lanes = config.format.width, config.sore_lanes
    legal = [job for job in jobs if job.values is not None]
    dense = np.concatenate(
        [job.values.reshape(-1, lanes) for job in legal] or [np.zeros((0, lanes), np.int64)]
    )
    count = sum(len(expected(job, config)) for job in legal)
    result = sim.run(
        {
            "job": np.array([job.words(config) for job in jobs]),
            "dense": pack_lanes(dense.astype(np.uint64), width),
        },
        {"pairs": count, "status": len(jobs)},
        stall=stall,
        idle_timeout=2000,
        quiet=50,
    )
    raw = unpack_lanes(result.outputs["pairs"], lanes, width + config.index_bits).tolist()
    mask = (1 << width) - 1
    pairs = [[(int(p) & mask, int(p) >> width) for p in beat] for beat in raw]
    return pairs, result.outputs["status"][:, 0].tolist(), result


@pytest.fixture(scope="module", params=ARGUMENTS)
def design(request):
    config = Config(**ARGUMENTS[request.param])
    with Simulation(Sore(config)) as sim:
        yield config, sim


@pytest.fixture
def seed(request) -> int:
    number = zlib.crc32(request.node.name.encode())
    print(f"seed {number}")
    return number


def sparsities(config: Config) -> list[tuple[int, int]]:
    return [(keep, group) for group in config.group_lengths() for keep in range(1, group + 1)]


@pytest.mark.parametrize("stall", STALLS)
def test_every_sparsity(design, stall, seed):
    """Every N ≤ M, lengths that end in whole and in short groups, as consecutive jobs of one run."""
    config, sim = design
    rng = np.random.default_rng(seed)
    jobs = []
    for keep, group in sparsities(config):
        for length in {
            1,
            group - 1,
            group,
            group + 1,
            3 * group,
            5 * group + int(rng.integers(1, group + 1)),
        }:
            jobs.append(make_job(config, length, int(rng.integers(1, 4)), keep, group, rng))
    rng.shuffle(jobs)
    pairs, status, _ = run(sim, config, jobs, STALLS[stall].with_seed(seed))
    assert status == [ErrorCode.NONE.value] * len(jobs)
    position = 0
    for job in jobs:
        want = expected(job, config)
        assert pairs[position : position + len(want)] == want, job
        position += len(want)
    assert position == len(pairs)


@pytest.mark.parametrize("stall", STALLS)
def test_illegal_jobs_between_legal_ones(design, stall, seed):
    config, sim = design
    rng = np.random.default_rng(seed)
    top = (1 << config.count_bits) - 1
    bad = [
        (Job(0, 1, 1, 2), ErrorCode.EMPTY_SHAPE),
        (Job(5, 0, 1, 2), ErrorCode.EMPTY_SHAPE),
        (Job(0, 0, 0, 0), ErrorCode.EMPTY_SHAPE),
        (Job(4, 1, 0, 2), ErrorCode.BAD_KEEP),
        (Job(4, 1, 3, 2), ErrorCode.BAD_KEEP),
        (Job(4, 1, top, config.max_m), ErrorCode.BAD_KEEP),
        *(
            (Job(4, 1, 1, group), ErrorCode.BAD_GROUP)
            for group in range(top + 1)
            if group not in config.group_lengths()
        ),
    ]
    jobs, codes = [], []
    for job, code in bad:
        keep, group = sparsities(config)[rng.integers(len(sparsities(config)))]
        jobs += [make_job(config, int(rng.integers(1, 20)), 1, keep, group, rng), job, job]
        codes += [ErrorCode.NONE.value, code.value, code.value]
    pairs, status, _ = run(sim, config, jobs, STALLS[stall].with_seed(seed))
    assert status == codes
    assert pairs == [beat for job in jobs if job.values is not None for beat in expected(job, config)]


def test_one_element_a_cycle(design, seed):
    """Unstalled, whole groups pass without a bubble, whatever N, and the last pair leaves `latency` + N − 1
    cycles after the last element."""
    config, sim = design
    rng = np.random.default_rng(seed)
    latency = Sore(config).latency
    for keep, group in sparsities(config):
        job = make_job(config, 24 * group, 2, keep, group, rng)
        pairs, _, result = run(sim, config, [job], NONE)
        assert pairs == expected(job, config)
        elements = 48 * group
        assert result.last["dense"] - result.first["dense"] == elements - 1, (keep, group)
        assert result.first["pairs"] - result.first["dense"] == group - 1 + latency, (keep, group)
        assert result.last["pairs"] - result.last["dense"] == latency + keep - 1, (keep, group)


def test_short_groups_cost_no_more_than_whole_ones(design, seed):
    config, sim = design
    rng = np.random.default_rng(seed)
    for group in config.group_lengths():
        for rest in range(1, group):
            keep, vectors, whole = int(rng.integers(1, group + 1)), 10, int(rng.integers(0, 3))
            job = make_job(config, whole * group + rest, vectors, keep, group, rng)
            _, _, result = run(sim, config, [job], NONE)
            span = result.last["dense"] - result.first["dense"] + 1
            assert span <= vectors * (whole + 1) * group, (keep, group, rest, whole)


def test_counters(design, seed):
    config, sim = design
    rng = np.random.default_rng(seed)
    job = make_job(config, 40, 2, 1, 2, rng)
    _, _, result = run(sim, config, [job], NONE)
    assert sim.get("busy") == 0
    assert sim.get("cycles") == result.last["status"] - result.first["job"]
    assert sim.get("stalled_input") == 0
    assert sim.get("stalled_output") == 0
    _, _, result = run(sim, config, [job], HEAVY.with_seed(seed))
    assert sim.get("cycles") == result.last["status"] - result.first["job"]
    assert sim.get("stalled_input") > 0
    assert sim.get("stalled_output") > 0


def test_job_waits_for_nothing_else(design):
    """A job is taken while idle, and its code waits until it is taken."""
    config, sim = design
    sim.reset()
    assert sim.get("job__ready") == 1
    words = Job(0, 0, 0, 0).words(config)
    sim.set("job__payload", int.from_bytes(words.tobytes(), "little"))
    sim.set("job__valid", 1)
    sim.step()
    sim.set("job__valid", 0)
    sim.step(10)
    assert sim.get("status__valid") == 1
    assert sim.get("status__payload") == ErrorCode.EMPTY_SHAPE.value
    assert sim.get("busy") == 1
    assert sim.get("job__ready") == 0
    sim.set("status__ready", 1)
    sim.step()
    sim.set("status__ready", 0)
    assert sim.get("busy") == 0


@pytest.mark.parametrize("operand_format", OPERAND_FORMATS)
@pytest.mark.parametrize("max_m", [2, 4, 8, 16])
@pytest.mark.parametrize("lanes", [1, 64])
def test_legal_configurations_elaborate(max_m, operand_format, lanes):
    from sat_hdl.sim.verilog import emit

    text = emit(Sore(Config(max_m=max_m, sore_lanes=lanes, operand_format=operand_format)), "sore")
    assert text.count("module sore_lane(") == 1
