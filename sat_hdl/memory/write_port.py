"""Several writers on one AXI4 write port."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import CACHE_NORMAL, Axi4WriteSignature, Burst
from sat_hdl.memory.one_hot import choose
from sat_hdl.memory.read_port import request_layout
from sat_hdl.memory.round_robin import RoundRobin
from sat_hdl.memory.split import check_widths

__all__ = ["WriteClientSignature", "WritePort", "write_beat_layout"]


def write_beat_layout(data_bits: int) -> data.StructLayout:
    """``strobes``: which bytes of ``data`` are written."""
    return data.StructLayout({"data": data_bits, "strobes": data_bits // 8})


class WriteClientSignature(wiring.Signature):
    """A writer's side. It asks for a burst only when it has the burst's data, so it never makes others wait.

    Members
    -------
    request: Out(stream of request_layout).
    beats: Out(stream of write_beat_layout). Those of its bursts in order.
    done: In(1). A burst has been answered, in order. error: In(1). By an error.
    """

    def __init__(self, *, data_bits: int):
        super().__init__(
            {
                "request": Out(stream.Signature(request_layout())),
                "beats": Out(stream.Signature(write_beat_layout(data_bits))),
                "done": In(1),
                "error": In(1),
            }
        )


class WritePort(wiring.Component):
    """Turns requests into AXI4 bursts, in turns, one a cycle; their data follow in the same order, one beat a cycle.

    Up to ``ahead`` addresses are sent ahead of their data. A client is known to the memory by its number (AWID).
    Requests, beats and answers are delayed by ``latency`` = 1 cycle each; the first beat of a burst by at least 2
    from its request.

    Arguments
    ---------
    clients: 1 to 16.
    data_bits: 16 to 512, a power of two.

    Members
    -------
    clients: array of In(WriteClientSignature).
    m_axi: Out(Axi4WriteSignature). Its BREADY is always 1.
    """

    latency = 1
    ahead = 16  # a power of two

    def __init__(self, *, clients: int, data_bits: int):
        if not isinstance(clients, int) or not 1 <= clients <= 16:
            raise ValueError(f"clients must be an integer from 1 to 16, not {clients!r}")
        check_widths(data_bits, 2)
        self._clients, self._data_bits = clients, data_bits
        super().__init__(
            {
                "clients": In(WriteClientSignature(data_bits=data_bits)).array(clients),
                "m_axi": Out(Axi4WriteSignature(data_bits=data_bits, id_bits=self.id_bits)),
            }
        )

    @property
    def id_bits(self) -> int:
        """Width of the identifiers."""
        return max(1, (self._clients - 1).bit_length())

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        m.d.comb += [
            axi.awsize.eq((self._data_bits // 8 - 1).bit_length()),
            axi.awburst.eq(Burst.INCR),
            axi.awcache.eq(CACHE_NORMAL),
            axi.bready.eq(1),
        ]

        # --- addresses --------------------------------------------------------------------------------------
        order = data.StructLayout({"serving": self._clients, "length": 8})
        m.submodules.orders = orders = SyncFIFO(width=order.size, depth=self.ahead)
        m.submodules.turn = turn = RoundRobin(count=self._clients)
        length = Signal(8)
        free = Signal()
        goes = Signal()
        m.d.comb += [
            free.eq((~axi.awvalid | axi.awready) & ~orders.level[-1]),
            goes.eq(free & turn.grant.any()),
            turn.take.eq(free),
            length.eq(choose((client.request.payload.length for client in self.clients), turn.grant)),
            orders.w_en.eq(goes),
            orders.w_data.eq(Cat(turn.grant, length)),
        ]
        for i, client in enumerate(self.clients):
            m.d.comb += [
                turn.wanted[i].eq(client.request.valid),
                client.request.ready.eq(free & turn.grant[i]),
            ]
            # Loaded under an enable of its own: a multiplexer before it would repeat the arbiter for every bit.
            with m.If(free & turn.grant[i]):
                m.d.sync += [
                    axi.awid.eq(i),
                    axi.awaddr.eq(client.request.payload.address),
                    axi.awlen.eq(client.request.payload.length),
                ]
        with m.If(goes):
            m.d.sync += axi.awvalid.eq(1)
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)

        # --- data -------------------------------------------------------------------------------------------
        head = data.View(order, orders.r_data)
        serving = Signal(self._clients)  # whose burst it is; the beats of it
        left = Signal(8)
        last = Signal()
        busy = Signal()
        offered = Signal()
        free_beat = Signal()
        gives = Signal()
        m.d.comb += [
            offered.eq((Cat(client.beats.valid for client in self.clients) & serving).any()),
            free_beat.eq(~axi.wvalid | axi.wready),
            gives.eq(offered & free_beat),
            orders.r_en.eq(~busy | (gives & last)),
        ]
        for i, client in enumerate(self.clients):
            m.d.comb += client.beats.ready.eq(serving[i] & free_beat)
        with m.If(orders.r_en):
            m.d.sync += [
                busy.eq(orders.r_rdy),
                serving.eq(head.serving & orders.r_rdy.replicate(self._clients)),
                left.eq(head.length),
                last.eq(head.length == 0),
            ]
        with m.Elif(gives):
            m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
        beat = Signal(write_beat_layout(self._data_bits))
        m.d.comb += beat.eq(choose((client.beats.payload for client in self.clients), serving))
        with m.If(free_beat):
            m.d.sync += [
                axi.wvalid.eq(offered),
                axi.wdata.eq(beat.data),
                axi.wstrb.eq(beat.strobes),
                axi.wlast.eq(last),
            ]

        # --- answers ----------------------------------------------------------------------------------------
        answered = Signal()
        failed = Signal()
        identifier = Signal(self.id_bits)
        m.d.sync += [
            answered.eq(axi.bvalid),
            failed.eq(axi.bresp.as_value()[1]),
            identifier.eq(axi.bid),
        ]
        for i, client in enumerate(self.clients):
            m.d.comb += [client.done.eq(answered & (identifier == i)), client.error.eq(failed)]
        return m
