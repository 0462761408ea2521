"""The LUT RAM with a register behind it against a list of words."""

import numpy as np
import pytest

from sat_hdl.memory.registered_lut_ram import RegisteredLutRam
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation

SHAPES = [(1, 2), (32, 16), (36, 64), (64, 8)]


@pytest.fixture(scope="module")
def simulation():
    parts = {f"ram_{width}_{depth}": RegisteredLutRam(width=width, depth=depth) for width, depth in SHAPES}
    with Simulation(Bundle(parts)) as sim:
        yield sim


@pytest.mark.parametrize("width, depth", SHAPES)
def test_every_read_gives_the_word_written_before(simulation, width, depth):
    name, cycles = f"ram_{width}_{depth}", depth + 4000
    rng = np.random.default_rng([width, depth])
    # Every place is written before any is read; the place that is written may be read.
    write = np.concatenate([rng.permutation(depth), rng.integers(0, depth, cycles - depth)])
    enable = rng.integers(0, 2, cycles).astype(np.uint32)
    enable[:depth] = 1
    value = rng.integers(0, 1 << min(width, 63), cycles, dtype=np.uint64)
    read = rng.integers(0, depth, cycles)
    words, want, out = np.zeros(depth, np.uint64), np.zeros(cycles, np.uint64), np.uint64(0)
    for cycle in range(cycles):
        want[cycle] = out
        out = words[read[cycle]]
        if enable[cycle]:
            words[write[cycle]] = value[cycle]
    inputs = {"write_address": write, "write_enable": enable, "write_data": value, "read_address": read}
    got = simulation.vectors(
        {f"{name}__{pin}": numbers.astype(np.uint64) for pin, numbers in inputs.items()},
        [f"{name}__read_data"],
        latency=0,
    )[f"{name}__read_data"]
    settled = depth + 1
    assert np.array_equal(got[settled:].astype(np.uint64), want[settled:])


@pytest.mark.parametrize(
    "arguments", [{"width": 0}, {"width": "8"}, {"depth": 1}, {"depth": 3}, {"depth": 8.0}]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RegisteredLutRam(**({"width": 8, "depth": 16} | arguments))
