"""Delays of data that needs no reset."""

from amaranth.hdl import Module, Signal, Value

__all__ = ["delay"]


def delay(m: Module, value, cycles: int, name: str, *, reset: bool = False):
    """``value``'s bits as they were ``cycles`` cycles ago, through registers called ``name``.

    ``reset``: whether they are cleared by a reset. Only what is acted upon unasked (a valid) needs it.
    """
    value = Value.cast(value)
    for i in range(cycles):
        stage = Signal(len(value), name=f"{name}_{i}", reset_less=not reset)
        m.d.sync += stage.eq(value)
        value = stage
    return value
