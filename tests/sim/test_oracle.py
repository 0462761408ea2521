"""The oracles agree with each other, and the generators reach what they promise."""

import numpy as np
import pytest

from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32
from sat_hdl.sim import oracle, vectors

FORMATS = pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16], ids=lambda fmt: fmt.name)
COUNT = 20_000


def shares(bits: np.ndarray, fmt) -> dict[str, float]:
    magnitude = bits & ((1 << (fmt.width - 1)) - 1)
    least_normal = 1 << fmt.frac_bits
    return {
        "nan": (magnitude > fmt.inf).mean(),
        "inf": (magnitude == fmt.inf).mean(),
        "zero": (magnitude == 0).mean(),
        "subnormal": ((magnitude > 0) & (magnitude < least_normal)).mean(),
    }


@FORMATS
def test_oracles_agree(fmt):
    rng = np.random.default_rng(11)
    a, b, acc = vectors.mac_triples(fmt, COUNT, rng)
    x, (p, q) = vectors.fp32_for_narrow(fmt, COUNT, rng), vectors.fp32_pairs(COUNT, rng)
    assert np.array_equal(oracle.softfloat_mac(a, b, acc, fmt), oracle.numpy_mac(a, b, acc, fmt))
    assert np.array_equal(oracle.softfloat_multiply(a, b, fmt), oracle.numpy_multiply(a, b, fmt))
    assert np.array_equal(oracle.softfloat_narrow(x, fmt), oracle.numpy_narrow(x, fmt))
    assert np.array_equal(oracle.softfloat_widen(a, fmt), oracle.numpy_widen(a, fmt))
    assert np.array_equal(oracle.softfloat_add(p, q), oracle.numpy_add(p, q))


@FORMATS
def test_rationals_agree_with_softfloat(fmt):
    a, b = vectors.operand_pairs(fmt, 3000, np.random.default_rng(12))
    exact = [oracle.exact_multiply(int(x), int(y), fmt, BINARY32) for x, y in zip(a, b)]
    assert exact == oracle.softfloat_multiply(a, b, fmt).tolist()


@FORMATS
def test_generators_reach_the_corners(fmt):
    rng = np.random.default_rng(13)
    a, b, acc = vectors.mac_triples(fmt, COUNT, rng)
    sums = shares(oracle.numpy_mac(a, b, acc, fmt), BINARY32)
    assert all(sums[kind] > 0.005 for kind in sums), sums
    narrowed = shares(oracle.numpy_narrow(vectors.fp32_for_narrow(fmt, COUNT, rng), fmt), fmt)
    assert all(narrowed[kind] > 0.005 for kind in narrowed), narrowed
    assert all(share > 0.005 for share in shares(a, fmt).values())


def test_pairs_cancel_and_tie():
    p, q = vectors.fp32_pairs(COUNT, np.random.default_rng(14))
    x, y = p.view(np.float32), q.view(np.float32)
    with np.errstate(all="ignore"):
        rounded = oracle.numpy_add(p, q).view(np.float32)
        finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(rounded)
        wide = x.astype(np.longdouble) + y.astype(np.longdouble)
        ties = finite & (np.abs(wide - rounded) * 2 == np.spacing(np.abs(rounded)).astype(np.longdouble))
        cancels = finite & (np.abs(rounded) < np.abs(x) / 1024) & (x != 0)
    assert ties.mean() > 0.01
    assert cancels.mean() > 0.1


@FORMATS
def test_same_seed_same_operands(fmt):
    first, second = (vectors.mac_triples(fmt, 100, np.random.default_rng(15)) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(first, second))
