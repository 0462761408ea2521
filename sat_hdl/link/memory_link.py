"""The device's end of the link: from bytes to accesses of memory and registers, and back."""

from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.link.access import LinkAccess
from sat_hdl.link.protocol import COUNTED, READS, REQUEST_HEADER, Op, Result
from sat_hdl.link.receiver import FrameReceiver
from sat_hdl.link.sender import FrameSender
from sat_hdl.memory.axi import Axi4Signature, AxiLiteSignature

__all__ = ["MemoryLink"]

#: Bytes of the header of a request with a count.
_COUNTED_HEADER = REQUEST_HEADER + 2


class MemoryLink(wiring.Component):
    """Speaks :mod:`~sat_hdl.link.protocol`. A request is executed once its whole frame has come and its CRC is right.

    Arguments
    ---------
    data_bits: of memory. csr_bits: width of a register's address.
    buffer: bytes of requests that are held, a power of two from 64 to 65,536.
    identity: bytes that READ_IDENTITY gives, at most 512.

    Members
    -------
    rx: In(stream of 8 bits), from the host, always taken. tx: Out(stream of 8 bits).
    m_axi: Out(Axi4Signature), with one bit of identifiers. m_csr: Out(AxiLiteSignature).
    irq: In(1). What the answers tell.
    busy: Out(1). There is something to be executed or answered.
    damaged: Out(1), for a cycle. Something came that was no frame.
    """

    def __init__(self, *, data_bits: int, csr_bits: int, buffer: int = 4096, identity: bytes = b""):
        self._receiver = FrameReceiver(size=buffer)
        self._access = LinkAccess(data_bits=data_bits, csr_bits=csr_bits, identity=identity)
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
                "m_csr": Out(AxiLiteSignature(address_bits=csr_bits)),
                "irq": In(1),
                "busy": Out(1),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.sender = sender = FrameSender()
        m.submodules.access = access = self._access
        connect(m, flipped(self.rx), receiver.i)
        connect(m, sender.o, flipped(self.tx))
        connect(m, access.m_axi, flipped(self.m_axi))
        connect(m, access.m_csr, flipped(self.m_csr))

        expected, fresh, failed = Signal(8), Signal(init=1), Signal()
        synced = Signal()  # the host has been told of the last reset
        sequence, op, address, count = Signal(8), Signal(8), Signal(32), Signal(16)
        number = Signal(range(_COUNTED_HEADER + 1))  # bytes of the header that have come
        ended = Signal()  # the frame's last byte has been taken
        result, status = Signal(Result), Signal(8)
        finished = Signal()  # the access has
        missed = Signal()  # a damaged frame is to be told
        writes, reads, counted, sync = (Signal(name=name) for name in ("writes", "reads", "counted", "sync"))
        takes = Signal()
        octet, last = receiver.o.payload.octet, receiver.o.payload.last
        m.d.comb += [
            access.op.eq(op),
            access.address.eq(address),
            access.count.eq(count),
            takes.eq(receiver.o.valid & receiver.o.ready),
            writes.eq((op == Op.WRITE_MEMORY) | (op == Op.WRITE_CSR)),
            reads.eq(_any(op, READS)),
            counted.eq(_any(op, COUNTED)),
            sync.eq(op == Op.SYNC),
            self.damaged.eq(receiver.damaged),
        ]
        with m.If(access.done):
            m.d.sync += finished.eq(1)
            with m.If(access.error):
                m.d.sync += [result.eq(Result.BUS_ERROR), failed.eq(1)]
        with m.If(takes):
            m.d.sync += ended.eq(last)

        def answer(value: ValueLike, then: str):
            m.d.comb += [sender.i.valid.eq(1), sender.i.payload.octet.eq(value)]
            with m.If(sender.i.ready):
                m.next = then

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [number.eq(0), ended.eq(0), finished.eq(0), result.eq(Result.OK)]
                with m.If(receiver.o.valid):
                    m.next = "HEADER"
                with m.Elif(missed):
                    # The frame before says which one it was not; its last byte has been taken.
                    m.d.sync += [missed.eq(0), ended.eq(1), result.eq(Result.BAD_FRAME)]
                    m.next = "EXPECTED"
            with m.State("HEADER"):
                m.d.comb += receiver.o.ready.eq(1)
                with m.If(takes):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == 0):
                        m.d.sync += sequence.eq(octet)
                    with m.Elif(number == 1):
                        m.d.sync += op.eq(octet)
                    with m.Elif(number < REQUEST_HEADER):
                        m.d.sync += address.eq(Cat(address[8:], octet))
                    with m.Else():
                        m.d.sync += count.eq(Cat(count[8:], octet))
                    whole = (number == _COUNTED_HEADER - 1) | ((number == REQUEST_HEADER - 1) & ~counted)
                    with m.If(last | whole):
                        m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "EXPECTED"
                with m.If(sync):
                    m.d.sync += synced.eq(1)
                    with m.If(number != REQUEST_HEADER):
                        m.d.sync += result.eq(Result.BAD_REQUEST)
                with m.Elif((sequence != expected) | ~synced):
                    m.d.sync += result.eq(Result.OUT_OF_SEQUENCE)
                with m.Else():
                    m.d.sync += [expected.eq(expected + 1), fresh.eq(0)]
                    with m.If(writes & (number == REQUEST_HEADER) & ~ended):
                        m.d.comb += access.start.eq(1)
                        m.next = "EXECUTE"
                    with m.Elif(counted & (number == _COUNTED_HEADER)):
                        m.d.comb += access.start.eq(1)
                        with m.If(~reads):
                            m.next = "EXECUTE"
                    with m.Elif((op == Op.CLEAR) & (number == REQUEST_HEADER)):
                        m.d.sync += failed.eq(0)
                    with m.Else():
                        m.d.sync += [result.eq(Result.BAD_REQUEST), failed.eq(1)]
            with m.State("EXECUTE"):
                m.d.comb += [
                    access.i.valid.eq(receiver.o.valid & ~ended),
                    access.i.payload.eq(receiver.o.payload),
                    receiver.o.ready.eq(access.i.ready & ~ended),
                ]
                with m.If(finished):
                    m.next = "EXPECTED"

            # --- the answer ---------------------------------------------------------------------------------
            with m.State("EXPECTED"):
                answer(expected, "SEQUENCE")
            with m.State("SEQUENCE"):
                m.d.sync += number.eq(0)
                answer(sequence, "DATA")
            with m.State("DATA"):
                with m.If((result == Result.BAD_FRAME) | (result == Result.OUT_OF_SEQUENCE)):
                    m.next = "STATUS"
                with m.Elif(sync & (number != 4)):
                    m.d.comb += [sender.i.valid.eq(1), sender.i.payload.octet.eq(address[:8])]
                    with m.If(sender.i.ready):
                        m.d.sync += [address.eq(address >> 8), number.eq(number + 1)]
                with m.Elif(reads & ~finished & (result != Result.BAD_REQUEST)):
                    m.d.comb += [
                        sender.i.valid.eq(access.o.valid),
                        sender.i.payload.octet.eq(access.o.payload),
                        access.o.ready.eq(sender.i.ready),
                    ]
                with m.Else():
                    m.next = "STATUS"
            with m.State("STATUS"):
                # As it is now: what is offered must not change.
                m.d.sync += status.eq(Cat(result, Const(0, 2), fresh, failed, self.irq))
                m.next = "LAST"
            with m.State("LAST"):
                m.d.comb += sender.i.payload.last.eq(1)
                answer(status, "DRAIN")
            with m.State("DRAIN"):
                m.d.comb += receiver.o.ready.eq(~ended)
                with m.If(ended):
                    m.next = "IDLE"
        with m.If(receiver.damaged):
            m.d.sync += missed.eq(1)
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | missed | receiver.o.valid | sender.o.valid)
        return m


def _any(op: Signal, ops: Iterable[Op]) -> Value:
    return Cat(op == each for each in ops).any()
