"""Conversions: every pattern where that is 2^16, else 10^6 hard ones, against SoftFloat and numpy."""

import ml_dtypes
import numpy as np
import pytest

from sat_hdl.arith.convert import Narrow, Widen
from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.oracle import canonical, numpy_narrow, numpy_widen, softfloat_narrow, softfloat_widen
from sat_hdl.sim.vectors import fp32_for_narrow, specials

FORMATS = [BINARY16, BFLOAT16]
#: IEEE-like 8-bit formats, to show that nothing is tied to the operand formats' widths.
SMALL = {
    FloatFormat(name="e5m2", exp_bits=5, frac_bits=2): ml_dtypes.float8_e5m2,
    FloatFormat(name="e4m3", exp_bits=4, frac_bits=3): ml_dtypes.float8_e4m3,
    FloatFormat(name="e3m4", exp_bits=3, frac_bits=4): ml_dtypes.float8_e3m4,
}


def name_of(fmt) -> str:
    return getattr(fmt, "name", None)


def mismatches(x: np.ndarray, got: np.ndarray, want: np.ndarray) -> list[tuple[str, str, str]]:
    """The first few (operand, result, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [(f"{x[i]:#x}", f"{got[i]:#x}", f"{want[i]:#x}") for i in wrong]


@pytest.fixture(scope="module")
def convert():
    """convert(Narrow or Widen, format, x) → results."""
    kinds = {"narrow": Narrow, "widen": Widen}
    parts = {
        f"{kind}_{fmt.name}": make(format=fmt) for kind, make in kinds.items() for fmt in [*FORMATS, *SMALL]
    }
    with Simulation(Bundle(parts)) as sim:

        def results(make, fmt: FloatFormat, x: np.ndarray) -> np.ndarray:
            name = f"{make.__name__.lower()}_{fmt.name}"
            return sim.vectors({f"{name}__i": x}, [f"{name}__o"], latency=parts[name].latency)[f"{name}__o"]

        yield results


@pytest.mark.parametrize("fmt", FORMATS, ids=name_of)
def test_narrow(convert, fmt):
    seed = 20230913
    print(f"seed {seed}")
    x = fp32_for_narrow(fmt, 1_000_000, np.random.default_rng(seed))
    got = convert(Narrow, fmt, x)
    assert mismatches(x, got, numpy_narrow(x, fmt)) == []
    assert mismatches(x[:200_000], got[:200_000], softfloat_narrow(x[:200_000], fmt)) == []


@pytest.mark.parametrize("fmt", FORMATS, ids=name_of)
def test_narrow_around_every_value(convert, fmt):
    """Each value of the target, and the three binary32 at and around each tie between two of them."""
    every = np.arange(1 << fmt.width, dtype=np.uint16)
    wide = softfloat_widen(every, fmt)
    low = wide.view(np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        high = softfloat_widen(every + np.uint16(1), fmt).view(np.float32).astype(np.float64)
        ties = ((low + high) / 2).astype(np.float32).view(np.uint32)
    x = np.concatenate([wide, ties, ties + np.uint32(1), ties - np.uint32(1)])
    assert mismatches(x, convert(Narrow, fmt, x), softfloat_narrow(x, fmt)) == []


@pytest.mark.parametrize("fmt", FORMATS, ids=name_of)
def test_widen_every_pattern(convert, fmt):
    x = np.arange(1 << fmt.width, dtype=np.uint16)
    got = convert(Widen, fmt, x)
    assert mismatches(x, got, softfloat_widen(x, fmt)) == []
    assert mismatches(x, got, numpy_widen(x, fmt)) == []


@pytest.mark.parametrize("fmt", SMALL, ids=name_of)
def test_small_formats(convert, fmt):
    dtype = SMALL[fmt]
    every = np.arange(256, dtype=np.uint8)
    with np.errstate(all="ignore"):
        wide = canonical(every.view(dtype).astype(np.float32).view(np.uint32), BINARY32)
    assert mismatches(every, convert(Widen, fmt, every), wide) == []
    x = fp32_for_narrow(fmt, 100_000, np.random.default_rng(3))
    with np.errstate(all="ignore"):
        narrow = canonical(x.view(np.float32).astype(dtype).view(np.uint8).astype(np.uint16), fmt)
    assert mismatches(x, convert(Narrow, fmt, x), narrow) == []


@pytest.mark.parametrize("fmt", FORMATS, ids=name_of)
def test_one_a_cycle_and_nothing_left_behind(convert, fmt):
    """A result does not depend on the operands before and after it."""
    x = specials(BINARY32)
    alone = [int(convert(Narrow, fmt, x[k : k + 1])[0]) for k in range(len(x))]
    assert alone == convert(Narrow, fmt, x).tolist() == convert(Narrow, fmt, x[::-1].copy()).tolist()[::-1]


@pytest.mark.parametrize("make", [Narrow, Widen])
@pytest.mark.parametrize(
    "fmt", [BINARY32, FloatFormat(name="e9m4", exp_bits=9, frac_bits=4), "fp16", None], ids=str
)
def test_illegal_formats_are_refused(make, fmt):
    with pytest.raises(ValueError, match="format must "):
        make(format=fmt)
