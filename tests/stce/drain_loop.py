"""A drain with a stand-in for the array in front: beats in, the same beats out."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.layouts import result_layout
from sat_hdl.stce.drain import Drain
from sat_hdl.stce.skew import delay

__all__ = ["DrainLoop"]


class DrainLoop(wiring.Component):
    """Issues a token for each beat of ``i`` while there is room; lane c of it reaches the drain exchange latency
    + c cycles later, as from the array.

    Members
    -------
    i: In(stream of result_layout), o: Out(the same).
    room, empty: Out(1). The drain's.
    """

    def __init__(self, config: Config, *, exchange_latency: int):
        self._config, self._exchange_latency = config, exchange_latency
        self.drain = Drain(config, exchange_latency=exchange_latency)
        beats = stream.Signature(result_layout(config))
        super().__init__({"i": In(beats), "o": Out(beats), "room": Out(1), "empty": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.drain = drain = self.drain
        connect(m, drain.result, flipped(self.o))
        m.d.comb += [
            self.room.eq(drain.room),
            self.empty.eq(drain.empty),
            self.i.ready.eq(drain.room),
            drain.issue.eq(self.i.valid & drain.room),
        ]
        for c in range(self._config.cols):
            lane = delay(m, self.i.payload[c], self._exchange_latency + c, f"lane_{c}")
            m.d.comb += drain.words[c].eq(lane)
        return m
