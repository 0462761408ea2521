"""``sat-hdl generate``: Verilog and a manifest."""

import json as json_format
from typing import Annotated

import typer

from sat_hdl.cli.options import ConfigFile, Json, OutputDir, Preset, chosen_config
from sat_hdl.cli.output import atomic_dir, console, print_json, progress

__all__ = ["command"]


def command(
    output: OutputDir,
    preset: Preset = None,
    config: ConfigFile = None,
    component: Annotated[str, typer.Option(help="What to generate; `top` is all of it.")] = "top",
    json: Json = False,
):
    """Verilog of the whole design, or of one component, and manifest.json beside it.

    The manifest has the configuration, every port, the latencies and the versions of the tools. The same
    input gives the same bytes.
    """
    from sat_hdl.components import check_name
    from sat_hdl.generate import generate

    wanted = chosen_config(preset, config)
    check_name(component)
    with progress(f"Generating {component}") as say, atomic_dir(output) as folder:
        made = generate(component, wanted)
        say("Writing")
        (folder / made.verilog_file).write_text(made.verilog)
        (folder / "manifest.json").write_text(json_format.dumps(made.manifest, indent=2) + "\n")
    files = [str(output / made.verilog_file), str(output / "manifest.json")]
    if json:
        print_json({"component": component, "module": made.module, "files": files, "manifest": made.manifest})
    else:
        console().print(f"Wrote {' and '.join(files)}.")
