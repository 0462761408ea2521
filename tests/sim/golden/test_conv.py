"""Convolutions and their gradients against scalar loops in SoftFloat, and against PyTorch's formulas."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import Window
from sat_hdl.sim.golden import conv
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.formats import from_bits
from sat_hdl.sim.golden.prune import prune
from sat_hdl.sim.golden.windows import im2col

from . import oracle, scalar

#: (n, H, W, Cin, Cout, kernel, stride, padding): strides beyond the kernel, padding beyond it, single pixels,
#: rows and columns that no window reaches.
CASES = [
    (1, 1, 1, 1, 1, 1, 1, 0),
    (2, 3, 4, 2, 3, 3, 1, 1),
    (1, 5, 4, 3, 2, 2, 2, 0),
    (1, 6, 5, 1, 2, 3, 2, 1),
    (1, 4, 7, 2, 1, 2, 3, 0),
    (1, 5, 5, 1, 1, 3, 4, 2),
    (1, 2, 2, 1, 2, 2, 1, 3),
    (3, 1, 1, 5, 4, 1, 1, 0),
    (1, 2, 2, 1, 1, 3, 4, 1),
    (1, 5, 3, 1, 1, 5, 1, 2),
]


def case(shape, operand="fp16", special=0.05):
    n, h, w, cin, cout, k, s, p = shape
    seed = sum(shape) * 13
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    window = Window((k, k), (s, s), (p, p))
    x = oracle.random16(rng, (n, h, w, cin), special)
    weight = oracle.random16(rng, (k * k, cin, cout), special)
    dy = oracle.random16(rng, (n, *window.output(h, w), cout), special)
    bias = oracle.random32(rng, cout)
    return window, x, weight, dy, bias, GoldenEngine(operand)


def same(got, expected):
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.uint32), expected)


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("special", [0.0, 0.05])
@pytest.mark.parametrize("shape", CASES)
def test_dense_against_softfloat(shape, special, operand):
    window, x, weight, dy, bias, engine = case(shape, operand, special)
    h, w = shape[1:3]
    ksp, every = shape[5:], np.ones(weight.shape, bool)
    ff, bp = conv.ff_weights(weight), conv.bp_weights(weight)
    biased = conv.conv2d(x, ff, window, bias=bias.view(np.float32), engine=engine)
    same(biased, scalar.conv(x, weight, bias, ksp, every, operand))
    plain = conv.conv2d(x, ff, window, engine=engine)
    same(plain, scalar.conv(x, weight, np.zeros_like(bias), ksp, every, operand))
    dx = conv.input_gradient(dy, bp, window, (h, w), engine=engine)
    same(dx, scalar.conv_dx(dy, weight, (h, w), ksp, every, operand))
    same(conv.weight_gradient(x, dy, window, engine=engine), scalar.conv_dw(x, dy, ksp, operand))
    same(bias_gradient(dy.reshape(-1, dy.shape[3]), operand), scalar.db(dy, operand))


@pytest.mark.parametrize("ratio", [(1, 2), (2, 4), (2, 8)])
@pytest.mark.parametrize(("k", "s", "p"), [(3, 1, 1), (2, 2, 0), (3, 2, 2), (2, 3, 1), (1, 1, 0)])
def test_sparse_against_softfloat(ratio, k, s, p):
    window, x, weight, dy, bias, engine = case((1, 4, 3, 8, 16, k, s, p))
    ff = prune(conv.ff_weights(weight), *ratio)
    y = conv.conv2d(x, ff, window, bias=bias.view(np.float32), engine=engine)
    same(y, scalar.conv(x, weight, bias, (k, s, p), scalar.kept(weight, *ratio, 1), "fp16"))
    bp = prune(conv.bp_weights(weight), *ratio)
    dx = conv.input_gradient(dy, bp, window, (4, 3), engine=engine)
    same(dx, scalar.conv_dx(dy, weight, (4, 3), (k, s, p), scalar.kept(weight, *ratio, 2), "fp16"))


def test_padding_is_visited():
    """A −0 bias turns +0 where a padded +0 × w is added, and an infinite weight makes padding a NaN."""
    x, engine, window = np.zeros((1, 1, 1, 1), np.uint16), GoldenEngine(), Window((3, 3), (1, 1), (1, 1))
    weight = np.full((9, 1, 1), 0x8000, np.uint16)
    weight[0] = 0x3C00
    bias = np.array([-0.0], np.float32)
    assert conv.conv2d(x, conv.ff_weights(weight), window, bias=bias, engine=engine).view(np.uint32) == 0
    weight[0] = 0x7C00
    assert np.isnan(conv.conv2d(x, conv.ff_weights(weight), window, engine=engine)).all()
    assert np.isnan(conv.input_gradient(x, conv.bp_weights(weight), window, (1, 1), engine=engine)).all()


def test_pixels_that_no_window_sees_have_no_gradient():
    engine, window = GoldenEngine(), Window((1, 1), (2, 2))
    dy = np.full((1, 2, 2, 1), np.nan, np.float16)
    dx = conv.input_gradient(dy, np.ones((1, 1), np.float16), window, (4, 3), engine=engine)
    seen = np.isnan(dx[0, :, :, 0])
    np.testing.assert_array_equal(seen, np.outer([1, 0, 1, 0], [1, 0, 1]))
    assert (dx.view(np.uint32)[0, ~seen] == 0).all()


def test_rows_and_columns_may_differ():
    """A kernel of 3 × 1 with its own strides is a kernel of 3 × 3 whose outer columns are 0."""
    rng, engine = np.random.default_rng(2), GoldenEngine()
    x = rng.normal(size=(2, 7, 6, 2)).astype(np.float16)
    tall = rng.normal(size=(3, 2, 4)).astype(np.float16)
    square = np.zeros((9, 2, 4), np.float16)
    square[1::3] = tall
    a, b = Window((3, 1), (2, 1), (1, 0)), Window((3, 3), (2, 1), (1, 1))
    assert im2col(x, a).shape == (2 * 4 * 6, 6)
    y = conv.conv2d(x, conv.ff_weights(tall), a, engine=engine)
    np.testing.assert_array_equal(y, conv.conv2d(x, conv.ff_weights(square), b, engine=engine))
    dy = rng.normal(size=y.shape).astype(np.float16)
    dx = conv.input_gradient(dy, conv.bp_weights(tall), a, (7, 6), engine=engine)
    np.testing.assert_array_equal(
        dx, conv.input_gradient(dy, conv.bp_weights(square), b, (7, 6), engine=engine)
    )
    whole = conv.weight_gradient(x, dy, b, engine=engine)
    np.testing.assert_array_equal(conv.weight_gradient(x, dy, a, engine=engine), whole[1::3])


@pytest.mark.parametrize("shape", [*CASES, (2, 9, 8, 4, 6, 3, 2, 1), (1, 11, 7, 2, 3, 4, 3, 2)])
def test_formulas_against_torch(shape):
    """Within binary32's rounding of chains this long, of float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    n, h, w, cin, cout, k, s, p = shape
    rng, engine, window = np.random.default_rng(3), GoldenEngine(), Window((k, k), (s, s), (p, p))
    x, weight = (rng.normal(size=size).astype(np.float16) for size in ((n, h, w, cin), (k * k, cin, cout)))
    bias = rng.normal(size=cout).astype(np.float32)
    dy = rng.normal(size=(n, *window.output(h, w), cout)).astype(np.float16)
    tx, tb = torch.tensor(x.astype(np.float64)).permute(0, 3, 1, 2), torch.tensor(bias.astype(np.float64))
    tw = torch.tensor(weight.astype(np.float64).reshape(k, k, cin, cout)).permute(3, 2, 0, 1).contiguous()
    for tensor in (tx, tw, tb):
        tensor.requires_grad_()
    ty = torch.nn.functional.conv2d(tx, tw, tb, s, p)
    ty.backward(torch.tensor(dy.astype(np.float64)).permute(0, 3, 1, 2))
    pairs = [
        (conv.conv2d(x, conv.ff_weights(weight), window, bias=bias, engine=engine), ty.permute(0, 2, 3, 1)),
        (
            conv.input_gradient(dy, conv.bp_weights(weight), window, (h, w), engine=engine),
            tx.grad.permute(0, 2, 3, 1),
        ),
        (
            conv.weight_gradient(x, dy, window, engine=engine),
            tw.grad.permute(2, 3, 1, 0).reshape(k * k, cin, cout),
        ),
        (bias_gradient(dy.reshape(-1, cout)), tb.grad),
    ]
    for got, expected in pairs:
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-5, atol=1e-4)


def test_operands_keep_their_type():
    for operand, dtype in (("fp16", np.float16), ("bf16", np.uint16)):
        x = from_bits(np.ones((1, 3, 3, 2), np.uint16), operand)
        assert im2col(x, Window((2, 2), (1, 1), (1, 1))).dtype == dtype
