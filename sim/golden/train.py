"""Training of a perceptron with N:M sparse products (arXiv 2309.13015): binary32 masters, 16-bit operands,
loss scaling, SGD with momentum. Every product and every selection runs on the engine given."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.data import Dataset
from sat_hdl.sim.golden.elementwise import decay_pruned, overflowed, sgd_momentum, unscale
from sat_hdl.sim.golden.engine import Engine
from sat_hdl.sim.golden.loss_scale import LossScaler
from sat_hdl.sim.golden.mlp import METHODS, LayerPlan, Mlp
from sat_hdl.sim.golden.prune import check_sparsity

__all__ = ["TrainConfig", "TrainResult", "Trainer", "cross_entropy", "learning_rate", "run_epochs", "train"]

#: Widest hidden layer: beyond it a mistyped width would only exhaust the memory.
MAX_WIDTH = 1 << 16


def _check_number(name: str, value: float, low: float, high: float):
    if not (isinstance(value, int | float) and low <= value <= high):
        raise ConfigError(f"`{name}` must be a number from {low:g} to {high:g}, not {value!r}.")


def _check_count(name: str, value: int, low: int = 1, high: int = 1 << 31):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"`{name}` must be an integer from {low} to {high}, not {value!r}.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Arguments
    ---------
    method: "dense", "bdwp", "srste", "sdgp" or "sdwp" (see :mod:`~sat_hdl.sim.golden.mlp`).
    keep, group: N and M; of no effect for "dense".
    hidden: widths of the hidden layers; none is a linear classifier.
    epochs, batch: passes over the training set, and samples a step (the last of an epoch may be smaller).
    seed: of the first weights and of the order of samples.
    lr, momentum, weight_decay: of the optimiser (numerics). See :func:`learning_rate`.
    srste_decay: λ of SR-STE's decay of pruned weights, λ(1 − mask) ⊙ W.
    loss_scale, dynamic_loss_scale, growth_interval: see :class:`~sat_hdl.sim.golden.loss_scale.LossScaler`.

    Raises :class:`ConfigError` on a value that makes no sense.
    """

    method: str = "bdwp"
    keep: int = 2
    group: int = 8
    hidden: list[int] = field(default_factory=lambda: [64])
    epochs: int = 8
    batch: int = 32
    seed: int = 0
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    srste_decay: float = 2e-4
    loss_scale: float = 1024.0
    dynamic_loss_scale: bool = True
    growth_interval: int = 2000

    def __post_init__(self):
        if self.method not in METHODS:
            raise ConfigError(f"`method` must be one of {', '.join(METHODS)}, not {self.method!r}.")
        check_sparsity(self.keep, self.group)
        for width in self.hidden:
            _check_count("hidden", width, 1, MAX_WIDTH)
        _check_count("epochs", self.epochs)
        _check_count("batch", self.batch)
        _check_count("seed", self.seed, 0)
        _check_number("lr", self.lr, 0, 1e3)
        _check_number("momentum", self.momentum, 0, 1)
        _check_number("weight_decay", self.weight_decay, 0, 1)
        _check_number("srste_decay", self.srste_decay, 0, 1)
        self.scaler()

    def scaler(self) -> LossScaler:
        """A fresh loss scaler."""
        return LossScaler(
            self.loss_scale, dynamic=self.dynamic_loss_scale, growth_interval=self.growth_interval
        )


@dataclass(frozen=True)
class TrainResult:
    """What training leaves.

    Arguments
    ---------
    weights, biases: the binary32 masters by layer, (Cin, Cout) and (Cout,).
    momentum: (of weights, of biases) by layer.
    history: one dict an epoch: ``epoch`` (from 1), ``loss`` and ``train_accuracy`` (means over the epoch's
        steps, before each update), ``test_accuracy``, ``loss_scale``, ``skipped_steps``.
    accuracy: on the test set at the end, 0 to 1.
    plan: which products of each layer were sparse.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    momentum: list[tuple[np.ndarray, np.ndarray]]
    history: list[dict[str, float]]
    accuracy: float
    plan: list[LayerPlan]


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Softmax cross-entropy on the host, in float64: the batch's mean, and its gradient by the logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = float(np.mean(log_sum[:, 0] - shifted[rows, labels]))
    gradient = np.exp(shifted - log_sum)
    gradient[rows, labels] -= 1
    return loss, gradient / len(labels)


def learning_rate(peak: float, done: int, total: int) -> float:
    """The rate of the step after ``done`` of ``total``: up towards ``peak`` in the first tenth, in equal
    steps, then down to 0 along half a cosine. Without the warm-up, early large steps fix a poor choice of
    kept weights.
    """
    warm_up = min(1.0, (done + 1) / (0.1 * total))
    return peak * warm_up * (1 + math.cos(math.pi * done / total)) / 2


class Trainer:
    """One training run, step by step.

    Arguments
    ---------
    widths: inputs, hidden layers, classes.
    config: how to train.
    engine: computes every product and every selection.
    """

    def __init__(self, widths: list[int], config: TrainConfig, engine: Engine):
        self.config, self.engine = config, engine
        rng = np.random.default_rng([config.seed, 0])
        self.model = Mlp(
            widths, method=config.method, keep=config.keep, group=config.group, engine=engine, rng=rng
        )
        self.momentum = [
            (np.zeros_like(w), np.zeros_like(b)) for w, b in zip(self.model.weights, self.model.biases)
        ]
        self.scaler = config.scaler()
        self.skipped = 0

    def step(self, x: np.ndarray, labels: np.ndarray, lr: float) -> tuple[float, int]:
        """One step on operands (batch, inputs) and labels: the loss, and the samples classified correctly.

        Raises :class:`ConfigError` if the outputs are not finite: no loss scale can mend that.
        """
        logits, tape = self.model.forward(x)
        if not np.isfinite(logits).all():
            raise ConfigError(
                "Training diverged: the network's outputs are no longer finite. Lower `lr` "
                f"({self.config.lr:g} was given), or scale the inputs down."
            )
        loss, gradient = cross_entropy(logits, labels)
        with np.errstate(over="ignore"):
            dy = narrow((gradient * self.scaler.scale).astype(np.float32), self.engine.operand)
        gradients = self.model.backward(tape, dy)
        overflow = overflowed(*(g for pair in gradients for g in pair))
        if overflow:
            self.skipped += 1
        else:
            self._update(gradients, lr)
            self.model.refresh()
        self.scaler.update(overflow)
        return loss, int((logits.argmax(axis=1) == labels).sum())

    def _update(self, gradients: list[tuple[np.ndarray, np.ndarray]], lr: float):
        model, config = self.model, self.config
        rates: dict[str, Any] = dict(lr=lr, momentum=config.momentum, weight_decay=config.weight_decay)
        for number, (dw, db) in enumerate(gradients):
            dw, db = (unscale(g, 1 / self.scaler.scale) for g in (dw, db))
            w, pruned = model.weights[number], model.ff[number]
            if config.method == "srste" and pruned is not None:
                dw = decay_pruned(dw, w, pruned.mask(), config.srste_decay)
            vw, vb = self.momentum[number]
            model.weights[number], vw = sgd_momentum(w, vw, dw, **rates)
            model.biases[number], vb = sgd_momentum(model.biases[number], vb, db, **rates)
            self.momentum[number] = (vw, vb)

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Share of samples classified correctly by the current weights (pruned as FF prunes them)."""
        logits, _ = self.model.forward(x, stage="eval")
        return float((logits.argmax(axis=1) == labels).mean())


class _Steps(Protocol):
    """What takes steps: :class:`Trainer`, or a trainer of networks."""

    scaler: LossScaler
    skipped: int

    def step(self, x: np.ndarray, labels: np.ndarray, lr: float) -> tuple[float, int]: ...

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float: ...


def run_epochs(
    trainer: _Steps,
    data: Dataset,
    config: TrainConfig,
    operand: str,
    progress: Callable[[int, int, float], None] | None = None,
) -> list[dict[str, float]]:
    """Every epoch of a run, the samples in the order that ``config.seed`` draws; the history, a dict an epoch (see
    :class:`TrainResult`). ``progress``: see :func:`train`."""
    x_train, x_test = (narrow(x, operand) for x in (data.x_train, data.x_test))
    order = np.random.default_rng([config.seed, 1])
    count = len(x_train)
    total = config.epochs * math.ceil(count / config.batch)
    history, done = [], 0
    for epoch in range(1, config.epochs + 1):
        permutation = order.permutation(count)
        loss_sum, correct, skipped = 0.0, 0, trainer.skipped
        for start in range(0, count, config.batch):
            chosen = permutation[start : start + config.batch]
            lr = learning_rate(config.lr, done, total)
            loss, hits = trainer.step(x_train[chosen], data.y_train[chosen], lr)
            loss_sum += loss * len(chosen)
            correct += hits
            done += 1
            if progress is not None:
                progress(done, total, loss)
        history.append(
            {
                "epoch": epoch,
                "loss": loss_sum / count,
                "train_accuracy": correct / count,
                "test_accuracy": trainer.accuracy(x_test, data.y_test),
                "loss_scale": trainer.scaler.scale,
                "skipped_steps": trainer.skipped - skipped,
            }
        )
    return history


def train(
    data: Dataset,
    config: TrainConfig,
    engine: Engine,
    progress: Callable[[int, int, float], None] | None = None,
) -> TrainResult:
    """Trains on ``data``; the same seed, data and configuration give the same bits on every engine.

    ``progress`` is called after each step with the steps done, the steps in all, and the step's loss.
    Raises :class:`ConfigError` if training diverges.
    """
    trainer = Trainer([data.inputs, *config.hidden, data.classes], config, engine)
    history = run_epochs(trainer, data, config, engine.operand, progress)
    model = trainer.model
    return TrainResult(
        model.weights,
        model.biases,
        trainer.momentum,
        history,
        history[-1]["test_accuracy"],
        model.plan,
    )
