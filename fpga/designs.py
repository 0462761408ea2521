"""What a bitstream can be made of."""

from amaranth.lib import wiring

from sat_hdl.components import make
from sat_hdl.config import Config, ConfigError
from sat_hdl.fpga.board_system import BoardSystem
from sat_hdl.fpga.boards import BOARDS, Board

__all__ = ["DESIGNS", "design_for"]

#: What `sat-hdl build --component` takes.
DESIGNS = ("system", "core")


def design_for(
    board: Board, config: Config, *, kind: str, clock_mhz: float | None = None
) -> wiring.Component:
    """The design of that ``kind`` for a board, at a clock of ``clock_mhz`` or the board's own."""
    if kind not in DESIGNS:
        raise ConfigError(f"The component must be one of {', '.join(DESIGNS)}, not {kind!r}.")
    if kind == "core":
        return make("top", config)
    if not board.memory:
        able = ", ".join(other.name for other in BOARDS.values() if other.memory)
        raise ConfigError(
            f"The whole accelerator doesn't fit {board.name}: build `--component core` for it, or choose one "
            f"of {able}."
        )
    settings = board.target.clock(board.input_mhz, board.clock_mhz if clock_mhz is None else clock_mhz)
    return BoardSystem(config=config, memory=board.memory, clock_mhz=settings.mhz, baud=board.baud)
