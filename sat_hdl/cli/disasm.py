"""``sat-hdl disasm``: what a program in memory says."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import print_json
from sat_hdl.config import ConfigError
from sat_hdl.control.isa import disassemble
from sat_hdl.image import is_image, load_image

__all__ = ["command"]


def command(
    program: Annotated[
        Path,
        typer.Argument(
            help="An image of `sat-hdl compile`, or 64-bit words, little-endian.", metavar="PROGRAM"
        ),
    ],
    start: Annotated[
        int, typer.Option(help="Byte address of the first word, of a program that is no image.")
    ] = 0,
    json: Json = False,
):
    """Disassembles a program: a line an instruction, with its byte address. Words that are none say why."""
    if start < 0:
        raise ConfigError(f"--start must be an address of at least 0, not {start}.")
    if is_image(program):
        return _image(program, json)
    octets = program.read_bytes()
    if not octets or len(octets) % 8:
        raise ConfigError(f"{str(program)!r} must hold whole 64-bit words, not {len(octets)} bytes.")
    lines = list(disassemble(np.frombuffer(octets, "<u8").tolist(), start))
    if json:
        return print_json({"program": str(program), "instructions": len(lines), "lines": lines})
    return print("\n".join(lines))


def _image(path: Path, json: bool):
    """Every program of an image."""
    image = load_image(path)
    texts = {
        program.name: list(disassemble(image.words(program).tolist(), program.address))
        for program in image.programs
    }
    if json:
        programs = {name: {"instructions": len(lines), "lines": lines} for name, lines in texts.items()}
        return print_json({"program": str(path), "programs": programs})
    for name, lines in texts.items():
        print(f"; {name}", *lines, sep="\n")
    return None
