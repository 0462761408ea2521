"""``sat-hdl train``: training on the simulated hardware: products and prunings, or whole steps."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sat_hdl.cli.arrays import save_arrays
from sat_hdl.cli.device import DeviceOption
from sat_hdl.cli.errors import FAILED
from sat_hdl.cli.operands import Backend, BackendOption, sparsity_of
from sat_hdl.cli.options import (
    ConfigFile,
    Dataflow,
    Json,
    OutputDir,
    Preset,
    check_dataflow,
    chosen_config,
    preset_name,
)
from sat_hdl.cli.output import atomic_dir, console, print_json, write_json
from sat_hdl.cli.train_network import train_model
from sat_hdl.config import Config, ConfigError

__all__ = ["command"]

#: Stages whose cycles make up the total; passes over the test set are counted apart.
TRAINING_STAGES = ("ff", "bp", "wu", "prune")


class Method(StrEnum):
    """What is sparse, in which product."""

    dense = "dense"
    bdwp = "bdwp"
    srste = "srste"
    sdgp = "sdgp"
    sdwp = "sdwp"


def command(
    data: Annotated[
        str,
        typer.Option(
            help="`digits` (scikit-learn's), or an .npz file with x_train, y_train, x_test, y_test, or x, y.",
            metavar="digits|FILE.npz",
            show_default=False,
        ),
    ],
    output: OutputDir,
    method: Annotated[
        Method,
        typer.Option(
            help="bdwp: N:M weights in FF and BP; srste: in FF; sdwp: in BP; sdgp: N:M gradients in BP."
        ),
    ] = Method.bdwp,
    sparsity: Annotated[str, typer.Option(help="N:M; of no effect for `dense`.", metavar="N:M")] = "2:8",
    hidden: Annotated[
        str, typer.Option(help="Widths of the perceptron's hidden layers, such as 64 or 64,64; or `none`.")
    ] = "64",
    model: Annotated[
        str | None,
        typer.Option(
            help="mlp, cnn, resnet, a TOML file of layers, or a model or torch module in a Python file: every "
            "step runs on the whole device, driven by a program in its memory. Without it: a perceptron, whose "
            "products and prunings alone do.",
            metavar="NAME|FILE.toml|FILE.py:NAME",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 8,
    batch: Annotated[
        int | None, typer.Option(help="Samples a step; 32, with --model 16.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first weights and of the samples' order.")] = 0,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of SGD with momentum; 0.05, with --model 0.02.", show_default=False
        ),
    ] = None,
    dataflow: Annotated[
        Dataflow,
        typer.Option(
            help="Output-stationary; weight-stationary wherever it is possible; or, product by product, the one "
            "that is faster by the cycle model. The bits are the same."
        ),
    ] = Dataflow.auto,
    preset: Preset = None,
    config: ConfigFile = None,
    backend: BackendOption = Backend.rtl,
    device: DeviceOption = None,
    json: Json = False,
):
    """Trains a perceptron: every matrix product and every pruning runs on the simulated hardware and is compared
    with the golden model; the host does the rest. With --model, whole steps run on the device, and the host computes
    the gradient of the loss alone.

    Writes weights.npz, history.json, config.json, plot.png. Cycles are those of products and prunings:
    forward (ff), backward (bp), weight gradient (wu), prune; `eval`, the passes that measure accuracy, is
    not in the total. The same seed gives the same bits on every backend.
    """
    from sat_hdl.sim.golden.train import TrainConfig

    transport = None
    if device is None:
        wanted = chosen_config(preset, config)
    else:
        from sat_hdl.connect import open_transport

        if model is None or backend is not Backend.rtl:
            raise ConfigError("--device runs whole steps: give --model, and leave --backend out.")
        given = preset is not None or config is not None
        transport = open_transport(device, chosen_config(preset, config) if given else None)
        wanted = transport.config
    check_dataflow(dataflow, wanted)
    pair = None if method is Method.dense else _sparsity(sparsity, method, wanted)
    keep, group = pair or (wanted.max_m, wanted.max_m)
    batch = (32 if model is None else 16) if batch is None else batch
    lr = (0.05 if model is None else 0.02) if lr is None else lr
    if model is not None:
        if hidden != "64":
            raise ConfigError("Give either --hidden, of the perceptron, or --model, not both.")
        chosen = {
            "method": method.value, "keep": keep, "group": group, "epochs": epochs, "batch": batch, "seed": seed,
            "lr": lr,
        }  # fmt: skip
        with (
            atomic_dir(output) as folder,
            _bar(f"Training {model} ({backend.value})") as show,
            nullcontext() if transport is None else closing(transport),
        ):
            figures = train_model(
                model, data, chosen, wanted, dataflow=dataflow.value, on_device=backend is Backend.rtl,
                transport=transport, folder=folder, show=show,
            )  # fmt: skip
        return _report(
            figures, json, output=str(output), data=data, method=method.value,
            sparsity="dense" if pair is None else sparsity, model=model, epochs=epochs, batch=batch, seed=seed, lr=lr,
            preset=preset_name(preset, config) if device is None else preset, rows=wanted.rows, cols=wanted.cols,
            backend=backend.value, device=device,
        )  # fmt: skip
    settings = TrainConfig(
        method=method.value,
        keep=keep,
        group=group,
        hidden=_widths(hidden),
        epochs=epochs,
        batch=batch,
        seed=seed,
        lr=lr,
    )
    with atomic_dir(output) as folder:
        figures = _run(data, settings, wanted, backend, dataflow, folder)
    return _report(
        figures, json, output=str(output), data=data, method=method.value,
        sparsity="dense" if pair is None else sparsity, hidden=settings.hidden, epochs=epochs, batch=batch, seed=seed,
        lr=lr, preset=preset_name(preset, config), rows=wanted.rows, cols=wanted.cols, backend=backend.value,
    )  # fmt: skip


def _report(figures: dict[str, Any], json: bool, **about: Any) -> int:
    """Prints a run's result; returns the exit status."""
    result = {**about, **figures}
    if json:
        print_json(result)
    else:
        _print(result)
    if result["mismatch"] is not None:
        sentence = f"The hardware differs from the golden model. {result['mismatch']}"
        print(f"sat-hdl: error: {sentence}", file=sys.stderr)
        return FAILED
    return 0


def _sparsity(text: str, method: Method, config: Config) -> tuple[int, int]:
    pair = sparsity_of(text, config, dense=True)
    if pair is None:
        raise ConfigError(
            f"Method {method.value} needs N:M such as 2:8, not `dense`; dense training is --method dense."
        )
    return pair


def _widths(text: str) -> list[int]:
    if text == "none":
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) < 7 for word in words):
        raise ConfigError(f"--hidden must be widths such as 64 or 64,64, or `none`, not {text!r}.")
    return [int(word) for word in words]


def _run(
    source: str, settings: Any, config: Config, backend: Backend, dataflow: Dataflow, folder: Path
) -> dict[str, Any]:
    """Trains, fills ``folder``, and returns the figures of the result."""
    from sat_hdl.plots import Run, overview
    from sat_hdl.sim.device import Device
    from sat_hdl.sim.engine import RtlEngine
    from sat_hdl.sim.golden.data import load_digits, load_npz
    from sat_hdl.sim.golden.engine import GoldenEngine
    from sat_hdl.sim.golden.train import train

    data = load_digits() if source == "digits" else load_npz(source)
    rtl = RtlEngine(Device(config), dataflow=dataflow.value) if backend is Backend.rtl else None
    engine = rtl or GoldenEngine(config.operand_format)
    losses: list[float] = []
    with _bar(f"Training {settings.method} ({backend.value})") as show:

        def progress(done: int, total: int, loss: float) -> None:
            losses.append(loss)
            show(done, total, settings.epochs)

        outcome = train(data, settings, engine, progress)
    cycles = None
    if rtl is not None:
        cycles = {"total": sum(rtl.cycles[stage] for stage in TRAINING_STAGES), **rtl.cycles}
    save_arrays(folder / "weights.npz", **_arrays(outcome, settings, config))
    history = {"epochs": outcome.history, "step_loss": losses}
    write_json(folder / "history.json", history)
    write_json(
        folder / "config.json",
        {"data": source, "training": msgspec.to_builtins(settings), "hardware": msgspec.to_builtins(config)},
    )
    overview(folder / "plot.png", Run(settings.method, outcome.history, losses, cycles))
    return {
        "accuracy": outcome.accuracy,
        "loss": outcome.history[-1]["loss"],
        "skipped_steps": sum(int(epoch["skipped_steps"]) for epoch in outcome.history),
        "cycles": cycles,
        "macs": {stage: count for stage, count in engine.macs.items() if stage != "prune"},
        "utilization": None if rtl is None else _utilization(rtl.macs, rtl.cycles, config),
        "sparse_layers": {
            "ff": [layer.ff for layer in outcome.plan],
            "bp": [layer.bp for layer in outcome.plan],
        },
        "bit_exact": None if rtl is None else rtl.bit_exact,
        "mismatch": None if rtl is None else rtl.mismatch,
    }


def _utilization(macs: dict[str, int], cycles: dict[str, int], config: Config) -> dict[str, float]:
    """Share of the array's multiplications that counted, by stage of products that ran."""
    places = config.rows * config.cols
    return {stage: macs[stage] / (cycles[stage] * places) for stage in macs if macs[stage]}


def _arrays(outcome: Any, settings: Any, config: Config) -> dict[str, Any]:
    """Masters and momentum by layer, and the pruned copies as FF and BP take them."""
    from sat_hdl.sim.golden.convert import narrow
    from sat_hdl.sim.golden.prune import prune

    arrays = {}
    for i, (weight, bias) in enumerate(zip(outcome.weights, outcome.biases)):
        arrays |= {f"weight_{i}": weight, f"bias_{i}": bias}
        arrays |= {
            f"weight_momentum_{i}": outcome.momentum[i][0],
            f"bias_momentum_{i}": outcome.momentum[i][1],
        }
        copy = narrow(weight, config.operand_format)
        by_weight = outcome.plan[i].bp and settings.method != "sdgp"
        for stage, sparse, axis in (("ff", outcome.plan[i].ff, 0), ("bp", by_weight, 1)):
            if sparse:
                pruned = prune(copy, settings.keep, settings.group, axis)
                arrays |= {f"{stage}_values_{i}": pruned.values, f"{stage}_indices_{i}": pruned.indices}
    return arrays


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int, int], None]]:
    """Yields a function of the steps done, the steps in all and the epochs. On a terminal's stderr a bar,
    elsewhere a line an epoch."""
    log = Console(stderr=True, highlight=False, soft_wrap=True)
    if not log.is_terminal:
        log.print(title)

        def line(done: int, total: int, epochs: int) -> None:
            if done % (total // epochs) == 0:
                log.print(f"epoch {done * epochs // total} of {epochs}")

        yield line
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=log, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, epochs: bar.update(task, completed=done, total=total)


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['method']} {result['sparsity']}, {result['data']}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("accuracy", f"{result['accuracy']:.4f}")
    table.add_row("loss", f"{result['loss']:.4f}")
    for stage, count in (result["cycles"] or {}).items():
        table.add_row(f"cycles, {stage}", str(count))
    for stage, share in (result.get("utilization") or {}).items():
        table.add_row(f"utilization, {stage}", f"{share:.3f}")
    table.add_row("bit_exact", str(result["bit_exact"]))
    table.add_row("output", result["output"])
    console().print(table)
