"""``sat-hdl build``: a bitstream for a board."""

import json as json_format
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from sat_hdl.cli.errors import Failure
from sat_hdl.cli.options import ConfigFile, Json, OutputDir, Preset, chosen_config
from sat_hdl.cli.output import atomic_dir, console, print_json, progress

__all__ = ["command"]


def command(
    board: Annotated[str, typer.Option(help="A board of `sat-hdl boards`.", show_default=False)],
    output: OutputDir,
    component: Annotated[
        str | None,
        typer.Option(
            help="`system`, the whole accelerator with its memory, or `core`, the array and the pruner alone; the "
            "board's own choice without it."
        ),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    seeds: Annotated[int, typer.Option(help="Place and route this many times; the fastest is kept.")] = 2,
    clock_mhz: Annotated[
        float | None, typer.Option(help="The array's clock; the board's own choice without it.")
    ] = None,
    allow_timing_fail: Annotated[
        bool, typer.Option("--allow-timing-fail", help="Write the bitstream even if it misses its clock.")
    ] = False,
    placer: Annotated[
        str, typer.Option(help="nextpnr's placer: heap finds faster results, static finds them sooner.")
    ] = "heap",
    router: Annotated[str, typer.Option(help="nextpnr's router: router2 or router1.")] = "router2",
    dense: Annotated[
        bool,
        typer.Option(
            "--dense",
            help="Of a design that fills most of an ECP5: place it again and again, with room where wire is short; "
            "best with the static placer. Each time takes a quarter of an hour and more.",
        ),
    ] = False,
    json: Json = False,
):
    """A bitstream of the accelerator behind a board's serial port, or of what of it fits there.

    Writes BOARD.bit (or .bin or .fs), report.json and nextpnr.log. Fails if no seed meets the clock.
    """
    from sat_hdl.fpga.boards import board as board_called
    from sat_hdl.fpga.build import build
    from sat_hdl.fpga.designs import design_for

    wanted_board = board_called(board)
    wanted = chosen_config(preset, config, default=wanted_board.preset)
    wanted = msgspec.structs.replace(wanted, target=wanted_board.target.arithmetic)
    kind = component or wanted_board.component
    with progress(f"Building for {board}") as say, atomic_dir(output) as folder:
        design = design_for(wanted_board, wanted, kind=kind, clock_mhz=clock_mhz)
        made = build(
            design,
            wanted_board,
            seeds=seeds,
            clock_mhz=clock_mhz,
            placer=placer,
            router=router,
            dense=dense,
            progress=say,
        )
        if not made.meets_clock and not allow_timing_fail:
            raise Failure(
                f"The best of {seeds} seeds reaches {made.fmax_mhz:.1f} MHz, less than the "
                f"{made.clock_mhz:g} MHz asked for: try more --seeds, a lower --clock-mhz, or "
                "--allow-timing-fail."
            )
        bitstream = f"{board}{wanted_board.target.suffix}"
        chosen = None if config is not None else (preset or wanted_board.preset)
        report: dict[str, Any] = {
            "board": board,
            "component": kind,
            "preset": chosen,
            "config": msgspec.to_builtins(wanted),
        }
        report |= {"bitstream": bitstream, "target": wanted_board.target.name, **made.report()}
        (folder / bitstream).write_bytes(made.data)
        (folder / "nextpnr.log").write_text(made.log)
        (folder / "report.json").write_text(json_format.dumps(report, indent=2) + "\n")
    report["bitstream"] = str(output / bitstream)
    if json:
        print_json(report)
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    table = Table(title=report["bitstream"], title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in report.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            table.add_row(key, str(value))
    for kind, (count, available) in report["used"].items():
        if count:
            table.add_row(kind, f"{count} of {available}")
    console().print(table)
