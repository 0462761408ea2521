"""Gradients of a transformer's own operations against finite differences in float64."""

import numpy as np
import pytest

from sat_hdl.sim.golden import attention


def slope(function, x, way):
    return (function(x + 1e-6 * way) - function(x - 1e-6 * way)) / 2e-6


@pytest.mark.parametrize("seed", range(3))
def test_against_finite_differences(seed):
    rng = np.random.default_rng(seed)
    x, dy, way = rng.normal(size=(3, 2, 4, 7))
    gain, bias, d_gain, d_bias = rng.normal(size=(4, 7))
    _, unit, inverse = attention.layer_norm(x, gain, bias)
    dx, dg, db = attention.layer_norm_gradient(dy, unit, inverse, gain)
    norm = lambda x, gain, bias: (attention.layer_norm(x, gain, bias)[0] * dy).sum()  # noqa: E731
    assert slope(lambda x: norm(x, gain, bias), x, way) == pytest.approx((dx * way).sum(), abs=1e-6)
    assert slope(lambda g: norm(x, g, bias), gain, d_gain) == pytest.approx((dg * d_gain).sum(), abs=1e-6)
    assert slope(lambda b: norm(x, gain, b), bias, d_bias) == pytest.approx((db * d_bias).sum(), abs=1e-6)
    assert slope(lambda x: (attention.gelu(x) * dy).sum(), x, way) == pytest.approx(
        (attention.gelu_gradient(x) * dy * way).sum(), abs=1e-6
    )
    along = (attention.softmax_gradient(dy, attention.softmax(x)) * way).sum()
    assert slope(lambda x: (attention.softmax(x) * dy).sum(), x, way) == pytest.approx(along, abs=1e-6)


def test_they_are_what_they_are_called():
    x = np.random.default_rng(4).normal(size=(5, 8)) * 3
    y, _, _ = attention.layer_norm(x, np.ones(8), np.zeros(8))
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=1), 1, rtol=1e-4)
    shares = attention.softmax(x * 1000)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == x.argmax(axis=1)).all()
    for z, value in ((0.0, 0.0), (10.0, 10.0), (-10.0, 0.0), (1.0, 0.8413)):
        assert attention.gelu(np.array(z)) == pytest.approx(value, abs=5e-4)
    x32 = x.astype(np.float32)
    for array in (
        *attention.layer_norm(x32, x32[0], x32[0]),
        attention.gelu(x32),
        attention.gelu_gradient(x32),
    ):
        assert array.dtype == np.float32
