"""``sat-hdl sweep``: many configurations and networks, and which of them nobody beats."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Page

from sat_hdl.cli.options import Json, OutputFile
from sat_hdl.cli.output import atomic_file, console, print_json
from sat_hdl.config import ConfigError, require
from sat_hdl.sweep.evaluate import AREA, FIGURES, area, evaluate
from sat_hdl.sweep.points import load_sweep
from sat_hdl.sweep.table import Table

__all__ = ["command"]


def command(
    file: Annotated[Path, typer.Argument(help="A TOML file: what is combined with what.", metavar="SWEEP")],
    output: OutputFile,
    plot: Annotated[
        Path | None, typer.Option(help="Write a plot of time against cost: png, svg or pdf.", metavar="FILE")
    ] = None,
    synth: Annotated[
        bool, typer.Option("--synth", help="Synthesise the blocks of every configuration with Yosys (ECP5).")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Processes; as many as there are cores without it.", metavar="N")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="A Dask scheduler that does the work instead.", metavar="ADDRESS")
    ] = None,
    json: Json = False,
):
    """Predicts a training step for every combination in a file such as

        networks = ["resnet18", "vit"]
        sparsities = ["2:8", "1:8"]
        [config]
        rows = [8, 16, 32]
        cols = [8, 16, 32]

    and writes a line each to a CSV file. Run again, it goes on where it was ended. A combination that can't run has
    the reason in its column `error`.
    """
    require(jobs is None or jobs >= 1, f"`--jobs` must be at least 1, not {jobs}.")
    if plot is not None:
        from sat_hdl.sweep.plot import plot_format

        plot_format(plot)  # told before the work, not after it
    points = load_sweep(file).points()
    keys = list(points[0].columns())
    table = Table(output, keys=keys, figures=[*FIGURES, *(AREA if synth else ())])
    left = [point for point in points if point.columns() not in table]
    log = Console(stderr=True)
    areas: dict[object, dict[str, int]] = {}
    with Progress(console=log, disable=not log.is_terminal) as bar, _workers(jobs, dask) as pool:
        if synth:
            # One after the other: Yosys takes a core and its memory, and blocks are shared through the cache.
            configs = list(dict.fromkeys(point.config for point in left))
            task = bar.add_task("Synthesis", total=len(configs))
            for config in configs:
                areas[config] = area(config)
                bar.advance(task)
        task = bar.add_task("Scheduling", total=len(left))
        futures = {pool.submit(evaluate, point): point for point in left}
        for future in as_completed(futures):
            point = futures[future]
            table.add(point.columns() | future.result() | areas.get(point.config, {}))
            bar.advance(task)
    known = {tuple(row[key] for key in keys): row for row in table.rows}
    rows = [known[tuple(point.columns().values())] for point in points]
    if plot is not None:
        from sat_hdl.sweep.plot import pareto

        with atomic_file(plot) as partial:
            pareto(rows, plot, partial)
    failed = [row for row in rows if row["error"]]
    if json:
        return print_json({
            "output": str(output), "plot": None if plot is None else str(plot), "points": len(points),
            "computed": len(left), "failed": len(failed), "rows": rows,
        })  # fmt: skip
    _print(rows, keys)
    console().print(
        f"{len(points)} points, {len(left)} of them computed now, {len(failed)} impossible, in {output}."
    )
    return None


@contextmanager
def _workers(jobs: int | None, address: str | None) -> Iterator[Executor]:
    """What does the work; nothing more begins once it is left by an exception."""
    if address is None:
        pool: Executor = ProcessPoolExecutor(jobs or os.cpu_count())
        client = None
    else:
        try:
            from distributed import Client  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ConfigError("`--dask` needs the Python package `distributed`: install it.") from None
        try:
            client = Client(address, timeout=10)
        except (OSError, ValueError) as error:
            raise ConfigError(f"There is no Dask scheduler at {address!r}: {error}") from None
        pool = client.get_executor()
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True) if client is None else client.close()


def _print(rows: list[dict[str, str]], keys: list[str]):
    """The columns that differ between rows, and what matters."""
    shown = [key for key in keys if key == "network" or len({row[key] for row in rows}) > 1]
    page = Page()
    for name in (*shown, "ms a sample", "speedup", "use", "bound", "multipliers", "KiB"):
        page.add_column(name, justify="left" if name in ("network", "bound") else "right")
    for row in rows:
        cells = [row[key] for key in shown]
        if row["error"]:
            cells += ["", "", "", row["error"]]
        else:
            cells += [
                f"{1e3 * float(row['seconds']) / int(row['samples']):.4g}",
                f"{float(row['speedup']):.2f}" if row["speedup"] else "",
                f"{100 * float(row['utilisation']):.1f} %",
                row["bound"],
            ]
        page.add_row(*cells, row["multipliers"], f"{float(row['buffer_kib']):g}")
    console().print(page)
