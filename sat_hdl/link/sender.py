"""From bodies to a byte stream of frames."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.link.protocol import CRC, CRC_SIZE, ESCAPE, FLAG, TURN
from sat_hdl.link.receiver import octet_layout

__all__ = ["FrameSender"]


class FrameSender(wiring.Component):
    """Puts FLAGs around each body, its CRC behind it, and escapes what needs it. A byte a cycle.

    Members
    -------
    i: In(stream of octet_layout). Bodies.
    o: Out(stream of 8 bits).
    """

    latency = 0

    def __init__(self):
        super().__init__({"i": In(stream.Signature(octet_layout())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC.create()
        octet, offered, sent = Signal(8), Signal(), Signal()
        turned = Signal()  # the ESCAPE before this byte is out
        special = Signal()
        number = Signal(range(CRC_SIZE))
        m.d.comb += [
            special.eq((octet == FLAG) | (octet == ESCAPE)),
            sent.eq(self.o.ready & offered & (turned | ~special)),
            crc.data.eq(self.i.payload.octet),
        ]
        with m.If(offered):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(octet)]
            with m.If(special):
                m.d.comb += self.o.payload.eq(ESCAPE)
                with m.If(turned):
                    m.d.comb += self.o.payload.eq(octet ^ TURN)
            with m.If(self.o.ready):
                m.d.sync += turned.eq(special & ~turned)
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(FLAG), crc.start.eq(1)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [
                    offered.eq(self.i.valid),
                    octet.eq(self.i.payload.octet),
                    self.i.ready.eq(sent),
                    crc.valid.eq(sent),
                ]
                with m.If(sent & self.i.payload.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [offered.eq(1), octet.eq(crc.crc.word_select(number, 8))]
                with m.If(sent):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == CRC_SIZE - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "BEGIN"
        return m
