"""Collects the results that leave the array's columns one cycle after another."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import result_layout
from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.stce.skew import delay

__all__ = ["Drain"]


class Drain(wiring.Component):
    """A queue of beats whose lanes are written one cycle apart and read together.

    It takes the place of the registers that would wait for the last column. The array can't be stopped, so
    whoever issues an exchange token that brings results must see ``room`` first; a place is then kept for
    it. With one beat of results taken a cycle, ``room`` stays high.

    A beat is valid ``latency`` = exchange latency + C + 2 cycles after its ``issue``: its lanes lie in a block RAM
    each, of which an 8 × 8 device has some to spare, other than LUT RAM.

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
        return self._exchange_latency + self._config.cols + 2

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
        # Beats that are all there are read ahead, into the memories' registers.
        ready = Signal(range(depth + 1))
        fetched = Signal()
        reads, forwards = Signal(), Signal()
        m.d.comb += [
            forwards.eq(~self.result.valid | self.result.ready),
            reads.eq((ready != 0) & (~fetched | forwards)),
        ]
        m.d.sync += place.eq(place + reads)
        with m.If(reads):
            m.d.sync += fetched.eq(1)
        with m.Elif(forwards):
            m.d.sync += fetched.eq(0)
        with m.If(forwards):
            m.d.sync += self.result.valid.eq(fetched)

        written, address = write, pointer
        for c in range(self._config.cols):
            column = RegisteredRam(width=32, depth=depth, target=self._config.target)
            m.submodules[f"column_{c}"] = column
            m.d.comb += [
                column.write_address.eq(address),
                column.write_data.eq(self.words[c]),
                column.write_enable.eq(written),
                column.read_address.eq(place),
                column.reads.eq(reads),
                column.forwards.eq(forwards),
                self.result.payload[c].eq(column.read_data),
            ]
            if c < self._config.cols - 1:
                written = delay(m, written, 1, f"written_{c}", reset=True)
                address = delay(m, address, 1, f"address_{c}")

        m.d.sync += ready.eq(ready + written - reads)
        return m
