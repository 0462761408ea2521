"""SCALE-Sim v3's cycles of products on an output-stationary array: by its closed form, and by the tool itself.

The tool is the PyPI package ``scalesim``. It runs in an interpreter of its own, for it needs numpy below 2.4, and
simulates cycle by cycle, on 32 × 32 some 7,000 a second. A step of the paper's networks has 10⁸ to 10⁹, so only
products up to a limit are run, and the rest are taken from the closed form, with which the tool agrees to the
cycle. Sparse products are given with all of k and their N:M, in the tool's layer-wise sparsity mode.
"""

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sat_hdl.compiler.dataflows import kept_of
from sat_hdl.compiler.networks.table import METHODS, STAGES, Gemm, Network, Vector
from sat_hdl.config import Config, ConfigError, require
from sat_hdl.sim.build import ToolError, cached

__all__ = ["LIMIT", "ScaleSim", "Total", "find_scale_sim", "form_cycles", "step_cycles"]

#: Cycles of the largest product that is run if nothing else is said: seconds of one core.
LIMIT = 20_000
#: Seconds that one product may take.
_SECONDS = 600.0
_INSTALL = (
    "make an environment with it (`python3 -m venv scale`, `scale/bin/pip install scalesim 'numpy<2.4'`) and give "
    "its interpreter (`scale/bin/python`)"
)
_VERSIONS = "from importlib.metadata import version; print(version('scalesim'), version('numpy'))"
#: Reads folders with the tool's three inputs, and answers when a folder has its reports. What the tool prints goes
#: to stderr. Its own command line would write every cycle's addresses to disk.
_PROGRAM = """
import os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from scalesim.scale_sim import scalesim
for line in sys.stdin:
    folder = line.rstrip("\\n")
    config, topology, layout = (os.path.join(folder, name) for name in ("scale.cfg", "topology.csv", "layout.csv"))
    scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout,
             input_type_gemm=True).run_scale(top_path=folder)
    print("done", file=answers, flush=True)
"""
#: CALC gives memory the bandwidth that the array asks for.
_CONFIG = """[general]
run_name = reports
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = 1024
FilterSramSzkB = 1024
OfmapSramSzkB = 1024
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = os
ReadRequestBuffer = 512
WriteRequestBuffer = 512
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = {sparse}
SparseRep = ellpack_block
OptimizedMapping = False
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def form_cycles(gemm: Gemm, rows: int, cols: int) -> int:
    """Of one of the products, with memory that never stalls: ⌈m/R⌉ · ⌈n/C⌉ · (k·N/M + R + C − 2) − 1."""
    tiles = -(-gemm.m // rows) * -(-gemm.n // cols)
    return tiles * (kept_of(gemm, gemm.k) + rows + cols - 2) - 1


def find_scale_sim(python: str | None) -> tuple[str, str] | None:
    """(path of an interpreter with the package, the package's version).

    ``python``: an interpreter; None means the present one, and None comes back if that can't be used.
    Raises :class:`ConfigError` if the interpreter that was given can't be used.
    """
    if python is None:
        try:
            return find_scale_sim(sys.executable) if importlib.util.find_spec("scalesim") else None
        except ConfigError:  # numpy is too new, say: nobody asked for the tool
            return None
    path = shutil.which(python)
    require(
        path is not None, f"{python!r} is no program; `--scale-sim` takes a Python interpreter: {_INSTALL}."
    )
    assert path is not None
    path = os.path.abspath(path)  # of links, too: an environment's interpreter is one
    try:
        done = subprocess.run(
            [path, "-c", _VERSIONS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{python!r} did not tell its version of SCALE-Sim in a minute.") from None
    except OSError as error:
        raise ConfigError(f"{python!r} can't be run ({error.strerror}).") from None
    words = done.stdout.split()
    require(
        done.returncode == 0 and len(words) == 2,
        f"{python!r} is no Python interpreter with the package `scalesim`: {_INSTALL}.",
    )
    require(
        words[0].split(".")[0] == "3", f"{python!r} has SCALE-Sim {words[0]}; version 3 is compared with."
    )
    numpy = tuple(int(word) for word in words[1].split(".")[:2])
    require(numpy < (2, 4), f"SCALE-Sim needs numpy below 2.4, and {python!r} has {words[1]}: {_INSTALL}.")
    return path, words[0]


class ScaleSim:
    """The tool, for output-stationary ``rows`` × ``cols``; a context that ends its process.

    Arguments
    ---------
    python, version: of :func:`find_scale_sim`.
    limit: cycles, by the closed form, of the largest product that is run.
    seconds: that one product may take.
    progress: is told each product that is run; those in the cache aren't.
    """

    def __init__(
        self,
        python: str,
        version: str,
        rows: int,
        cols: int,
        *,
        limit: int = LIMIT,
        seconds: float = _SECONDS,
        progress: Callable[[str], None] | None = None,
    ):
        self.python, self.version, self.limit = python, version, limit
        self._rows, self._cols, self._seconds = rows, cols, seconds
        self._progress = progress or (lambda text: None)
        self._found: dict[tuple[int, int, int, str], int] = {}
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        #: Distinct products seen, and the largest difference between the tool and the form, in cycles.
        self.products: set[tuple[int, int, int, str]] = set()
        self.difference = 0

    @property
    def runs(self) -> int:
        """Distinct products whose cycles are the tool's."""
        return len(self._found)

    def cycles(self, gemm: Gemm) -> int | None:
        """Of one of the products; None beyond the limit, and where there are none.

        Raises :class:`ToolError` if the tool fails.
        """
        key = (gemm.m, gemm.k, gemm.n, "1:1" if gemm.keep is None else f"{gemm.keep}:{gemm.group}")
        self.products.add(key)
        form = form_cycles(gemm, self._rows, self._cols)
        # The tool divides by the cycles of a product, which are 0 for one step of one element.
        if not 0 < form <= self.limit:
            return None
        if key not in self._found:
            m, k, n, sparsity = key
            inputs = {
                "scale.cfg": _CONFIG.format(rows=self._rows, cols=self._cols, sparse=sparsity != "1:1"),
                "topology.csv": f"Layer, M, N, K, Sparsity,\nproduct, {m}, {n}, {k}, {sparsity},\n",
                "layout.csv": f"Layer,{'factor,' * 20}\nproduct,{'1,' * 20}\n",
            }

            def make(folder: Path):
                for name, text in inputs.items():
                    (folder / name).write_text(text)
                self._run(folder, f"{m} × {k} × {n}" + (f" at {sparsity}" if sparsity != "1:1" else ""))
                _reported(folder)

            self._found[key] = _reported(cached("scale-sim", [self.version, *inputs.values()], make))
            self.difference = max(self.difference, abs(self._found[key] - form))
        return self._found[key]

    def _run(self, folder: Path, what: str):
        """Has the tool write its reports to ``folder``."""
        self._progress(f"SCALE-Sim: {what}")
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="scale-sim-")
            with open(self._log, "w") as log:
                self._process = subprocess.Popen(
                    [self.python, "-c", _PROGRAM], cwd=self._folder.name, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                )  # fmt: skip
        process, late = self._process, threading.Event()
        assert process.stdin is not None and process.stdout is not None

        def end():
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if answer == "done\n":
            return
        told = self._log.read_text(errors="replace").strip().splitlines()
        self.close()
        if late.is_set():
            raise ToolError(
                f"SCALE-Sim took more than {self._seconds:g} s for {what}: give a smaller `--scale-sim-limit` than "
                f"{self.limit}."
            )
        raise ToolError(
            f"SCALE-Sim {self.version} failed for {what}: {told[-1] if told else 'it said nothing'}"
        )

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "log"

    def close(self):
        """Ends the tool's process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> "ScaleSim":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        self.close()


def _reported(folder: Path) -> int:
    """Total cycles of the one product that a folder's report is of."""
    file = folder / "reports" / "COMPUTE_REPORT.csv"
    try:
        with open(file, newline="") as text:
            rows = list(csv.DictReader(text, skipinitialspace=True))
    except FileNotFoundError:
        raise ToolError(f"SCALE-Sim ended without {file.name}; is this version 3 as on PyPI?") from None
    try:
        (row,) = rows
        return int(row["Total Cycles"])
    except (KeyError, TypeError, ValueError):
        raise ToolError(
            f"SCALE-Sim's {file.name} has no number of `Total Cycles` for one layer; is this version 3 as on PyPI?"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Total:
    """Cycles of a step's products, those by the tool and those by the form."""

    live: int
    form: int

    @property
    def cycles(self) -> int:
        return self.live + self.form

    @property
    def source(self) -> str:
        """``"live"``, ``"form"``, or ``"mixed"``."""
        return "form" if not self.live else "mixed" if self.form else "live"


def step_cycles(
    network: Network,
    config: Config,
    *,
    batch: int,
    method: str,
    sparsity: tuple[int, int] | None,
    tool: ScaleSim | None = None,
) -> Total:
    """Of a step's products on an output-stationary array of the same size, one after another.

    Without ``tool`` by the form alone.
    """
    live = form = 0
    for layer in network.layers:
        if isinstance(layer, Vector):
            continue
        for stage in STAGES:
            for gemm in layer.products(stage, batch, sparsity if stage in METHODS[method] else None):
                found = tool.cycles(gemm) if tool else None
                if found is None:
                    form += gemm.count * form_cycles(gemm, config.rows, config.cols)
                else:
                    live += gemm.count * found
    return Total(live=live, form=form)
