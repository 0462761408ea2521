"""A schedule as one HTML page that needs no other file: totals, a roofline, a timeline, and every layer's stages."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes

from sat_hdl.compiler.overlap import UNITS
from sat_hdl.compiler.schedule import Schedule
from sat_hdl.plots import inline_svg

__all__ = ["page", "roofline", "timeline"]

#: Stages by what they are drawn as: colour, marker, and for people.
_STAGES = {
    "ff": ("#1f84c6", "o", "FF"),
    "bp": ("#d9661f", "s", "BP"),
    "wu": ("#12946e", "^", "WU"),
    "forward": ("#8ab8d8", "", "vector, forward"),
    "backward": ("#e8b08a", "", "vector, backward"),
    "update": ("#b86a98", "", "update"),
}

_STYLE = """
  :root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6edf3); --soft: light-dark(#57606a, #9da7b1);
          --page: light-dark(#fff, #0f1419); --line: light-dark(#d0d7de, #39424c); }
  body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 70rem; color: var(--ink); background: var(--page);
         font: 15px/1.5 system-ui, sans-serif; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
  p { max-width: 46rem; } .soft { color: var(--soft); } .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
  th:first-child, td:first-child { text-align: left; }
  .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
  figure { margin: 0; } figure svg { width: 100%; height: auto; }
"""


def roofline(ax: Axes, schedule: Schedule) -> None:
    """Multiply-accumulates a cycle of each product, over those a byte; what array and memory allow above."""
    points = [entry for entry in schedule.entries if entry.macs and entry.cycles]
    for stage in ("ff", "bp", "wu"):
        chosen = [entry for entry in points if entry.stage == stage]
        colour, marker, label = _STAGES[stage]
        ax.scatter(
            [entry.macs / (entry.read + entry.written) for entry in chosen],
            [entry.macs / entry.cycles for entry in chosen],
            s=18, color=colour, marker=marker, label=label, alpha=0.75,
        )  # fmt: skip
    ridge = schedule.peak / schedule.port.bytes_per_cycle
    seen = [entry.macs / (entry.read + entry.written) for entry in points] or [ridge]
    low, high = min(*seen, ridge) / 2, max(*seen, ridge) * 2
    ax.plot([low, ridge, high], [low * schedule.port.bytes_per_cycle, schedule.peak, schedule.peak],
            color="#808080", linewidth=1.2)  # fmt: skip
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set(
        xlabel="multiply-accumulates / byte",
        ylabel="multiply-accumulates / cycle",
        title="Roofline of the products",
    )
    ax.legend(frameon=False)


def timeline(ax: Axes, schedule: Schedule) -> None:
    """When each unit works on what, part by part."""
    for stage, (colour, _, label) in _STAGES.items():
        for row, unit in enumerate(UNITS):
            bars = [
                (slot.start / 1e6, (slot.end - slot.start) / 1e6)
                for entry in schedule.entries
                if entry.stage == stage and entry.unit == unit
                for slot in entry.slots
            ]
            if bars:
                ax.broken_barh(bars, (row - 0.35, 0.7), color=colour, label=label, linewidth=0)
    ax.set_yticks(range(len(UNITS)), UNITS)
    ax.invert_yaxis()
    ax.set(xlabel="million cycles", title="Timeline of a training step")
    ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def _figure(draw: Any, schedule: Schedule, label: str) -> str:
    def drawn(ax: Axes, _: Sequence[Any]):
        draw(ax, schedule)

    drawn.__name__ = draw.__name__
    return f"<figure>{inline_svg(drawn, [], label)}</figure>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>\n" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def page(
    schedule: Schedule,
    *,
    lead: str,
    totals: tuple[Sequence[str], Sequence[Sequence[str]]],
    layers: tuple[Sequence[str], Sequence[Sequence[str]]],
) -> str:
    """The page. ``lead`` is its first sentence; ``totals`` and ``layers`` are tables: a head, and rows."""
    title = html.escape(schedule.network.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{html.escape(lead)}</p>
{_table(*totals)}
<div class="figures">
{_figure(roofline, schedule, "Roofline of the products")}
{_figure(timeline, schedule, "Timeline of a training step")}
</div>
<h2>Layers and stages</h2>
{_table(*layers)}
</body>
</html>
"""
