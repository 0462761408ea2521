"""Gowin's GW1N: devices, synthesis, phase-locked loop, Project Apicula's tools."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module
from amaranth.lib import io

from sat_hdl.fpga.target import HIDE, Cells, Clock, Pll, Target, inside, nearest, tail

__all__ = ["Area", "Gowin", "GowinClock", "GowinPll", "pll_settings"]

#: Limits in MHz of the GW1NR-9 data sheet (DS117, PLL switching characteristics, C6/I5).
INPUT_MHZ, PHASE_DETECTOR_MHZ, OSCILLATOR_MHZ, OUTPUT_MHZ = (3, 400), (3, 400), (400, 1200), (3.125, 600)
#: Dividers of the input and of the output that is fed back; and from oscillator to output.
REFERENCES = FEEDBACKS = range(1, 65)
OUTPUTS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


class Area(Cells, frozen=True, kw_only=True):
    """Cells after synthesis. ``lut4``: LUTs of up to four inputs. ``alu``: bits of carry chains, a LUT each.
    ``lutram``: RAM16SDP blocks of 16 × 4 bits, four LUTs and their slice each."""

    alu: int
    lutram: int

    @property
    def lut4_equivalents(self) -> int:
        """LUT4 + 1 per ALU + 4 per LUT RAM block."""
        return self.lut4 + self.alu + 4 * self.lutram


@dataclass(frozen=True, kw_only=True)
class Gowin(Target):
    """A Gowin device: its part number; ``family`` as Yosys, ``chip`` as the other tools call it.

    nextpnr 0.11 knows no delays of its block RAM and its multipliers: a maximum frequency is that of all else, and a
    clock must leave room for them.
    """

    part: str = "GW1NR-LV9QN88PC6/I5"
    family: str = "gw1n"
    chip: str = "GW1N-9C"
    device: str = "GW1NR-9C"

    router = "nextpnr-himbaechel-gowin"
    packer = "gowin_pack"
    pins = "top.cst"
    suffix = ".fs"
    arithmetic = "portable"
    cells = Area
    logic_cell = "LUT4"

    @property
    def name(self) -> str:
        return self.device.lower()

    @property
    def options(self) -> list[str]:
        return ["--device", self.part, "--vopt", f"family={self.chip}"]

    def script(self, read: str, verilog: str, *, top: str, buffers: bool = True, whole: bool = False) -> str:
        """``-nowidelut``: with wide multiplexers Yosys takes a LUT for each of their inputs, and three times as many
        for what selects bytes of a host link."""
        pads = "" if buffers else " -noiopads"
        return tail(
            [
                read,
                f"hierarchy -top {top}",
                "proc",
                "flatten",
                HIDE,
                f"synth_gowin -top {top} -family {self.family} -nowidelut{pads}",
            ]
        )

    def area(self, cells: Mapping[str, int]) -> Area:
        def count(prefix: str) -> int:
            return sum(number for kind, number in cells.items() if kind.startswith(prefix))

        return Area(
            lut4=count("LUT"),
            alu=count("ALU"),
            lutram=count("RAM16"),
            ff=count("DFF"),
            dsp=count("MULT"),
            bram=sum(cells.get(kind, 0) for kind in ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B")),
        )

    def route_options(self, *, pins: str | None, placed: str | None) -> list[str]:
        return (["--vopt", f"cst={pins}"] if pins else []) + (["--write", placed] if placed else [])

    def pack_options(self, *, placed: str, bitstream: str) -> list[str]:
        return ["-d", self.chip, "-o", bitstream, placed]

    def clock(self, input_mhz: float, wanted_mhz: float) -> Clock:
        return pll_settings(input_mhz, wanted_mhz, device=self.device)


@dataclass(frozen=True, kw_only=True)
class GowinClock(Clock):
    """Dividers: f_out = f_in · feedback / reference; the oscillator runs at f_out · output."""

    device: str
    reference: int
    feedback: int
    output: int

    def pll(self, pin: io.PortLike) -> "GowinPll":
        return GowinPll(pin, settings=self)


def pll_settings(input_mhz: float, wanted_mhz: float, *, device: str = "GW1NR-9C") -> GowinClock:
    """The settings that come nearest to ``wanted_mhz``, within 1 %, with the fastest phase detector.

    Raises :class:`ConfigError` if there are none.
    """
    found = []
    for reference in REFERENCES:
        for feedback in FEEDBACKS:
            mhz = input_mhz * feedback / reference
            if not inside(mhz, OUTPUT_MHZ) or abs(mhz / wanted_mhz - 1) > 0.01:
                continue
            if not inside(input_mhz, INPUT_MHZ) or not inside(input_mhz / reference, PHASE_DETECTOR_MHZ):
                continue
            for output in OUTPUTS:
                if inside(mhz * output, OSCILLATOR_MHZ):
                    settings = GowinClock(
                        input_mhz=input_mhz, mhz=mhz, device=device, reference=reference, feedback=feedback,
                        output=output,
                    )  # fmt: skip
                    found.append(((abs(mhz - wanted_mhz), reference, -output), settings))
    return nearest(found, input_mhz, wanted_mhz, OUTPUT_MHZ)


class GowinPll(Pll):
    """One rPLL, fed back inside.

    Arguments
    ---------
    settings: of :func:`pll_settings`.
    """

    def __init__(self, pin: io.PortLike, *, settings: GowinClock):
        self._settings = settings
        super().__init__(pin)

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = io.Buffer("i", self._pin)
        chosen = self._settings
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE=chosen.device,
            p_FCLKIN=f"{chosen.input_mhz:g}",
            p_DYN_IDIV_SEL="false",
            p_IDIV_SEL=chosen.reference - 1,
            p_DYN_FBDIV_SEL="false",
            p_FBDIV_SEL=chosen.feedback - 1,
            p_DYN_ODIV_SEL="false",
            p_ODIV_SEL=chosen.output,
            p_PSDA_SEL="0000",
            p_DYN_DA_EN="false",
            p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS="false",
            p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false",
            p_DYN_SDIV_SEL=2,
            p_CLKOUTD_SRC="CLKOUT",
            p_CLKOUTD3_SRC="CLKOUT",
            i_CLKIN=buffer.i,
            i_CLKFB=Const(0),
            i_RESET=Const(0),
            i_RESET_P=Const(0),
            i_IDSEL=Const(0, 6),
            i_FBDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=self.clock_out,
            o_LOCK=self.locked,
        )
        return m
