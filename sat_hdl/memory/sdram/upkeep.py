"""Initialisation and refresh of an SDRAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.sdram.chip import ChipCycles

__all__ = ["SdramUpkeep"]

#: Before the mode is set; chips ask for two or eight.
_FIRST_REFRESHES = 8


class SdramUpkeep(wiring.Component):
    """Waits, closes all banks, refreshes eight times, sets the mode; then closes all banks and refreshes every
    ``interval`` cycles.

    Arguments
    ---------
    cycles: of the chip. interval: cycles.

    Members
    -------
    idle: In(1). Nothing transfers, nor begins to while ``due``.
    may_close: In(1). ``idle``, and PRECHARGE of all banks is legal. may_go_on: In(1). So is what needs them closed.
    due: Out(1). A refresh waits. runs: Out(1). Commands of others are allowed. started: Out(1). The mode is set.
    precharges_all, refreshes, sets_mode: Out(1). Issue it now.
    """

    def __init__(self, *, cycles: ChipCycles, interval: int):
        self._start, self._interval = max(2, cycles.start), interval
        super().__init__(
            {
                "idle": In(1),
                "may_close": In(1),
                "may_go_on": In(1),
                "due": Out(1),
                "runs": Out(1),
                "started": Out(1),
                "precharges_all": Out(1),
                "refreshes": Out(1),
                "sets_mode": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(max(self._start, self._interval)), init=self._start - 1)
        left = Signal(range(_FIRST_REFRESHES), init=_FIRST_REFRESHES - 1)
        over = Signal()
        # One bit beyond zero would be a carry chain longer; a register ahead is as good.
        m.d.sync += [timer.eq(timer - 1), over.eq(timer == 1)]
        with m.If(over):
            m.d.sync += timer.eq(self._interval - 1)
        with m.If(over & self.started):
            m.d.sync += self.due.eq(1)
        with m.FSM():
            with m.State("START"):
                with m.If(over):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(self.may_close):
                    m.d.comb += self.precharges_all.eq(1)
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(self.may_go_on):
                    m.d.comb += self.refreshes.eq(1)
                    m.d.sync += self.due.eq(0)
                    with m.If(left == 0):
                        m.next = "MODE"
                    with m.Else():
                        m.d.sync += left.eq(left - 1)
                    with m.If(self.started):
                        m.next = "RUN"
            with m.State("MODE"):
                with m.If(self.may_go_on):
                    m.d.comb += self.sets_mode.eq(1)
                    m.d.sync += self.started.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.runs.eq(1)
                with m.If(self.due & self.idle):
                    m.next = "CLOSE"
        return m
