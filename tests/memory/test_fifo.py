"""The queue in block RAM, proved for a small one."""

import pytest

from sat_hdl.memory.fifo import BlockFifo

from .bounded import WIDTH, QueueClaim, refuted


def test_proved_for_every_pattern_of_stalls():
    """Four words in the RAM and two behind it; the sixth waits, so the proof is not for want of cases."""
    cycles = 16
    assert not refuted(QueueClaim(BlockFifo(width=WIDTH, depth=4), most=6), cycles=cycles)
    assert refuted(QueueClaim(BlockFifo(width=WIDTH, depth=4), most=5), cycles=cycles)


@pytest.mark.parametrize(
    ("wrong", "name"), [({"width": 0}, "width"), ({"depth": 3}, "depth"), ({"depth": 2}, "depth")]
)
def test_arguments_are_checked(wrong, name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        BlockFifo(**{"width": 8, "depth": 16, **wrong})
