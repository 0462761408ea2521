"""Both targets of the integer multiplier against Python's integers."""

import zlib

import numpy as np
import pytest

from sat_hdl.arith.integer_multiply import IntegerMultiply
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5

WIDTHS = [(11, 11), (8, 8), (18, 18), (1, 1), (1, 18), (7, 3)]
TARGETS = ["portable", "ecp5"]
RANKS = [2, 3]


@pytest.fixture(scope="module")
def simulation():
    parts = {
        f"{target}_{a}_{b}_{ranks}": IntegerMultiply(width_a=a, width_b=b, target=target, ranks=ranks)
        for target in TARGETS
        for a, b in WIDTHS
        for ranks in RANKS
    }
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:
        yield sim


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("width_a, width_b", WIDTHS)
@pytest.mark.parametrize("target", TARGETS)
def test_product(simulation, target, width_a, width_b, ranks):
    seed = zlib.crc32(f"{target} {width_a} {width_b} {ranks}".encode())
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    ends = [np.array([0, (1 << width) - 1] * 500) for width in (width_a, width_b)]
    a = np.concatenate([rng.integers(0, 1 << width_a, 9000), rng.permutation(ends[0])]).astype(np.uint32)
    b = np.concatenate([rng.integers(0, 1 << width_b, 9000), rng.permutation(ends[1])]).astype(np.uint32)
    name = f"{target}_{width_a}_{width_b}_{ranks}"
    latency = IntegerMultiply(width_a=width_a, width_b=width_b, target=target, ranks=ranks).latency
    assert latency == ranks
    p = simulation.vectors({f"{name}__a": a, f"{name}__b": b}, [f"{name}__p"], latency=latency)[f"{name}__p"]
    assert [int(x) for x in p] == [int(x) * int(y) for x, y in zip(a, b)]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"width_a": 0, "width_b": 4}, "width_a must be a positive integer, not 0"),
        ({"width_a": 4, "width_b": "4"}, "width_b must be a positive integer, not '4'"),
        ({"width_a": 4, "width_b": 4, "ranks": 4}, "ranks must be 2 or 3, not 4"),
        ({"width_a": 19, "width_b": 4, "target": "ecp5"}, "width_a must be at most 18 on ecp5, not 19"),
        (
            {"width_a": 4, "width_b": 4, "target": "ice40"},
            'target must be "portable" or "ecp5", not \'ice40\'',
        ),
    ],
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        IntegerMultiply(**arguments)
    assert str(raised.value) == sentence
