"""Plots of training runs, without a display: pixels for a file, or SVG to stand inside a page."""

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["STAGE_NAMES", "Run", "accuracy", "cycles", "inline_svg", "loss", "overview"]

#: Stages whose cycles make up the total, as people read them: of products that the host asks for, and the programs of
#: a step on the device.
STAGE_NAMES = {
    "ff": "forward (FF)",
    "bp": "backward (BP)",
    "wu": "weight gradient (WU)",
    "prune": "pruning",
    "forward": "forward",
    "backward": "backward and update",
}
#: Legible on white and on near-black alike, and told apart without colour vision.
_COLOURS = ("#1f84c6", "#d9661f", "#12946e", "#b86a98")
_STYLES = ("-", "--", "-.", ":")
#: Stands for the page's own text colour until the SVG is done.
_INK = "#010203"


@dataclass(frozen=True)
class Run:
    """One training run.

    Arguments
    ---------
    name: for the legend.
    history: one dict an epoch, as :class:`~sat_hdl.sim.golden.train.TrainResult` has them.
    step_loss: loss of each step.
    cycles: by stage, or None if nothing counted them.
    """

    name: str
    history: Sequence[dict[str, Any]]
    step_loss: Sequence[float]
    cycles: dict[str, int] | None


def loss(ax: Axes, runs: Sequence[Run]) -> None:
    """The steps' losses, thin, and the epochs' means over them."""
    for number, run in enumerate(runs):
        colour, style = _COLOURS[number % 4], _STYLES[number % 4]
        steps = len(run.step_loss) / len(run.history)
        x = [(i + 1) / steps for i in range(len(run.step_loss))]
        ax.plot(x, run.step_loss, color=colour, linewidth=0.6, alpha=0.6)
        epochs = [epoch["epoch"] - 0.5 for epoch in run.history]
        means = [epoch["loss"] for epoch in run.history]
        ax.plot(epochs, means, style, color=colour, marker="o", markersize=4, label=run.name)
    ax.set(xlabel="epochs", ylabel="loss", title="Training loss (thin: by step)")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)


def accuracy(ax: Axes, runs: Sequence[Run]) -> None:
    """Accuracy on the test set after each epoch, in per cent."""
    for number, run in enumerate(runs):
        epochs = [epoch["epoch"] for epoch in run.history]
        values = [100 * epoch["test_accuracy"] for epoch in run.history]
        ax.plot(
            epochs, values, _STYLES[number % 4], color=_COLOURS[number % 4], marker="o", markersize=4,
            label=run.name,
        )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(0.5, max(len(run.history) for run in runs) + 0.5)
    ax.set(xlabel="epochs", ylabel="%", title="Accuracy on the test set")
    ax.legend(frameon=False)


def cycles(ax: Axes, runs: Sequence[Run]) -> None:
    """Cycles of each stage, one bar a run. Runs without cycles are left out."""
    counted = [run for run in runs if run.cycles is not None]
    stages = [stage for stage in STAGE_NAMES if any(stage in (run.cycles or ()) for run in counted)]
    height = 0.8 / max(1, len(counted))
    for number, run in enumerate(counted):
        assert run.cycles is not None
        values = [run.cycles.get(stage, 0) for stage in stages]
        offset = (number - (len(counted) - 1) / 2) * height
        bars = ax.barh(
            [y + offset for y in range(len(values))],
            values,
            0.9 * height,
            color=_COLOURS[number % 4],
            label=run.name,
        )
        ax.bar_label(bars, [_short(value) for value in values], padding=3, fontsize=8)
    ax.set_yticks(range(len(stages)), [STAGE_NAMES[stage] for stage in stages])
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.xaxis.set_major_formatter(lambda value, _: _short(value))
    ax.set(xlabel="cycles", title="Cycles of each stage")
    ax.legend(frameon=False)


def overview(path: Path, run: Run) -> None:
    """Writes a PNG of one run to ``path``."""
    panels = [loss, accuracy] + ([cycles] if run.cycles is not None else [])
    figure = Figure(figsize=(4.6 * len(panels), 3.6), layout="constrained")
    for ax, draw in zip(figure.subplots(1, len(panels)), panels):
        draw(ax, [run])
        _plain(ax)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def inline_svg(draw: Callable[[Axes, Sequence[Run]], None], runs: Sequence[Run], label: str) -> str:
    """An <svg> for an HTML page: text in the page's colour, no background, ``label`` for screen readers.

    The same runs give the same text.
    """
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": draw.__name__,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
        }
    ):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        figure.patch.set_visible(False)
        ax = figure.subplots()
        ax.patch.set_visible(False)
        draw(ax, runs)
        _plain(ax)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    # An HTML page needs no namespaces; and identifiers are the page's, so two plots must not share any.
    text = re.sub(r"<metadata>.*?</metadata>|\sxmlns(:\w+)?=\"[^\"]*\"", "", text, flags=re.DOTALL)
    text = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{draw.__name__}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.2)
    ax.set_axisbelow(True)


def _short(value: float) -> str:
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:g}"
