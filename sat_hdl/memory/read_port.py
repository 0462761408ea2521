"""Several readers on one AXI4 read port."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import CACHE_NORMAL, Axi4ReadSignature, Burst
from sat_hdl.memory.round_robin import RoundRobin
from sat_hdl.memory.split import check_widths

__all__ = ["ReadClientSignature", "ReadPort", "request_layout"]


def request_layout() -> data.StructLayout:
    """``length`` + 1 beats from byte ``address`` on, which is a multiple of a beat; within 4096 bytes."""
    return data.StructLayout({"address": 32, "length": 8})


class ReadClientSignature(wiring.Signature):
    """A reader's side. It takes every beat as it comes: it must have kept room for what it asked for.

    Members
    -------
    request: Out(stream of request_layout).
    valid: In(1), data: In(data_bits): a beat of this client's bursts, which come in order.
    last: In(1). Of a burst. error: In(1). The memory says that the beat is wrong.
    """

    def __init__(self, *, data_bits: int):
        super().__init__(
            {
                "request": Out(stream.Signature(request_layout())),
                "valid": In(1),
                "data": In(data_bits),
                "last": In(1),
                "error": In(1),
            }
        )


class ReadPort(wiring.Component):
    """Turns requests into AXI4 bursts, in turns, one a cycle, and gives each client what comes back for it.

    A client is known to the memory by its number (ARID), so its bursts come in order, mixed with others' in any way.
    Requests and beats are delayed by ``latency`` = 1 cycle each.

    Arguments
    ---------
    clients: 1 to 16.
    data_bits: 16 to 512, a power of two.

    Members
    -------
    clients: array of In(ReadClientSignature).
    m_axi: Out(Axi4ReadSignature). Its RREADY is always 1.
    """

    latency = 1

    def __init__(self, *, clients: int, data_bits: int):
        if not isinstance(clients, int) or not 1 <= clients <= 16:
            raise ValueError(f"clients must be an integer from 1 to 16, not {clients!r}")
        check_widths(data_bits, 2)
        self._clients, self._data_bits = clients, data_bits
        super().__init__(
            {
                "clients": In(ReadClientSignature(data_bits=data_bits)).array(clients),
                "m_axi": Out(Axi4ReadSignature(data_bits=data_bits, id_bits=self.id_bits)),
            }
        )

    @property
    def id_bits(self) -> int:
        """Width of the identifiers."""
        return max(1, (self._clients - 1).bit_length())

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        m.submodules.turn = turn = RoundRobin(count=self._clients)
        free = ~axi.arvalid | axi.arready
        m.d.comb += [
            turn.take.eq(free),
            axi.arsize.eq((self._data_bits // 8 - 1).bit_length()),
            axi.arburst.eq(Burst.INCR),
            axi.arcache.eq(CACHE_NORMAL),
            axi.rready.eq(1),
        ]
        with m.If(free):
            m.d.sync += axi.arvalid.eq(turn.grant.any())
        beat = Signal(data.StructLayout({"data": self._data_bits, "last": 1, "error": 1}))
        beat_valid = Signal()
        identifier = Signal(self.id_bits)
        m.d.sync += [
            beat_valid.eq(axi.rvalid),
            identifier.eq(axi.rid),
            beat.data.eq(axi.rdata),
            beat.last.eq(axi.rlast),
            beat.error.eq(axi.rresp.as_value()[1]),
        ]
        for i, client in enumerate(self.clients):
            m.d.comb += [
                turn.wanted[i].eq(client.request.valid),
                client.request.ready.eq(free & turn.grant[i]),
                client.valid.eq(beat_valid & (identifier == i)),
                client.data.eq(beat.data),
                client.last.eq(beat.last),
                client.error.eq(beat.error),
            ]
            # Loaded under an enable of its own: a multiplexer before it would repeat the arbiter for every bit.
            with m.If(free & turn.grant[i]):
                m.d.sync += [
                    axi.arid.eq(i),
                    axi.araddr.eq(client.request.payload.address),
                    axi.arlen.eq(client.request.payload.length),
                ]
        return m
