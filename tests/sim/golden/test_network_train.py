"""Training of networks: the update, skipped steps, determinism, the presets on digits."""

import dataclasses

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.models import model
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import elementwise
from sat_hdl.sim.golden.data import Dataset, load_digits
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.images import load_digit_images
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer, train_network

NET = build(
    Model(
        (4, 4, 1),
        [
            Conv2d(8, 3, padding=1),
            Relu(),
            MaxPool(2),
            Conv2d(16, 2, bias=False),
            Relu(),
            Flatten(),
            Linear(3),
        ],
    )
)
SMALL = dict(epochs=4, batch=25, lr=0.05)


def small(seed=0):
    """360 images of 4 × 4 pixels in 3 classes that a network can tell apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(360) % 3
    x = (rng.normal(size=(3, 16))[y] + 0.3 * rng.normal(size=(360, 16))).astype(np.float32)
    return Dataset(x[:240], y[:240], x[240:], y[240:], 3)


def batch(count=25):
    data = small()
    return data.x_train[:count].astype(np.float16), data.y_train[:count]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_repeats_itself(method):
    config = NetworkConfig(method=method, **SMALL)
    first, second = (train_network(NET, small(), config, GoldenEngine()) for _ in range(2))
    assert first.accuracy >= 0.9 and first.history == second.history
    for a, b in ((first.weights, second.weights), (first.bias_momentum, second.bias_momentum)):
        for name in a:
            np.testing.assert_array_equal(a[name].view(np.uint32), b[name].view(np.uint32))
    assert list(first.weights) == ["conv2d1", "conv2d2", "linear1"]
    assert list(first.biases) == ["conv2d1", "linear1"]
    other = train_network(NET, small(), dataclasses.replace(config, seed=1), GoldenEngine())
    assert not np.array_equal(first.weights["linear1"], other.weights["linear1"])


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay_biases", [False, True])
def test_updates_are_the_optimisers(nesterov, decay_biases):
    """Three whole steps, redone from their gradients in float64 as the formulas read."""
    config = NetworkConfig(weight_decay=0.1, nesterov=nesterov, decay_biases=decay_biases, **SMALL)
    trainer = NetworkTrainer(NET, config, GoldenEngine())
    x, labels = batch()
    seen, backward = [], trainer.network.backward
    trainer.network.backward = lambda *args: seen.append(backward(*args)) or seen[-1]
    masters = (trainer.network.weights, trainer.network.biases)
    expected = [
        {name: (w.astype(np.float64), np.zeros(w.shape)) for name, w in group.items()} for group in masters
    ]
    for _ in range(3):
        trainer.step(x, labels, 0.05)
        for which, group in enumerate(expected):
            for name, (w, v) in group.items():
                g = seen[-1][name][which].astype(np.float64) / 1024
                g = g + 0.1 * w if which == 0 or decay_biases else g
                v = 0.9 * v + g
                group[name] = w - 0.05 * (0.9 * v + g if nesterov else v), v
    momenta = (trainer.weight_momentum, trainer.bias_momentum)
    for group, got, momentum in zip(expected, masters, momenta):
        for name, (w, v) in group.items():
            np.testing.assert_allclose(got[name], w, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(momentum[name], v, rtol=1e-5, atol=1e-6)


def test_both_pruned_copies_follow_the_weights():
    trainer = NetworkTrainer(NET, NetworkConfig(**SMALL), GoldenEngine())
    trainer.step(*batch(), 0.1)
    net = trainer.network
    w16 = net.weights["conv2d2"].astype(np.float16)
    ff, bp = net.ff["conv2d2"], net.bp["conv2d2"]
    by_cin, by_cout = ff.dense().reshape(4, 8, 16), bp.dense().reshape(4, 16, 8).transpose(0, 2, 1)
    for pruned, axis in ((by_cin, 1), (by_cout, 2)):
        kept = pruned != 0
        np.testing.assert_array_equal(pruned[kept], w16[kept])
        groups = np.moveaxis(kept, axis, -1).reshape(-1, 8)
        assert (groups.sum(axis=1) == 2).all()
        sizes = np.moveaxis(np.abs(w16), axis, -1).reshape(-1, 8)
        assert (np.where(groups, sizes, np.inf).min(axis=1) >= np.where(groups, 0, sizes).max(axis=1)).all()


def test_an_overflowing_step_leaves_everything_untouched():
    config = NetworkConfig(**SMALL, loss_scale=2.0**24)
    trainer = NetworkTrainer(NET, config, GoldenEngine())
    net = trainer.network
    before = {**net.weights, **{f"{name} bias": b for name, b in net.biases.items()}}
    copies = net.ff["conv2d2"]
    trainer.step(*batch(2), 0.1)
    assert trainer.skipped == 1 and trainer.scaler.scale == 2.0**23
    after = {**net.weights, **{f"{name} bias": b for name, b in net.biases.items()}}
    for name, old in before.items():
        np.testing.assert_array_equal(old, after[name])
    assert net.ff["conv2d2"] is copies
    assert not any(v.any() for v in [*trainer.weight_momentum.values(), *trainer.bias_momentum.values()])
    # With the dynamic scale, training recovers from it; with a static one, no step is ever taken.
    result = train_network(NET, small(), config, GoldenEngine())
    assert result.accuracy >= 0.9 and result.history[0]["skipped_steps"] > 0
    stuck = dataclasses.replace(config, dynamic_loss_scale=False, epochs=1)
    assert train_network(NET, small(), stuck, GoldenEngine()).history[0]["skipped_steps"] == 10


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("which", [0, 1])
def test_one_bad_gradient_anywhere_skips_the_whole_step(bad, which):
    trainer = NetworkTrainer(NET, NetworkConfig(**SMALL), GoldenEngine())
    net = trainer.network
    gradients = {
        name: (np.ones_like(w), np.ones_like(net.biases[name]) if name in net.biases else None)
        for name, w in net.weights.items()
    }
    before = dict(net.weights)
    gradients["linear1"][which].flat[-1] = bad
    assert not trainer.apply(gradients, 0.1) and net.weights == before
    gradients["linear1"][which].flat[-1] = 1
    assert trainer.apply(gradients, 0.1) and trainer.skipped == 1


def test_nesterov_follows_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(8)
    w, v = rng.normal(size=50).astype(np.float32), np.zeros(50, np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(w.copy()))
    sgd = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True)
    for g in rng.normal(size=(10, 50)).astype(np.float32):
        w, v = elementwise.sgd_momentum(
            w, v, g * 256, lr=0.1, momentum=0.9, weight_decay=1e-2, inv_scale=1 / 256, nesterov=True
        )
        parameter.grad = torch.from_numpy(g.copy())
        sgd.step()
    np.testing.assert_allclose(w, parameter.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_divergence_is_a_sentence():
    data = small()
    data.x_train[:] *= 1000
    with pytest.raises(ConfigError, match=r"Training diverged: .*Lower `lr`"):
        train_network(NET, data, NetworkConfig(epochs=20, batch=25, lr=100), GoldenEngine())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: NetworkConfig(method="nope"),
            "`method` must be one of dense, bdwp, srste, sdgp, sdwp, not 'nope'",
        ),
        (lambda: NetworkConfig(batch=0), "`batch`"),
        (lambda: NetworkConfig(nesterov=1), "`nesterov` must be true or false, not 1"),
        (lambda: NetworkConfig(decay_biases="no"), "`decay_biases` must be true or false"),
        (
            lambda: train_network(NET, load_digits(), NetworkConfig(), GoldenEngine()),
            r"The data have 64 inputs and 10 classes, the network 16 \(4 × 4 × 1\) and 3",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize(("name", "least"), [("mlp", 0.85), ("cnn", 0.7), ("resnet", 0.7)])
def test_presets_learn_digits(name, least):
    """One epoch; `scripts/bench accuracy` prints what whole runs reach."""
    config = NetworkConfig(method="dense", epochs=1)
    result = train_network(build(model(name)), load_digit_images(), config, GoldenEngine())
    print(result.history)
    assert result.accuracy >= least


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dense", "bdwp"])
def test_the_cnn_reaches_96_percent(method):
    config = NetworkConfig(method=method)
    assert train_network(build(model("cnn")), load_digit_images(), config, GoldenEngine()).accuracy >= 0.96


def test_digits_as_images():
    images, pixels = load_digit_images(3), load_digits(3)
    for name in ("y_train", "y_test"):
        np.testing.assert_array_equal(getattr(images, name), getattr(pixels, name))
    assert abs(images.x_train.mean()) < 1e-5 and images.x_train.std() == pytest.approx(1)
    # One straight line leads from the pixels as they are to the images, and from there to each pixel's own scale.
    blank = images.x_train.min()
    assert images.x_test.min() == blank and len(np.unique(images.x_train)) == 17
    for pixel in (20, 36, 43):
        both = np.corrcoef(images.x_test[:, pixel], pixels.x_test[:, pixel])
        assert both[0, 1] == pytest.approx(1)
