"""Tables of accuracies on digits for `scripts/bench`: every method, and the device's presets, over seeds.

All trainings lie in one CSV file in the cache, named by the digest of what computes them: a run that was ended goes
on, and an edit of the golden model begins again.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sat_hdl.accuracy
import sat_hdl.compiler
import sat_hdl.sim.golden
from sat_hdl.accuracy.runs import Run, Score, execute, grid, scores
from sat_hdl.sim.build import cache_dir
from sat_hdl.sim.golden.mlp import METHODS

__all__ = ["accuracy_table", "presets_table"]

MODELS = {"mlp2": "MLP", "cnn": "CNN", "vit": "ViT"}
SPARSITIES = ("2:4", "2:8", "2:16")
#: Dense first, ours last.
ORDER = ("dense", "srste", "sdgp", "sdwp", "bdwp")
SEEDS = 5
PRESETS = ("mlp", "cnn", "resnet")
PRESET_SEEDS = 3


def _path() -> Path:
    digest = hashlib.sha256(np.__version__.encode())
    folders = [Path(package.__path__[0]) for package in (sat_hdl.sim.golden, sat_hdl.accuracy)]
    compiler = Path(sat_hdl.compiler.__path__[0])
    sources = [compiler / name for name in ("graph.py", "layers.py", "models.py")]
    sources += [file for folder in folders for file in folder.iterdir() if file.suffix in (".py", ".cpp")]
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    cache_dir().mkdir(parents=True, exist_ok=True)
    return cache_dir() / f"accuracy-{digest.hexdigest()[:16]}.csv"


def _rows(runs: list[Run], say: Callable[[str], None], jobs: int | None) -> list[dict[str, str]]:
    def told(run: Run, found: dict[str, Any], number: int, of: int):
        result = found.get("error") or f"{found['accuracy']:.2%}"
        what = f"{run.model} {run.method} {run.sparsity} seed {run.seed}"
        say(f"{what}: {result} in {found['cpu_seconds']} s ({number} of {of})")

    return execute(runs, _path(), jobs or os.cpu_count(), told)


def accuracy_table(say: Callable[[str], None], jobs: int | None = None) -> list[str]:
    """A line a method and sparsity, a column a model: mean ± standard deviation over the seeds."""
    assert set(ORDER) == set(METHODS)
    rows = _rows(grid("digits", MODELS, ORDER, SPARSITIES, range(SEEDS)), say, jobs)
    found = scores(rows)
    dense = {model: found["dense", "dense", model] for model in MODELS}
    table = [f"| method | sparsity | {' | '.join(MODELS.values())} |", "|---|---|" + "---|" * len(MODELS)]
    for method in ORDER:
        for sparsity in ("dense",) if method == "dense" else SPARSITIES:
            cells = [_cell(found[method, sparsity, model], dense[model], method) for model in MODELS]
            table.append(f"| {method} | {'' if method == 'dense' else sparsity} | {' | '.join(cells)} |")
    seconds = sum(float(row["cpu_seconds"]) for row in rows)
    usual = [next(row for row in rows if row["model"] == model) for model in MODELS]
    epochs = ", ".join(f"{row['epochs']} ({MODELS[row['model']]})" for row in usual)
    return [*table, "", f"{len(rows)} trainings of {epochs} epochs; {seconds / 60:.0f} minutes of one core."]


def _cell(score: Score, dense: Score, method: str) -> str:
    if method == "dense" or not score.accuracies:
        return str(score)
    return f"{score} ({100 * (score.mean - dense.mean):+.1f})"


def presets_table(say: Callable[[str], None], jobs: int | None = None) -> list[str]:
    """The presets that train on the device, dense and by BDWP 2:8, seed by seed."""
    rows = _rows(grid("digits", PRESETS, ("dense", "bdwp"), ("2:8",), range(PRESET_SEEDS)), say, jobs)
    found = scores(rows)
    table = [
        "| model | dense, by seed | mean | BDWP 2:8, by seed | mean | difference |",
        "|---|---|---|---|---|---|",
    ]
    for model in PRESETS:
        both = [found[key] for key in (("dense", "dense", model), ("bdwp", "2:8", model))]
        cells = []
        for score in both:
            cells += [", ".join(f"{100 * a:.1f}" for a in score.accuracies), f"{score.mean:.2%}"]
        table.append(f"| {model} | {' | '.join(cells)} | {100 * (both[1].mean - both[0].mean):+.2f} points |")
    return table
