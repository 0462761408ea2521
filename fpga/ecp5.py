"""Lattice's ECP5: devices, synthesis, Project Trellis' tools."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sat_hdl.config import ConfigError
from sat_hdl.fpga.carries import open_idle_carries
from sat_hdl.fpga.ecp5_pll import pll_settings
from sat_hdl.fpga.target import Cells, Clock, Target, tail
from sat_hdl.fpga.toolchain import BuildError

__all__ = ["Area", "Ecp5", "parse_target"]

#: Device sizes that nextpnr-ecp5 knows with their logic cells, and speed grades (8 is the fastest).
_SIZES = {"12f": 24_288, "25f": 24_288, "45f": 43_848, "85f": 83_640}
_SPEEDS = ("6", "7", "8")
#: Share of the logic cells that nextpnr's heap placer fills; with more it spreads cells for ever.
_FULL = 0.9
#: Picoseconds between registers, by ABC's estimate, that a whole device's logic may take: its longest paths have 11
#: LUTs then, and 15 with 8000, which takes 0.5 % fewer.
_WHOLE_DELAY_PS = 5500
#: Fewest flip-flops of a whole device that a synchronous reset or a clock enable of its own is worth.
_LEAST_RESET, _LEAST_ENABLE = 8, 4
#: Flip-flops as Yosys' own script for ECP5 asks for them.
_FLIP_FLOPS = " ".join(
    f"-cell ${kind}_ {init}"
    for kind, init in (
        ("_DFF_?", "01"),
        ("_DFF_?P?", "r"),
        ("_SDFF_?P?", "r"),
        ("_DFFE_??", "01"),
        ("_DFFE_?P??", "r"),
        ("_SDFFE_?P??", "r"),
    )
)


class Area(Cells, frozen=True, kw_only=True):
    """Cells after synthesis. ``lutram`` counts TRELLIS_DPR16X4 blocks, 4 LUTs each."""

    ccu2c: int
    lutram: int

    @property
    def lut4_equivalents(self) -> int:
        """LUT4 + 2 per CCU2C + 4 per LUT RAM block. PFUMX and L6MUX21 come with the slice: free."""
        return self.lut4 + 2 * self.ccu2c + 4 * self.lutram

    @property
    def least_logic_cells(self) -> int:
        """Of the device that these take: a LUT RAM block makes two more useless. Ends of carry chains come to that,
        some hundredths of the whole."""
        return self.lut4_equivalents + 2 * self.lutram


@dataclass(frozen=True, kw_only=True)
class Ecp5(Target):
    """An ECP5 device: ``size`` in thousands of LUTs as in its name, speed grade, package; ``variant``: "" or, of one
    with fast serial ports, "um-" or "um5g-"."""

    size: str
    speed: str
    package: str = "CABGA381"
    variant: str = ""

    router = "nextpnr-ecp5"
    packer = "ecppack"
    pins = "top.lpf"
    suffix = ".bit"
    arithmetic = "ecp5"
    cells = Area
    blocks = ("DP16KD", "MULT18X18D")
    logic_cell = "TRELLIS_COMB"

    @property
    def name(self) -> str:
        return f"ecp5-{self.size}-{self.speed}"

    @property
    def options(self) -> list[str]:
        return [f"--{self.variant}{self.size[:-1]}k", "--package", self.package, "--speed", self.speed]

    def script(self, read: str, verilog: str, *, top: str, buffers: bool = True, whole: bool = False) -> str:
        """Shared modules of ``verilog`` are synthesised once each and flattened afterwards: a 4 × 4 core takes 20 s
        of processor time instead of 51 s (without -dff; with it more than 200 s), and as many cells within 1 %.

        ``-dff`` lets ABC see through registers. That saves a few per cent at best, but without it the ABC of
        YoWASP 0.70 fails on modules that are kept apart. ``whole``: without it, and flattened before ABC: for the
        whole device, whose logic beside the array is as large and takes ABC too long with it. ABC is then told a
        delay that is fast enough, for it maps for the least, and pays for that with LUTs: WUVE takes 5 % less with
        it, a multiplexer behind a wide gate a quarter. Resets and enables of a few registers become logic then: a
        tile has two resets for its eight registers, and nextpnr's placer spends most of its time on moving
        registers out of each other's way (a 4 × 4 device has 402 resets of its own, 78 with at least 16 registers;
        its first rounds take half as long without the others).
        """
        shared = " ".join(_shared_modules(verilog, top))
        lines = ["# Idle carries are opened afterwards: a part of what cached results depend on.", read]
        if whole:
            lines.append(f"scratchpad -set abc9.D {_WHOLE_DELAY_PS}")
        if shared:
            lines.append(f"setattr -mod -set keep_hierarchy 1 {shared}")
        pads = "" if buffers else " -noiopad"
        apart = (
            [f"setattr -mod -unset keep_hierarchy {shared}", "flatten", "opt_clean -purge"] if shared else []
        )
        if whole:
            lines += [
                f"synth_ecp5 -top {top}{pads} -run :map_ffs",
                "opt_clean",
                f"dfflegalize {_FLIP_FLOPS} -minsrst {_LEAST_RESET} -mince {_LEAST_ENABLE}",
                f"synth_ecp5 -top {top}{pads} -run map_ffs:map_luts",
                *apart,
                f"synth_ecp5 -top {top}{pads} -run map_luts:",
            ]
        else:
            lines += [f"synth_ecp5 -top {top} -dff{pads}", *apart]
        return tail(lines)

    def area(self, cells: Mapping[str, int]) -> Area:
        return Area(
            lut4=cells.get("LUT4", 0),
            ccu2c=cells.get("CCU2C", 0),
            lutram=cells.get("TRELLIS_DPR16X4", 0),
            ff=cells.get("TRELLIS_FF", 0),
            dsp=cells.get("MULT18X18D", 0),
            bram=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
        )

    def check_fits(self, area: Cells) -> None:
        assert isinstance(area, Area)
        has, most = _SIZES[self.size], int(_FULL * _SIZES[self.size])
        if area.least_logic_cells > most:
            raise BuildError(
                f"The design takes at least {area.least_logic_cells:,} of the {has:,} logic cells of {self.name}, "
                f"and nextpnr finds places for no more than {most:,}: choose a smaller array, fewer vector lanes, "
                "or a narrower memory port."
            )

    def mend(self, netlist: Path) -> None:
        open_idle_carries(netlist)

    def route_options(self, *, pins: str | None, placed: str | None) -> list[str]:
        options = ["--lpf", pins] if pins else ["--lpf-allow-unconstrained"]
        return options + (["--textcfg", placed] if placed else [])

    def pack_options(self, *, placed: str, bitstream: str) -> list[str]:
        return ["--compress", "--input", placed, "--bit", bitstream]

    def clock(self, input_mhz: float, wanted_mhz: float) -> Clock:
        return pll_settings(input_mhz, wanted_mhz)


def _shared_modules(verilog: str, top: str) -> list[str]:
    """Modules with a name of their own; Amaranth calls all others by their path, with dots."""
    return [name for name in re.findall(r"^module (\w+)\(", verilog, re.M) if name != top]


def parse_target(text: str) -> Ecp5:
    """``"ecp5-85f-6"`` → an :class:`Ecp5`."""
    family, _, rest = text.partition("-")
    size, _, speed = rest.partition("-")
    if family != "ecp5" or size not in _SIZES or speed not in _SPEEDS:
        raise ConfigError(
            f"The target must be ecp5-SIZE-GRADE with SIZE one of {', '.join(_SIZES)} and GRADE one of "
            f"{', '.join(_SPEEDS)} (such as ecp5-85f-6), not {text!r}."
        )
    return Ecp5(size=size, speed=speed)
