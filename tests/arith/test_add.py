"""Addition of binary32: 10^6 hard pairs against numpy and SoftFloat, every distance of exponents."""

import numpy as np
import pytest

from sat_hdl.arith.add import Add
from sat_hdl.arith.ecp5 import TARGETS
from sat_hdl.formats import BINARY32
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.oracle import numpy_add, softfloat_add
from sat_hdl.sim.vectors import fp32_pairs, specials


@pytest.fixture(scope="module")
def add():
    """add(target, a, b) → sums."""
    parts = {target: Add(target=target) for target in TARGETS}
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:

        def sums(target: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            inputs = {f"{target}__a": a, f"{target}__b": b}
            return sim.vectors(inputs, [f"{target}__o"], latency=Add.latency)[f"{target}__o"]

        yield sums


def mismatches(a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray) -> list[tuple[str, ...]]:
    """The first few (a, b, sum, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [(f"{a[i]:#x}", f"{b[i]:#x}", f"{got[i]:#x}", f"{want[i]:#x}") for i in wrong]


@pytest.mark.parametrize("target", TARGETS)
def test_hard_pairs(add, target):
    seed = 20231003
    print(f"seed {seed}")
    a, b = fp32_pairs(1_000_000, np.random.default_rng(seed))
    special = specials(BINARY32)
    a = np.concatenate([a, np.repeat(special, len(special))])
    b = np.concatenate([b, np.tile(special, len(special))])
    got = add(target, a, b)
    assert mismatches(a, b, got, numpy_add(a, b)) == []
    some = slice(900_000, None)
    assert mismatches(a[some], b[some], got[some], softfloat_add(a[some], b[some])) == []


def test_every_distance_of_exponents(add):
    """Each alignment with few-bit significands: ties and borrows from every bit below the last place; also
    beside the least normal, where the normalising shift is cut short."""
    seed = 20231004
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    distance, low, near, base = np.meshgrid(
        np.arange(0, 41), [0, 1, 2, 3], np.arange(-2, 3), [1, 2, 3, 5, 9, 17, 30, 120, 210], indexing="ij"
    )
    fraction = np.array([0, 1, 0x400000, 0x7FFFFF])[low] + near
    a = ((base << 23) + fraction).ravel()
    b = a + (distance.ravel() << 23) + rng.integers(-2, 3, a.shape)
    a, b = a.astype(np.uint32), b.astype(np.uint32)
    for sign in (0, 1 << 31):
        for x, y in ((a, b | np.uint32(sign)), (b | np.uint32(sign), a)):
            assert mismatches(x, y, add("portable", x, y), numpy_add(x, y)) == []


def test_illegal_target_is_refused():
    with pytest.raises(ValueError, match=r"^Target must be one of \('portable', 'ecp5'\), not 'asic'$"):
        Add(target="asic")
