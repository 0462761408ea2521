"""Wishbone B4 (OpenCores) in place of AXI, for open systems on chip: the bus and bridges to it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import Axi4Signature, AxiLiteSignature, Response

__all__ = ["Axi4ToWishbone", "CycleType", "WishboneSignature", "WishboneToAxiLite"]


class CycleType(enum.Enum, shape=3):
    """CTI, the cycle type identifier."""

    CLASSIC = 0
    INCREMENTING = 2
    END_OF_BURST = 7


class WishboneSignature(wiring.Signature):
    """A Wishbone manager, named as LiteX and amaranth-soc do. ``adr`` counts words of ``data_bits``, ``sel`` bytes.

    Arguments
    ---------
    data_bits: a power of two from 8 to 1024. address_bits: of a byte's address, so ``adr`` is narrower.
    """

    #: Joins the port's name and its members' in Verilog.
    separator = "_"

    def __init__(self, *, data_bits: int, address_bits: int = 32):
        if not isinstance(data_bits, int) or not 8 <= data_bits <= 1024 or data_bits.bit_count() != 1:
            raise ValueError(f"data_bits must be a power of two from 8 to 1024, not {data_bits!r}")
        word = (data_bits // 8).bit_length() - 1
        if not isinstance(address_bits, int) or not word < address_bits <= 64:
            raise ValueError(f"address_bits must be an integer from {word + 1} to 64, not {address_bits!r}")
        super().__init__(
            {
                "adr": Out(address_bits - word),
                "dat_w": Out(data_bits),
                "dat_r": In(data_bits),
                "sel": Out(data_bits // 8),
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "cti": Out(CycleType),
                "bte": Out(2),
                "ack": In(1),
                "err": In(1),
            }
        )


class Axi4ToWishbone(wiring.Component):
    """An AXI4 subordinate that turns bursts, one at a time, into incrementing bursts of registered feedback.

    Bursts must be INCR and as wide as the bus, which those of SatTop are. Reads and writes take turns. A beat a cycle
    while the memory acknowledges every cycle; a read burst takes a cycle beside its beats, a write burst two. ERR is
    answered by SLVERR. A memory that never acknowledges stops the bus, as the standard has it: the program then ends
    by its LIMIT.

    Arguments
    ---------
    data_bits, id_bits: see :class:`~sat_hdl.memory.axi.Axi4Signature`.

    Members
    -------
    s_axi: In(Axi4Signature). m_wb: Out(WishboneSignature).
    """

    def __init__(self, *, data_bits: int, id_bits: int):
        super().__init__(
            {
                "s_axi": In(Axi4Signature(data_bits=data_bits, id_bits=id_bits)),
                "m_wb": Out(WishboneSignature(data_bits=data_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, bus = self.s_axi, self.m_wb
        address = Signal.like(bus.adr)
        left = Signal(8)
        identifier = Signal.like(axi.arid)
        was_read, failed = Signal(), Signal()
        answered = Signal()
        last = left == 0
        m.d.comb += [
            answered.eq(bus.stb & (bus.ack | bus.err)),
            bus.adr.eq(address),
            bus.dat_w.eq(axi.wdata),
            bus.cti.eq(Mux(last, CycleType.END_OF_BURST, CycleType.INCREMENTING)),
            axi.bid.eq(identifier),
            axi.bresp.eq(Mux(failed, Response.SLVERR, Response.OKAY)),
        ]
        with m.If(answered):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        shift = len(axi.araddr) - len(address)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(axi.arvalid & ~(axi.awvalid & was_read)):
                    m.d.comb += axi.arready.eq(1)
                    m.d.sync += [
                        address.eq(axi.araddr >> shift),
                        left.eq(axi.arlen),
                        identifier.eq(axi.arid),
                        was_read.eq(1),
                    ]
                    m.next = "READ"
                with m.Elif(axi.awvalid):
                    m.d.comb += axi.awready.eq(1)
                    m.d.sync += [
                        address.eq(axi.awaddr >> shift),
                        left.eq(axi.awlen),
                        identifier.eq(axi.awid),
                        was_read.eq(0),
                        failed.eq(0),
                    ]
                    m.next = "WRITE"
            with m.State("READ"):
                # Once there is room for a beat it stays, so a strobe is never taken back.
                m.d.comb += [bus.cyc.eq(1), bus.stb.eq(~axi.rvalid | axi.rready), bus.sel.eq(-1)]
                with m.If(answered):
                    m.d.sync += [
                        axi.rvalid.eq(1),
                        axi.rid.eq(identifier),
                        axi.rdata.eq(bus.dat_r),
                        axi.rresp.eq(Mux(bus.err, Response.SLVERR, Response.OKAY)),
                        axi.rlast.eq(last),
                    ]
                    with m.If(last):
                        m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += [
                    bus.cyc.eq(1),
                    bus.stb.eq(axi.wvalid),
                    bus.we.eq(1),
                    bus.sel.eq(axi.wstrb),
                    axi.wready.eq(bus.ack | bus.err),
                ]
                with m.If(answered):
                    m.d.sync += failed.eq(failed | bus.err)
                    with m.If(last):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "IDLE"
        return m


class WishboneToAxiLite(wiring.Component):
    """A Wishbone subordinate in front of AXI4-Lite registers: classic cycles, one access at a time.

    An error response is answered by ERR. 3 cycles beside those of the registers.

    Arguments
    ---------
    address_bits: of a register's byte address, 3 to 32.

    Members
    -------
    s_wb: In(WishboneSignature), 32 bits. m_axi: Out(AxiLiteSignature).
    """

    def __init__(self, *, address_bits: int):
        super().__init__(
            {
                "s_wb": In(WishboneSignature(data_bits=32, address_bits=address_bits)),
                "m_axi": Out(AxiLiteSignature(address_bits=address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, axi = self.s_wb, self.m_axi
        response = Signal(Response)
        m.d.comb += [axi.bready.eq(1), axi.rready.eq(1)]
        for valid, ready in (
            (axi.awvalid, axi.awready),
            (axi.wvalid, axi.wready),
            (axi.arvalid, axi.arready),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(bus.cyc & bus.stb):
                    m.d.sync += [
                        axi.awaddr.eq(bus.adr << 2),
                        axi.araddr.eq(bus.adr << 2),
                        axi.wdata.eq(bus.dat_w),
                        axi.wstrb.eq(bus.sel),
                        axi.awvalid.eq(bus.we),
                        axi.wvalid.eq(bus.we),
                        axi.arvalid.eq(~bus.we),
                    ]
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [bus.dat_r.eq(axi.rdata), response.eq(Mux(axi.rvalid, axi.rresp, axi.bresp))]
                with m.If(axi.rvalid | axi.bvalid):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                error = response.as_value()[1]
                m.d.comb += [bus.ack.eq(~error), bus.err.eq(error)]
                m.next = "IDLE"
        return m
