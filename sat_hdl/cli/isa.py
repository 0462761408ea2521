"""``sat-hdl isa``: the instruction set and the registers, for people and for C."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import print_json

__all__ = ["command"]


class Form(StrEnum):
    """How it is written."""

    doc = "doc"
    c = "c"


def command(
    form: Annotated[Form, typer.Option(help="doc: a page in Markdown; c: a C header.")] = Form.doc,
    json: Json = False,
):
    """The instruction set, the registers of every unit, the CSRs and the error codes, on stdout."""
    from sat_hdl.control.reference import c_header, markdown

    text = c_header() if form is Form.c else markdown()
    if json:
        print_json({"form": form.value, "text": text})
    else:
        sys.stdout.write(text)
