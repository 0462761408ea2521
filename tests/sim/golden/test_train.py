"""Training: accuracy on digits, determinism, skipped steps, SR-STE's decay, refusals."""

import dataclasses

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import elementwise
from sat_hdl.sim.golden.data import Dataset, load_digits
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.train import TrainConfig, Trainer, learning_rate, train


def small(seed=0):
    """360 samples of 16 inputs in 3 classes that a perceptron can tell apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(360) % 3
    x = (rng.normal(size=(3, 16))[y] + 0.3 * rng.normal(size=(360, 16))).astype(np.float32)
    return Dataset(x[:240], y[:240], x[240:], y[240:], 3)


SMALL = dict(hidden=[16, 16], epochs=6, batch=25)


@pytest.mark.parametrize(("method", "least"), [("dense", 0.96), ("bdwp", 0.94)])
def test_digits(method, least):
    result = train(load_digits(), TrainConfig(method=method), GoldenEngine())
    print(result.history)
    assert result.accuracy >= least
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_repeats_itself(method):
    config = TrainConfig(method=method, **SMALL)
    first, second = (train(small(), config, GoldenEngine()) for _ in range(2))
    assert first.accuracy >= 0.9 and first.history == second.history
    for a, b in zip(first.weights + first.biases, second.weights + second.biases):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))
    other = train(small(), dataclasses.replace(config, seed=1), GoldenEngine())
    assert not np.array_equal(first.weights[0], other.weights[0])


def test_bf16_learns():
    assert train(small(), TrainConfig(**SMALL), GoldenEngine("bf16")).accuracy >= 0.9


def test_no_hidden_layer_is_a_linear_classifier():
    assert train(small(), TrainConfig(**SMALL | dict(hidden=[])), GoldenEngine()).accuracy >= 0.9


def test_progress_and_history():
    seen = []
    result = train(small(), TrainConfig(**SMALL), GoldenEngine(), lambda *step: seen.append(step))
    assert [s[:2] for s in seen] == [(i, 60) for i in range(1, 61)]
    assert [h["epoch"] for h in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[0]["loss"] == pytest.approx(
        np.average([s[2] for s in seen[:10]], weights=[25] * 9 + [15])
    )


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(0.5, i, 100) for i in range(100)]
    assert np.argmax(rates) == 9 and rates[0] < 0.06 and rates[-1] < 1e-3 and 0.48 < max(rates) <= 0.5


def test_an_overflowing_step_leaves_everything_untouched():
    data, config = small(), TrainConfig(**SMALL, loss_scale=2.0**24)
    trainer = Trainer([16, 16, 16, 3], config, GoldenEngine())
    before = [w.copy() for w in trainer.model.weights + trainer.model.biases]
    x = data.x_train[:2].astype(np.float16)
    trainer.step(x, data.y_train[:2], 0.1)
    assert trainer.skipped == 1 and trainer.scaler.scale == 2.0**23
    for old, new in zip(before, trainer.model.weights + trainer.model.biases):
        np.testing.assert_array_equal(old, new)
    for pair in trainer.momentum:
        assert not any(v.any() for v in pair)
    # With the dynamic scale, training recovers from it; with a static one, no step is ever taken.
    result = train(data, config, GoldenEngine())
    assert result.accuracy >= 0.9 and result.history[0]["skipped_steps"] > 0
    stuck = train(data, dataclasses.replace(config, dynamic_loss_scale=False), GoldenEngine())
    assert sum(h["skipped_steps"] for h in stuck.history) == 60


def test_the_loss_scale_cancels_out():
    """Powers of two, with no subnormal or overflow near, change no bit."""
    results = [
        train(small(), TrainConfig(**SMALL | dict(epochs=1), loss_scale=2.0**e), GoldenEngine())
        for e in (12, 13)
    ]
    np.testing.assert_allclose(results[0].weights[0], results[1].weights[0], rtol=1e-4, atol=1e-6)


def test_srste_decays_pruned_weights_alone(monkeypatch):
    """Against the same step without decay: the difference is −lr·λ·w where FF pruned, nothing elsewhere."""
    data, steps = small(), {}
    for decay in (0.0, 0.5):
        config = TrainConfig(method="srste", srste_decay=decay, weight_decay=0, **SMALL)
        trainer = Trainer([16, 16, 16, 3], config, GoldenEngine())
        start = [w.copy() for w in trainer.model.weights]
        masks = [p.mask() for p in trainer.model.ff]
        trainer.step(data.x_train[:25].astype(np.float16), data.y_train[:25], 0.1)
        steps[decay] = trainer.model.weights
    for w, mask, plain, decayed in zip(start, masks, steps[0.0], steps[0.5]):
        np.testing.assert_array_equal(plain[mask], decayed[mask])
        np.testing.assert_allclose((decayed - plain)[~mask], -0.1 * 0.5 * w[~mask], rtol=1e-3, atol=1e-6)


def test_updates_are_the_optimisers():
    """One whole step of a linear classifier, redone by hand from its gradient."""
    data, config = small(), TrainConfig(method="dense", hidden=[], weight_decay=0.01)
    trainer = Trainer([16, 3], config, GoldenEngine())
    w = trainer.model.weights[0].copy()
    seen = []
    backward = trainer.model.backward
    trainer.model.backward = lambda *args: seen.append(backward(*args)) or seen[-1]
    trainer.step(data.x_train[:25].astype(np.float16), data.y_train[:25], 0.1)
    expected, v = elementwise.sgd_momentum(
        w, np.zeros_like(w), seen[0][0][0], lr=0.1, momentum=0.9, weight_decay=0.01, inv_scale=1 / 1024
    )
    np.testing.assert_array_equal(trainer.model.weights[0], expected)
    np.testing.assert_array_equal(trainer.momentum[0][0], v)


def test_divergence_is_a_sentence():
    data = small()
    data.x_train[:] *= 1000
    with pytest.raises(ConfigError, match=r"Training diverged: .*Lower `lr`"):
        train(data, TrainConfig(**SMALL | dict(epochs=20), lr=100), GoldenEngine())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(method="magic"), "`method` must be one of dense, bdwp"),
        (dict(keep=9), "9:8 sparsity is not possible"),
        (dict(hidden=[0]), "`hidden` must be an integer from 1 to 65536, not 0"),
        (dict(hidden=[10**9]), "`hidden` must be an integer from 1 to 65536"),
        (dict(hidden=[8.5]), "`hidden` must be an integer"),
        (dict(epochs=0), "`epochs`"),
        (dict(batch=True), "`batch`"),
        (dict(seed=-1), "`seed` must be an integer from 0"),
        (dict(lr=-1), "`lr` must be a number from 0 to 1000, not -1"),
        (dict(lr=float("nan")), "`lr`"),
        (dict(momentum=1.5), "`momentum`"),
        (dict(weight_decay="much"), "`weight_decay`"),
        (dict(srste_decay=-1), "`srste_decay`"),
        (dict(loss_scale=1000), "power of two"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**changes)
