"""Canonical NaN against numpy's own classification, over all binary16 and the special binary32."""

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import formats

from . import oracle


@pytest.mark.parametrize(
    ("x", "canonical"),
    [
        (np.arange(1 << 16, dtype=np.uint16).view(np.float16), oracle.NAN16),
        (oracle.SPECIAL32.view(np.float32), oracle.NAN32),
    ],
)
def test_canonicalize_touches_nan_alone(x, canonical):
    unsigned = f"u{x.itemsize}"
    got = formats.canonicalize(x)
    assert got.dtype == x.dtype
    nan = np.isnan(x)
    assert (got.view(unsigned)[nan] == canonical).all()
    np.testing.assert_array_equal(got.view(unsigned)[~nan], x.view(unsigned)[~nan])


def test_constants_are_the_formats_own():
    for fmt, dtype in ((formats.FP16, np.float16), (formats.FP32, np.float32)):
        assert fmt.inf == int(np.array(np.inf, dtype).view(f"u{dtype().itemsize}"))
        assert np.isnan(np.array(fmt.nan, f"u{dtype().itemsize}").view(dtype))
        assert fmt.sign == int(np.array(-0.0, dtype).view(f"u{dtype().itemsize}"))


def test_operands_are_taken_as_values_or_bits():
    x = np.array([1.5, -2], np.float16)
    np.testing.assert_array_equal(formats.to_bits(x), x.view(np.uint16))
    np.testing.assert_array_equal(formats.from_bits(formats.to_bits(x)), x)
    with pytest.raises(ConfigError, match="must be uint16 bit patterns, not float16"):
        formats.to_bits(x, "bf16")
    with pytest.raises(ConfigError, match="must be one of fp16, bf16, not 'fp8'"):
        formats.to_bits(x, "fp8")
    with pytest.raises(ConfigError, match="not float64"):
        formats.canonicalize(np.zeros(2))
