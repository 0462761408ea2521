"""AXI4-Lite in front of plain registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import AxiLiteSignature

__all__ = ["AxiLiteBridge"]


class AxiLiteBridge(wiring.Component):
    """A subordinate that turns accesses into those of a bus whose reads are answered a fixed time later.

    One access at a time, a write in 3 cycles, a read in 3 and ``read_latency``; writes go first.

    Arguments
    ---------
    address_bits: of the registers, 3 to 32.
    read_latency: cycles from ``read`` to its answer.

    Members
    -------
    s_axi: In(AxiLiteSignature).
    address: Out(address_bits), stays until the answer. write: Out(1), write_data: Out(32), write_mask: Out(4).
    read: Out(1), read_data: In(32).
    """

    def __init__(self, *, address_bits: int, read_latency: int = 0):
        if not isinstance(address_bits, int) or not 3 <= address_bits <= 32:
            raise ValueError(f"address_bits must be an integer from 3 to 32, not {address_bits!r}")
        if not isinstance(read_latency, int) or read_latency < 0:
            raise ValueError(f"read_latency must be 0 or more, not {read_latency!r}")
        self._read_latency = read_latency
        super().__init__(
            {
                "s_axi": In(AxiLiteSignature(address_bits=address_bits)),
                "address": Out(address_bits),
                "read": Out(1),
                "write": Out(1),
                "write_data": Out(32),
                "write_mask": Out(4),
                "read_data": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi = self.s_axi
        read = Signal()

        def answered(waited: int = 0):
            if waited < self._read_latency:
                m.next = f"READ_{waited + 1}"
            else:
                m.d.sync += [axi.rdata.eq(self.read_data), axi.rvalid.eq(1)]
                m.next = "ANSWER"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(axi.awvalid & axi.wvalid):
                    m.d.comb += [axi.awready.eq(1), axi.wready.eq(1)]
                    m.d.sync += [
                        self.address.eq(axi.awaddr),
                        self.write_data.eq(axi.wdata),
                        self.write_mask.eq(axi.wstrb),
                        read.eq(0),
                    ]
                    m.next = "ACT"
                with m.Elif(axi.arvalid):
                    m.d.comb += axi.arready.eq(1)
                    m.d.sync += [self.address.eq(axi.araddr), read.eq(1)]
                    m.next = "ACT"
            with m.State("ACT"):
                m.d.comb += [self.read.eq(read), self.write.eq(~read)]
                m.d.sync += axi.bvalid.eq(~read)
                m.next = "ANSWER"
                with m.If(read):
                    answered()
            for i in range(1, self._read_latency + 1):
                with m.State(f"READ_{i}"):
                    answered(i)
            with m.State("ANSWER"):
                with m.If((axi.rvalid & axi.rready) | (axi.bvalid & axi.bready)):
                    m.d.sync += [axi.rvalid.eq(0), axi.bvalid.eq(0)]
                    m.next = "IDLE"
        return m
