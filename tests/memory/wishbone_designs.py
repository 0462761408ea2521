"""A device on Wishbone behind AXI again, so that everything that is tested on AXI can be tested through both bridges.
What the device does on Wishbone is checked meanwhile: a broken rule stops the simulation."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.memory.axi import Axi4Signature, AxiLiteSignature, Burst, Response
from sat_hdl.memory.wishbone import Axi4ToWishbone, CycleType, WishboneSignature
from sat_hdl.system_wishbone import SatWishbone


class WishboneToAxi4(wiring.Component):
    """A memory on Wishbone: each access is an AXI4 burst of one beat. Rests on its own now and then."""

    def __init__(self, *, data_bits: int):
        super().__init__(
            {
                "s_wb": In(WishboneSignature(data_bits=data_bits)),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, axi = self.s_wb, self.m_axi
        size = (len(bus.sel) - 1).bit_length()
        # x^7 + x^6 + 1, to rest at irregular times.
        noise = Signal(7, init=1)
        m.d.sync += noise.eq((noise << 1) | (noise[6] ^ noise[5]))
        response = Signal(Response)
        m.d.comb += [
            axi.awaddr.eq(bus.adr << size), axi.araddr.eq(bus.adr << size), axi.awsize.eq(size), axi.arsize.eq(size),
            axi.awburst.eq(Burst.INCR), axi.arburst.eq(Burst.INCR), axi.wdata.eq(bus.dat_w), axi.wstrb.eq(bus.sel),
            axi.wlast.eq(1), axi.bready.eq(1), axi.rready.eq(1),
        ]  # fmt: skip
        for valid, ready in (
            (axi.awvalid, axi.awready),
            (axi.wvalid, axi.wready),
            (axi.arvalid, axi.arready),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(bus.cyc & bus.stb & noise[:2].any()):
                    m.d.sync += [axi.awvalid.eq(bus.we), axi.wvalid.eq(bus.we), axi.arvalid.eq(~bus.we)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [bus.dat_r.eq(axi.rdata), response.eq(Mux(axi.rvalid, axi.rresp, axi.bresp))]
                with m.If(axi.rvalid | axi.bvalid):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [bus.ack.eq(~response.as_value()[1]), bus.err.eq(response.as_value()[1])]
                m.next = "IDLE"
        rules(m, bus)
        return m


def rules(m: Module, bus):
    """What a manager owes (Wishbone B4, 3.1, 4.2): a strobe is held with all that goes with it until it is answered,
    and an incrementing burst goes on at the next address until its end is announced."""
    held = [bus.adr, bus.sel, bus.we, bus.cti, bus.dat_w]
    before = [Signal.like(value) for value in held]
    waiting, in_burst = Signal(), Signal()
    following = Signal.like(bus.adr)
    answered = bus.stb & (bus.ack | bus.err)
    m.d.sync += [
        waiting.eq(bus.cyc & bus.stb & ~answered),
        *(old.eq(new) for old, new in zip(before, held)),
    ]
    with m.If(answered):
        m.d.sync += [in_burst.eq(bus.cti == CycleType.INCREMENTING), following.eq(bus.adr + 1)]
    m.d.comb += Assert(~bus.stb | bus.cyc)
    with m.If(waiting):
        m.d.comb += Assert(bus.cyc & bus.stb)
        for old, new in zip(before[:-1], held[:-1]):
            m.d.comb += Assert(old == new)
        m.d.comb += Assert(~bus.we | (before[-1] == bus.dat_w))
    with m.If(in_burst):
        m.d.comb += [Assert(bus.cyc), Assert(~bus.stb | (bus.adr == following))]


class AxiLiteToWishbone(wiring.Component):
    """The host of registers on Wishbone."""

    def __init__(self, *, address_bits: int):
        super().__init__(
            {
                "s_axi": In(AxiLiteSignature(address_bits=address_bits)),
                "m_wb": Out(WishboneSignature(data_bits=32, address_bits=address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, bus = self.s_axi, self.m_wb
        answered = bus.ack | bus.err
        with m.FSM():
            with m.State("IDLE"):
                with m.If(axi.awvalid & axi.wvalid):
                    m.d.comb += [axi.awready.eq(1), axi.wready.eq(1)]
                    m.d.sync += [
                        bus.adr.eq(axi.awaddr >> 2), bus.dat_w.eq(axi.wdata), bus.sel.eq(axi.wstrb), bus.we.eq(1),
                    ]  # fmt: skip
                    m.next = "ASK"
                with m.Elif(axi.arvalid):
                    m.d.comb += axi.arready.eq(1)
                    m.d.sync += [bus.adr.eq(axi.araddr >> 2), bus.sel.eq(-1), bus.we.eq(0)]
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += [bus.cyc.eq(1), bus.stb.eq(1)]
                error = Mux(bus.err, Response.SLVERR, Response.OKAY)
                m.d.sync += [axi.rdata.eq(bus.dat_r), axi.rresp.eq(error), axi.bresp.eq(error)]
                with m.If(answered):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [axi.bvalid.eq(bus.we), axi.rvalid.eq(~bus.we)]
                with m.If((axi.bvalid & axi.bready) | (axi.rvalid & axi.rready)):
                    m.next = "IDLE"
        return m


class ThereAndBack(wiring.Component):
    """AXI4 to Wishbone and back."""

    def __init__(self, *, data_bits: int, id_bits: int):
        self._there = Axi4ToWishbone(data_bits=data_bits, id_bits=id_bits)
        self._back = WishboneToAxi4(data_bits=data_bits)
        super().__init__(
            {
                "s_axi": In(Axi4Signature(data_bits=data_bits, id_bits=id_bits)),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.there, m.submodules.back = self._there, self._back
        connect(m, flipped(self.s_axi), self._there.s_axi)
        connect(m, self._there.m_wb, self._back.s_wb)
        connect(m, self._back.m_axi, flipped(self.m_axi))
        return m


class WishboneSystem(wiring.Component):
    """SatWishbone with the ports of SatTop."""

    def __init__(self, config: Config):
        self._device = device = SatWishbone(config)
        data_bits, address_bits = len(device.m_wb.dat_w), len(device.s_wb.adr) + 2
        self._memory = WishboneToAxi4(data_bits=data_bits)
        self._host = AxiLiteToWishbone(address_bits=address_bits)
        super().__init__(
            {
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
                "s_axi": In(AxiLiteSignature(address_bits=address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.device, m.submodules.memory, m.submodules.host = self._device, self._memory, self._host
        connect(m, self._device.m_wb, self._memory.s_wb)
        connect(m, self._memory.m_axi, flipped(self.m_axi))
        connect(m, flipped(self.s_axi), self._host.s_axi)
        connect(m, self._host.m_wb, self._device.s_wb)
        m.d.comb += self.irq.eq(self._device.irq)
        return m
