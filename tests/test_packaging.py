"""The installed package: one import package, everything in it, and a command that works outside the checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Where each part of the installed package lies in the tree.
PARTS = {"sat_hdl": "sat_hdl", "sim": "sat_hdl/sim", "fpga": "sat_hdl/fpga"}
SUFFIXES = (".py", ".v", ".cpp", ".h", ".html", ".vlt", ".toml", ".lpf")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building in place would leave files in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PARTS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", str(folder), str(source)], check=True, capture_output=True, timeout=120)
    (made,) = folder.glob("*.whl")
    return made


def test_one_import_package(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"sat_hdl"}


def test_every_file_is_in_it(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for here, there in PARTS.items():
        for path in (ROOT / here).rglob("*"):
            if path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                assert f"{there}/{path.relative_to(ROOT / here)}" in inside, (
                    f"{path.relative_to(ROOT)} is missing in the wheel: add its folder to `packages`, or its "
                    "suffix to `package-data`, in pyproject.toml"
                )


def test_it_works_outside_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")

    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        command = [sys.executable, *words]
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True, timeout=120)

    for module in ("sat_hdl", "sat_hdl.sim.build", "sat_hdl.fpga.flow", "sat_hdl.cli"):
        where = run("-c", f"import {module} as m; print(m.__file__)").strip()
        assert Path(where).is_relative_to(tmp_path / "site"), f"{module} came from {where}"
    assert "Usage: sat-hdl" in run("-m", "sat_hdl", "--help")
    made = json.loads(run("-m", "sat_hdl", "generate", "--component", "narrow", "-o", "out", "--json"))
    assert (tmp_path / "out" / "sat_narrow.v").is_file() and made["component"] == "narrow"


def test_the_command_is_declared(wheel):
    archive = zipfile.ZipFile(wheel)
    (entry,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "sat-hdl = sat_hdl.cli:main" in archive.read(entry).decode()


def test_pins_name_no_index():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all(line.count("==") == 1 for line in pins)
    assert not any("/" in line or "@" in line for line in pins)


@pytest.mark.slow
def test_an_empty_environment(tmp_path):
    """`pip install .` into a new environment gives the command; needs a package index, and a minute."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", "*.egg-info"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    pip = [str(tmp_path / "env" / "bin" / "pip"), "install", "-q", "-c", str(source / "constraints.txt")]
    subprocess.run([*pip, str(source)], check=True, cwd=tmp_path, timeout=900)
    command = [str(tmp_path / "env" / "bin" / "sat-hdl"), "boards", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout)["boards"]
