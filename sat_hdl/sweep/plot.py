"""Time against cost: which points nobody beats at both."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sat_hdl.config import ConfigError

__all__ = ["COSTS", "front", "pareto", "plot_format"]

#: Columns that cost something → what an axis calls them.
COSTS = {
    "multipliers": "multipliers",
    "buffer_kib": "KiB of buffers",
    "lut4_equivalents": "LUT4-equivalents",
    "dsp": "DSP blocks",
    "bram": "block RAMs",
}
_FORMATS = (".png", ".svg", ".pdf")


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, time), those that no other beats or equals at both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, time in sorted(set(points)):
        if not best or time < best[-1][1]:
            best.append((cost, time))
    return best


def plot_format(path: Path) -> str:
    """What a plot of that name is to be. Raises ConfigError."""
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"A plot's name must end in {', '.join(_FORMATS)}, not {path.name!r}.")
    return path.suffix.lower()[1:]


def pareto(rows: Sequence[dict[str, str]], path: Path, partial: Path):
    """Writes a picture of ``path``'s format to ``partial``: a panel a cost, a colour a network, its front as a line.

    Raises
    ------
    ConfigError: the format is none of png, svg and pdf, or no row has a time.
    """
    kind = plot_format(path)
    good = [row for row in rows if row["seconds"]]
    if not good:
        raise ConfigError("There is nothing to plot: no point of the sweep could be scheduled.")
    costs = [cost for cost in COSTS if all(row.get(cost) for row in good)]
    figure = Figure(figsize=(4.6 * len(costs), 3.8), layout="constrained")
    for ax, cost in zip(figure.subplots(1, len(costs), squeeze=False)[0], costs):
        for name in dict.fromkeys(row["network"] for row in good):
            points = [
                (float(row[cost]), 1e3 * float(row["seconds"]) / int(row["samples"]))
                for row in good
                if row["network"] == name
            ]
            (dots,) = ax.plot(*zip(*points), "o", markersize=4, alpha=0.5)
            ax.plot(*zip(*front(points)), "-", color=dots.get_color(), label=name)
        ax.set(xlabel=COSTS[cost], ylabel="ms a sample", xscale="log", yscale="log")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.2)
    figure.axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(partial, format=kind, dpi=120)
