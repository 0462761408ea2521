"""The device on Wishbone. Wiring only."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.memory.wishbone import Axi4ToWishbone, WishboneSignature, WishboneToAxiLite
from sat_hdl.system import SatTop

__all__ = ["SatWishbone"]


class SatWishbone(wiring.Component):
    """:class:`~sat_hdl.system.SatTop` with a Wishbone manager for memory and a Wishbone subordinate for registers.

    One burst is under way at a time, so a memory's latency is paid for every one: :class:`SatTop` on AXI4 hides it.

    Arguments
    ---------
    config: as for SatTop.

    Members
    -------
    m_wb: Out(WishboneSignature), ``config.memory_bits`` wide. Memory.
    s_wb: In(WishboneSignature), 32 bits. Registers.
    irq: Out(1).
    """

    def __init__(self, config: Config):
        self._device = device = SatTop(config)
        super().__init__(
            {
                "m_wb": Out(WishboneSignature(data_bits=len(device.m_axi.wdata))),
                "s_wb": In(WishboneSignature(data_bits=32, address_bits=len(device.s_axi.awaddr))),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = self._device
        m.submodules.memory = memory = Axi4ToWishbone(
            data_bits=len(device.m_axi.wdata), id_bits=len(device.m_axi.arid)
        )
        m.submodules.registers = registers = WishboneToAxiLite(address_bits=len(device.s_axi.awaddr))
        connect(m, device.m_axi, memory.s_axi)
        connect(m, memory.m_wb, flipped(self.m_wb))
        connect(m, flipped(self.s_wb), registers.s_wb)
        connect(m, registers.m_axi, device.s_axi)
        m.d.comb += self.irq.eq(device.irq)
        return m
