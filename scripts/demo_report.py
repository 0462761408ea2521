"""The demo's report: one HTML page that needs no other file."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sat_hdl import plots

__all__ = ["PROGRAMS", "TOTAL", "Results", "render", "speedup"]

#: The programs of a step, and both.
PROGRAMS = {name: plots.STAGE_NAMES[name] for name in ("forward", "backward")}
TOTAL = {"total": "in all"}
#: Stages of a step, and the unit that works on each.
STAGES = {
    "FF": ("forward products (FF)", "compute"),
    "BP": ("gradients of activations (BP)", "compute"),
    "WU": ("gradients of weights (WU)", "compute"),
    "update": ("update and both pruned copies", "vector"),
}
_TEMPLATE = Path(__file__).parent / "demo_report.html"


@dataclass(frozen=True, kw_only=True)
class Results:
    """What the demo's steps gave.

    Arguments
    ---------
    folder: of the steps' files.
    made: object of each step by its key: verilog, dense, bdwp, dense_profile, bdwp_profile, and bitstream unless left
        out.
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


def speedup(results: Results, stage: str) -> float:
    """Dense cycles over BDWP's of the whole training."""
    return results.dense["cycles"][stage] / results.bdwp["cycles"][stage]


def render(results: Results) -> str:
    """The page. The plots are SVG within it."""
    runs = [_run(results, "dense", "dense"), _run(results, "bdwp", "BDWP 2:8")]
    pictures = [
        (
            plots.cycles,
            "Bars of the cycles that each program took, dense and BDWP 2:8; the figures are in the table.",
            "Cycles of the device over all steps of training.",
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
            "total": program in TOTAL,
            "dense": results.dense["cycles"][program],
            "bdwp": results.bdwp["cycles"][program],
            "speedup": speedup(results, program),
        }
        for program, name in (PROGRAMS | TOTAL).items()
    ]
    stages = []
    for stage, (name, unit) in STAGES.items():
        dense, bdwp = (_worked(results.made[f"{key}_profile"], stage, unit) for key in ("dense", "bdwp"))
        stages.append({"name": name, "dense": dense, "bdwp": bdwp, "speedup": dense / bdwp})
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        results=results,
        dense=results.dense,
        bdwp=results.bdwp,
        chip=results.bitstream,
        verilog=results.made["verilog"]["manifest"],
        model=Path(str(results.bdwp["model"])).name,
        timeline=results.made["bdwp_profile"]["html"],
        rows=rows,
        stages=stages,
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


def _worked(profile: dict[str, Any], stage: str, unit: str) -> int:
    """Cycles that ``unit`` worked for ``stage`` in a step."""
    layers = [layer for program in profile["programs"] for layer in program["layers"]]
    return sum(layer["busy"][unit] for layer in layers if layer["stage"] == stage)
