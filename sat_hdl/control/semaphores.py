"""The counters that units wait for."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.control.isa import SEMAPHORE_MAX, SEMAPHORES

__all__ = ["Semaphores"]


class Semaphores(wiring.Component):
    """Counting semaphores. A unit asks for one of each in a mask and gets all or none; one unit a cycle.

    Units take turns, so none starves. What is added in a cycle can be taken in the next.

    Arguments
    ---------
    units: that ask and signal, 1 to 15.

    Members
    -------
    wait, signal: In(SEMAPHORES for each unit). taken: Out(1 for each unit), in the cycle in which it asks.
    overflow: Out(1). A semaphore was to exceed 255 in the cycle before (it stays there).
    clear: In(1). All become 0.
    """

    def __init__(self, *, units: int):
        if not isinstance(units, int) or not 1 <= units <= 15:
            raise ValueError(f"units must be an integer from 1 to 15, not {units!r}")
        self._units = units
        masks = data.ArrayLayout(SEMAPHORES, units)
        super().__init__(
            {
                "wait": In(masks),
                "signal": In(masks),
                "taken": Out(units),
                "overflow": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        counts = [Signal(range(SEMAPHORE_MAX + 1), name=f"count_{i}") for i in range(SEMAPHORES)]
        there = Signal(SEMAPHORES)
        m.d.comb += there.eq(Cat(count.any() for count in counts))
        turn = Signal(range(self._units))
        wanted, mask = Signal(SEMAPHORES), Signal(SEMAPHORES)
        granted = Signal()
        m.d.comb += [
            wanted.eq(Array(self.wait[u] for u in range(self._units))[turn]),
            granted.eq(wanted.any() & ~(wanted & ~there).any()),
            mask.eq(wanted & granted.replicate(SEMAPHORES)),
            self.taken.eq(granted << turn),
        ]
        with m.If(turn == self._units - 1):
            m.d.sync += turn.eq(0)
        with m.Else():
            m.d.sync += turn.eq(turn + 1)
        m.d.sync += self.overflow.eq(0)
        for i, count in enumerate(counts):
            total = Signal(range(SEMAPHORE_MAX + 1 + self._units), name=f"total_{i}")
            added = sum((self.signal[u][i] for u in range(self._units)), start=self.signal[0][i] & 0)
            m.d.comb += total.eq(count + added - mask[i])
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Elif(total > SEMAPHORE_MAX):
                m.d.sync += self.overflow.eq(1)
            with m.Else():
                m.d.sync += count.eq(total)
        return m
