"""Collects the results that leave the array's columns one cycle after another."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import result_layout
from sat_hdl.stce.skew import delay

__all__ = ["Drain"]


class Drain(wiring.Component):
    """A queue of beats whose lanes are written one cycle apart and read together.

    It takes the place of the registers that would wait for the last column. The array can't be stopped, so
    whoever issues an exchange token that brings results must see ``room`` first; a place is then kept for
    it. With one beat of results taken a cycle, ``room`` stays high.

    A beat is valid ``latency`` = exchange latency + C cycles after its ``issue``.

    Arguments
    ---------
    config: rows and cols.
    exchange_latency: of the array, from issue to column 0's word.

    Members
    -------
    issue: In(1). A token that brings results enters the array.
    room: Out(1). Whether it may.
    empty: Out(1). Nothing is in the queue or on its way.
    words: In(result_layout). The array's results.
    result: Out(stream of result_layout).
    """

    def __init__(self, config: Config, *, exchange_latency: int):
        if not isinstance(exchange_latency, int) or exchange_latency < 1:
            raise ValueError(f"Exchange latency must be a positive integer, not {exchange_latency!r}")
        self._config = config
        self._exchange_latency = exchange_latency
        super().__init__(
            {
                "issue": In(1),
                "room": Out(1),
                "empty": Out(1),
                "words": In(result_layout(config)),
                "result": Out(stream.Signature(result_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``issue`` to the beat's being valid."""
        return self._exchange_latency + self._config.cols

    @property
    def depth(self) -> int:
        """Beats, a power of two: enough that a reader who takes every beat at once never sees ``room`` low."""
        return 1 << (self.latency + 1).bit_length()

    def elaborate(self, platform):
        m = Module()
        depth = self.depth
        pop = Signal()
        m.d.comb += pop.eq(self.result.valid & self.result.ready)

        taken = Signal(range(depth + 1))
        m.d.sync += taken.eq(taken + self.issue - pop)
        m.d.comb += [self.room.eq(taken != depth), self.empty.eq(taken == 0)]

        write = delay(m, self.issue, self._exchange_latency, "write", reset=True)
        pointer = Signal(range(depth))
        with m.If(write):
            m.d.sync += pointer.eq(pointer + 1)
        place = Signal(range(depth))
        m.d.sync += place.eq(place + pop)

        written, address = write, pointer
        for c in range(self._config.cols):
            m.submodules[f"column_{c}"] = column = Memory(shape=32, depth=depth, init=[])
            write_port, read_port = column.write_port(), column.read_port(domain="comb")
            m.d.comb += [
                write_port.addr.eq(address),
                write_port.data.eq(self.words[c]),
                write_port.en.eq(written),
                read_port.addr.eq(place),
                self.result.payload[c].eq(read_port.data),
            ]
            if c < self._config.cols - 1:
                written = delay(m, written, 1, f"written_{c}", reset=True)
                address = delay(m, address, 1, f"address_{c}")

        ready = Signal(range(depth + 1))
        m.d.sync += ready.eq(ready + written - pop)
        m.d.comb += self.result.valid.eq(ready != 0)
        return m
