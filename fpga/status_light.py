"""One light that tells how a board fares."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StatusLight"]


class StatusLight(wiring.Component):
    """Blinks shortly about once a second while the device waits; is lit while a program runs; flickers, 8 times a
    second, after one has failed or a frame was damaged, until the next program starts.

    Arguments
    ---------
    clock_hz: of the device, at least 16.

    Members
    -------
    running, failed: In(1). A program runs; the last one has failed. damaged: In(1), for a cycle. A frame was.
    led: Out(1).
    """

    def __init__(self, *, clock_hz: float):
        if not isinstance(clock_hz, (int, float)) or not clock_hz >= 16:
            raise ValueError(f"clock_hz must be a number of at least 16, not {clock_hz!r}")
        # A power of two of cycles, from 2/3 to 4/3 of a second.
        self._width = round(clock_hz * 2 / 3).bit_length()
        super().__init__({"running": In(1), "failed": In(1), "damaged": In(1), "led": Out(1)})

    @property
    def period(self) -> int:
        """Cycles from blink to blink."""
        return 1 << self._width

    def elaborate(self, platform):
        m = Module()
        clock, trouble = Signal(self._width), Signal()
        m.d.sync += clock.eq(clock + 1)
        with m.If(self.running):
            m.d.sync += trouble.eq(0)
        with m.Elif(self.failed | self.damaged):
            m.d.sync += trouble.eq(1)
        with m.If(self.running):
            m.d.comb += self.led.eq(1)
        with m.Elif(trouble):
            m.d.comb += self.led.eq(clock[-4])
        with m.Else():
            m.d.comb += self.led.eq(clock[-3:].all())
        return m
