"""``sat-hdl train --model``: networks on the whole simulated device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sat_hdl.cli.arrays import save_arrays
from sat_hdl.cli.output import write_json
from sat_hdl.config import Config, ConfigError

__all__ = ["train_model"]


def train_model(
    name: str,
    source: str,
    settings: dict[str, Any],
    config: Config,
    *,
    dataflow: str,
    on_device: bool,
    folder: Path,
    show: Callable[[int, int, int], None],
) -> dict[str, Any]:
    """Trains the model called ``name`` (or in a TOML file), fills ``folder``, returns the figures of the result.

    ``dataflow``: of the products on the device. ``settings``: of
    :class:`~sat_hdl.sim.golden.network_train.NetworkConfig`. ``show``: is told steps done, steps in all, and epochs.
    """
    from sat_hdl.compiler.graph import NETWORK_METHODS, build
    from sat_hdl.compiler.models import model
    from sat_hdl.plots import Run, overview
    from sat_hdl.sim.golden.data import load_digits, load_npz
    from sat_hdl.sim.golden.engine import GoldenEngine
    from sat_hdl.sim.golden.images import load_digit_images
    from sat_hdl.sim.golden.network_train import NetworkConfig, train_network

    if settings["method"] not in NETWORK_METHODS:
        raise ConfigError(
            f"--model trains by {', '.join(NETWORK_METHODS)}, not {settings['method']}; without --model there is a "
            "perceptron for the others."
        )
    graph = build(model(name))
    training = NetworkConfig(**settings)
    # One scale for all pixels, where neighbouring pixels meet the same kernel.
    digits = load_digits if graph.input_shape[:2] == (1, 1) else load_digit_images
    data = digits() if source == "digits" else load_npz(source)
    engine = GoldenEngine(config.operand_format)
    trainer = None
    if on_device:
        from sat_hdl.sim.device_train import DeviceTrainer

        trainer = DeviceTrainer(graph, training, config, dataflow=dataflow)
    losses: list[float] = []

    def progress(done: int, total: int, loss: float) -> None:
        losses.append(loss)
        show(done, total, training.epochs)

    outcome = train_network(graph, data, training, engine, progress, trainer=trainer)
    mismatch = None if trainer is None else trainer.compare()
    arrays = {}
    for part, values in (
        ("weight", outcome.weights),
        ("bias", outcome.biases),
        ("weight_momentum", outcome.weight_momentum),
        ("bias_momentum", outcome.bias_momentum),
    ):
        arrays |= {f"{layer}_{part}": value for layer, value in values.items()}
    save_arrays(folder / "weights.npz", **arrays)
    write_json(folder / "history.json", {"epochs": outcome.history, "step_loss": losses})
    write_json(
        folder / "config.json",
        {
            "data": source,
            "model": name,
            "training": msgspec.to_builtins(training),
            "hardware": msgspec.to_builtins(config),
        },
    )
    overview(folder / "plot.png", Run(training.method, outcome.history, losses, None))
    cycles = counters = None
    if trainer is not None:
        counters = trainer.totals.counters
        cycles = {program: trainer.totals.cycles(program) for program in counters}
        cycles = {"total": sum(cycles.values()), **cycles}
    return {
        "accuracy": outcome.accuracy,
        "loss": outcome.history[-1]["loss"],
        "skipped_steps": sum(int(epoch["skipped_steps"]) for epoch in outcome.history),
        "cycles": cycles,
        "counters": counters,
        "sparse_layers": {layer: {"ff": plan.ff, "bp": plan.bp} for layer, plan in outcome.plan.items()},
        "bit_exact": None if trainer is None else mismatch is None,
        "mismatch": mismatch,
    }
