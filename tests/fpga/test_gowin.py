"""Gowin: the PLL's settings, and a netlist's cells."""

import re
import subprocess
import sys

import pytest

from sat_hdl.components import make
from sat_hdl.config import Config, ConfigError
from sat_hdl.fpga.flow import area_of
from sat_hdl.fpga.gowin import OSCILLATOR_MHZ, OUTPUT_MHZ, PHASE_DETECTOR_MHZ, Gowin, pll_settings
from sat_hdl.sim.verilog import emit


@pytest.mark.parametrize("input_mhz", [24, 27, 50])
@pytest.mark.parametrize("wanted", [27, 33.3, 60, 100, 150])
def test_settings(input_mhz, wanted):
    got = pll_settings(input_mhz, wanted)
    assert got.mhz == pytest.approx(input_mhz * got.feedback / got.reference)
    assert abs(got.mhz / wanted - 1) <= 0.01
    assert PHASE_DETECTOR_MHZ[0] <= input_mhz / got.reference <= PHASE_DETECTOR_MHZ[1]
    assert OSCILLATOR_MHZ[0] <= got.mhz * got.output <= OSCILLATOR_MHZ[1]
    assert OUTPUT_MHZ[0] <= got.mhz <= OUTPUT_MHZ[1]


@pytest.mark.parametrize("wanted", [27, 40.5, 54])
def test_settings_are_the_tool_s(wanted):
    """Those of Project Apicula's own calculator."""
    call = "import sys, apycula.gowin_pll as p; sys.exit(p.main())"
    said = subprocess.run(
        [sys.executable, "-c", call, "-d", "GW1NR-9 C6/I5", "-i", "27", "-o", str(wanted)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wants = {name: int(value) for name, value in re.findall(r"\.(\w+_SEL)\((\d+)\)", said)}
    got = pll_settings(27, wanted)
    assert wants["IDIV_SEL"] == got.reference - 1 and wants["FBDIV_SEL"] == got.feedback - 1
    # Of several speeds of the oscillator, any will do.
    assert 400 <= wanted * wants["ODIV_SEL"] <= 1200


@pytest.mark.parametrize("input_mhz, wanted", [(27, 1), (27, 700), (2, 50)])
def test_impossible_clocks_are_refused(input_mhz, wanted):
    with pytest.raises(ConfigError, match=f"No clock of {wanted:g} MHz can be made from {input_mhz:g} MHz"):
        pll_settings(input_mhz, wanted)


def test_an_element_s_cells():
    """Its product lies in a DSP block, its memories in LUT RAM and block RAM."""
    config = Config(rows=1, cols=1, weight_stationary=False)
    area = area_of(emit(make("uspe", config), "top"), target=Gowin(), top="top")
    assert area.dsp == 1 and area.bram >= 1
    assert area.lutram >= 2 * 32 // 4  # of the sums, which two ports read
    assert area.lut4 < 700
