"""Beats to words on an SDRAM's data pins, and back."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SdramLanes"]


class SdramLanes(wiring.Component):
    """A beat is ``words`` words of 16 bits, the low one first. Strobes of a kind are ``words`` cycles apart, or
    more.

    Arguments
    ---------
    words: of a beat, at least 2.
    read_latency: cycles from ``reads`` to the first word at ``dq_i``.

    Members
    -------
    writes: In(1). The beat at ``write_data`` and ``write_strobe`` is out, word by word, from the next cycle on.
    reads: In(1). A beat will come.
    read: Out(1), read_data: Out. It is here, ``read_latency`` + ``words`` cycles after ``reads``.
    quiet: In(1). ``dqm`` is high, as chips ask for while they start.
    dq_o, dq_oe, dqm: Out. Registers. dq_i: In(16).
    """

    def __init__(self, *, words: int, read_latency: int):
        self._words, self._read_latency = words, read_latency
        super().__init__(
            {
                "writes": In(1),
                "write_data": In(16 * words),
                "write_strobe": In(2 * words),
                "reads": In(1),
                "read": Out(1),
                "read_data": Out(16 * words),
                "quiet": In(1),
                "dq_o": Out(16),
                "dq_oe": Out(1),
                "dqm": Out(2, init=0b11),
                "dq_i": In(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rest = Signal(16 * (self._words - 1), reset_less=True)
        strobes = Signal(2 * (self._words - 1))
        goes_on = Signal(self._words - 1)  # a one for each word left
        m.d.sync += [
            self.dq_o.eq(Mux(self.writes, self.write_data[:16], rest[:16])),
            rest.eq(Mux(self.writes, self.write_data[16:], rest >> 16)),
            self.dq_oe.eq(self.writes | goes_on[0]),
            goes_on.eq(Mux(self.writes, (1 << len(goes_on)) - 1, goes_on >> 1)),
            strobes.eq(Mux(self.writes, self.write_strobe[2:], strobes >> 2)),
            self.dqm.eq(self.quiet.replicate(2)),
        ]
        with m.If(self.writes):
            m.d.sync += self.dqm.eq(~self.write_strobe[:2])
        with m.Elif(goes_on[0]):
            m.d.sync += self.dqm.eq(~strobes[:2])

        coming = Signal(self._read_latency + self._words)
        m.d.sync += [
            coming.eq((coming << 1) | self.reads),
            self.read_data.eq((self.dq_i << (16 * (self._words - 1))) | (self.read_data >> 16)),
        ]
        m.d.comb += self.read.eq(coming[-1])
        return m
