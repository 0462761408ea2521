"""Conversions against SoftFloat, numpy and ml_dtypes: exhaustive where 16 bits go in, weighted elsewhere."""

import ml_dtypes
import numpy as np
import pytest
import softfloatpy as sf

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import convert

from . import oracle

ALL16 = np.arange(1 << 16, dtype=np.uint16)


def test_fp16_to_fp32_exhaustive():
    got = convert.fp16_to_fp32(ALL16.view(np.float16)).view(np.uint32)
    softfloat = np.array([oracle.bits32(oracle.widen(x)) for x in ALL16], np.uint32)
    np.testing.assert_array_equal(got, softfloat)
    numpy = ALL16.view(np.float16).astype(np.float32).view(np.uint32)
    finite = got != oracle.NAN32
    np.testing.assert_array_equal(got[finite], numpy[finite])


def test_bf16_to_fp32_exhaustive():
    got = convert.bf16_to_fp32(ALL16).view(np.uint32)
    expected = ALL16.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(got == oracle.NAN32, np.isnan(expected))
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(got[numbers], expected.view(np.uint32)[numbers])


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_widening_and_narrowing_is_the_identity_but_for_nan(operand):
    fmt = {"fp16": 0x7C00, "bf16": 0x7F80}[operand]
    back = np.asarray(convert.narrow(convert.widen(ALL16, operand), operand)).view(np.uint16)
    nan = (ALL16 & 0x7FFF) > fmt
    np.testing.assert_array_equal(back[~nan], ALL16[~nan])
    assert set(back[nan].tolist()) == {0x7E00 if operand == "fp16" else 0x7FC0}


def test_fp32_to_fp16_against_softfloat():
    seed = 1
    print(f"seed {seed}")
    bits = np.concatenate([oracle.SPECIAL32, oracle.random32(np.random.default_rng(seed), 300_000)])
    got = convert.fp32_to_fp16(bits.view(np.float32)).view(np.uint16)
    expected = np.array([oracle.bits16(sf.f32_to_f16(oracle.f32(x))) for x in bits], np.uint16)
    np.testing.assert_array_equal(got, expected)


def test_fp32_to_fp16_against_numpy():
    seed = 2
    print(f"seed {seed}")
    bits = oracle.random32(np.random.default_rng(seed), 4_000_000)
    with np.errstate(all="ignore"):
        expected = bits.view(np.float32).astype(np.float16)
    got = convert.fp32_to_fp16(bits.view(np.float32)).view(np.uint16)
    np.testing.assert_array_equal(got == 0x7E00, np.isnan(expected))
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(got[numbers], expected.view(np.uint16)[numbers])


def test_fp32_to_bf16_against_ml_dtypes():
    seed = 3
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    upper = rng.integers(0, 1 << 16, 1_000_000, np.uint32) << 16
    lower = rng.choice(np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x1234], np.uint32), upper.size)
    bits = np.concatenate([upper | lower, oracle.random32(rng, 1_000_000)])
    with np.errstate(all="ignore"):
        expected = bits.view(np.float32).astype(ml_dtypes.bfloat16)
    got = convert.fp32_to_bf16(bits.view(np.float32))
    nan = np.isnan(bits.view(np.float32))
    assert (got[nan] == 0x7FC0).all()
    np.testing.assert_array_equal(got[~nan], expected.view(np.uint16)[~nan])


def test_shapes_and_strides_are_kept():
    x = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    got = convert.fp32_to_fp16(x)
    assert got.shape == x.shape
    np.testing.assert_array_equal(got, x.astype(np.float16))
    assert convert.fp32_to_fp16(np.float32(1)).shape == ()
    np.testing.assert_array_equal(convert.widen(convert.ones((2, 3), "bf16"), "bf16"), np.ones((2, 3)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: convert.fp32_to_fp16(np.zeros(3)),
        lambda: convert.fp16_to_fp32(np.zeros(3, np.float32)),
        lambda: convert.bf16_to_fp32(np.zeros(3, np.float16)),
        lambda: convert.narrow(np.zeros(3, np.float32), "fp8"),
    ],
)
def test_wrong_types_are_refused_in_a_sentence(call):
    with pytest.raises(ConfigError, match=r"not .*\."):
        call()
