"""The performance counters: 64 bits each, in one memory behind one adder."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target

__all__ = ["Counters"]

#: Bits of what waits to be added: more events than there are cycles from a counter's turn to its next.
_WAITING_BITS = 6


class Counters(wiring.Component):
    """Up to 16 counters of 64 bits: the first ones count cycles in which an event is, the others sum up amounts.

    A counter's turn comes every 16 cycles; what has been since waits in a few bits of its own. It takes two cycles:
    what waits is chosen, then added. A read makes the next turn that of the counter that is read, so what it gives
    is exact. Counters that are registers with an adder each, and a multiplexer to read them, take several times the
    LUTs.

    Reads must leave every other cycle free, so a turn comes every 32 cycles at the latest; sets of amounts must come
    that far apart. Products do: the shortest takes longer to leave the array.

    Arguments
    ---------
    events: how many counters of events; amounts: of amounts; both at least 1, together at most 16.
    target: "ecp5" or "portable".

    Members
    -------
    clear: In(1). All are 0 from the next cycle on; what is counted in this one is lost.
    events: In(events). amounts: In(32 each), added: In(1): now.
    index: In(4), reads: In(1). value: Out(64), ``read_latency`` = 2 cycles later: the counter as it was at the end of
        the cycle of ``reads``.
    """

    read_latency = 2

    def __init__(self, *, events: int, amounts: int, target: str = "portable"):
        check_target(target)
        for name, value in (("events", events), ("amounts", amounts)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if events + amounts > 16:
            raise ValueError(f"There may be 16 counters, not {events + amounts}")
        self._target = target
        super().__init__(
            {
                "clear": In(1),
                "events": In(events),
                "amounts": In(data.ArrayLayout(32, amounts)),
                "added": In(1),
                "index": In(4),
                "reads": In(1),
                "value": Out(64),
            }
        )

    def elaborate(self, platform):
        m = Module()
        scan, turn = Signal(4), Signal(4)
        m.d.sync += [scan.eq(scan + ~self.reads), turn.eq(Mux(self.reads, self.index, scan))]

        # What waits for its counter's turn. What comes in the turn's first cycle waits for the next.
        waits = []
        for i in range(len(self.events)):
            waiting = Signal(_WAITING_BITS, name=f"waiting_{i}")
            here = Signal(name=f"turn_{i}")
            m.d.comb += here.eq(turn == i)
            m.d.sync += waiting.eq(Mux(here, 0, waiting) + self.events[i])
            with m.If(self.clear):
                m.d.sync += waiting.eq(0)
            waits.append(waiting)
        pending = Signal(len(self.amounts))
        held = Signal.like(self.amounts, reset_less=True)
        for i in range(len(self.amounts)):
            with m.If(turn == len(self.events) + i):
                m.d.sync += pending[i].eq(0)
            waits.append(Mux(pending[i], held[i], 0))
        with m.If(self.added):
            m.d.sync += [held.eq(self.amounts), pending.eq(~0)]
        with m.If(self.clear):
            m.d.sync += pending.eq(0)
        waits += [Const(0)] * (16 - len(waits))

        more, place = Signal(32, reset_less=True), Signal(4)
        m.d.sync += [more.eq(Array(waits)[turn]), place.eq(turn)]
        with m.If(self.clear):
            m.d.sync += more.eq(0)

        # A counter that has had no turn since all were cleared is 0, whatever its place holds.
        fresh = Signal(16, init=0xFFFF)
        for i in range(16):
            with m.If(place == i):
                m.d.sync += fresh[i].eq(0)
        with m.If(self.clear):
            m.d.sync += fresh.eq(~0)
        m.submodules.totals = totals = Memory(shape=64, depth=16, init=[])
        write, read = totals.write_port(), totals.read_port(domain="comb")
        m.submodules.add = add = MuxAdder(width=64, target=self._target)
        m.d.comb += [
            read.addr.eq(place),
            write.addr.eq(place),
            write.en.eq(1),
            write.data.eq(add.o),
            add.x.eq(more),
            add.y0.eq(read.data),
            add.y1.eq(0),
            add.s.eq(fresh.bit_select(place, 1)),
            self.value.eq(add.o),
        ]
        return m
