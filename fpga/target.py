"""What a family of FPGAs brings to the flow: its devices' names, its tools and their options, its PLL."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec
from amaranth.lib import io, wiring
from amaranth.lib.wiring import Out

from sat_hdl.config import ConfigError

__all__ = ["HIDE", "Cells", "Clock", "Pll", "Target", "inside", "nearest", "tail"]

#: Of a flattened design: gives every wire a name of Yosys' own. With Amaranth's, two wires come to have one name when
#: Yosys 0.70 puts ABC's result back, and it ends; as YoWASP's, without a word.
HIDE = "rename -hide w:*"


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Cells after synthesis, as far as every family has them; a family adds its own."""

    lut4: int
    ff: int
    dsp: int
    bram: int

    @property
    def lut4_equivalents(self) -> int:
        """LUT4 and what takes a LUT4's place."""
        return self.lut4


class Pll(wiring.Component):
    """The design's clock from the board's pin. A family derives from it.

    Arguments
    ---------
    pin: the board's clock, as :meth:`~amaranth.build.Platform.request` gives it with ``dir="-"``.

    Members
    -------
    clock_out: Out(1).
    locked: Out(1). Asynchronous.
    """

    def __init__(self, pin: io.PortLike, **members: wiring.Member):
        self._pin = pin
        super().__init__({"clock_out": Out(1), "locked": Out(1), **members})


@dataclass(frozen=True, kw_only=True)
class Clock(ABC):
    """Settings of a family's PLL, and the frequency in MHz that they give from ``input_mhz``."""

    input_mhz: float
    mhz: float

    @abstractmethod
    def pll(self, pin: io.PortLike) -> Pll:
        """The PLL with these settings."""


_Settings = TypeVar("_Settings", bound=Clock)


def inside(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def nearest(
    found: list[tuple[tuple, _Settings]], input_mhz: float, wanted_mhz: float, output_mhz: tuple[float, float]
) -> _Settings:
    """Of (rank, settings) of a PLL those of least rank.

    Raises :class:`~sat_hdl.config.ConfigError` if there are none; ``output_mhz``: what to ask for instead.
    """
    if not found:
        raise ConfigError(
            f"No clock of {wanted_mhz:g} MHz can be made from {input_mhz:g} MHz; ask for one from "
            f"{output_mhz[0]:g} to {output_mhz[1]:g} MHz."
        )
    return min(found, key=lambda entry: entry[0])[1]


class Target(ABC):
    """A device, and how a bitstream is made for it."""

    #: Place and route, and what makes the bitstream, as :mod:`~sat_hdl.fpga.toolchain` calls them.
    router: ClassVar[str]
    packer: ClassVar[str]
    #: The platform's file of pins; how a bitstream's name ends.
    pins: ClassVar[str]
    suffix: ClassVar[str]
    #: ``target`` of a :class:`~sat_hdl.config.Config` for it.
    arithmetic: ClassVar[str]
    cells: ClassVar[type[Cells]]
    #: Kinds of cells that are large, few and bound to few places.
    blocks: ClassVar[tuple[str, ...]] = ()
    #: What nextpnr's report calls the cell that a device runs out of first.
    logic_cell: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """For people, and for ``sat-hdl synth --target``."""

    @property
    @abstractmethod
    def options(self) -> list[str]:
        """nextpnr's options that name the device."""

    @abstractmethod
    def script(self, read: str, verilog: str, *, top: str, buffers: bool = True, whole: bool = False) -> str:
        """Yosys' script; part of the key of every cached result.

        ``read`` loads the design, of which ``verilog`` is the text. Leaves ``netlist.json`` and ``area.json``, what
        ``stat`` says. ``buffers``: whether pins get them. ``whole``: of a whole device, which may take another way.
        """

    @abstractmethod
    def area(self, cells: Mapping[str, int]) -> Cells:
        """From Yosys' count of cells by type."""

    def check_fits(self, area: Cells) -> None:
        """Raises BuildError for what place and route would never end with; here nothing."""
        return

    def mend(self, netlist: Path) -> None:
        """Changes what Yosys wrote to what place and route makes the most of; as it is, nothing."""
        return

    @abstractmethod
    def route_options(self, *, pins: str | None, placed: str | None) -> list[str]:
        """nextpnr's: ``pins`` is a file of pins, without which they lie anywhere; ``placed`` is what the packer
        takes."""

    @abstractmethod
    def pack_options(self, *, placed: str, bitstream: str) -> list[str]:
        """The packer's."""

    @abstractmethod
    def clock(self, input_mhz: float, wanted_mhz: float) -> Clock:
        """The settings that come nearest to ``wanted_mhz``, within 1 %.

        Raises :class:`~sat_hdl.config.ConfigError` if there are none.
        """


def tail(lines: list[str]) -> str:
    """``lines`` of a script, and the two files that every script leaves."""
    return "\n".join([*lines, "tee -q -o area.json stat -json", "write_json netlist.json", ""])
