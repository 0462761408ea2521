"""Both targets of the bank that is read element by element against a list of elements."""

import numpy as np
import pytest

from sat_hdl.memory.element_bank import ElementBank
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation

SHAPES = [(4, 1, 16), (4, 2, 8), (8, 1, 4), (1, 1, 8), (2, 2, 16)]  # parts, step, depth
TARGETS = ["portable", "ecp5"]
WIDTH = 8


@pytest.fixture(scope="module")
def simulation():
    parts = {
        f"{target}_{parts}_{step}": ElementBank(
            parts=parts, step=step, width=WIDTH, depth=depth, target=target
        )
        for target in TARGETS
        for parts, step, depth in SHAPES
    }
    with Simulation(Bundle(parts)) as sim:
        yield sim


def fields(values: np.ndarray) -> np.ndarray:
    """Elements in one number, the first in the low bits."""
    return (values.astype(np.uint64) << np.arange(values.shape[1], dtype=np.uint64) * WIDTH).sum(
        axis=1, dtype=np.uint64
    )


@pytest.mark.parametrize("parts, step, depth", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_read_gives_the_elements_written_last(simulation, target, parts, step, depth):
    name, count = f"{target}_{parts}_{step}", 3000
    rng = np.random.default_rng([parts, step, depth])
    pieces = parts // step
    # Every place is written before any is read.
    write = np.concatenate([np.arange(depth), rng.integers(0, depth, count - depth)])
    enable = rng.integers(0, 1 << parts, count)
    enable[:depth] = (1 << parts) - 1
    values = rng.integers(0, 1 << WIDTH, (count, parts))
    # Never where something is written.
    read = (write + rng.integers(1, depth, count)) % depth * pieces + rng.integers(0, pieces, count)
    reads = rng.integers(0, 3, count) > 0
    words, want = np.zeros((depth, parts), np.int64), np.zeros((count, step), np.int64)
    out = want[0]
    for i in range(count):
        want[i] = out
        if reads[i]:
            out = words.reshape(-1, step)[read[i]].copy()
        written = [enable[i] >> part & 1 == 1 for part in range(parts)]
        words[write[i], written] = values[i, written]
    inputs = {"write_address": write, "write_enable": enable, "read_address": read, "read_enable": reads}
    got = simulation.vectors(
        {f"{name}__{pin}": value.astype(np.uint64) for pin, value in inputs.items()}
        | {f"{name}__write_data": fields(values)},
        [f"{name}__read_data"],
        latency=0,
    )[f"{name}__read_data"]
    settled = depth + 20
    assert np.array_equal(got[settled:].astype(np.uint64), fields(want)[settled:])


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"parts": 3}, "parts must be a power of two"),
        ({"step": 8}, "step must be a power of two from 1 to 4, not 8"),
        ({"depth": 12}, "depth must be a power of two of at least 2, not 12"),
        ({"target": "ice40"}, "Target must be one of"),
    ],
)
def test_illegal_arguments_are_refused(wrong, sentence):
    with pytest.raises(ValueError) as raised:
        ElementBank(**{"parts": 4, "step": 1, "width": 8, "depth": 16, **wrong})
    assert sentence in str(raised.value)
