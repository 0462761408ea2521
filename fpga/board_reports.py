"""What tools said of the boards' own bitstreams when they were last built: the reports kept in ``reports/boards``.

``scripts/bench_boards.py`` writes them.
"""

from pathlib import Path
from typing import Any

import msgspec

from sat_hdl.config import preset
from sat_hdl.fpga.boards import Board

__all__ = ["REPORTS", "board_report"]

REPORTS = Path(__file__).parent / "reports" / "boards"


def board_report(board: Board) -> dict[str, Any] | None:
    """The report of a board's own choice, or None: nobody has kept one, or the choice has changed since."""
    path = REPORTS / f"{board.name}.json"
    if not path.exists():
        return None
    found = msgspec.json.decode(path.read_bytes())
    config, settings = preset(board.preset), board.target.clock(board.input_mhz, board.clock_mhz)
    chosen = {
        "component": board.component, "preset": board.preset, "rows": config.rows, "cols": config.cols,
        "target": board.target.name, "clock_mhz": round(settings.mhz, 3),
    }  # fmt: skip
    return found if all(found.get(key) == value for key, value in chosen.items()) else None
