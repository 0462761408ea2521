"""The ECP5's phase-locked loop: the array's clock from the board's."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module
from amaranth.lib import io
from amaranth.lib.wiring import Out

from sat_hdl.fpga.target import Clock, Pll, inside, nearest

__all__ = ["Ecp5Clock", "Ecp5Pll", "pll_settings"]

#: Limits in MHz of the ECP5 family data sheet (FPGA-DS-02012, sysCLOCK PLL timing).
INPUT_MHZ, PHASE_DETECTOR_MHZ, OSCILLATOR_MHZ, OUTPUT_MHZ = (8, 400), (3.125, 400), (400, 800), (3.125, 400)
#: Divider ranges, the output fed back: f_out = f_in · feedback / reference, oscillator = f_out · output.
DIVIDERS = range(1, 129)
#: Of the output: a phase of a quarter more than a cycle must fit its 7 bits.
_MOST_OUTPUT = 102


@dataclass(frozen=True, kw_only=True)
class Ecp5Clock(Clock):
    """Dividers."""

    reference: int
    feedback: int
    output: int

    def pll(self, pin: io.PortLike) -> "Ecp5Pll":
        return Ecp5Pll(pin, settings=self)


def pll_settings(input_mhz: float, wanted_mhz: float) -> Ecp5Clock:
    """The settings that come nearest to ``wanted_mhz``, within 1 %, with the fastest phase detector.

    Raises :class:`ConfigError` if there are none.
    """
    found = []
    if inside(input_mhz, INPUT_MHZ):
        for reference in DIVIDERS:
            if not inside(input_mhz / reference, PHASE_DETECTOR_MHZ):
                continue
            for feedback in DIVIDERS:
                mhz = input_mhz * feedback / reference
                if not inside(mhz, OUTPUT_MHZ) or abs(mhz / wanted_mhz - 1) > 0.01:
                    continue
                for output in DIVIDERS[:_MOST_OUTPUT]:
                    if inside(mhz * output, OSCILLATOR_MHZ):
                        rank = (abs(mhz - wanted_mhz), reference, -mhz * output)
                        settings = Ecp5Clock(
                            reference=reference,
                            feedback=feedback,
                            output=output,
                            mhz=mhz,
                            input_mhz=input_mhz,
                        )
                        found.append((rank, settings))
    return nearest(found, input_mhz, wanted_mhz, OUTPUT_MHZ)


class Ecp5Pll(Pll):
    """One EHXPLLL with its output fed back.

    Arguments
    ---------
    settings: of :func:`pll_settings`.

    Members
    -------
    clock_late: Out(1). ``clock_out`` a quarter of a cycle later, to an eighth of an oscillator cycle.
    """

    def __init__(self, pin: io.PortLike, *, settings: Ecp5Clock):
        self._settings = settings
        super().__init__(pin, clock_late=Out(1))

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = io.Buffer("i", self._pin)
        chosen = self._settings
        # In eighths of an oscillator cycle; output 0 is at its divider - 1.
        late = 8 * (chosen.output - 1) + 2 * chosen.output
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=chosen.reference,
            p_CLKFB_DIV=chosen.feedback,
            p_CLKOP_DIV=chosen.output,
            p_CLKOP_CPHASE=chosen.output - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOS_DIV=chosen.output,
            p_CLKOS_CPHASE=late // 8,
            p_CLKOS_FPHASE=late % 8,
            p_CLKOS_ENABLE="ENABLED",
            p_FEEDBK_PATH="CLKOP",
            p_OUTDIVIDER_MUXA="DIVA",
            p_DPHASE_SOURCE="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_PLLRST_ENA="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            # Loop filter, as the vendor's tool sets it for any frequency.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            a_FREQUENCY_PIN_CLKI=f"{chosen.input_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{chosen.mhz:g}",
            a_FREQUENCY_PIN_CLKOS=f"{chosen.mhz:g}",
            i_CLKI=buffer.i,
            i_CLKFB=self.clock_out,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0),
            i_PHASELOADREG=Const(0),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=self.clock_out,
            o_CLKOS=self.clock_late,
            o_LOCK=self.locked,
        )
        return m
