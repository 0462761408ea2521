"""Several AXI4 managers on one memory."""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import Axi4Signature
from sat_hdl.memory.round_robin import RoundRobin

__all__ = ["AxiMux"]

_FIELDS = ("addr", "len", "size", "burst", "lock", "cache", "prot")


class AxiMux(wiring.Component):
    """Passes bursts on in turns; the memory knows a manager by the high bits of its identifiers.

    Addresses are delayed by ``latency`` = 1 cycle; data and answers pass at once. Data go in the order of their
    addresses, so a manager that offers an address without data keeps the others from writing.

    Arguments
    ---------
    managers: 2 to 16. data_bits, id_bits: of each manager.

    Members
    -------
    s_axi: array of In(Axi4Signature).
    m_axi: Out(Axi4Signature), with identifiers of ``id_bits`` and those of the managers' number.
    """

    latency = 1
    ahead = 16  # addresses of writes whose data are to come

    def __init__(self, *, managers: int, data_bits: int, id_bits: int):
        if not isinstance(managers, int) or not 2 <= managers <= 16:
            raise ValueError(f"managers must be an integer from 2 to 16, not {managers!r}")
        self._managers, self._id_bits = managers, id_bits
        number = (managers - 1).bit_length()
        super().__init__(
            {
                "s_axi": In(Axi4Signature(data_bits=data_bits, id_bits=id_bits)).array(managers),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=id_bits + number)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, ids = self.m_axi, self._id_bits
        number = len(axi.awid) - ids
        m.submodules.orders = orders = SyncFIFO(width=number, depth=self.ahead)
        for channel in ("ar", "aw"):
            m.submodules[f"{channel}_turn"] = turn = RoundRobin(count=self._managers)
            valid, free = getattr(axi, f"{channel}valid"), Signal(name=f"{channel}_free")
            m.d.comb += [
                free.eq(~valid | getattr(axi, f"{channel}ready")),
                turn.take.eq(free),
            ]
            if channel == "aw":
                m.d.comb += [
                    free.eq((~valid | axi.awready) & orders.w_rdy),
                    orders.w_en.eq(free & turn.grant.any()),
                ]
            with m.If(getattr(axi, f"{channel}ready")):
                m.d.sync += valid.eq(0)
            for i, manager in enumerate(self.s_axi):
                granted = free & turn.grant[i]
                m.d.comb += [
                    turn.wanted[i].eq(getattr(manager, f"{channel}valid")),
                    getattr(manager, f"{channel}ready").eq(granted),
                ]
                with m.If(granted):
                    m.d.sync += [
                        valid.eq(1),
                        getattr(axi, f"{channel}id").eq(
                            Cat(getattr(manager, f"{channel}id")[:ids], Const(i, number))
                        ),
                        *(
                            getattr(axi, channel + field).eq(getattr(manager, channel + field))
                            for field in _FIELDS
                        ),
                    ]
                    if channel == "aw":
                        m.d.comb += orders.w_data.eq(i)

        writer = Array(self.s_axi)[orders.r_data]
        m.d.comb += [
            *(getattr(axi, name).eq(getattr(writer, name)) for name in ("wdata", "wstrb", "wlast")),
            axi.wvalid.eq(writer.wvalid & orders.r_rdy),
            orders.r_en.eq(axi.wvalid & axi.wready & axi.wlast),
            axi.rready.eq(Array(self.s_axi)[axi.rid[ids:]].rready),
            axi.bready.eq(Array(self.s_axi)[axi.bid[ids:]].bready),
        ]
        for i, manager in enumerate(self.s_axi):
            m.d.comb += [
                manager.wready.eq(axi.wready & orders.r_rdy & (orders.r_data == i)),
                manager.rvalid.eq(axi.rvalid & (axi.rid[ids:] == i)),
                manager.rid.eq(axi.rid[:ids]),
                *(getattr(manager, name).eq(getattr(axi, name)) for name in ("rdata", "rresp", "rlast")),
                manager.bvalid.eq(axi.bvalid & (axi.bid[ids:] == i)),
                manager.bid.eq(axi.bid[:ids]),
                manager.bresp.eq(axi.bresp),
            ]
        return m
