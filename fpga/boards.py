"""The boards that a bitstream can be built for."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from amaranth.build import Attrs, Platform
from amaranth_boards.ecpix5 import ECPIX585Platform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource
from amaranth_boards.tang_nano_9k import TangNano9kPlatform
from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from sat_hdl.config import ConfigError
from sat_hdl.fpga.ecp5 import Ecp5
from sat_hdl.fpga.gowin import Gowin
from sat_hdl.fpga.ice40 import Ice40
from sat_hdl.fpga.target import Target
from sat_hdl.memory.sdram.chip import ULX3S_CHIP, SdramChip

__all__ = ["BOARDS", "Board", "board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its Amaranth platform, its device, and what is built for it unless told otherwise.

    ``component``: "system", the whole accelerator, or "core", the array and the pruner alone, where no more fits.
    ``memory``: of a system: a chip, or bytes of block RAM. ``input_mhz``: the platform's default clock.
    ``clock_mhz``: the design's clock. ``baud``: of the serial port. ``reset_button``: a button resource, by its name
    and number. ``leds``: lights, the first for the status: name, number and, of a light of several colours, which.
    """

    name: str
    description: str
    platform: Callable[[], Platform]
    target: Target
    component: str
    preset: str
    input_mhz: float
    clock_mhz: float
    baud: int
    memory: SdramChip | int = 0
    reset_button: tuple[str, int] | None = None
    leds: tuple[tuple[str, int] | tuple[str, int, str], ...] = ()

    @property
    def memory_size(self) -> int:
        """Bytes; 0 where no whole accelerator fits."""
        return self.memory.size if isinstance(self.memory, SdramChip) else self.memory


class _OrangeCrab(OrangeCrabR0_2_85FPlatform):
    """Its USB port is wired to the FPGA itself; a serial adapter goes to its pins 0 (in) and 1 (out)."""

    resources: ClassVar = [
        *OrangeCrabR0_2_85FPlatform.resources,
        UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),
    ]

    @property
    def required_tools(self):
        # A suffix for its bootloader is put on when it is loaded.
        return [tool for tool in super().required_tools if tool != "dfu-suffix"]


_ULX3S_LEDS = (("led", 0), ("led", 1), ("led", 2), ("led", 3))

BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s-85f",
            description="Radiona ULX3S, LFE5U-85F, 32 MB SDRAM",
            platform=ULX3S_85F_Platform,
            target=Ecp5(size="85f", speed="6"),
            component="system",
            preset="ulx3s-85f",
            memory=ULX3S_CHIP,
            input_mhz=25,
            clock_mhz=50,
            baud=3_000_000,
            reset_button=("button_fire", 0),
            leds=_ULX3S_LEDS,
        ),
        Board(
            name="ulx3s-25f",
            description="Radiona ULX3S, LFE5U-25F; no room for the update engine",
            platform=ULX3S_25F_Platform,
            target=Ecp5(size="25f", speed="6"),
            component="core",
            preset="ulx3s-25f",
            input_mhz=25,
            clock_mhz=60,
            baud=1_000_000,
            reset_button=("button_fire", 0),
            leds=_ULX3S_LEDS,
        ),
        Board(
            name="orangecrab-85f",
            description="OrangeCrab r0.2, LFE5U-85F, block RAM; a serial adapter on pins 0 and 1",
            platform=_OrangeCrab,
            target=Ecp5(size="85f", speed="8", package="CSFBGA285"),
            component="system",
            preset="orangecrab-85f",
            memory=1 << 17,
            input_mhz=48,
            clock_mhz=48,
            baud=3_000_000,
            leds=(("rgb_led", 0, "g"),),
        ),
        Board(
            name="ecpix5-85f",
            description="LambdaConcept ECPIX-5, LFE5UM5G-85F, block RAM",
            platform=ECPIX585Platform,
            target=Ecp5(size="85f", speed="8", package="CABGA554", variant="um5g-"),
            component="system",
            preset="orangecrab-85f",
            memory=1 << 17,
            input_mhz=100,
            clock_mhz=50,
            baud=1_000_000,
            leds=(("rgb_led", 0, "g"),),
        ),
        Board(
            name="icebreaker",
            description="iCEBreaker, iCE40UP5K; one element and its pruner",
            platform=ICEBreakerPlatform,
            target=Ice40(),
            component="core",
            preset="icebreaker",
            input_mhz=12,
            clock_mhz=18,
            baud=1_000_000,
            reset_button=("button", 0),
            leds=(("led_g", 0), ("led_r", 0)),
        ),
        Board(
            name="tang-nano-9k",
            description="Sipeed Tang Nano 9K, GW1NR-9; no room for the update engine",
            platform=TangNano9kPlatform,
            target=Gowin(),
            component="core",
            preset="tang-nano-9k",
            input_mhz=27,
            clock_mhz=54,
            baud=1_000_000,
            reset_button=("button", 0),
            leds=(("led", 0), ("led", 1), ("led", 2), ("led", 3)),
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
