"""Both targets of the block RAM with a register behind it against a list of words."""

import numpy as np
import pytest

from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5

#: Width, depth, parts; more words than one block RAM has.
SHAPES = [
    (1, 2, 1),
    (32, 16, 1),
    (36, 512, 1),
    (17, 64, 1),
    (32, 16, 4),
    (32, 64, 2),
    (36, 8, 4),
    (6, 512, 2),
    (16, 1024, 2),
]
TARGETS = ["portable", "ecp5"]


@pytest.fixture(scope="module")
def simulation():
    parts = {
        f"{target}_{width}_{depth}_{parts}": RegisteredRam(
            width=width, depth=depth, target=target, parts=parts
        )
        for target in TARGETS
        for width, depth, parts in SHAPES
    }
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:
        yield sim


@pytest.mark.parametrize("width, depth, parts", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_read_gives_the_word_written_last(simulation, target, width, depth, parts):
    name = f"{target}_{width}_{depth}_{parts}"
    rng = np.random.default_rng([width, depth, parts, target == "ecp5"])
    # Every place is written before any is read.
    # The registers move on at random, and the model with them.
    count = depth + 4000
    reads, forwards = rng.integers(0, 4, (2, count)) > 0
    write = np.concatenate([rng.permutation(depth), rng.integers(0, depth, 4000)]).astype(np.uint32)
    every = (1 << parts) - 1
    enable = np.concatenate(
        [np.full(depth, every, np.uint32), rng.integers(0, every + 1, 4000).astype(np.uint32)]
    )
    part = (1 << width // parts) - 1
    masks = [
        sum(part << i * width // parts for i in range(parts) if enables >> i & 1)
        for enables in range(every + 1)
    ]
    values = rng.integers(0, 1 << width, count, dtype=np.uint64)
    read = (write + rng.integers(1, depth, count)) % depth  # never where something is written
    words, want = np.zeros(depth, np.uint64), np.zeros(count, np.uint64)
    first = out = np.uint64(0)
    for i in range(count):
        want[i] = out
        out = first if forwards[i] else out
        first = words[read[i]] if reads[i] else first
        mask = np.uint64(masks[enable[i]])
        words[write[i]] = words[write[i]] & ~mask | values[i] & mask
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
        ({"width": 8, "depth": 24}, "depth must be a power of two from 2, not 24"),
        ({"width": 8, "depth": 1}, "depth must be a power of two from 2, not 1"),
        ({"width": 9, "depth": 4, "parts": 2}, "parts must be 1, 2 or 4 and divide 9, not 2"),
        ({"width": 9, "depth": 4, "parts": 3}, "parts must be 1, 2 or 4 and divide 9, not 3"),
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
