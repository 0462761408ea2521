"""Delays of data that needs no reset."""

from amaranth.hdl import Module, Signal

__all__ = ["delay"]


def delay(m: Module, value, cycles: int, name: str, *, reset: bool = False):
    """``value`` as it was ``cycles`` cycles ago, through registers called ``name``.

    ``reset``: whether they are cleared by a reset. Only what is acted upon unasked (a valid) needs it.
    """
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i}", reset_less=not reset)
        m.d.sync += stage.eq(value)
        value = stage
    return value
