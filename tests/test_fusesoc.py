"""The FuseSoC core beside generated Verilog: FuseSoC itself reads it, and Verilator lints what it points to."""

import os
import subprocess
import sys

import pytest

from sat_hdl.config import preset
from sat_hdl.fusesoc import core_file, core_name
from sat_hdl.generate import generate
from sat_hdl.sim.build import verilator_root


@pytest.fixture(scope="module")
def made():
    return generate("sdram", preset("tiny"))


@pytest.fixture
def folder(made, tmp_path):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / made.verilog_file).write_text(made.verilog)
    (tmp_path / "rtl" / f"{made.module}.core").write_text(core_file(made))
    return tmp_path


def fusesoc(folder, *words):
    root = verilator_root()
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder), "XDG_DATA_HOME": str(folder),
        "VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(folder / "rtl"), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_fusesoc_knows_the_core(folder, made):
    done = fusesoc(folder, "core", "show", core_name(made))
    assert done.returncode == 0, done.stderr
    assert made.manifest["component"] in done.stdout
    for target in ("default", "lint", "sim"):
        assert target in done.stdout


def test_lint(folder, made):
    done = fusesoc(folder, "run", "--target", "lint", core_name(made))
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_can_fail(folder, made):
    path = folder / "rtl" / made.verilog_file
    path.write_text(path.read_text().replace("input clk;", "", 1))
    done = fusesoc(folder, "run", "--target", "lint", core_name(made))
    assert done.returncode != 0


def test_sim_is_set_up(folder, made):
    """Not compiled: a testbench is the user's."""
    done = fusesoc(folder, "run", "--setup", "--target", "sim", "--work-root", "work", core_name(made))
    assert done.returncode == 0, done.stderr
    script = next((folder / "work").glob("*.vc")).read_text()
    assert made.verilog_file in script and f"--top-module {made.module}" in script
