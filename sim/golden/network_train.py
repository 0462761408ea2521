"""Training of a network, step by step as the device does it: loss scaling, the sticky overflow flag, SGD with
momentum, pre-generation of both pruned copies. The host computes the loss and its gradient alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sat_hdl.compiler.graph import Graph, SparseProducts
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.data import Dataset
from sat_hdl.sim.golden.elementwise import decay_pruned, overflowed, sgd_momentum, unscale
from sat_hdl.sim.golden.engine import NetworkEngine
from sat_hdl.sim.golden.network import Gradient, Network
from sat_hdl.sim.golden.train import TrainConfig, cross_entropy, run_epochs
from sat_hdl.sim.golden.vit import Vit, VitShape

__all__ = ["NetworkConfig", "NetworkResult", "NetworkTrainer", "train_network"]

#: Samples classified at once, so that a test set's unfolded images fit in memory.
_EVALUATED = 500


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(TrainConfig):
    """How to train a network. As :class:`~sat_hdl.sim.golden.train.TrainConfig`, of which ``hidden`` has no effect
    here, and:

    Arguments
    ---------
    method: one of five, see :mod:`~sat_hdl.sim.golden.weighted`.
    batch, lr, weight_decay: without batch normalisation BDWP wants small steps and a strong decay; with
        these, the presets of :mod:`sat_hdl.compiler.models` train well on digits.
    nesterov: whether the momentum is Nesterov's.
    decay_biases: whether ``weight_decay`` is for biases too.
    """

    batch: int = 16
    lr: float = 0.02
    weight_decay: float = 5e-3
    nesterov: bool = False
    decay_biases: bool = True

    def __post_init__(self):
        for name in ("nesterov", "decay_biases"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigError(f"`{name}` must be true or false, not {value!r}.")
        super().__post_init__()


@dataclass(frozen=True)
class NetworkResult:
    """What training leaves, by layer name.

    Arguments
    ---------
    weights, biases: the binary32 masters, (Q, Cin, Cout) and (Cout,).
    weight_momentum, bias_momentum: likewise.
    history: as of :class:`~sat_hdl.sim.golden.train.TrainResult`.
    accuracy: on the test set at the end, 0 to 1.
    plan: which products were sparse.
    """

    weights: dict[str, np.ndarray]
    biases: dict[str, np.ndarray]
    weight_momentum: dict[str, np.ndarray]
    bias_momentum: dict[str, np.ndarray]
    history: list[dict[str, float]]
    accuracy: float
    plan: dict[str, SparseProducts]


class NetworkTrainer:
    """One training run, step by step.

    Arguments
    ---------
    graph: the layers, or the measures of a transformer.
    config: how to train.
    engine: computes every product and every selection.

    Members
    -------
    network: the parameters and their copies.
    weight_momentum, bias_momentum: float32, by layer name.
    scaler: of the loss.
    skipped: steps not taken because a gradient overflowed.
    """

    def __init__(self, graph: Graph | VitShape, config: NetworkConfig, engine: NetworkEngine):
        self.config = config
        settings: dict[str, Any] = dict(
            method=config.method,
            keep=config.keep,
            group=config.group,
            rng=np.random.default_rng([config.seed, 0]),
        )
        if isinstance(graph, VitShape):
            self.network: Any = Vit(graph, engine=engine, **settings)
        else:
            self.network = Network(graph, engine=engine, **settings)
        self.weight_momentum = {name: np.zeros_like(w) for name, w in self.network.weights.items()}
        self.bias_momentum = {name: np.zeros_like(b) for name, b in self.network.biases.items()}
        self.scaler = config.scaler()
        self.skipped = 0

    def loss_gradient(self, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """The host's part of a step: the mean loss, and dY of the logits, scaled and rounded to operands.

        Raises :class:`ConfigError` if the logits are not finite: no loss scale can mend that.
        """
        if not np.isfinite(logits).all():
            raise ConfigError(
                "Training diverged: the network's outputs are no longer finite. Lower `lr` "
                f"({self.config.lr:g} was given), or scale the inputs down."
            )
        loss, gradient = cross_entropy(logits, labels)
        with np.errstate(over="ignore"):
            scaled = (gradient * self.scaler.scale).astype(np.float32)
        return loss, self.network.engine.narrow(scaled)

    def apply(self, gradients: dict[str, Gradient], lr: float) -> bool:
        """The update: unless any gradient holds an inf or NaN, new masters, momentum and pruned copies.

        Returns whether the step was taken. The loss scale is told.
        """
        overflow = overflowed(*(g for pair in gradients.values() for g in pair if g is not None))
        if overflow:
            self.skipped += 1
        else:
            for name, (dw, db) in gradients.items():
                self._update_weights(name, dw, lr)
                if db is not None:
                    decay = self.config.weight_decay if self.config.decay_biases else 0.0
                    self._update(self.network.biases, self.bias_momentum, name, db, lr=lr, weight_decay=decay)
            self.network.refresh()
        self.scaler.update(overflow)
        return not overflow

    def _update_weights(self, name: str, dw: np.ndarray, lr: float):
        config = self.config
        settings: dict[str, float] = {}
        if config.method == "srste" and (mask := self.network.mask(name)) is not None:
            # The decay is of the gradient as the optimiser sees it.
            dw = unscale(dw, 1 / self.scaler.scale)
            dw = decay_pruned(dw, self.network.weights[name], mask, config.srste_decay)
            settings["inv_scale"] = 1.0
        masters, momentum = self.network.weights, self.weight_momentum
        self._update(masters, momentum, name, dw, lr=lr, weight_decay=config.weight_decay, **settings)

    def _update(self, parameters, momentum, name: str, gradient: np.ndarray, **settings: float):
        config = self.config
        parameters[name], momentum[name] = sgd_momentum(
            parameters[name],
            momentum[name],
            gradient,
            momentum=config.momentum,
            nesterov=config.nesterov,
            **({"inv_scale": 1 / self.scaler.scale} | settings),
        )

    def step(self, x: np.ndarray, labels: np.ndarray, lr: float) -> tuple[float, int]:
        """One step on operands (batch, …) and labels: the loss, and the samples classified correctly.

        Raises :class:`ConfigError` if training diverges.
        """
        logits, tape = self.network.forward(x)
        loss, dy = self.loss_gradient(logits, labels)
        self.apply(self.network.backward(tape, dy), lr)
        return loss, int((logits.argmax(axis=1) == labels).sum())

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Share of samples classified correctly by the current weights (pruned as FF prunes them)."""
        hits = 0
        for start in range(0, len(x), _EVALUATED):
            part = slice(start, start + _EVALUATED)
            logits, _ = self.network.forward(x[part], stage="eval")
            hits += int((logits.argmax(axis=1) == labels[part]).sum())
        return hits / len(x)


def train_network(
    graph: Graph | VitShape,
    data: Dataset,
    config: NetworkConfig,
    engine: NetworkEngine,
    progress: Callable[[int, int, float], None] | None = None,
    *,
    trainer: NetworkTrainer | None = None,
) -> NetworkResult:
    """Trains on ``data``, whose inputs are the network's, pixel by pixel; the same seed, data and configuration
    give the same bits on every engine, and the same order of samples as
    :func:`~sat_hdl.sim.golden.train.train`.

    ``trainer`` takes the steps; a fresh one on ``engine`` if None. ``progress`` is called after each step
    with the steps done, the steps in all, and the step's loss.
    Raises :class:`ConfigError` if the data don't fit the network, or training diverges.
    """
    inputs = math.prod(graph.input_shape)
    if (data.inputs, data.classes) != (inputs, graph.classes):
        raise ConfigError(
            f"The data have {data.inputs} inputs and {data.classes} classes, the network {inputs} "
            f"({' × '.join(map(str, graph.input_shape))}) and {graph.classes}; take another model or other data."
        )
    trainer = NetworkTrainer(graph, config, engine) if trainer is None else trainer
    history = run_epochs(trainer, data, config, engine.operand, progress)
    network = trainer.network
    return NetworkResult(
        network.weights,
        network.biases,
        trainer.weight_momentum,
        trainer.bias_momentum,
        history,
        history[-1]["test_accuracy"],
        network.plan,
    )
