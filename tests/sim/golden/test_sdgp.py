"""SDGP's gradients: what is kept, how it is rescaled, and the products with it."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import Window
from sat_hdl.sim.golden import conv
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.golden.sdgp import factors, keep_gradient

from . import scalar


def dense(kept):
    """(n, OH, OW, Cout) with +0 where an entry was dropped."""
    n, rows, columns, _ = kept.values.shape
    flat = (n * rows * columns, -1)
    pruned = Pruned(
        kept.values.reshape(flat),
        kept.indices.reshape(flat),
        (flat[0], kept.channels),
        1,
        kept.keep,
        kept.group,
    )
    return pruned.dense().reshape(n, rows, columns, kept.channels)


def gradient(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float16)


@pytest.mark.parametrize("ratio", [(2, 4), (2, 8), (2, 16), (1, 2)])
@pytest.mark.parametrize("size", [(3, 5), (1, 1)])
def test_the_largest_are_kept_and_their_sums_stay(size, ratio):
    dy = gradient((4, *size, 32))
    got = dense(keep_gradient(dy, *ratio, GoldenEngine()))
    mask = scalar.kept(dy.reshape(-1, 1, 32).view(np.uint16), *ratio, 2).reshape(dy.shape)
    assert ((got != 0) == mask).all()
    # Over the pixels of a sample's channel, or the channels of a sample of one pixel.
    axes = (3,) if size == (1, 1) else (1, 2)
    whole, left = (np.abs(x.astype(np.float64)) for x in (dy, got))
    seen = mask.any(axis=axes)
    np.testing.assert_allclose(left.sum(axis=axes)[seen], whole.sum(axis=axes)[seen], rtol=2e-3)
    scale = got[mask].astype(np.float64) / dy[mask]
    assert (scale > 0.999).all()


def test_factors_without_a_quotient():
    assert factors(np.array([3.0, 0.0, 2.0, np.inf]), np.array([2.0, 0.0, 0.0, np.inf])).tolist() == [
        1.5,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("window", [Window((3, 3), (1, 1), (1, 1)), Window((3, 2), (2, 1), (0, 1)), Window()])
def test_input_gradients_are_those_of_the_dense_product(window):
    """Terms of +0 change no finite sum, so the dense chain gives the same numbers."""
    rng, engine = np.random.default_rng(3), GoldenEngine()
    rows, columns = window.output(7, 6)
    kept = keep_gradient(gradient((2, rows, columns, 16)), 2, 8, engine)
    weight = conv.bp_weights(rng.normal(size=(window.positions, 5, 16)).astype(np.float16))
    got = conv.input_gradient(kept, weight, window, (7, 6), engine=engine)
    sparse = engine.macs["bp"]
    expected = conv.input_gradient(dense(kept), weight, window, (7, 6), engine=engine)
    assert got.any() and np.array_equal(got, expected)
    assert 4 * sparse == engine.macs["bp"] - sparse
