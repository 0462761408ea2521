"""``sat-hdl accuracy``: what accuracy each method reaches, over models, sparsities and seeds, by the golden model."""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Page

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import console, print_json
from sat_hdl.config import ConfigError, require

__all__ = ["command"]

#: More seeds than anybody waits for: a mistyped range.
MAX_SEEDS = 1000


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _seeds(text: str) -> list[int]:
    """``"0-2,7"`` → [0, 1, 2, 7]."""
    found: list[int] = []
    for word in _words(text):
        low, dash, high = word.partition("-")
        ends = (low, high) if dash else (low, low)
        if not all(end.isascii() and end.isdecimal() and len(end) < 9 for end in ends):
            raise ConfigError(f"--seeds must be numbers and ranges such as 0-4 or 0,3,7-9, not {text!r}.")
        first, last = map(int, ends)
        require(
            first <= last and len(found) + last - first < MAX_SEEDS,
            f"--seeds must be rising ranges of at most {MAX_SEEDS} seeds, not {text!r}.",
        )
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


def command(
    data: Annotated[
        str,
        typer.Option(
            help="`digits` (scikit-learn's), cifar10:FOLDER or cifar100:FOLDER (unpacked, the binary or the Python "
            "version), or an .npz file as of `train`.",
            metavar="digits|cifar10:DIR|cifar100:DIR|FILE.npz",
        ),
    ] = "digits",
    model: Annotated[
        str,
        typer.Option(
            help="Of mlp (one hidden layer), mlp2 (two), cnn, resnet, vit, and TOML files of layers.",
            metavar="NAME,…",
        ),
    ] = "cnn",
    method: Annotated[
        str, typer.Option(help="Of dense, srste, sdgp, sdwp, bdwp; or `all`.", metavar="NAME,…")
    ] = "dense,bdwp",
    sparsity: Annotated[str, typer.Option(help="Of no effect for `dense`.", metavar="N:M,…")] = "2:8",
    seeds: Annotated[
        str, typer.Option(help="Of the first weights and of the samples' order.", metavar="0-4|0,1,…")
    ] = "0",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set.", show_default="as usual for the model")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Samples a step.", show_default="as usual for the model")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Peak learning rate of SGD with momentum.", show_default="as usual for the model"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A CSV file, a line a training: what it has is not done again.",
            metavar="FILE",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Trainings side by side; as many as there are cores without it.", metavar="N"),
    ] = None,
    json: Json = False,
):
    """Trains every combination in the golden model, whose bits are the device's where the device knows the method,
    and prints mean and standard deviation over the seeds. Run again with the same -o, it goes on where it ended.

    FF, BP and WU are the products of a step: outputs, gradients of inputs, gradients of weights. WU is always dense.
    srste: N:M weights in FF, the same in BP but dense, decay of the others. sdgp: N:M gradients in BP. sdwp: N:M
    weights in BP. bdwp: N:M weights in FF and, by other groups, in BP.
    """
    from sat_hdl.accuracy.runs import execute, grid, scores
    from sat_hdl.sim.golden.mlp import METHODS

    require(jobs is None or jobs >= 1, f"`--jobs` must be at least 1, not {jobs}.")
    runs = grid(
        data, _words(model), METHODS if method == "all" else _words(method), _words(sparsity), _seeds(seeds),
        epochs=epochs, batch=batch, lr=lr,
    )  # fmt: skip
    log = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = TextColumn("Training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    done = 0
    with (
        TemporaryDirectory() if output is None else nullcontext(None) as scratch,
        Progress(*columns, console=log, disable=not log.is_terminal) as bar,
    ):
        task = bar.add_task("", total=len(runs))

        def told(run: Any, found: dict[str, Any], number: int, of: int) -> None:
            nonlocal done
            done = number
            bar.update(task, completed=len(runs) - of + number)
            if not log.is_terminal:
                result = found.get("error") or f"{found['accuracy']:.2%} in {found['cpu_seconds']} s"
                log.print(
                    f"{run.model} {run.method} {run.sparsity} seed {run.seed}: {result} ({number} of {of})"
                )

        path = output if output is not None else Path(str(scratch)) / "runs.csv"
        rows = execute(runs, path, jobs, told)
    table = scores(rows)
    if json:
        return print_json({
            "data": data, "output": None if output is None else str(output), "runs": len(runs), "computed": done,
            "cpu_seconds": sum(float(row["cpu_seconds"]) for row in rows),
            "scores": [
                {"method": which, "sparsity": n_m, "model": name, "mean": score.mean if score.accuracies else None,
                 "deviation": score.deviation, "accuracies": list(score.accuracies), "failed": score.failed}
                for (which, n_m, name), score in table.items()
            ],
            "rows": rows,
        })  # fmt: skip
    _print(table, f"{data}: accuracy on the test set, %")
    where = "" if output is None else f", in {output}"
    console().print(f"{len(runs)} trainings, {done} of them now{where}.")
    return None


def _print(table: dict[tuple[str, str, str], Any], title: str):
    """A line a method and sparsity, a column a model."""
    page = Page(title=title, title_justify="left")
    page.add_column("method")
    page.add_column("sparsity")
    models = list(dict.fromkeys(model for _, _, model in table))
    for model in models:
        page.add_column(model, justify="right")
    for method, sparsity in dict.fromkeys(key[:2] for key in table):
        page.add_row(method, sparsity, *(str(table.get((method, sparsity, model), "")) for model in models))
    console().print(page)
