"""Element-wise operations against SoftFloat (bits) and PyTorch (formulas, where installed)."""

import numpy as np
import pytest
import softfloatpy as sf

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import convert
from sat_hdl.sim.golden import elementwise as ew

from . import oracle


def specials_and_random(seed, count=20_000):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    return np.concatenate([oracle.SPECIAL32, oracle.random32(rng, count)]).view(np.float32)


def test_relu_and_its_gradient():
    x = specials_and_random(1)
    zero = oracle.f32(0)
    positive = [sf.f32_lt(zero, oracle.f32(b)) for b in x.view(np.uint32)]
    expected = [
        oracle.bits32(f) if sf.f32_is_nan(f) or p else 0
        for p, f in zip(positive, map(oracle.f32, x.view(np.uint32)))
    ]
    np.testing.assert_array_equal(ew.relu(x).view(np.uint32), np.array(expected, np.uint32))
    np.testing.assert_array_equal(ew.relu_mask(x), positive)
    gradient = specials_and_random(2)
    got = ew.masked_gradient(gradient, ew.relu_mask(x)).view(np.uint32)
    bits = [oracle.bits32(oracle.f32(g)) if p else 0 for g, p in zip(gradient.view(np.uint32), positive)]
    np.testing.assert_array_equal(got, np.array(bits, np.uint32))


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_optimiser_against_softfloat(weight_decay):
    w, v, dw = (specials_and_random(s, 10_000) for s in (3, 4, 5))
    rng = np.random.default_rng(6)
    w, v, dw = (rng.permutation(x) for x in (w, v, dw))
    lr, mu, inv_scale = 0.05, 0.9, 1 / 1024
    got_w, got_v = ew.sgd_momentum(
        w, v, dw, lr=lr, momentum=mu, weight_decay=weight_decay, inv_scale=inv_scale
    )
    scalar = {
        name: oracle.f32(np.float32(x).view(np.uint32))
        for name, x in dict(lr=lr, mu=mu, wd=weight_decay, inv=inv_scale).items()
    }
    for i in range(w.size):
        fw, fv, fg = (oracle.f32(x.view(np.uint32)[i]) for x in (w, v, dw))
        g = sf.f32_mul(fg, scalar["inv"])
        g = sf.f32_add(g, sf.f32_mul(scalar["wd"], fw))
        fv = sf.f32_add(sf.f32_mul(scalar["mu"], fv), g)
        fw = sf.f32_sub(fw, sf.f32_mul(scalar["lr"], fv))
        assert int(got_v.view(np.uint32)[i]) == oracle.bits32(fv)
        assert int(got_w.view(np.uint32)[i]) == oracle.bits32(fw)


def optimise(steps, weight_decay, dtype):
    """Ten steps on random gradients, in the golden model or (float64) as the formulas read."""
    rng = np.random.default_rng(8)
    w, v = rng.normal(size=50).astype(np.float32), np.zeros(50, np.float32)
    gradients = rng.normal(size=(steps, 50)).astype(np.float32)
    if dtype == "golden":
        for g in gradients:
            w, v = ew.sgd_momentum(
                w, v, g * 256, lr=0.1, momentum=0.9, weight_decay=weight_decay, inv_scale=1 / 256
            )
        return w
    if dtype == "float64":
        w, v = w.astype(np.float64), v.astype(np.float64)
        for g in gradients:
            v = 0.9 * v + g + weight_decay * w
            w = w - 0.1 * v
        return w
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    parameter = torch.nn.Parameter(torch.from_numpy(w.copy()))
    sgd = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=weight_decay)
    for g in gradients:
        parameter.grad = torch.from_numpy(g.copy())
        sgd.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("reference", ["float64", "torch"])
def test_optimiser_follows_the_formulas(reference, weight_decay):
    np.testing.assert_allclose(
        optimise(10, weight_decay, "golden"), optimise(10, weight_decay, reference), rtol=1e-5, atol=1e-6
    )


def test_overflow_flag():
    fine = np.full((2, 3), 3e38, np.float32)
    assert not ew.overflowed(fine, fine)
    for bad in (np.inf, -np.inf, np.nan):
        broken = fine.copy()
        broken[1, 2] = bad
        assert ew.overflowed(fine, broken)


@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_bias_gradient_is_the_chain_of_a_row_of_ones(operand, finite):
    rng = np.random.default_rng(9)
    if finite:  # long enough that another order of the sum would show
        scales = np.exp2(rng.integers(-8, 9, (500, 5)))
        dy = np.asarray(convert.narrow((rng.normal(size=(500, 5)) * scales).astype(np.float32), operand))
        dy = dy.view(np.uint16)
    else:
        dy = oracle.random16(rng, (29, 5), special=0.01)
    one = {"fp16": 0x3C00, "bf16": 0x3F80}[operand]
    expected = [oracle.chain(0, [(one, x) for x in dy[:, c]], operand) for c in range(5)]
    assert ew.bias_gradient(dy, operand).view(np.uint32).tolist() == expected


def test_refusals():
    half = np.zeros(2, np.float16)
    for call in (
        lambda: ew.relu(half),
        lambda: ew.relu_mask(half),
        lambda: ew.unscale(half, 1),
        lambda: ew.masked_gradient(half, [True, False]),
    ):
        with pytest.raises(ConfigError, match="must be float32, not float16"):
            call()
