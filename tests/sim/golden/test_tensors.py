"""Element-wise operations on operands against SoftFloat: ReLU on every value, sums on hard ones."""

import numpy as np
import pytest
import softfloatpy as sf

from sat_hdl.sim.golden import tensors
from sat_hdl.sim.golden.formats import from_bits

from . import oracle, scalar

EVERY = np.arange(1 << 16, dtype=np.uint16)
ZERO = oracle.f32(0)


def positive(bits, operand):
    return sf.f32_lt(ZERO, oracle.widen(bits, operand))


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_relu_of_every_value(operand):
    nan = {"fp16": oracle.NAN16, "bf16": 0x7FC0}[operand]
    is_nan = [sf.f32_is_nan(oracle.widen(b, operand)) for b in EVERY]
    above = np.array([positive(b, operand) for b in EVERY])
    expected = np.where(is_nan, nan, np.where(above, EVERY, 0))
    y = tensors.relu(from_bits(EVERY, operand), operand)
    np.testing.assert_array_equal(y.view(np.uint16), expected)
    dy = np.random.default_rng(1).permutation(EVERY)
    canonical = np.where(np.array(is_nan)[dy], nan, dy)
    for seen in (from_bits(EVERY, operand), y):  # the mask is the same, of the input or of the output
        dx = tensors.relu_gradient(from_bits(dy, operand), seen, operand)
        np.testing.assert_array_equal(dx.view(np.uint16), np.where(above, canonical, 0))


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_sums_against_softfloat(operand):
    seed = 2
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    a, b = (oracle.random16(rng, 20_000) for _ in range(2))
    b = np.where(rng.random(b.shape) < 0.2, a ^ 0x8000, b).astype(np.uint16)  # cancellation
    expected = [
        oracle.bits32(sf.f32_add(oracle.widen(x, operand), oracle.widen(y, operand))) for x, y in zip(a, b)
    ]
    got = tensors.add(from_bits(a, operand), from_bits(b, operand), operand)
    np.testing.assert_array_equal(got.view(np.uint16), scalar.narrowed(expected, operand))
