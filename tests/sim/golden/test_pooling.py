"""Pooling and its gradients against scalar loops in SoftFloat, and against PyTorch."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import Window
from sat_hdl.sim.golden import pooling
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.formats import from_bits

from . import oracle, scalar

#: (n, H, W, C, kernel, stride, padding): overlapping windows, gaps between them, padding, a whole image.
CASES = [
    (1, 1, 1, 1, 1, 1, 0),
    (2, 4, 6, 3, 2, 2, 0),
    (1, 5, 6, 2, 3, 1, 1),
    (1, 7, 5, 2, 3, 2, 0),
    (1, 5, 4, 2, 4, 1, 3),
    (1, 7, 6, 1, 2, 3, 1),
    (2, 4, 4, 2, 4, 4, 0),
    (1, 6, 5, 1, 3, 2, 2),
]


def case(shape, operand, special):
    n, h, w, c, k, s, p = shape
    seed = sum(shape) * 17
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    window = Window((k, k), (s, s), (p, p))
    x = oracle.random16(rng, (n, h, w, c), special)
    # Few distinct values, so that windows hold equals, and zeros of both signs.
    x = np.where(rng.random(x.shape) < 0.4, rng.choice([0, 0x8000, 0x3C00, 0xBC00], x.shape), x).astype(
        np.uint16
    )
    dy = oracle.random16(rng, (n, *window.output(h, w), c), special)
    return window, from_bits(x, operand), from_bits(dy, operand)


def same(got, expected):
    np.testing.assert_array_equal(got.view(np.uint16), expected)


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("special", [0.0, 0.2])
@pytest.mark.parametrize("shape", CASES)
def test_against_softfloat(shape, special, operand):
    window, x, dy = case(shape, operand, special)
    bits, dy_bits, ksp, hw = x.view(np.uint16), dy.view(np.uint16), shape[4:], shape[1:3]
    y, argmax = pooling.maxpool(x, window, operand)
    expected, where = scalar.maxpool(bits, ksp, operand)
    assert y.dtype == x.dtype
    same(y, expected)
    np.testing.assert_array_equal(argmax, where)
    dx = pooling.maxpool_gradient(dy, argmax, window, hw, operand)
    assert dx.dtype == x.dtype
    same(dx, scalar.maxpool_dx(dy_bits, where, hw, ksp, operand))
    same(pooling.avgpool(x, window, operand), scalar.avgpool(bits, ksp, operand))
    same(pooling.avgpool_gradient(dy, window, hw, operand), scalar.avgpool_dx(dy_bits, hw, ksp, operand))


def test_the_largest_where_it_is_hard_to_say():
    """The first NaN wins and is canonical; −inf beats padding; −0 and +0 are equal, so the first stays."""
    pairs = [
        ([1, 0x7C01], 0x7E00, 1),
        ([0xFE00, 0x7C01], 0x7E00, 0),
        ([0x7C01, 0x7C00], 0x7E00, 0),
        ([0x8000, 0x0000], 0x8000, 0),
        ([0x0000, 0x8000], 0x0000, 0),
        ([0xFC00, 0xFC00], 0xFC00, 0),
        ([0xFC00, 0xFBFF], 0xFBFF, 1),
    ]
    for values, best, where in pairs:
        x = np.array(values, np.uint16).view(np.float16).reshape(1, 1, 2, 1)
        y, argmax = pooling.maxpool(x, Window((1, 2), (1, 2)))
        assert (int(y.view(np.uint16)[0, 0, 0, 0]), int(argmax[0, 0, 0, 0])) == (best, where)
    padded, argmax = pooling.maxpool(
        np.full((1, 1, 1, 1), -np.inf, np.float16), Window((3, 3), (1, 1), (1, 1))
    )
    assert padded.tolist() == [[[[-np.inf]]]] and argmax.tolist() == [[[[4]]]]


def test_chains_run_over_the_windows_in_ascending_order():
    """(65504 − 65504) + 2^−24 is 2^−24; from the other end the small one is lost. One pixel seen by 3 windows."""
    dy = np.array([65504, -65504, 2.0**-24], np.float16).reshape(1, 3, 1, 1)
    window, middle = Window((3, 1)), np.array([2, 1, 0], np.int32).reshape(1, 3, 1, 1)
    for turn in ((0, 1, 2, 3), (0, 2, 1, 3)):
        turned = dy.transpose(turn)
        size, w = ((5, 1), window) if turn[1] == 1 else ((1, 5), Window((1, 3)))
        dx = pooling.maxpool_gradient(turned, middle.transpose(turn), w, size)
        assert dx.ravel()[2] == np.float16(2.0**-24)
        share = np.float16(np.float32(2.0**-24) * np.float32(1 / 3))
        assert pooling.avgpool_gradient(turned, w, size).ravel()[2] == share
    x = np.array([65504, -65504, 2.0**-10], np.float16).reshape(1, 3, 1, 1)
    assert pooling.avgpool(x, window).ravel()[0] == np.float16(np.float32(2.0**-10) * np.float32(1 / 3)) > 0


def test_a_mean_is_multiplied_not_divided():
    """Sums k times a tie between two binary16: divided by k they are ties, times RNE32(1 / k) not all of them."""
    ties, differ = 2 * np.arange(1024) + 1, 0
    for k in (7, 15, 31):
        parts = k * ties  # of 2^−11, besides the k wholes
        x = np.zeros((1, 1, k, 1024), np.float16)
        x[0, 0, 0], x[0, 0, 1], x[0, 0, 2] = k, (parts & ~31) * 2.0**-11, (parts & 31) * 2.0**-11
        exact = x.astype(np.float64).sum(axis=2).ravel()
        np.testing.assert_array_equal(exact, k + parts * 2.0**-11)
        y = pooling.avgpool(x, Window((1, k))).ravel()
        same(y, scalar.narrowed(scalar.mean(exact.astype(np.float32).view(np.uint32), k), "fp16"))
        differ += (y != (exact / k).astype(np.float16)).sum()
    assert differ > 0


def test_rows_and_columns_may_differ():
    x = np.arange(24, dtype=np.float16).reshape(1, 4, 6, 1)
    window = Window((1, 3), (2, 3))
    assert pooling.maxpool(x, window)[0].ravel().tolist() == [2, 5, 14, 17]
    assert pooling.avgpool(x, window).ravel().tolist() == [1, 4, 13, 16]
    dy = np.ones((1, 2, 2, 1), np.float16)
    dx = pooling.maxpool_gradient(dy, pooling.maxpool(x, window)[1], window, (4, 6))
    assert np.flatnonzero(dx).tolist() == [2, 5, 14, 17]


@pytest.mark.parametrize("shape", [shape for shape in CASES if 2 * shape[6] <= shape[4]])
def test_formulas_against_torch(shape):
    """PyTorch takes no padding beyond half a kernel. Distinct values: it too keeps the first of equals."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    n, h, w, c, k, s, p = shape
    rng, window = np.random.default_rng(4), Window((k, k), (s, s), (p, p))
    x = rng.permutation(n * h * w * c).reshape(n, h, w, c).astype(np.float16)
    dy = narrow(rng.normal(size=(n, *window.output(h, w), c)).astype(np.float32))
    y, argmax = pooling.maxpool(x, window)
    functions = torch.nn.functional
    for function, got, got_dx in (
        (functions.max_pool2d, y, pooling.maxpool_gradient(dy, argmax, window, (h, w))),
        (functions.avg_pool2d, pooling.avgpool(x, window), pooling.avgpool_gradient(dy, window, (h, w))),
    ):
        tx = torch.tensor(x.astype(np.float64)).permute(0, 3, 1, 2).requires_grad_()
        ty = function(tx, k, s, p)
        ty.backward(torch.tensor(dy.astype(np.float64)).permute(0, 3, 1, 2))
        np.testing.assert_allclose(got, ty.permute(0, 2, 3, 1).detach(), rtol=1e-3)
        np.testing.assert_allclose(got_dx, tx.grad.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-3)
