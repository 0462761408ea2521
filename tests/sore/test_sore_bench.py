"""Runs the cocotb bench of SORE without, with light and with heavy back-pressure."""

from pathlib import Path

import pytest

from sat_hdl.config import Config
from sat_hdl.sim.cocotb_runner import run_bench
from sat_hdl.sore.sore import Sore


@pytest.mark.parametrize("stall", [0, 0.1, 0.6])
def test_bench(stall):
    seed = 20230920 + int(10 * stall)
    print(f"seed {seed}")
    bench = Path(__file__).with_name("sore_bench.py")
    run_bench(Sore(Config(max_m=8, sore_lanes=2)), "sore", bench, parameters={"SEED": seed, "STALL": stall})
