"""The compiled products against the exact ones, and SoftFloat's chains, bit for bit; and whole trainings."""

import dataclasses

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.models import model
from sat_hdl.sim.golden import product
from sat_hdl.sim.golden.compiled import CompiledEngine
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.images import load_digit_images
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.vit import VitShape

from . import oracle

#: (m, k, n) about the vectors of 32 rows and the blocks of 4 columns.
SHAPES = [(1, 1, 1), (3, 5, 4), (31, 16, 5), (32, 40, 8), (33, 37, 7), (70, 64, 2), (1, 100, 9), (100, 3, 1)]


def same(got, expected):
    assert got.dtype == np.float32 and got.shape == expected.shape
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("special", [0, 0.02, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_the_exact_models(shape, special, operand):
    (m, k, n), seed = shape, sum(shape)
    print(f"seed {seed}")
    rng, engine, exact = np.random.default_rng(seed), CompiledEngine(operand), GoldenEngine(operand)
    a, b = oracle.random16(rng, (m, k), special), oracle.random16(rng, (k, n), special)
    acc = oracle.random32(rng, m * n).reshape(m, n).view(np.float32)
    for start in (None, acc, acc[:1]):
        same(engine.matmul(a, b, start), exact.matmul(a, b, start))
        # As the transposed of what lies in memory, and as a part of something larger.
        same(engine.matmul(np.asfortranarray(a), b.T.copy().T, start), exact.matmul(a, b, start))
        same(engine.matmul(np.repeat(a, 2, 1)[:, ::2], b, start), exact.matmul(a, b, start))
        for ratio in ((1, 2), (2, 4), (2, 8), (2, 16), (5, 16)):
            pruned = engine.prune(b, *ratio, 0)
            same(engine.sparse_matmul(a, pruned, start), exact.sparse_matmul(a, pruned, start))
    assert engine.macs == exact.macs


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_every_operand_is_widened_exactly(operand):
    """Each of the 2^16, NaN of every payload too, times 1."""
    every, one = (
        np.arange(1 << 16, dtype=np.uint16)[:, None],
        np.array([[0x3C00 if operand == "fp16" else 0x3F80]]),
    )
    one = one.astype(np.uint16)
    engine, exact = CompiledEngine(operand), GoldenEngine(operand)
    same(engine.matmul(every, one), exact.matmul(every, one))
    same(engine.matmul(one, every.T.copy()), exact.matmul(one, every.T.copy()))


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_conversions_are_the_exact_models(operand):
    """Every operand; binary32 about every value and every tie between operands, and at random."""
    engine, exact = CompiledEngine(operand), GoldenEngine(operand)
    every = np.arange(1 << 16, dtype=np.uint16)
    same(engine.widen(every), exact.widen(every))
    same(engine.widen(every.reshape(64, -1).T), exact.widen(every.reshape(64, -1).T))
    values = exact.widen(every).view(np.uint32)
    near = (values[:, None] + np.array([-1, 0, 1, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001])).ravel()
    bits = np.concatenate(
        [near.astype(np.uint32), oracle.random32(np.random.default_rng(7), 300_000), oracle.SPECIAL32]
    )
    # Subnormals of binary16 have their ties at binary32's own steps.
    steps = (np.arange(1 << 12, dtype=np.float64) * 2.0**-26).astype(np.float32).view(np.uint32)
    for x in (bits, steps, steps + np.uint32(1), steps | np.uint32(1 << 31)):
        x = x.view(np.float32)
        got, expected = (np.asarray(e.narrow(x)).view(np.uint16) for e in (engine, exact))
        np.testing.assert_array_equal(got, expected)
    same(engine.widen(engine.narrow(np.ones((3, 2, 4), np.float32)[:, ::-1])), np.ones((3, 2, 4), np.float32))
    with pytest.raises(ValueError, match="Only float32 arrays can be rounded, not float64"):
        engine.narrow(np.ones(3))


def test_a_chain_against_softfloat():
    rng = np.random.default_rng(5)
    a, b = oracle.random16(rng, (35, 23)), oracle.random16(rng, (23, 6))
    got = CompiledEngine().matmul(a, b).view(np.uint32)
    for i, j in np.ndindex(got.shape):
        assert got[i, j] == oracle.chain(0, zip(a[i], b[:, j]))


def test_batches_are_products_one_by_one():
    rng = np.random.default_rng(6)
    a, b = oracle.random16(rng, (5, 9, 7)), oracle.random16(rng, (5, 7, 3))
    acc = oracle.random32(rng, 5 * 27).reshape(5, 9, 3).view(np.float32)
    engine, exact = CompiledEngine(), GoldenEngine()
    for start in (None, acc):
        same(engine.products(a, b, start), exact.products(a, b, start))
        same(
            engine.products(a, b, start)[3], product.matmul(a[3], b[3], acc=None if start is None else acc[3])
        )
    same(engine.products(a.swapaxes(1, 2).copy().swapaxes(1, 2), b), exact.products(a, b))


def test_what_does_not_fit():
    engine, half = CompiledEngine(), np.zeros((4, 4), np.float16)
    with pytest.raises(ValueError, match="along 1, does not fit"):
        engine.sparse_matmul(half, engine.prune(half, 1, 2, 1))
    with pytest.raises(ValueError, match="are not possible"):
        engine.matmul(half, half[:3])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_whole_steps_are_the_exact_models(name, method):
    """Masters after three steps."""
    graph = VitShape((8, 8, 1), 10, 4, 16, 2, 1, 32) if name == "vit" else build(model(name))
    data = load_digit_images()
    config = NetworkConfig(method=method, batch=5, lr=0.1)
    engines = CompiledEngine(), GoldenEngine()
    trainers = [NetworkTrainer(graph, dataclasses.replace(config), engine) for engine in engines]
    for step in range(3):
        part = slice(5 * step, 5 * step + 5)
        x, y = data.x_train[part].astype(np.float16), data.y_train[part]
        a, b = (trainer.step(x, y, 0.1) for trainer in trainers)
        assert a == b
    for key, w in trainers[0].network.weights.items():
        same(w, trainers[1].network.weights[key])
    assert engines[0].macs == engines[1].macs
