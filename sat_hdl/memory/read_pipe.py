"""From a stream of addresses to a stream of what a memory with registered outputs holds there."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.stce.skew import delay

__all__ = ["ReadPipe"]


class ReadPipe(wiring.Component):
    """Issues an address a cycle while there is room for its answer, which comes ``latency`` cycles later.

    ``out`` follows ``addresses`` by ``latency`` + 1 cycles, one a cycle.

    Arguments
    ---------
    address_shape, data_shape: of the two payloads.
    latency: cycles from ``enable`` to ``data``, 1 to 6.

    Members
    -------
    addresses: In(stream of address_shape).
    enable: Out(1), address: Out(address_shape). data: In(data_shape).
    out: Out(stream of data_shape).
    empty: Out(1). Nothing is on its way.
    """

    depth = 8

    def __init__(self, *, address_shape, data_shape, latency: int):
        if not isinstance(latency, int) or not 1 <= latency <= 6:
            raise ValueError(f"latency must be an integer from 1 to 6, not {latency!r}")
        self._latency = latency
        super().__init__(
            {
                "addresses": In(stream.Signature(address_shape)),
                "enable": Out(1),
                "address": Out(address_shape),
                "data": In(data_shape),
                "out": Out(stream.Signature(data_shape)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=len(self.data.as_value()), depth=self.depth)
        taken = Signal(range(self.depth + 1))
        pop = self.out.valid & self.out.ready
        room = taken != self.depth
        m.d.sync += taken.eq(taken + self.enable - pop)
        m.d.comb += [
            self.addresses.ready.eq(room),
            self.enable.eq(room & self.addresses.valid),
            self.address.eq(self.addresses.payload),
            fifo.w_en.eq(delay(m, self.enable, self._latency, "issued", reset=True)),
            fifo.w_data.eq(self.data),
            fifo.r_en.eq(pop),
            self.out.valid.eq(fifo.r_rdy),
            self.out.payload.eq(fifo.r_data),
            self.empty.eq(taken == 0),
        ]
        return m
