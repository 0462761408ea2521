"""Both targets of the block RAM with a register behind it against a list of words."""

import numpy as np
import pytest

from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5

SHAPES = [(1, 2), (32, 16), (36, 512), (17, 64)]
TARGETS = ["portable", "ecp5"]


@pytest.fixture(scope="module")
def simulation():
    parts = {
        f"{target}_{width}_{depth}": RegisteredRam(width=width, depth=depth, target=target)
        for target in TARGETS
        for width, depth in SHAPES
    }
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:
        yield sim


@pytest.mark.parametrize("width, depth", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_read_gives_the_word_written_last(simulation, target, width, depth):
    name = f"{target}_{width}_{depth}"
    rng = np.random.default_rng([width, depth, target == "ecp5"])
    # Every place is written before any is read.
    # The registers move on at random, and the model with them.
    count = depth + 4000
    reads, forwards = rng.integers(0, 4, (2, count)) > 0
    write = np.concatenate([rng.permutation(depth), rng.integers(0, depth, 4000)]).astype(np.uint32)
    enable = np.concatenate([np.ones(depth, np.uint32), rng.integers(0, 2, 4000).astype(np.uint32)])
    values = rng.integers(0, 1 << width, count, dtype=np.uint64)
    read = (write + rng.integers(1, depth, count)) % depth  # never where something is written
    words, want = np.zeros(depth, np.uint64), np.zeros(count, np.uint64)
    first = out = np.uint64(0)
    for i in range(count):
        want[i] = out
        out = first if forwards[i] else out
        first = words[read[i]] if reads[i] else first
        if enable[i]:
            words[write[i]] = values[i]
    inputs = {"write_address": write, "write_enable": enable, "write_data": values, "read_address": read}
    inputs |= {"reads": reads, "forwards": forwards}
    got = simulation.vectors(
        {f"{name}__{pin}": value.astype(np.uint64) for pin, value in inputs.items()},
        [f"{name}__read_data"],
        latency=0,
    )[f"{name}__read_data"]
    settled = depth + 50
    assert np.array_equal(got[settled:].astype(np.uint64), want[settled:])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"width": 37, "depth": 4}, "width must be from 1 to 36, not 37"),
        ({"width": 8, "depth": 24}, "depth must be a power of two from 2 to 512, not 24"),
        ({"width": 8, "depth": 1024}, "depth must be a power of two from 2 to 512, not 1024"),
        (
            {"width": 8, "depth": 4, "target": "ice40"},
            "Target must be one of ('portable', 'ecp5'), not 'ice40'",
        ),
    ],
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        RegisteredRam(**arguments)
    assert str(raised.value) == sentence
