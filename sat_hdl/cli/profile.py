"""``sat-hdl profile``: where each unit's cycles went."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sat_hdl.cli.device import (
    BatchOption,
    LatencyOption,
    LimitOption,
    Method,
    MethodOption,
    SeedOption,
    SparsityOption,
    StallOption,
    StepDataflowOption,
    StepPartsOption,
    checked_limit,
    expected_memory,
    memory_config,
    model_image,
    predicted_cycles,
)
from sat_hdl.cli.errors import Failure
from sat_hdl.cli.options import ConfigFile, Dataflow, Json, Preset, chosen_config
from sat_hdl.cli.output import atomic_file, console, print_json, progress, write_json
from sat_hdl.cli.run import program_image
from sat_hdl.config import ConfigError

__all__ = ["command"]


def command(
    program: Annotated[
        Path | None,
        typer.Argument(
            help="An image of `sat-hdl compile`, or 64-bit words, little-endian.", metavar="[PROGRAM]"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="In place of PROGRAM: a training step of mlp, cnn, resnet, a TOML file of layers, or a model in a "
            "Python file.",
            metavar="NAME|FILE.toml|FILE.py:NAME",
        ),
    ] = None,
    method: MethodOption = Method.bdwp,
    sparsity: SparsityOption = "2:8",
    batch: BatchOption = 16,
    seed: SeedOption = 0,
    dataflow: StepDataflowOption = Dataflow.auto,
    parts: StepPartsOption = "auto",
    latency: LatencyOption = "10",
    stall: StallOption = 0.0,
    limit: LimitOption = 1_000_000_000,
    page: Annotated[
        Path | None,
        typer.Option("--html", help="Write a timeline to look at, one HTML page.", metavar="FILE"),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            help="Write a trace for ui.perfetto.dev, Chrome's JSON; 1 us is 1 cycle.",
            metavar="FILE",
        ),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """Runs programs on the simulated device and tells where each unit's cycles went, by unit, and by layer and stage
    where the image knows them.

    Of each unit: busy, of which it waited for memory; blocked, waiting for a semaphore; idle. They add up to the
    program's cycles. `array` is the share of cycles in which the array took a weight. Where memory's latency is fixed
    and nothing stalls, the cycle model's prediction is beside what was measured.
    """
    from sat_hdl.driver import DeviceError
    from sat_hdl.sim.profile import profile
    from sat_hdl.sim.timeline_files import chrome_trace, timeline_page

    checked_limit(limit)
    if (program is None) == (model is None):
        raise ConfigError("Give either a PROGRAM or --model, not both or neither.")
    if program is not None:
        title = program.name
        image = program_image(program, "0", preset, config)
        if image.config is None:
            image = replace(image, config=chosen_config(preset, config))
    else:
        title = f"{model}, {method.value}{'' if method is Method.dense else f' {sparsity}'}, batch {batch}"
        image = model_image(
            str(model), method, sparsity, batch, seed, chosen_config(preset, config), dataflow, parts,
            expected_memory(latency),
        )  # fmt: skip
    used = image.config
    assert used is not None
    outside = memory_config(image.size, latency, stall, seed)
    with progress("Simulating"):
        try:
            done = profile(image, used, outside, limit=limit)
        except DeviceError as error:
            raise Failure(str(error)) from None
    if page is not None:
        with atomic_file(page) as partial:
            partial.write_text(timeline_page(image, done, title))
    if trace is not None:
        with atomic_file(trace) as partial:
            write_json(partial, chrome_trace(image, done, title))
    programs = [_told(each) for each in done]
    for told, each in zip(programs, done):
        told["predicted"] = predicted_cycles(
            image, each.program, used, outside, overflow=each.counters.overflow
        )
    result = {
        "title": title,
        "rows": used.rows,
        "cols": used.cols,
        "latency": latency,
        "stall": stall,
        "seed": seed,
        "programs": programs,
        "html": None if page is None else str(page),
        "trace": None if trace is None else str(trace),
    }
    if json:
        return print_json(result)
    for told in result["programs"]:
        _print(told)
    return None


def _told(done: Any) -> dict[str, Any]:
    """What is to be told of a program that ran, a ProgramProfile."""
    from sat_hdl.sim.profile import layer_cycles, unit_cycles

    cycles = done.timeline.cycles
    counters = done.counters.values
    return {
        "name": done.program.name,
        "cycles": cycles,
        "overflow": done.counters.overflow,
        "array": counters["array_busy"] / cycles,
        "memory_port": max(counters["read_beats"], counters["write_beats"]) / cycles,
        "units": {name: asdict(sums) for name, sums in unit_cycles(done.timeline).items()},
        "layers": [
            {"layer": sums.label.layer, "stage": sums.label.stage}
            | {key: value for key, value in asdict(sums).items() if key != "label"}
            for sums in layer_cycles(done.timeline)
        ],
        "counters": counters,
    }


def _print(told: dict[str, Any]):
    cycles = told["cycles"]

    def share(count: int) -> str:
        return f"{count:,} {100 * count / cycles:5.1f} %"

    predicted = told["predicted"]
    model = "" if predicted is None else f" (model {predicted:,}, {100 * (predicted / cycles - 1):+.2f} %)"
    table = Table(
        title=f"{told['name']}: {cycles:,} cycles{model}; array busy {100 * told['array']:.1f} %, "
        f"busier direction of memory {100 * told['memory_port']:.1f} %",
        title_justify="left",
    )
    table.add_column("unit")
    for name in ("runs", "busy", "of it for memory", "blocked", "idle"):
        table.add_column(name, justify="right")
    for name, sums in told["units"].items():
        waiting = "-" if name == "compute" else share(sums["waiting"])
        table.add_row(name, f"{sums['runs']:,}", share(sums["busy"]), waiting, share(sums["blocked"]),
                      share(sums["idle"]))  # fmt: skip
    console().print(table)
    if not told["layers"]:
        return
    table = Table()
    table.add_column("layer")
    table.add_column("stage")
    for name in ("from", "to", "runs", *told["units"], "for memory", "array"):
        table.add_column(name, justify="right")
    for sums in told["layers"]:
        busy = (f"{sums['busy'][name]:,}" for name in told["units"])
        table.add_row(sums["layer"], sums["stage"], f"{sums['start']:,}", f"{sums['end']:,}", f"{sums['runs']:,}",
                      *busy, f"{sums['waiting']:,}", f"{sums['array_busy']:,}")  # fmt: skip
    console().print(table)
