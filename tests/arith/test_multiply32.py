"""Multiplication of binary32: 10^6 hard pairs against numpy and SoftFloat, subnormal operands and products."""

import numpy as np
import pytest

from sat_hdl.arith.ecp5 import TARGETS
from sat_hdl.arith.multiply32 import Multiply32
from sat_hdl.formats import BINARY32
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.oracle import numpy_multiply, softfloat_multiply
from sat_hdl.sim.vectors import operand_pairs, specials


@pytest.fixture(scope="module")
def multiply():
    """multiply(target, a, b) → products."""
    parts = {target: Multiply32(target=target) for target in TARGETS}
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:

        def products(target: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            inputs = {f"{target}__a": a, f"{target}__b": b}
            return sim.vectors(inputs, [f"{target}__o"], latency=Multiply32.latency)[f"{target}__o"]

        yield products


def mismatches(a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray) -> list[tuple[str, ...]]:
    """The first few (a, b, product, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [(f"{a[i]:#x}", f"{b[i]:#x}", f"{got[i]:#x}", f"{want[i]:#x}") for i in wrong]


@pytest.mark.parametrize("target", TARGETS)
def test_hard_pairs(multiply, target):
    seed = 20231001
    print(f"seed {seed}")
    a, b = operand_pairs(BINARY32, 1_000_000, np.random.default_rng(seed))
    special = specials(BINARY32)
    a = np.concatenate([a, np.repeat(special, len(special))])
    b = np.concatenate([b, np.tile(special, len(special))])
    got = multiply(target, a, b)
    assert mismatches(a, b, got, numpy_multiply(a, b, BINARY32)) == []
    some = slice(900_000, None)
    want = softfloat_multiply(a[some], b[some], BINARY32)
    assert mismatches(a[some], b[some], got[some], want) == []


def test_every_distance_of_a_subnormal_operand_and_product(multiply):
    """Few-bit significands, one of them with its leading one in every place, products about the least normal
    and the least subnormal: ties from every shift."""
    seed = 20231002
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    place, exponent, near, tail = np.meshgrid(
        np.arange(24), np.arange(96, 160), np.arange(-2, 3), [0, 1, 0x400000, 0x7FFFFF], indexing="ij"
    )
    a = np.maximum((1 << place) + near, 0).ravel().astype(np.uint32)
    b = ((exponent << 23) + tail).ravel().astype(np.uint32)
    small = ((rng.integers(1, 60, a.shape) << 23) + rng.integers(0, 1 << 23, a.shape)).astype(np.uint32)
    sign = rng.integers(0, 2, a.shape).astype(np.uint32) << np.uint32(31)
    for x, y in ((a, b | sign), (b | sign, a), (small, b)):
        assert mismatches(x, y, multiply("portable", x, y), numpy_multiply(x, y, BINARY32)) == []


def test_illegal_target_is_refused():
    with pytest.raises(ValueError, match=r"^Target must be one of \('portable', 'ecp5'\), not 'asic'$"):
        Multiply32(target="asic")
