"""The engine hands operands through unchanged and books multiply-accumulates where they are due."""

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import product
from sat_hdl.sim.golden.engine import STAGES, GoldenEngine

from . import oracle


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_products_and_macs(operand):
    seed = 1
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    a, b = oracle.random16(rng, (5, 11)), oracle.random16(rng, (11, 3))
    acc = oracle.random32(rng, 15).reshape(5, 3).view(np.float32)
    engine = GoldenEngine(operand)
    dense = engine.matmul(a, b, acc, stage="wu")
    np.testing.assert_array_equal(
        dense.view(np.uint32), product.matmul(a, b, acc=acc, operand=operand).view(np.uint32)
    )
    pruned = engine.prune(b, 2, 4, 0)
    sparse = engine.sparse_matmul(a, pruned, acc, stage="bp")
    kept = dict(values=pruned.values, indices=pruned.indices, k=11, keep=2, group=4)
    expected = product.sparse_matmul(a, **kept, acc=acc, operand=operand)
    np.testing.assert_array_equal(sparse.view(np.uint32), expected.view(np.uint32))
    assert engine.macs == dict.fromkeys(STAGES, 0) | {"wu": 5 * 11 * 3, "bp": 5 * int(pruned.mask().sum())}


def test_refusals():
    engine = GoldenEngine()
    half = np.zeros((4, 4), np.float16)
    with pytest.raises(ValueError, match="pruned along axis 0, not 1"):
        engine.sparse_matmul(half, engine.prune(half, 1, 2, 1))
    with pytest.raises(ConfigError, match="not 'fp64'"):
        GoldenEngine("fp64")
