"""``sat-hdl boards``: what a bitstream can be built for."""

from typing import Any

from rich.table import Table

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import console, print_json

__all__ = ["command"]

#: What the table shows of what ``--json`` tells.
_COLUMNS = {
    "board": "board", "component": "what", "array": "array", "memory_kib": "memory, KiB", "clock_mhz": "clock, MHz",
    "fmax_mhz": "Fmax, MHz", "logic": "logic", "description": "description",
}  # fmt: skip
_FIGURES = ("memory_kib", "clock_mhz", "fmax_mhz", "logic")


def command(json: Json = False):
    """The boards that `sat-hdl build` knows.

    The maximum frequency is the best seed's, and logic the share of the device's cells, of the bitstream that was
    built last and whose report is kept; without one there is none.
    """
    from sat_hdl.config import preset
    from sat_hdl.fpga.board_reports import board_report
    from sat_hdl.fpga.boards import BOARDS

    def measured(board) -> dict[str, Any]:
        found = board_report(board)
        if found is None:
            return {"fmax_mhz": None, "logic": None}
        used, has = found["used"][found["logic_cell"]]
        return {"fmax_mhz": found["fmax_mhz"], "logic": round(used / has, 3)}

    rows = [
        {
            "board": board.name,
            "description": board.description,
            "target": board.target.name,
            "component": board.component,
            "preset": board.preset,
            "array": f"{(config := preset(board.preset)).rows} × {config.cols}",
            "memory_kib": board.memory_size // 1024,
            "clock_mhz": board.clock_mhz,
            **measured(board),
            "baud": board.baud,
        }
        for board in BOARDS.values()
    ]
    if json:
        print_json({"boards": rows})
        return
    table = Table()
    for key, title in _COLUMNS.items():
        table.add_column(title, justify="right" if key in _FIGURES else "left", overflow="fold")
    for row in rows:
        logic = None if row["logic"] is None else f"{row['logic']:.0%}"
        cells = row | {"logic": logic}
        table.add_row(*("" if cells[key] is None else str(cells[key]) for key in _COLUMNS))
    console().print(table)
