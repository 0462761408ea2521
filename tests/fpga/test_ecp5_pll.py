"""PLL settings stay inside the data sheet's limits and give the frequency that they claim."""

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.fpga.ecp5_pll import OSCILLATOR_MHZ, OUTPUT_MHZ, PHASE_DETECTOR_MHZ, pll_settings


@pytest.mark.parametrize("input_mhz", [25, 100])
@pytest.mark.parametrize("wanted", [5, 25, 33.3, 50, 66, 80, 97, 100, 125, 133, 200, 400])
def test_settings(input_mhz, wanted):
    got = pll_settings(input_mhz, wanted)
    assert got.mhz == pytest.approx(input_mhz * got.feedback / got.reference)
    assert abs(got.mhz / wanted - 1) <= 0.01
    assert PHASE_DETECTOR_MHZ[0] <= input_mhz / got.reference <= PHASE_DETECTOR_MHZ[1]
    assert OSCILLATOR_MHZ[0] <= got.mhz * got.output <= OSCILLATOR_MHZ[1]
    assert OUTPUT_MHZ[0] <= got.mhz <= OUTPUT_MHZ[1]
    assert all(1 <= value <= 128 for value in (got.reference, got.feedback, got.output))


@pytest.mark.parametrize("input_mhz, wanted", [(25, 1), (25, 410), (25, 4000), (25, 0.5), (1, 50), (500, 50)])
def test_impossible_clocks_are_refused(input_mhz, wanted):
    with pytest.raises(ConfigError, match=f"No clock of {wanted:g} MHz can be made from {input_mhz:g} MHz"):
        pll_settings(input_mhz, wanted)
