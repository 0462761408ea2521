#!/usr/bin/env python3
"""The whole project in one command, `make demo`: Verilog, training on the simulated hardware, a bitstream.

Runs the commands of `sat-hdl` side by side, tells what each is doing, and writes one HTML report. A step that
fails ends the demo with a sentence and status 1.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_report import PROGRAMS, TOTAL, Results, render, speedup
from rich.console import Console
from rich.table import Table

from sat_hdl.cli.errors import status_and_sentence
from sat_hdl.cli.output import atomic_file
from sat_hdl.config import ConfigError

BOARD = "ulx3s-25f"
MODEL = Path(__file__).parent / "demo_model.toml"


class DemoError(Exception):
    """A step failed. The text is for the user."""


@dataclass(frozen=True)
class Step:
    """A command of `sat-hdl`. ``key`` names its result, ``title`` is for people."""

    key: str
    title: str
    words: list[str]


class Runner:
    """Runs steps as processes of their own and relays, line by line, what they say on stderr.

    Arguments
    ---------
    say: takes a line for people.
    python: interpreter, else this one.
    """

    def __init__(self, say: Callable[[str], None], python: str | None = None):
        self._say, self._python = say, python or sys.executable
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._start = time.monotonic()
        self.seconds: dict[str, float] = {}

    def say(self, title: str, text: str) -> None:
        self._say(f"{time.monotonic() - self._start:6.1f} s  {title}: {text}")

    def run(self, step: Step) -> dict[str, Any]:
        """The object that the step's command prints with --json. Raises :class:`DemoError` if it fails."""
        start = time.monotonic()
        words = [self._python, "-m", "sat_hdl", *step.words, "--json"]
        with self._lock:
            if self._stopped:
                raise DemoError(f"{step.title} was not begun.")
            process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,  # so that its tools end with it
            )
            self._running.add(process)
        with process:
            relay = threading.Thread(target=self._relay, args=(step.title, process))
            relay.start()
            assert process.stdout is not None
            out = process.stdout.read()
            relay.join()
        self._running.discard(process)
        self.seconds[step.key] = time.monotonic() - start
        try:
            result = json.loads(out)
        except ValueError:
            result = {}
        if process.returncode or not result:
            why = result.get("error") or "see what it said above."
            if result.get("bit_exact") is False:
                why = "the simulated hardware differs from the golden model; see above."
            raise DemoError(f"{step.title} failed (status {process.returncode}): {why}")
        self.say(step.title, f"done in {self.seconds[step.key]:.1f} s")
        return result

    def _relay(self, title: str, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip():
                self.say(title, line.strip())

    def stop(self) -> None:
        """Ends what is still running, and lets nothing more begin."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                try:
                    os.killpg(process.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass


def plan(options: argparse.Namespace) -> list[Step]:
    """Every step, the longest first among those that run side by side."""
    folder = options.output
    device = ["--preset", options.preset]
    model = ["--model", str(options.model), "--batch", str(options.batch)]
    verilog = ["generate", "--component", "system", *device, "-o", str(folder / "verilog")]
    steps = [Step("verilog", "Verilog", verilog)]
    if not options.no_bitstream:
        steps.append(
            # One seed and the quick placer: the array is well above the board's clock.
            Step(
                "bitstream",
                "Bitstream",
                [
                    "build",
                    "--board",
                    BOARD,
                    "--seeds",
                    "1",
                    "--placer",
                    "static",
                    "-o",
                    str(folder / "bitstream"),
                ],
            )
        )
    training = [
        "train",
        "--data",
        "digits",
        *model,
        "--epochs",
        str(options.epochs),
        "--lr",
        str(options.lr),
        *device,
    ]
    methods = {"dense": ["--method", "dense"], "bdwp": ["--method", "bdwp", "--sparsity", "2:8"]}
    for key, how in methods.items():
        steps.append(Step(key, f"{key} training", [*training, *how, "-o", str(folder / key)]))
    for key, how in methods.items():
        page = ["--html", str(folder / f"timeline_{key}.html")]
        steps.append(Step(f"{key}_profile", f"{key} profile", ["profile", *model, *how, *device, *page]))
    return steps


def run_all(steps: list[Step], runner: Runner, jobs: int = 2) -> dict[str, dict[str, Any]]:
    """Results by key. The first failure ends all that is running."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(runner.run, step): step.key for step in steps}
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [future for future in done if future.exception()]
        except BaseException:
            runner.stop()
            raise
        if failed:
            runner.stop()
            for future in futures:
                future.cancel()
            failed[0].result()
    return {key: future.result() for future, key in futures.items()}


def summary(results: Results) -> Table:
    """For the terminal."""
    table = Table(title="Cycles of the simulated device", title_justify="left")
    for column in ("program", "dense", "BDWP 2:8", "speedup"):
        table.add_column(column, justify="left" if column == "program" else "right")
    for program, name in (PROGRAMS | TOTAL).items():
        dense, bdwp = (run["cycles"][program] for run in (results.dense, results.bdwp))
        table.add_row(name, f"{dense:,}", f"{bdwp:,}", f"{speedup(results, program):.2f} ×")
    return table


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="demo", description="Trains on simulated hardware, builds a bitstream, writes a report."
    )
    made.add_argument("-o", "--output", type=Path, default=Path("build/demo"), help="folder for all of it")
    made.add_argument("--preset", default="default", help="hardware that is simulated")
    made.add_argument("--model", default=MODEL, help="network: a name or a file, as `sat-hdl train` takes it")
    made.add_argument("--epochs", type=int, default=4)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--lr", type=float, default=0.1)
    made.add_argument("--no-bitstream", action="store_true", help="leave the bitstream out")
    return made


def main(words: list[str] | None = None) -> int:
    options = parser().parse_args(words)
    console = Console(highlight=False, soft_wrap=True)
    runner = Runner(lambda line: console.print(line, markup=False))
    steps = plan(options)
    start = time.monotonic()
    try:
        found = run_all(steps, runner)
        results = Results(
            folder=options.output,
            made=found,
            commands={step.title: shlex.join(["sat-hdl", *step.words]) for step in steps},
            seconds={step.title: runner.seconds[step.key] for step in steps},
        )
        report = options.output / "report.html"
        with atomic_file(report) as partial:
            partial.write_text(render(results), encoding="utf-8")
    except KeyboardInterrupt:
        print("demo: interrupted.", file=sys.stderr)
        return 130
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except (ConfigError, OSError) as error:
        known = status_and_sentence(error)
        print(f"demo: {known[1] if known else error}", file=sys.stderr)
        return 1
    console.print(summary(results))
    for title, run in (("Dense", results.dense), ("BDWP 2:8", results.bdwp)):
        console.print(f"{title}: accuracy {run['accuracy']:.1%}, bit-exact to the "
                      f"golden model: {'yes' if run['bit_exact'] else 'NO'}")  # fmt: skip
    if (chip := results.bitstream) is not None:
        console.print(
            f"{chip['bitstream']}: {chip['fmax_mhz']:.1f} MHz of {chip['clock_mhz']:g} MHz needed, "
            f"{chip['lut4']:,} LUT4, {chip['ff']:,} FF, {chip['dsp']} DSP, {chip['bram']} block RAMs"
        )
    console.print(f"Done in {time.monotonic() - start:.0f} s. The report: {report.resolve()}")
    return 0


if __name__ == "__main__":
    # The steps are in sessions of their own: whoever ends the demo must have them ended too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
