"""Tensors to bytes and back, and what lies where."""

import numpy as np
import pytest

from sat_hdl.compiler.formats import Activation, Blocked, Copy, Vector
from sat_hdl.config import Config
from sat_hdl.sim.golden.prune import prune

CONFIGS = [
    Config(rows=2, cols=2),
    Config(memory_bits=512, rows=16, cols=16),
    Config(cols=4, memory_bits=32, max_m=4),
]
RNG = np.random.default_rng(0)


def bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view({1: np.uint8, 2: np.uint16, 4: np.uint32}[x.itemsize])


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 1, 1), (3, 1, 2, 64)])
@pytest.mark.parametrize("wide", [False, True])
def test_activations(config, shape, wide):
    form = Activation(config, shape, wide)
    x = (
        RNG.integers(0, 1 << 15, shape)
        .astype(np.uint32 if wide else np.uint16)
        .view(np.float32 if wide else np.float16)
    )
    octets = form.pack(x)
    assert octets.shape == (form.size,) and form.pixel % (config.memory_bits // 8) == 0
    assert (bits(form.unpack(octets)) == bits(x)).all()
    pixel = octets.reshape(-1, form.pixel)[1 % len(octets.reshape(-1, form.pixel))]
    want = bits(x).reshape(-1, shape[3])[1 % int(np.prod(shape[:3]))]
    assert (pixel.view(want.dtype)[: shape[3]] == want).all()


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(9, 5, 7), (1, 16, 16), (4, 33, 1)])
def test_weights(config, shape):
    form, edge = Blocked(config, shape), config.panel
    w = RNG.standard_normal(shape).astype(np.float32)
    octets = form.pack(w)
    assert (form.unpack(octets) == w).all()
    assert (octets.view(np.float32) != 0).sum() == w.size
    q, cin, cout = (size - 1 for size in shape)
    o, _, i = form.blocks
    place = ((cout // edge * shape[0] + q) * i + cin // edge) * edge**2 + cin % edge * edge + cout % edge
    assert (
        octets.view(np.float32)[place] == w[-1, -1, -1]
        and len(octets) == form.size == o * shape[0] * i * edge**2 * 4
    )


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("pattern", [None, (1, 4), (2, 4), (3, 4), (1, 2)])
@pytest.mark.parametrize("positions, channels, columns", [(9, 12, 20), (1, 8, 8), (2, 4, 33)])
def test_copies(config, pattern, positions, channels, columns):
    matrix = RNG.standard_normal((positions * channels, columns)).astype(np.float16)
    form = Copy(config, positions, channels, columns, *(pattern or (None, None)))
    given = prune(matrix, *pattern, 0) if pattern else matrix
    values, indices = form.pack(given)
    assert len(values) == form.size()
    want = given.values if pattern else matrix
    assert (form.unpack_values(values) == bits(want)).all()
    if pattern:
        assert len(indices) == form.size(indices=True)
        assert (form.unpack_indices(indices) == given.indices).all()
    assert all(form.block(indices=part) % (config.memory_bits // 8) == 0 for part in (False, True))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("length", [1, 8, 33])
def test_vectors(config, length):
    form = Vector(config, length)
    x = RNG.standard_normal(length).astype(np.float32)
    octets = form.pack(x)
    assert len(octets) == form.size and form.size % (config.memory_bits // 8) == 0
    assert (form.unpack(octets) == x).all() and not octets[4 * length :].any()
