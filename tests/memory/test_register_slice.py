"""The register slice, proved."""

from sat_hdl.memory.register_slice import RegisterSlice

from .bounded import WIDTH, QueueClaim, refuted


def test_proved_for_every_pattern_of_stalls():
    assert not refuted(QueueClaim(RegisterSlice(shape=WIDTH), most=2), cycles=12)
    assert refuted(QueueClaim(RegisterSlice(shape=WIDTH), most=1), cycles=12)
