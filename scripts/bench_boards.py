#!/usr/bin/env python3
"""Builds boards' bitstreams and keeps what the tools say of them in fpga/reports/boards, a file a board.

`scripts/bench boards` makes the README's table of all that lie there. A seed takes minutes for a small board, half an
hour and more for a large one; results are cached by content.
"""

import json
from typing import Annotated, Any

import typer

from sat_hdl.config import preset
from sat_hdl.fpga.board_reports import REPORTS, board_report
from sat_hdl.fpga.boards import BOARDS, board
from sat_hdl.fpga.build import build
from sat_hdl.fpga.designs import design_for
from sat_hdl.fpga.toolchain import tool_version

__all__ = ["boards_table"]

#: Kept entries of a group, and the group, at which an array's effective speed is stated.
KEEP, GROUP = 2, 8


def measure(name: str, seeds: int, placer: str, router: str, dense: bool, jobs: int) -> dict[str, Any]:
    """Builds the board's own choice. → its report."""
    chosen = board(name)
    config = preset(chosen.preset)
    design = design_for(chosen, config, kind=chosen.component)

    def say(text: str) -> None:
        print(f"{name}: {text}", flush=True)

    made = build(
        design, chosen, seeds=seeds, placer=placer, router=router, dense=dense, jobs=jobs, progress=say
    )
    return {
        "board": name,
        "component": chosen.component,
        "preset": chosen.preset,
        "rows": config.rows,
        "cols": config.cols,
        "target": chosen.target.name,
        "placer": placer,
        "router": router,
        "dense": dense,
        "tools": [tool_version(tool) for tool in ("yosys", chosen.target.router, chosen.target.packer)],
        "logic_cell": chosen.target.logic_cell,
        **made.report(),
    }


def _fmax(seed: dict[str, Any]) -> str:
    return "none" if seed["fmax_mhz"] is None else f"{seed['fmax_mhz']:.1f}"


def boards_table() -> list[str]:
    """Of the kept reports, in the order of `sat-hdl boards`."""
    rows = [
        f"| board | what | array | clock, MHz | Fmax by seed, MHz | LUT4 | with carries and LUT RAM "
        f"| logic cells, of the device's | FF | DSP | block RAM | GFLOPS, dense | at {KEEP}:{GROUP} |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in BOARDS:
        found = board_report(BOARDS[name])
        if found is None:
            continue
        fmax = ", ".join(_fmax(seed) for seed in found["seeds"])
        used, has = found["used"][found["logic_cell"]]
        dense = 2 * found["rows"] * found["cols"] * found["clock_mhz"] / 1000
        rows.append(
            f"| `{name}` | {found['component']} | {found['rows']} × {found['cols']} | {found['clock_mhz']:g} "
            f"| {fmax} "
            f"| {found['lut4']:,} | {found['lut4_equivalents']:,} | {used:,} ({used / has:.0%}) | {found['ff']:,} "
            f"| {found['dsp']} | {found['bram']} | {dense:.3g} | {dense * GROUP / KEEP:.3g} |"
        )
    return rows


def main(
    boards: Annotated[list[str], typer.Argument(help="Boards of `sat-hdl boards`.", show_default=False)],
    seeds: Annotated[int, typer.Option(help="Place and route this many times.", min=1)] = 3,
    placer: Annotated[str, typer.Option(help="nextpnr's placer: heap or static.")] = "heap",
    router: Annotated[str, typer.Option(help="nextpnr's router: router2 or router1.")] = "router2",
    dense: Annotated[
        bool, typer.Option("--dense", help="In the way of designs that nearly fill their ECP5.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Seeds at a time.", min=1)] = 2,
):
    """Builds each board and keeps its report."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for name in boards:
        report = measure(name, seeds, placer, router, dense, jobs)
        (REPORTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
        fmax = ", ".join(_fmax(seed) for seed in report["seeds"])
        print(f"{name}: {fmax} MHz, {report['clock_mhz']:g} asked for", flush=True)


if __name__ == "__main__":
    typer.run(main)
