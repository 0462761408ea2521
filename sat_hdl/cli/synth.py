"""``sat-hdl synth``: area and maximum frequency of one component."""

from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config
from sat_hdl.cli.output import console, print_json, progress

__all__ = ["command"]


def command(
    component: Annotated[
        str, typer.Argument(help="What to measure: mac, uspe, stce, sore …", show_default=False)
    ],
    target: Annotated[str, typer.Option(help="Device and speed grade, ecp5-SIZE-GRADE.")] = "ecp5-85f-6",
    seeds: Annotated[int, typer.Option(help="Place and route this many times, with seeds 1, 2 ….")] = 3,
    preset: Preset = None,
    config: ConfigFile = None,
    portable: Annotated[
        bool,
        typer.Option(
            "--portable", help="mac, uspe, stce, sore … the portable twin, without the device's own cells."
        ),
    ] = False,
    path: Annotated[bool, typer.Option("--path", help="Also print the critical path, hop by hop.")] = False,
    json: Json = False,
):
    """Area and maximum frequency of one component by itself.

    Area is the component's alone. For the frequency it is placed and routed with registers on every side,
    fed by one shift register, so that pins don't count. lut4_equivalents = LUT4 + 2 per CCU2C + 4 per LUT
    RAM block.
    """
    from sat_hdl.components import check_name, make
    from sat_hdl.fpga.synth import synthesize

    wanted = msgspec.structs.replace(chosen_config(preset, config), target="portable" if portable else "ecp5")
    check_name(component)
    with progress(f"{component}: elaborating") as say:
        result = synthesize(
            lambda: make(component, wanted), name=component, target=target, seeds=seeds, progress=say
        )
    steps = result.pop("critical_path")
    if json:
        print_json(result)
        return
    _print(result)
    if path:
        _print_path(steps)


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['component']} on {result['target']}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in result.items():
        if key not in ("component", "target"):
            table.add_row(key, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    console().print(table)


def _print_path(steps: list[dict[str, Any]]) -> None:
    """Hops of a carry chain are one row: inside it nothing can be mended."""
    table = Table(title="Critical path of the median seed", title_justify="left")
    table.add_column("ns", justify="right")
    table.add_column("sum", justify="right")
    for title in ("kind", "to", "at"):
        table.add_column(title)
    total = 0.0
    waiting = 0.0
    for step in steps:
        waiting += step["delay"]
        total += step["delay"]
        if step["port"] in ("FCI", "FCO"):
            continue
        place = ",".join(map(str, step["place"]))
        table.add_row(f"{waiting:.2f}", f"{total:.2f}", step["kind"], f"{step['cell']}.{step['port']}", place)
        waiting = 0.0
    console().print(table)
