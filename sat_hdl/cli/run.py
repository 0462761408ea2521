"""``sat-hdl run``: programs on a device, simulated or real."""

import struct
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from sat_hdl.cli.device import (
    DeviceOption,
    LatencyOption,
    LimitOption,
    SeedOption,
    StallOption,
    checked_limit,
    counter_rows,
    memory_config,
    number,
)
from sat_hdl.cli.errors import FAILED
from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config, preset_name
from sat_hdl.cli.output import atomic_file, console, print_json, progress
from sat_hdl.config import Config, ConfigError, require
from sat_hdl.control.csr import PARAMETERS
from sat_hdl.driver import Accelerator, DeviceError, Transport
from sat_hdl.image import Image, ImageProgram, is_image, load_image

__all__ = ["command", "program_image"]

#: Bytes of memory of a program that is no image, at least.
_LEAST_MEMORY = 1 << 20


def command(
    program: Annotated[
        Path,
        typer.Argument(
            help="An image of `sat-hdl compile`, or 64-bit words, little-endian.", metavar="PROGRAM"
        ),
    ],
    start: Annotated[
        str, typer.Option(help="Address of the first word, of a program that is no image.", metavar="ADDRESS")
    ] = "0",
    memory: Annotated[
        list[str] | None,
        typer.Option(help="Bytes to put into memory before; may be repeated.", metavar="FILE@ADDRESS"),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="Host parameter I: an integer, or with a point or exponent the binary32 nearest; may be repeated.",
            metavar="I=VALUE",
        ),
    ] = None,
    dump: Annotated[
        list[str] | None,
        typer.Option(
            help="Bytes of memory to write to a file after, by address or an image's tensor; may be repeated.",
            metavar="ADDRESS:BYTES=FILE|TENSOR=FILE",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--memory-size", help="Bytes of memory, at least.", metavar="BYTES")
    ] = None,
    device: DeviceOption = None,
    latency: LatencyOption = "10",
    stall: StallOption = 0.0,
    limit: LimitOption = 1_000_000_000,
    seed: SeedOption = 0,
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """Runs a program, or all of an image one after another, on the simulated device or that of --device, where
    --latency and --stall have no effect; prints how each ended, its cycles and counters. Exit status 1 if one failed:
    the error, and the instruction at which it was found, are told.
    """
    checked_limit(limit)
    image = program_image(program, start, preset, config)
    image = replace(image, pieces={**image.pieces, **_pieces(memory or [])})
    image = replace(image, programs=_with_parameters(image.programs, param or []))
    dumps = [_dump(text, image) for text in dump or []]
    ends = [address + length for address, length, _ in dumps]
    ends += [address + len(octets) for address, octets in image.pieces.items()]
    needed = max([image.size, *ends, 0 if size is None else number(size, "--memory-size")])
    outside = memory_config(needed, latency, stall, seed)
    if image.config is None and (device is None or preset is not None or config is not None):
        image = replace(image, config=chosen_config(preset, config))
    with progress("Simulating" if device is None else f"Connecting to {device}") as show:
        with closing(_transport(image.config, device, outside)) as transport:
            require(
                transport.memory_size >= outside.size,
                f"This needs {outside.size:,} bytes of memory; the device has {transport.memory_size:,}.",
            )
            image = replace(image, config=transport.config)
            places = [(address, length) for address, length, _ in dumps]
            result, octets = _run(image, Accelerator(transport, limit=limit), places, show)
    for (_, _, file), content in zip(dumps, octets):
        with atomic_file(file) as partial:
            partial.write_bytes(content.tobytes())
    config_used = image.config
    result = {
        "program": str(program),
        "preset": preset_name(preset, config) if not is_image(program) else None,
        "rows": config_used.rows if config_used else None,
        "cols": config_used.cols if config_used else None,
        "device": device,
        "latency": latency if device is None else None,
        "stall": stall if device is None else None,
        "seed": seed,
        **result,
        "dumps": [str(file) for _, _, file in dumps],
    }
    if json:
        print_json(result)
    else:
        _print(result)
    if result["error"] is not None:
        print(f"sat-hdl: error: {result['error']}", file=sys.stderr)
        return FAILED
    return 0


def program_image(path: Path, start: str, preset: str | None, config: Path | None) -> Image:
    """The image at ``path``, or one made of the words there, whose first goes to ``start``."""
    if is_image(path):
        if preset is not None or config is not None:
            raise ConfigError(
                f"{str(path)!r} says itself which device it is for: leave --preset and --config out."
            )
        require(
            number(start, "--start") == 0,
            "--start is for programs that are no image; an image says where they lie.",
        )
        return load_image(path)
    octets = np.fromfile(path, np.uint8)
    require(
        len(octets) > 0 and len(octets) % 8 == 0,
        f"{str(path)!r} must be an image, or hold whole 64-bit words, not {len(octets)} bytes.",
    )
    address = number(start, "--start")
    require(address % 8 == 0, f"--start must be a multiple of 8, not {start}.")
    program = ImageProgram(name=path.stem, address=address, size=len(octets))
    size = max(_LEAST_MEMORY, address + len(octets))
    return Image(config=None, size=size, programs=(program,), pieces={address: octets})


def _pieces(given: list[str]) -> dict[int, np.ndarray]:
    pieces = {}
    for text in given:
        file, at, address = text.rpartition("@")
        require(at != "" and file != "", f"--memory must be FILE@ADDRESS, not {text!r}.")
        pieces[number(address, "The address in --memory")] = np.fromfile(file, np.uint8)
    return pieces


def _with_parameters(programs: tuple[ImageProgram, ...], given: list[str]) -> tuple[ImageProgram, ...]:
    """The programs with these host parameters in place of their own."""
    chosen: dict[int, int] = {}
    for text in given:
        index, equals, value = text.partition("=")
        require(equals != "", f"--param must be I=VALUE, not {text!r}.")
        i = number(index, "The number of a host parameter")
        require(i < PARAMETERS, f"A host parameter's number must be 0 to {PARAMETERS - 1}, not {i}.")
        chosen[i] = _parameter(value)
    count = max(chosen, default=-1) + 1

    def changed(old: tuple[int, ...]) -> tuple[int, ...]:
        filled = [*old, *[0] * (count - len(old))]
        return tuple(chosen.get(i, value) for i, value in enumerate(filled))

    return tuple(replace(program, parameters=changed(program.parameters)) for program in programs)


def _parameter(text: str) -> int:
    """The 32 bits of a host parameter."""
    try:
        value = int(text, 0)
    except ValueError:
        try:
            return struct.unpack("<I", struct.pack("<f", float(text)))[0]
        except (ValueError, OverflowError):
            raise ConfigError(
                f"A host parameter must be an integer or a binary32 number, not {text!r}."
            ) from None
    require(-(1 << 31) <= value < 1 << 32, f"A host parameter must fit 32 bits, not {text}.")
    return value % (1 << 32)


def _dump(text: str, image: Image) -> tuple[int, int, Path]:
    """(address, bytes, file)."""
    what, equals, file = text.partition("=")
    require(equals != "" and file != "", f"--dump must be ADDRESS:BYTES=FILE or TENSOR=FILE, not {text!r}.")
    if what in image.tensors:
        return *image.tensors[what], Path(file)
    address, colon, length = what.partition(":")
    known = f"; its tensors are {', '.join(image.tensors)}" if image.tensors else ""
    require(colon != "", f"--dump must be ADDRESS:BYTES=FILE or TENSOR=FILE, not {text!r}{known}.")
    return number(address, "The address in --dump"), number(length, "The bytes in --dump"), Path(file)


def _transport(config: Config | None, device: str | None, outside: Any) -> Transport:
    """To the device at the URL ``device``, or one simulated with the memory ``outside``."""
    if device is None:
        from sat_hdl.sim.transport import SimTransport

        assert config is not None
        return SimTransport(config, outside)
    from sat_hdl.connect import open_transport

    return open_transport(device, config)


def _run(
    image: Image, device: Accelerator, dumps: list[tuple[int, int]], show: Callable[[str], None]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Runs the programs of ``image``; returns what is to be told, and the bytes that are wanted."""
    programs, error = [], None
    for address, octets in image.pieces.items():
        device.write_bytes(address, octets)
    for program in image.programs:
        show(f"Running {program.name}")
        told: dict[str, Any] = {
            "name": program.name,
            "address": program.address,
            "status": "done",
            "fault": None,
        }
        try:
            counters = device.run(program.address, program.parameters)
        except DeviceError as failure:
            error, counters = str(failure), failure.counters
            told |= {
                "status": "failed",
                "fault": None if failure.fault is None else asdict(failure.fault),
            }
        if counters is not None:
            told |= {
                "cycles": counters["cycles"],
                "overflow": counters.overflow,
                "counters": counters.values,
            }
        programs.append(told)
        if error is not None:
            break
    return {"programs": programs, "error": error}, [device.read_bytes(*place) for place in dumps]


def _print(result: dict[str, Any]):
    for told in result["programs"]:
        table = Table(title=f"{told['name']}: {told['status']}", title_justify="left")
        table.add_column("figure")
        table.add_column("value", justify="right")
        fault = told["fault"]
        if fault is not None:
            table.add_row("error", fault["code"])
            table.add_row("unit", fault["unit"])
            table.add_row("instruction", f"{fault['address']:08x}  {fault['instruction']}")
        for name, text in counter_rows(told.get("counters") or {"cycles": 0}):
            table.add_row(name, text)
        table.add_row("overflow", str(told.get("overflow", False)))
        console().print(table)
