"""The accumulator's adder as a binary32 adder: 10^6 hard pairs against numpy and SoftFloat.

With an exact product as its addend it is tested inside the multiply-accumulate: test_mac.py.
"""

import numpy as np
import pytest

from sat_hdl.arith.accumulate import Accumulate, addend_layout
from sat_hdl.arith.ecp5 import TARGETS
from sat_hdl.formats import BINARY32
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.oracle import numpy_add, softfloat_add
from sat_hdl.sim.vectors import fp32_pairs, specials

QUIET = np.uint32(1 << 22)


def quiet(bits: np.ndarray) -> np.ndarray:
    """``bits`` with the quiet bit of every NaN set, as the adder asks of ``acc``."""
    nan = (bits & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    return np.where(nan, bits | QUIET, bits)


def addends(bits: np.ndarray) -> np.ndarray:
    """Words of ``addend_layout(exact=False)`` that hold the binary32 ``bits``."""
    layout = addend_layout(False)
    bits = bits.astype(np.uint64)
    frac, exp, sign = (
        bits & np.uint64(0x7FFFFF),
        bits >> np.uint64(23) & np.uint64(0xFF),
        bits >> np.uint64(31),
    )
    normal = exp != 0
    fields = {
        "sig": frac | normal.astype(np.uint64) << np.uint64(23),
        "exp": np.where(normal, exp, np.uint64(1)),
        "sign": sign,
        "special": exp == 0xFF,
        "nan": (exp == 0xFF) & (frac != 0),
    }
    word = np.zeros_like(bits)
    for name, values in fields.items():
        word |= values.astype(np.uint64) << np.uint64(layout[name].offset)
    return word


@pytest.fixture(scope="module")
def add():
    """add(target, a, b) → sums."""
    parts = {target: Accumulate(exact=False, target=target) for target in TARGETS}
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:

        def sums(target: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            inputs = {f"{target}__p": addends(a), f"{target}__acc": quiet(b)}
            return sim.vectors(inputs, [f"{target}__o"], latency=Accumulate.latency)[f"{target}__o"]

        yield sums


def mismatches(a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray) -> list[tuple[str, ...]]:
    """The first few (a, b, sum, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [(f"{a[i]:#x}", f"{b[i]:#x}", f"{got[i]:#x}", f"{want[i]:#x}") for i in wrong]


@pytest.mark.parametrize("target", TARGETS)
def test_hard_pairs(add, target):
    seed = 20230914
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
    """Each alignment with few-bit significands: ties and borrows from every bit below the last place."""
    seed = 20230915
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    distance, low, near = np.meshgrid(np.arange(-40, 41), [0, 1, 2, 3], np.arange(-2, 3), indexing="ij")
    fraction = np.array([0, 1, 0x400000, 0x7FFFFF])[low] + near
    a = (rng.integers(60, 190, distance.shape) << 23) + fraction
    b = a + (distance << 23) + rng.integers(-2, 3, distance.shape)
    a, b = a.ravel().astype(np.uint32), b.ravel().astype(np.uint32)
    for sign in (0, 1 << 31):
        signed = b | np.uint32(sign)
        assert mismatches(a, signed, add("portable", a, signed), numpy_add(a, signed)) == []


@pytest.mark.parametrize("exact", [True, False])
def test_illegal_target_is_refused(exact):
    with pytest.raises(ValueError, match=r"^Target must be one of \('portable', 'ecp5'\), not 'asic'$"):
        Accumulate(exact=exact, target="asic")
