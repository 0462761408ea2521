"""Options that several commands share, and what they choose."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sat_hdl.config import PRESETS, Config, ConfigError, load, preset, require

__all__ = [
    "ConfigFile",
    "Dataflow",
    "Json",
    "OutputDir",
    "OutputFile",
    "Preset",
    "check_dataflow",
    "chosen_config",
    "chosen_parts",
    "preset_name",
]


class Dataflow(StrEnum):
    """os: output-stationary; ws: weight-stationary; auto: the one that takes fewer cycles."""

    os = "os"
    ws = "ws"
    auto = "auto"


def _output(path: Path) -> Path:
    # `-o --json` would otherwise write to a folder of that name.
    if str(path).startswith("-"):
        raise typer.BadParameter(f"{str(path)!r} is no name to write to; put ./ in front if it is.")
    return path


OutputDir = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the files.", metavar="DIR", callback=_output)
]
OutputFile = Annotated[
    Path, typer.Option("-o", "--output", help="File to write.", metavar="FILE", callback=_output)
]
Preset = Annotated[
    str | None, typer.Option("--preset", help=f"A named configuration: {', '.join(PRESETS)}.", metavar="NAME")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with the configuration's keys.", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]


#: The preset of a command that is given neither --preset nor --config.
DEFAULT = "default"


def preset_name(name: str | None, file: Path | None) -> str | None:
    """What to report as the preset: none if a file was chosen."""
    return None if file is not None else name or DEFAULT


def chosen_config(name: str | None, file: Path | None, *, default: str = DEFAULT) -> Config:
    """The configuration that ``--preset`` or ``--config`` names; ``default`` without either."""
    if name is not None and file is not None:
        raise ConfigError("Give either --preset or --config, not both.")
    return load(file) if file is not None else preset(name if name is not None else default)


def check_dataflow(dataflow: Dataflow, config: Config):
    """Raises :class:`ConfigError` if it is `ws`, and an array of ``config`` can't hold weights."""
    from sat_hdl.compiler.stationary import check_stationary

    if dataflow is Dataflow.ws:
        check_stationary(config)


def chosen_parts(text: str) -> int | None:
    """A number of parts of a batch; ``"auto"`` → None."""
    if text == "auto":
        return None
    require(
        text.isdecimal() and int(text) >= 1, f"`--parts` must be auto or a number from 1 on, not {text!r}."
    )
    return int(text)
