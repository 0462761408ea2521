"""The boards that a bitstream can be built for."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from amaranth.build import Platform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from sat_hdl.config import ConfigError
from sat_hdl.fpga.flow import Target

__all__ = ["BOARDS", "Board", "board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its Amaranth platform, its device, and what is built for it unless told otherwise.

    ``input_mhz``: the platform's default clock. ``clock_mhz``: the array's clock. ``baud``: of the serial
    port. ``reset_button``: a button resource, by its name and number.
    """

    name: str
    description: str
    platform: Callable[[], Platform]
    target: Target
    preset: str
    input_mhz: float
    clock_mhz: float
    baud: int
    reset_button: tuple[str, int]


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s-85f",
            description="Radiona ULX3S with an LFE5U-85F",
            platform=ULX3S_85F_Platform,
            target=Target(size="85f", speed="6"),
            preset="ulx3s-85f",
            input_mhz=25,
            clock_mhz=60,
            baud=1_000_000,
            reset_button=("button_fire", 0),
        ),
    )
}


def board(name: str) -> Board:
    """The board called ``name``."""
    if name not in BOARDS:
        near = difflib.get_close_matches(name, BOARDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no board {name!r}; choose one of {', '.join(BOARDS)}.{hint}")
    return BOARDS[name]
