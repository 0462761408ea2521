"""Trainings to do, what each gives, and the table that they fill."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sat_hdl.accuracy.sources import architecture, load, recipe
from sat_hdl.config import ConfigError, parse_sparsity, require
from sat_hdl.sim.golden.compiled import CompiledEngine
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.network_train import NetworkConfig, train_network
from sat_hdl.sweep.table import Table

__all__ = ["FIGURES", "Run", "Score", "execute", "grid", "scores"]

#: What a run gives: accuracies from 0 to 1 at the end, processor time, and why it could not be done.
FIGURES = ("accuracy", "train_accuracy", "loss", "skipped_steps", "cpu_seconds", "error")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One training. ``sparsity`` is "dense" for the method of that name, else N:M."""

    data: str
    model: str
    method: str
    sparsity: str
    epochs: int
    batch: int
    lr: float
    weight_decay: float
    seed: int

    def columns(self) -> dict[str, str]:
        """What tells it from other runs, as text."""
        return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in
                msgspec.structs.asdict(self).items()}  # fmt: skip

    def config(self) -> NetworkConfig:
        """Raises :class:`ConfigError`."""
        keep, group = parse_sparsity(self.sparsity) or (1, 1)
        return NetworkConfig(
            method=self.method, keep=keep, group=group, epochs=self.epochs, batch=self.batch, seed=self.seed,
            lr=self.lr, weight_decay=self.weight_decay,
        )  # fmt: skip

    def perform(self) -> dict[str, Any]:
        """Trains in the golden model, compiled. Its figures; a training that diverged has an ``error``."""
        data, shape = load(self.data, self.model)
        graph = architecture(self.model, shape, data.classes)
        start = time.process_time()
        try:
            done = train_network(graph, data, self.config(), CompiledEngine())
        except ConfigError as error:
            return {"error": str(error), "cpu_seconds": f"{time.process_time() - start:.1f}"}
        last = done.history[-1]
        return {
            "accuracy": done.accuracy,
            "train_accuracy": last["train_accuracy"],
            "loss": last["loss"],
            "skipped_steps": sum(int(epoch["skipped_steps"]) for epoch in done.history),
            "cpu_seconds": f"{time.process_time() - start:.1f}",
        }


def grid(
    data: str,
    models: Iterable[str],
    methods: Iterable[str],
    sparsities: Iterable[str],
    seeds: Iterable[int],
    *,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> list[Run]:
    """All combinations, dense once a model and seed; what is None is as usual for the model. The data are read and
    the models built, so that what can't be done is told before anything begins.

    Raises :class:`ConfigError`.
    """
    methods, sparsities, seeds, runs = tuple(methods), tuple(sparsities), tuple(seeds), dict[Run, None]()
    for method in methods:
        require(method in METHODS, f"A method must be one of {', '.join(METHODS)}, not {method!r}.")
    for text in sparsities:
        require(parse_sparsity(text) is not None, "Sparsities are N:M such as 2:8; dense is a method.")
    for model in models:
        found, shape = load(data, model)
        graph = architecture(model, shape, found.classes)
        inputs = int(np.prod(graph.input_shape))
        require(
            (inputs, graph.classes) == (found.inputs, found.classes),
            f"{model} takes {inputs} inputs to {graph.classes} classes, but {data} has {found.inputs} and "
            f"{found.classes}.",
        )
        usual = recipe(data, model)
        for method, seed in itertools.product(methods, seeds):
            for sparsity in ("dense",) if method == "dense" else sparsities:
                run = Run(
                    data=data, model=model, method=method, sparsity=sparsity,
                    epochs=usual.epochs if epochs is None else epochs,
                    batch=usual.batch if batch is None else batch,
                    lr=float(usual.lr if lr is None else lr),
                    weight_decay=float(usual.weight_decay if weight_decay is None else weight_decay),
                    seed=seed,
                )  # fmt: skip
                run.config()
                runs[run] = None
    require(bool(runs), "There is nothing to train: give at least a model, a method, a sparsity and a seed.")
    return list(runs)


def execute(
    runs: Sequence[Run], path: Path, jobs: int | None, told: Callable[[Run, dict[str, Any], int, int], None]
) -> list[dict[str, str]]:
    """Performs those that the CSV file ``path`` lacks, ``jobs`` processes side by side (None: as many as there are
    cores), each added when it is done. Returns the file's lines of all of ``runs``.

    ``told``: of a run that was done just now, its figures, how many of those missing are done, and how many were.
    """
    keys = list(Run.__struct_fields__)
    table = Table(path, keys=keys, figures=FIGURES)
    left = [run for run in runs if run.columns() not in table]
    CompiledEngine()  # compiled once, before the processes want it
    with ProcessPoolExecutor(min(jobs or os.cpu_count() or 1, max(1, len(left)))) as pool:
        futures = {pool.submit(run.perform): run for run in left}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                run, found = futures[future], future.result()
                table.add(run.columns() | found)
                told(run, found, number, len(left))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    known = {tuple(row[key] for key in keys): row for row in table.rows}
    return [known[tuple(run.columns().values())] for run in runs]


class Score(msgspec.Struct, frozen=True):
    """Accuracies of the seeds of one model, method and sparsity, 0 to 1; ``failed``: seeds without any."""

    accuracies: tuple[float, ...]
    failed: int

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies)) if self.accuracies else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation of a sample; 0 of a single seed."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else 0.0

    def __str__(self) -> str:
        if not self.accuracies:
            return "diverged"
        failed = f", {self.failed} diverged" if self.failed else ""
        return f"{100 * self.mean:.1f} ± {100 * self.deviation:.1f}{failed}"


def scores(rows: Iterable[dict[str, str]]) -> dict[tuple[str, str, str], Score]:
    """By (method, sparsity, model), in the order of the rows."""
    found: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault((row["method"], row["sparsity"], row["model"]), []).append(row)
    return {
        key: Score(
            tuple(float(row["accuracy"]) for row in group if not row["error"]),
            sum(bool(row["error"]) for row in group),
        )
        for key, group in found.items()
    }
