"""``sat-hdl boards``: what a bitstream can be built for."""

from rich.table import Table

from sat_hdl.cli.options import Json
from sat_hdl.cli.output import console, print_json

__all__ = ["command"]


def command(json: Json = False):
    """The boards that `sat-hdl build` knows."""
    from sat_hdl.config import preset
    from sat_hdl.fpga.boards import BOARDS

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
            "baud": board.baud,
        }
        for board in BOARDS.values()
    ]
    if json:
        print_json({"boards": rows})
        return
    table = Table()
    for key in rows[0]:
        table.add_column(key)
    for row in rows:
        table.add_row(*map(str, row.values()))
    console().print(table)
