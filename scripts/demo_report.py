"""The demo's report: one HTML page that needs no other file."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sat_hdl import plots

__all__ = ["STAGES", "TOTAL", "Results", "render", "speedup"]

STAGES = plots.STAGE_NAMES
TOTAL = {"total": "in all"}
_TEMPLATE = Path(__file__).parent / "demo_report.html"


@dataclass(frozen=True, kw_only=True)
class Results:
    """What the demo's steps gave.

    Arguments
    ---------
    folder: of the steps' files.
    made: object of each step by its key: verilog, dense, bdwp, and bitstream unless left out.
    commands: command line by the step's title. seconds: how long it took.
    """

    folder: Path
    made: dict[str, dict[str, Any]]
    commands: dict[str, str]
    seconds: dict[str, float]

    @property
    def dense(self) -> dict[str, Any]:
        return self.made["dense"]

    @property
    def bdwp(self) -> dict[str, Any]:
        return self.made["bdwp"]

    @property
    def bitstream(self) -> dict[str, Any] | None:
        return self.made.get("bitstream")


def speedup(results: Results, stage: str) -> float | None:
    """Dense cycles over BDWP's, or None where dense training has no such stage."""
    dense, bdwp = (run["cycles"][stage] for run in (results.dense, results.bdwp))
    return dense / bdwp if dense and bdwp else None


def render(results: Results) -> str:
    """The page. The plots are SVG within it."""
    runs = [_run(results, "dense", "dense"), _run(results, "bdwp", "BDWP 2:8")]
    pictures = [
        (
            plots.cycles,
            "Bars of the cycles that each stage of training took, dense and BDWP 2:8; the figures are in the table.",
            "Cycles of the array and the pruner over all steps of training.",
        ),
        (
            plots.accuracy,
            "Curves of accuracy on the test set after each epoch, dense and BDWP 2:8.",
            "Share of test samples classified correctly after each epoch.",
        ),
        (
            plots.loss,
            "Curves of the training loss, dense and BDWP 2:8, falling from epoch to epoch.",
            "Cross-entropy on the training set.",
        ),
    ]
    rows = [
        {
            "name": name,
            "total": stage in TOTAL,
            "dense": results.dense["cycles"][stage],
            "bdwp": results.bdwp["cycles"][stage],
            "speedup": speedup(results, stage),
            "macs": _macs(results, stage),
            "utilization": [run["utilization"].get(stage) for run in (results.dense, results.bdwp)],
        }
        for stage, name in (STAGES | TOTAL).items()
    ]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        results=results,
        dense=results.dense,
        bdwp=results.bdwp,
        chip=results.bitstream,
        verilog=results.made["verilog"]["manifest"],
        rows=rows,
        overall=speedup(results, "total"),
        exact=results.dense["bit_exact"] and results.bdwp["bit_exact"],
        plots=[
            {"svg": Markup(plots.inline_svg(draw, runs, label)), "caption": caption}
            for draw, label, caption in pictures
        ],
        verilog_files=[(path, Path(path).stat().st_size) for path in results.made["verilog"]["files"]],
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )


def _run(results: Results, key: str, name: str) -> plots.Run:
    history = json.loads((results.folder / key / "history.json").read_text())
    return plots.Run(name, history["epochs"], history["step_loss"], results.made[key]["cycles"])


def _macs(results: Results, stage: str) -> float | None:
    """BDWP's multiply-accumulates as a share of dense training's."""
    done = [run["macs"] for run in (results.dense, results.bdwp)]
    if stage in TOTAL:
        dense, bdwp = (sum(macs[name] for name in ("ff", "bp", "wu")) for macs in done)
    else:
        dense, bdwp = (macs.get(stage, 0) for macs in done)
    return bdwp / dense if dense else None
