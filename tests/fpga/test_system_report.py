"""The report of a whole device, with tools that answer at once."""

import pytest

from sat_hdl.config import preset
from sat_hdl.fpga import system_report as module
from sat_hdl.fpga.ecp5 import Area
from sat_hdl.fpga.flow import Placed, Step
from sat_hdl.fpga.toolchain import SeedError

WHOLE = {"LUT4": 1000, "CCU2C": 10, "TRELLIS_DPR16X4": 5, "TRELLIS_FF": 900, "DP16KD": 3}


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Yosys finds WHOLE, and a hundredth of it in each block; nextpnr finds what ``seeds`` says, or no places."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path))
    seeds: dict[int, float | None] = {}

    def synthesise(text, *, cwd, **_):
        (cwd / "netlist.json").write_text("{}")
        return WHOLE

    def place_and_route(cwd, *, seed, **_):
        assert (cwd / "netlist.json").read_text() == "{}"
        if seeds[seed] is None:
            raise SeedError("no places")
        step = Step(kind="logic", delay=1.0, cell=f"cell_{seed}", port="A", place=[1, 2])
        return Placed(fmax_mhz={"clk": seeds[seed]}, critical_path=[step], used={"TRELLIS_COMB": seed})

    monkeypatch.setattr(module, "synthesise", synthesise)
    monkeypatch.setattr(module, "place_and_route", place_and_route)
    monkeypatch.setattr(module, "tool_version", lambda name: name)
    monkeypatch.setattr(
        module, "area_of", lambda text, **_: Area(lut4=10, ccu2c=0, lutram=0, ff=9, dsp=0, bram=0)
    )
    return seeds


def test_the_best_seed_is_kept_and_a_lost_one_told(tools):
    tools |= {1: 40.0, 2: None, 3: 50.125}
    said = []
    found = module.system_report(preset("tiny"), progress=said.append)
    assert found["fmax_mhz"] == {"1": 40.0, "2": None, "3": 50.12}
    assert found["best_seed"] == 3 and found["used"] == {"TRELLIS_COMB": 3}
    assert found["critical_path"][0]["cell"] == "cell_3"
    assert "system, seed 2: no places" in said
    assert found["area"]["lut4"] == sum(block["lut4"] for block in found["blocks"].values()) == 1000
    assert found["area"]["lut4_equivalents"] == 1000 + 2 * 10 + 4 * 5


def test_the_tools_run_once(tools):
    tools |= {1: 40.0}
    first = module.system_report(preset("tiny"), seeds=[1])
    tools.clear()
    assert module.system_report(preset("tiny"), seeds=[1]) == first


def test_a_device_that_no_seed_places_is_an_error(tools):
    tools |= {1: None, 2: None}
    with pytest.raises(SeedError, match="no places"):
        module.system_report(preset("tiny"), seeds=[1, 2])
