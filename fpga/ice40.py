"""Lattice's iCE40 UltraPlus: devices, synthesis, phase-locked loop, Project IceStorm's tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Const, Instance, Module
from amaranth.lib import io

from sat_hdl.fpga.target import HIDE, Cells, Clock, Pll, Target, inside, nearest, tail

__all__ = ["Area", "Ice40", "Ice40Clock", "Ice40Pll", "pll_settings"]

#: Limits in MHz of the iCE40 UltraPlus family data sheet (FPGA-DS-02008, sysCLOCK PLL timing).
PHASE_DETECTOR_MHZ, OSCILLATOR_MHZ, OUTPUT_MHZ = (10, 133), (533, 1066), (16, 275)
#: Divider of the input, of the oscillator that is fed back, and powers of two between oscillator and output.
REFERENCES, FEEDBACKS, SHIFTS = range(1, 17), range(1, 129), range(1, 7)
#: The loop filter by the phase detector's frequency: its number and where it ends, as the vendor's tool sets it.
_FILTERS = ((1, 17), (2, 26), (3, 44), (4, 66), (5, 101), (6, 134))

#: How memories are mapped. Its text is a part of the script, and so of every cached result's key.
_MEMORIES = Path(__file__).with_name("ice40_memories.v")


class Area(Cells, frozen=True, kw_only=True):
    """Cells after synthesis. A carry lies in the cell of the LUT that adds: free. ``spram``: blocks of 256 kbit."""

    carry: int
    spram: int


@dataclass(frozen=True, kw_only=True)
class Ice40(Target):
    """An iCE40 by nextpnr's names of device and package."""

    device: str = "up5k"
    package: str = "sg48"

    router = "nextpnr-ice40"
    packer = "icepack"
    pins = "top.pcf"
    suffix = ".bin"
    arithmetic = "portable"
    cells = Area
    logic_cell = "ICESTORM_LC"

    @property
    def name(self) -> str:
        return f"ice40-{self.device}"

    @property
    def options(self) -> list[str]:
        return [f"--{self.device}", "--package", self.package]

    def script(self, read: str, verilog: str, *, top: str, buffers: bool = True, whole: bool = False) -> str:
        """Multipliers are mapped here and not by ``-dsp``, which takes the two ranks of registers behind one into the
        block, leaves the second one standing without an input, and so turns every product into 0 (Yosys 0.70). Here
        it sees no register but those in front.
        """
        return tail(
            [
                f"read_verilog -icells -noblackbox <<END\n{_MEMORIES.read_text()}END",
                "design -stash memories",
                read,
                f"hierarchy -top {top}",
                "proc -norom",
                "flatten",
                HIDE,
                "opt_clean",
                "select -set products t:$mul",
                "select -set operands @products %ci1:+$mul[A,B] %ci1:+$dff[Q] t:$dff %i",
                "ice40_dsp @products @operands %u",
                "memory -nomap",
                "techmap -autoproc -map %memories t:$mem_v2 r:WR_PORTS>0 %i",
                "opt_clean",
                f"synth_ice40 -top {top} -device u -spram",
            ]
        )

    def area(self, cells: Mapping[str, int]) -> Area:
        def count(prefix: str) -> int:
            return sum(number for kind, number in cells.items() if kind.startswith(prefix))

        return Area(
            lut4=count("SB_LUT4"),
            carry=count("SB_CARRY"),
            ff=count("SB_DFF"),
            dsp=count("SB_MAC16"),
            bram=count("SB_RAM40"),
            spram=count("SB_SPRAM"),
        )

    def route_options(self, *, pins: str | None, placed: str | None) -> list[str]:
        options = ["--pcf", pins] if pins else ["--pcf-allow-unconstrained"]
        return options + (["--asc", placed] if placed else [])

    def pack_options(self, *, placed: str, bitstream: str) -> list[str]:
        return [placed, bitstream]

    def clock(self, input_mhz: float, wanted_mhz: float) -> Clock:
        return pll_settings(input_mhz, wanted_mhz)


@dataclass(frozen=True, kw_only=True)
class Ice40Clock(Clock):
    """Dividers: f_out = f_in · feedback / reference / 2**shift."""

    reference: int
    feedback: int
    shift: int

    @property
    def filter(self) -> int:
        """Of the loop."""
        return next(number for number, end in _FILTERS if self.input_mhz / self.reference < end)

    def pll(self, pin: io.PortLike) -> "Ice40Pll":
        return Ice40Pll(pin, settings=self)


def pll_settings(input_mhz: float, wanted_mhz: float) -> Ice40Clock:
    """The settings that come nearest to ``wanted_mhz``, within 1 %, with the fastest phase detector.

    Raises :class:`ConfigError` if there are none.
    """
    found = []
    for reference in REFERENCES:
        detector = input_mhz / reference
        for feedback in FEEDBACKS:
            oscillator = detector * feedback
            if not inside(detector, PHASE_DETECTOR_MHZ) or not inside(oscillator, OSCILLATOR_MHZ):
                continue
            for shift in SHIFTS:
                mhz = oscillator / (1 << shift)
                if inside(mhz, OUTPUT_MHZ) and abs(mhz / wanted_mhz - 1) <= 0.01:
                    settings = Ice40Clock(
                        input_mhz=input_mhz, mhz=mhz, reference=reference, feedback=feedback, shift=shift
                    )
                    found.append(((abs(mhz - wanted_mhz), reference, shift), settings))
    return nearest(found, input_mhz, wanted_mhz, OUTPUT_MHZ)


class Ice40Pll(Pll):
    """One SB_PLL40_PAD, which is the pin's buffer, too.

    Arguments
    ---------
    settings: of :func:`pll_settings`.
    """

    def __init__(self, pin: io.PortLike, *, settings: Ice40Clock):
        self._settings = settings
        super().__init__(pin)

    def elaborate(self, platform):
        m = Module()
        chosen = self._settings
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(chosen.reference - 1, 4),
            p_DIVF=Const(chosen.feedback - 1, 7),
            p_DIVQ=Const(chosen.shift, 3),
            p_FILTER_RANGE=Const(chosen.filter, 3),
            i_PACKAGEPIN=self._pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.clock_out,
            o_LOCK=self.locked,
        )
        return m
