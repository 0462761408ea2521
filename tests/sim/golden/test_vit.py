"""The transformer: its formulas in float64 against finite differences and PyTorch, its binary16 against those."""

import dataclasses

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import vit, weighted
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.golden.train import cross_entropy
from sat_hdl.sim.golden.vit import Vit, VitShape

SHAPE = VitShape((8, 6, 2), 5, patch=2, width=16, heads=4, blocks=2, hidden=32)


class Float64(GoldenEngine):
    """No rounding."""

    def matmul(self, a, b, acc=None, stage="ff"):
        return a @ b + (0 if acc is None else acc)

    products = matmul

    def narrow(self, x):
        return np.asarray(x, np.float64)

    widen = narrow


@pytest.fixture
def exact(monkeypatch):
    """An engine; the bias's gradient, which is binary32's by type, sums without rounding too."""
    monkeypatch.setattr(weighted, "bias_gradient", lambda dy, operand: dy.sum(axis=0))
    monkeypatch.setattr(vit, "bias_gradient", lambda dy, operand: dy.sum(axis=0))
    return Float64()


def network(engine, method="dense", seed=1):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    net = Vit(SHAPE, engine=engine, rng=rng, method=method, keep=2, group=8)
    for group in (net.weights, net.biases):
        for name, value in group.items():
            group[name] = (value + rng.normal(size=value.shape) / 8).astype(np.float16).astype(np.float32)
    net.refresh()
    x = rng.normal(size=(7, 8, 6, 2)).astype(np.float16)
    return net, x, rng.integers(0, 5, 7)


def run(net, x, labels, scale=1.0):
    logits, tape = net.forward(x)
    loss, gradient = cross_entropy(logits, labels)
    dy = net.engine.narrow((gradient * scale).astype(np.float32))
    return loss, net.backward(tape, dy)


def test_gradients_against_finite_differences(exact):
    net, x, labels = network(exact)
    _, gradients = run(net, x, labels)
    assert set(gradients) == set(net.weights)
    rng = np.random.default_rng(2)
    for name, pair in gradients.items():
        for group, gradient in zip((net.weights, net.biases), pair):
            if gradient is None:
                assert name not in group
                continue
            gradient, old, length = gradient.astype(np.float64), group[name], np.linalg.norm(gradient)
            for way in (gradient, *rng.normal(size=(2, *gradient.shape))):
                way, losses = way / np.linalg.norm(way), []
                for step in (1e-4, -1e-4):
                    group[name] = old.astype(np.float64) + step * way
                    net.refresh()
                    losses.append(cross_entropy(net.forward(x)[0], labels)[0])
                group[name] = old
                slope = (losses[0] - losses[1]) / 2e-4
                # A bias of all keys alike changes nothing, so some lengths are all but 0.
                assert slope == pytest.approx((gradient * way).sum(), abs=1e-3 * length + 1e-7), name
    net.refresh()


def test_operands_are_rounded_no_more_than_they_must(exact):
    """binary16's gradients point where float64's do."""
    net, x, labels = network(GoldenEngine())
    with pytest.MonkeyPatch.context() as patch:
        for module in (weighted, vit):
            patch.setattr(module, "bias_gradient", bias_gradient)
        loss, got = run(net, x, labels, 1024.0)
    unrounded, x, labels = network(exact)
    wanted_loss, wanted = run(unrounded, x, labels)
    assert loss == pytest.approx(wanted_loss, rel=1e-3)
    for name, pair in wanted.items():
        for a, b in zip(got[name], pair):
            if b is not None:
                assert np.linalg.norm(a / 1024 - b) <= 5e-3 * np.linalg.norm(b), name


def test_logits_against_torch(exact):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    f = torch.nn.functional
    net, x, _ = network(exact)
    w = {name: torch.tensor(np.asarray(v, np.float64)) for name, v in net.weights.items()}
    b = {name: torch.tensor(np.asarray(v, np.float64)) for name, v in net.biases.items()}
    kernel = w["patches"].reshape(2, 2, 2, 16).permute(3, 2, 0, 1)
    y = f.conv2d(torch.tensor(x.astype(np.float64)).permute(0, 3, 1, 2), kernel, b["patches"], stride=2)
    y = y.flatten(2).transpose(1, 2) + w["positions"]
    for block in ("block1", "block2"):
        z = f.layer_norm(y, (16,), w[f"{block}.norm1"], b[f"{block}.norm1"])
        q, k, v = ((z @ w[f"{block}.qkv"][0]) + b[f"{block}.qkv"]).split(16, 2)
        q, k, v = (part.reshape(7, 12, 4, 4).transpose(1, 2) for part in (q, k, v))
        z = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(7, 12, 16)
        y = y + z @ w[f"{block}.projection"][0] + b[f"{block}.projection"]
        z = f.layer_norm(y, (16,), w[f"{block}.norm2"], b[f"{block}.norm2"])
        z = f.gelu(z @ w[f"{block}.up"][0] + b[f"{block}.up"], approximate="tanh")
        y = y + z @ w[f"{block}.down"][0] + b[f"{block}.down"]
    y = f.layer_norm(y, (16,), w["norm"], b["norm"]).mean(1) @ w["head"][0] + b["head"]
    np.testing.assert_allclose(net.forward(x)[0], y.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_makes_its_products_sparse_and_no_others(method):
    net, x, labels = network(GoldenEngine(), method)
    run(net, x, labels, 1024.0)
    ff, bp = method in ("bdwp", "srste"), method in ("bdwp", "sdwp")
    for name in net.ff:
        # Patches have 2 channels in, the head has 5 out.
        assert isinstance(net.ff[name], Pruned) == (ff and name != "patches"), name
        if name != "patches":
            assert isinstance(net.bp[name], Pruned) == (bp and name != "head"), name
    counts, dense = net.engine.macs, 7 * 12 * 2 * (16 * 48 + 16 * 16 + 2 * 16 * 32)
    attention = 2 * 7 * 2 * 12 * 12 * 16
    edges = {"ff": 7 * 12 * 8 * 16, "bp": 0}
    head = {"ff": 7 * 16 * 5 // (4 if ff else 1), "bp": 7 * 16 * 5}
    assert counts["ff"] == dense // (4 if ff else 1) + attention + edges["ff"] + head["ff"]
    sparse = bp or method == "sdgp"
    assert counts["bp"] == dense // (4 if sparse else 1) + 2 * attention + edges["bp"] + head["bp"]
    assert counts["wu"] == dense + edges["ff"] + 7 * 16 * 5


@pytest.mark.filterwarnings("error")
def test_an_overflowing_step_leaves_everything_untouched():
    config = NetworkConfig(method="dense", loss_scale=2.0**24)
    trainer = NetworkTrainer(SHAPE, config, GoldenEngine())
    before = {name: w.copy() for name, w in trainer.network.weights.items()}
    x = np.random.default_rng(1).normal(size=(3, 96)).astype(np.float16)
    trainer.step(x, np.array([0, 1, 2]), 0.1)
    assert trainer.skipped == 1 and trainer.scaler.scale == 2.0**23
    for name, w in trainer.network.weights.items():
        np.testing.assert_array_equal(w, before[name])
    # With a scale that fits, all of them learn.
    trainer.scaler.scale = 1024.0
    for _ in range(2):
        trainer.step(x, np.array([0, 1, 2]), 0.1)
    assert trainer.skipped == 1
    assert all((w != before[name]).any() for name, w in trainer.network.weights.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patch": 4}, "Patches of 4 pixels a side don't cut an image of 8 × 6"),
        ({"heads": 3}, "3 heads can't share 16 channels"),
        ({"blocks": 0}, "`blocks` must be at least 1, not 0"),
    ],
)
def test_refusals(changed, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SHAPE, **changed)
    net, x, _ = network(GoldenEngine())
    with pytest.raises(ConfigError, match="A sample must have shape"):
        net.forward(x[:, :4])
