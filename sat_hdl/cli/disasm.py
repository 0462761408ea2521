"""``sat-hdl disasm``: what a program in memory says."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import print_json
from sat_hdl.config import ConfigError

__all__ = ["command"]


def command(
    program: Annotated[
        Path, typer.Argument(help="A file of 64-bit words, little-endian.", metavar="PROGRAM")
    ],
    start: Annotated[int, typer.Option(help="Byte address of the first word.")] = 0,
    json: Json = False,
):
    """Disassembles a program: a line an instruction, with its byte address. Words that are none say why."""
    from sat_hdl.control.isa import disassemble

    if start < 0:
        raise ConfigError(f"--start must be an address of at least 0, not {start}.")
    octets = program.read_bytes()
    if not octets or len(octets) % 8:
        raise ConfigError(f"{str(program)!r} must hold whole 64-bit words, not {len(octets)} bytes.")
    lines = list(disassemble(np.frombuffer(octets, "<u8").tolist(), start))
    if json:
        print_json({"program": str(program), "instructions": len(lines), "lines": lines})
        return
    for line in lines:
        print(line)
