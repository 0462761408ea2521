"""The array under random traffic at its edges, cycle for cycle."""

import zlib

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.formats import BINARY16
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.packing import unpack_lanes
from sat_hdl.stce.stce import Stce

from .array_model import Traffic
from .beats import edge_vectors

CONFIGS = {
    "2x2": Config(rows=2, cols=2),
    "1x1-m2": Config(rows=1, cols=1, max_m=2),
    "3x2-m16-j11": Config(rows=3, cols=2, max_m=16, interleave=11),  # E = 2
    "2x2-os": Config(rows=2, cols=2, weight_stationary=False),
    "2x2-block": Config(rows=2, cols=2, weight_stationary=False, group_ram="block"),
    "3x2-m16-block-ecp5": Config(
        rows=3, cols=2, max_m=16, target="ecp5", weight_stationary=False, group_ram="block"
    ),  # E = 2
    "2x2-lut": Config(rows=2, cols=2, initial_ram="lut"),
    "1x3-bf16-ecp5": Config(rows=1, cols=3, max_m=4, operand_format="bf16", target="ecp5"),
}


@pytest.fixture(scope="module", params=CONFIGS)
def design(request):
    config = CONFIGS[request.param]
    stce = Stce(config)
    with Simulation(stce, extra_sources=[ECP5.read_text()] if config.target == "ecp5" else []) as sim:
        yield config, stce, sim


def test_latencies(design):
    config, stce, _ = design
    edge = 2 if config.format == BINARY16 else 0
    assert stce.edge_latency == edge
    assert stce.exchange_latency == edge + config.rows
    operands = 2 if config.group_ram == "block" else config.weight_stationary
    assert stce.result_latency == (10 if config.format == BINARY16 else 15) + operands


def test_random_traffic(design):
    config, stce, sim = design
    seed = zlib.crc32(repr(config).encode())
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    traffic = Traffic(config, 6000, stce.result_latency, rng)
    inputs = edge_vectors(config, traffic.steps, rng)
    sim.reset()
    sim.step()  # the elements' reset is a cycle late
    got = sim.vectors(inputs, ["results"], latency=0)["results"]
    lanes = unpack_lanes(words_of_rows(got, config.cols), config.cols, 32)
    checked = 0
    for now, want in traffic.results.items():
        for c in range(config.cols):
            time = now + stce.exchange_latency + c
            if time < len(lanes):
                assert lanes[time, c] == want[c], f"column {c}, exchange token of cycle {now}"
                checked += 1
    assert checked > 2000


def words_of_rows(values: np.ndarray, cols: int) -> np.ndarray:
    """What ``vectors`` gives for a port of 32·cols bits, as words of 32 bits."""
    return values.view(np.uint32).reshape(len(values), -1) if cols <= 2 else values


def test_a_reset_forgets_what_is_under_way(design):
    """No token survives: the exchange places of before do not come out as if new, sums start afresh."""
    config, stce, sim = design
    rng = np.random.default_rng(11)
    for cycles in (50, 400):
        traffic = Traffic(config, cycles, stce.result_latency, rng)
        sim.vectors(edge_vectors(config, traffic.steps, rng), ["results"], latency=0)
        sim.reset()
        sim.step(stce.exchange_latency + config.cols)
        traffic = Traffic(config, 400, stce.result_latency, rng)
        got = sim.vectors(edge_vectors(config, traffic.steps, rng), ["results"], latency=0)["results"]
        lanes = unpack_lanes(words_of_rows(got, config.cols), config.cols, 32)
        for now, want in traffic.results.items():
            if (time := now + stce.exchange_latency) < len(lanes):
                assert lanes[time, 0] == want[0]
