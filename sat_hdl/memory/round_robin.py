"""Fair choice among those who want something."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RoundRobin"]


class RoundRobin(wiring.Component):
    """Grants one of those who want, the next after the one that was served last. Combinational.

    Arguments
    ---------
    count: of those who may want, 1 to 16.

    Members
    -------
    wanted: In(count). grant: Out(count), one bit, or none if nobody wants.
    take: In(1). Who is granted is served in this cycle.
    """

    def __init__(self, *, count: int):
        if not isinstance(count, int) or not 1 <= count <= 16:
            raise ValueError(f"count must be an integer from 1 to 16, not {count!r}")
        super().__init__({"wanted": In(count), "grant": Out(count), "take": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = len(self.wanted)
        later = Signal(count)  # those who come before the one served last do so only in the next round
        first = self.wanted & later
        # Written out: of `first & -first` synthesis makes a chain as long as there are those who want.
        for i in range(count):
            in_turn = first[i] & ~first[:i].any()
            m.d.comb += self.grant[i].eq(in_turn | (self.wanted[i] & ~self.wanted[:i].any() & ~first.any()))
        with m.If(self.take & self.grant.any()):
            m.d.sync += later.eq(~((self.grant << 1) - 1))
        return m
