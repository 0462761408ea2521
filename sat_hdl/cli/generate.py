"""``sat-hdl generate``: Verilog, a manifest, and a FuseSoC core."""

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
    """Verilog of the whole design, or of one component, with manifest.json and a FuseSoC .core beside it.

    The manifest has the configuration, every port, the latencies and the versions of the tools. The same
    input gives the same bytes.
    """
    from sat_hdl.components import check_name
    from sat_hdl.fusesoc import core_file
    from sat_hdl.generate import generate

    wanted = chosen_config(preset, config)
    check_name(component)
    with progress(f"Generating {component}") as say, atomic_dir(output) as folder:
        made = generate(component, wanted)
        say("Writing")
        (folder / made.verilog_file).write_text(made.verilog)
        (folder / "manifest.json").write_text(json_format.dumps(made.manifest, indent=2) + "\n")
        (folder / f"{made.module}.core").write_text(core_file(made))
    files = [str(output / name) for name in (made.verilog_file, "manifest.json", f"{made.module}.core")]
    if json:
        print_json({"component": component, "module": made.module, "files": files, "manifest": made.manifest})
    else:
        console().print(f"Wrote {', '.join(files)}.")
