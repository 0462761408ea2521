"""What boards have in common. That one trains is shown in tests/sim/test_emulated_board.py."""

import pytest

from sat_hdl.fpga.sat_board import SatBoard, SerialBoard
from sat_hdl.link.identity import Identity

from ..device import CONFIG


def test_ports():
    """What a board's top connects."""
    board = SatBoard(config=CONFIG, memory_size=1 << 20, clock_hz=60e6)
    assert len(board.m_axi.awid) == board.id_bits
    assert Identity.decode(board.identity.encode()).clock_hz == 60_000_000
    assert set(SerialBoard(board=board, divisor=4).signature.members) == {
        "rx", "tx", "m_axi", "irq", "busy", "led",
    }  # fmt: skip


@pytest.mark.parametrize("size", [0, 100, 1 << 33, None])
def test_a_bad_memory_is_refused(size):
    with pytest.raises(ValueError, match="memory_size must be a multiple of 64"):
        SatBoard(config=CONFIG, memory_size=size, clock_hz=1e6)
