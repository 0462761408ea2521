"""``sat-hdl compile``: a training step of a model as a program image."""

from typing import Annotated

import typer
from rich.table import Table

from sat_hdl.cli.device import (
    BatchOption,
    LatencyOption,
    Method,
    MethodOption,
    SeedOption,
    SparsityOption,
    StepDataflowOption,
    StepPartsOption,
    expected_memory,
    model_image,
    predicted_cycles,
)
from sat_hdl.cli.options import ConfigFile, Dataflow, Json, OutputFile, Preset, chosen_config, preset_name
from sat_hdl.cli.output import atomic_file, console, print_json, progress

__all__ = ["command"]


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="mlp, cnn, resnet, a TOML file of layers, or a model in a Python file.",
            metavar="NAME|FILE.toml|FILE.py:NAME",
        ),
    ],
    output: OutputFile,
    method: MethodOption = Method.bdwp,
    sparsity: SparsityOption = "2:8",
    batch: BatchOption = 16,
    seed: SeedOption = 0,
    dataflow: StepDataflowOption = Dataflow.auto,
    parts: StepPartsOption = "auto",
    latency: LatencyOption = "10",
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """Compiles a training step to an image: its programs, forward and backward, with first weights, random samples
    and the gradient of their loss. `sat-hdl run`, `profile` and `disasm` take it.

    Of every product, dataflow, sizes of blocks and order of loops are those of fewest cycles by the cycle model, for
    a memory of this latency (of LOW:HIGH, the mean).
    """
    from sat_hdl.image import save_image

    wanted, memory = chosen_config(preset, config), expected_memory(latency)
    with atomic_file(output) as partial, progress(f"Compiling {model}"):
        image = model_image(model, method, sparsity, batch, seed, wanted, dataflow, parts, memory)
        save_image(partial, image)
    result = {
        "output": str(output),
        "model": model,
        "method": method.value,
        "sparsity": "dense" if method is Method.dense else sparsity,
        "batch": batch,
        "seed": seed,
        "dataflow": dataflow.value,
        "parts": parts,
        "latency": memory.read_latency,
        "preset": preset_name(preset, config),
        "rows": wanted.rows,
        "cols": wanted.cols,
        "memory": image.size,
        "programs": {
            program.name: {
                "address": program.address,
                "instructions": program.size // 8,
                "operations": len(program.labels),
                "predicted_cycles": predicted_cycles(image, program, wanted, memory),
            }
            for program in image.programs
        },
    }
    if json:
        return print_json(result)
    table = Table(
        title=f"{model}, {result['method']} {result['sparsity']}, batch {batch}", title_justify="left"
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, figures in result["programs"].items():
        table.add_row(f"{name}, address", f"{figures['address']:#x}")
        table.add_row(f"{name}, instructions", f"{figures['instructions']:,}")
        table.add_row(f"{name}, operations", f"{figures['operations']:,}")
        table.add_row(f"{name}, cycles by the model", f"{figures['predicted_cycles']:,}")
    table.add_row("bytes of memory", f"{image.size:,}")
    table.add_row("output", str(output))
    return console().print(table)
