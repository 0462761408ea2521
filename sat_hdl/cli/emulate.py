"""``sat-hdl emulate``: a board without the board."""

import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from sat_hdl.cli.device import MOST_MEMORY, number
from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config
from sat_hdl.cli.output import console, print_json, progress
from sat_hdl.config import ConfigError, require
from sat_hdl.config import preset as preset_called

__all__ = ["command"]


def command(
    board: Annotated[
        str | None,
        typer.Option(
            help="A board of `sat-hdl boards`: its configuration and size of memory.", metavar="NAME"
        ),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    size: Annotated[
        str | None,
        typer.Option("--memory-size", help="Bytes of memory; else the board's, or 32 MB.", metavar="BYTES"),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--bytes", help="Leave the serial port's bits out, which is faster.")
    ] = False,
    divisor: Annotated[int, typer.Option(help="Cycles a bit of the serial port, at least 4.")] = 4,
    damage: Annotated[
        float,
        typer.Option(
            help="Share of the frames that are damaged on purpose, each way: bytes change, vanish, appear."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the damage.")] = 0,
    link: Annotated[
        Path | None, typer.Option(help="Name to give the terminal, a symbolic link.", metavar="PATH")
    ] = None,
    json: Json = False,
):
    """Simulates a board's whole design behind a pseudo-terminal, until Ctrl-C: what speaks to a board speaks to it,
    as `sat-hdl train --device serial:///dev/pts/N`.

    The design is the one of a bitstream, its serial port included, with a memory of the given size in place of the
    board's. It is simulated while it has something to do.
    """
    from sat_hdl.fpga.boards import board as board_called
    from sat_hdl.sim.emulated_board import EmulatedBoard

    if board is not None and (preset is not None or config is not None):
        raise ConfigError("Give either --board, or --preset or --config, not both.")
    if board is not None:
        chosen = board_called(board)
        wanted, memory_size = preset_called(chosen.preset), chosen.memory_size
        require(
            memory_size > 0,
            f"{board} has no room for the whole accelerator, and the array alone speaks no protocol that a driver "
            "knows: choose another board, or --preset.",
        )
    else:
        wanted, memory_size = chosen_config(preset, config), 1 << 25
    memory_size = memory_size if size is None else number(size, "--memory-size")
    require(
        0 < memory_size <= MOST_MEMORY and memory_size % 4096 == 0,
        f"--memory-size must be a multiple of 4096 up to 4 GiB, not {size}.",
    )
    require(0 <= damage <= 1, f"--damage must be from 0 to 1, not {damage:g}.")
    require(4 <= divisor <= 1 << 16, f"--divisor must be from 4 to 65536, not {divisor}.")
    with progress("Building the simulation"):
        emulated = EmulatedBoard(
            wanted,
            memory_size=memory_size,
            divisor=None if plain else divisor,
            damage=damage,
            seed=seed,
            link=link,
        )
    about = {
        "device": f"serial://{emulated.path}",
        "path": emulated.path,
        "board": board,
        "rows": wanted.rows,
        "cols": wanted.cols,
        "memory_size": memory_size,
        "damage": damage,
        "seed": seed,
    }
    if json:
        print_json(about)
    else:
        console().print(
            f"An array of {wanted.rows} × {wanted.cols} with {memory_size:,} bytes of memory is at "
            f"{about['device']} until Ctrl-C."
        )
        sys.stdout.flush()
    stop = Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    kept = [(each, signal.signal(each, lambda *_: stop.set())) for each in signals]
    try:
        emulated.serve(stop)
    finally:
        emulated.close()
        for each, handler in kept:
            signal.signal(each, handler)
    there, back = emulated.there, emulated.back
    print(
        f"Ended after {emulated.cycles:,} cycles; damaged {there.damaged} of {there.frames} frames to the device and "
        f"{back.damaged} of {back.frames} from it.",
        file=sys.stderr,
    )
