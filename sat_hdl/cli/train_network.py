"""``sat-hdl train --model``: networks on the whole simulated device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sat_hdl.cli.arrays import save_arrays
from sat_hdl.cli.output import write_json
from sat_hdl.config import Config, ConfigError
from sat_hdl.driver import Transport

__all__ = ["train_model"]


def train_model(
    name: str,
    source: str,
    settings: dict[str, Any],
    config: Config,
    *,
    dataflow: str,
    on_device: bool,
    transport: Transport | None = None,
    folder: Path,
    show: Callable[[int, int, int], None],
) -> dict[str, Any]:
    """Trains the model called ``name`` (or in a TOML or Python file), fills ``folder``, returns the result's figures.

    ``dataflow``: of the products on the device. ``transport``: to a device with ``config``, else it is simulated.
    ``settings``: of :class:`~sat_hdl.sim.golden.network_train.NetworkConfig`. ``show``: is told steps done, steps in
    all, and epochs.
    """
    from sat_hdl.compiler.graph import NETWORK_METHODS, build
    from sat_hdl.compiler.imported import chosen_model
    from sat_hdl.plots import Run, overview
    from sat_hdl.sim.golden.data import load_digits, load_npz
    from sat_hdl.sim.golden.engine import GoldenEngine
    from sat_hdl.sim.golden.images import load_digit_images
    from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer, train_network

    if settings["method"] not in NETWORK_METHODS:
        raise ConfigError(
            f"--model trains by {', '.join(NETWORK_METHODS)}, not {settings['method']}; without --model there is a "
            "perceptron for the others, and `sat-hdl accuracy` trains networks by all in the golden model."
        )
    training = NetworkConfig(**settings)
    imported = chosen_model(name, training.seed)
    graph = build(imported.model)
    # One scale for all pixels, where neighbouring pixels meet the same kernel.
    digits = load_digits if graph.input_shape[:2] == (1, 1) else load_digit_images
    data = digits() if source == "digits" else load_npz(source)
    engine = GoldenEngine(config.operand_format)
    device = None
    if on_device:
        from sat_hdl.sim.device_train import DeviceTrainer

        device = DeviceTrainer(graph, training, config, dataflow=dataflow, transport=transport)
    trainer = device or NetworkTrainer(graph, training, engine)
    trainer.network.begin_with(imported.weights, imported.biases)
    losses: list[float] = []

    def progress(done: int, total: int, loss: float) -> None:
        losses.append(loss)
        show(done, total, training.epochs)

    outcome = train_network(graph, data, training, engine, progress, trainer=trainer)
    mismatch = None if device is None else device.compare()
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
    cycles = counters = None
    if device is not None:
        counters = device.totals.counters
        cycles = {program: device.totals.cycles(program) for program in counters}
        cycles = {"total": sum(cycles.values()), **cycles}
    overview(folder / "plot.png", Run(training.method, outcome.history, losses, cycles))
    return {
        "accuracy": outcome.accuracy,
        "loss": outcome.history[-1]["loss"],
        "skipped_steps": sum(int(epoch["skipped_steps"]) for epoch in outcome.history),
        "cycles": cycles,
        "counters": counters,
        "sparse_layers": {layer: {"ff": plan.ff, "bp": plan.bp} for layer, plan in outcome.plan.items()},
        "bit_exact": None if device is None else mismatch is None,
        "mismatch": mismatch,
    }
