"""What a request does: bytes to and from memory, registers, and the device's identity."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.link.protocol import IDENTITY_SIZE, Op
from sat_hdl.link.receiver import octet_layout
from sat_hdl.memory.axi import CACHE_NORMAL, Axi4Signature, AxiLiteSignature, Burst
from sat_hdl.memory.split import check_widths

__all__ = ["LinkAccess"]

#: Writes to memory that may be without an answer.
_OPEN = 15


class LinkAccess(wiring.Component):
    """Executes one request at a time, a byte or a beat a cycle at most.

    Every beat is a burst of its own: a byte of a serial port takes longer than memory's answer, so longer bursts
    would gain nothing, and would keep the accelerator from its memory while their bytes trickle in. A request is done
    only when all its writes have been answered.

    Arguments
    ---------
    data_bits: of memory, 32 to 512, a power of two. csr_bits: width of a register's address.
    identity: bytes that READ_IDENTITY gives, at most 512.

    Members
    -------
    start: In(1), for a cycle: with op, address: In(32), and count: In(16), which stay until ``done``.
    i: In(stream of octet_layout). Data of a write, to the last. o: Out(stream of 8 bits). Of a read.
    done: Out(1), for a cycle. error: Out(1), with it: a bus answered by an error.
    m_axi: Out(Axi4Signature), m_csr: Out(AxiLiteSignature).
    """

    def __init__(self, *, data_bits: int, csr_bits: int, identity: bytes):
        check_widths(data_bits, 4)
        if len(identity) > IDENTITY_SIZE:
            raise ValueError(f"identity must have at most {IDENTITY_SIZE} bytes, not {len(identity)!r}")
        self._data_bits, self._csr_bits = data_bits, csr_bits
        self._identity: Sequence[int] = identity.ljust(IDENTITY_SIZE)
        super().__init__(
            {
                "start": In(1),
                "op": In(Op),
                "address": In(32),
                "count": In(16),
                "i": In(stream.Signature(octet_layout())),
                "o": Out(stream.Signature(8)),
                "done": Out(1),
                "error": Out(1),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
                "m_csr": Out(AxiLiteSignature(address_bits=csr_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, csr = self.m_axi, self.m_csr
        size = self._data_bits // 8
        m.submodules.identity = identity = Memory(shape=8, depth=IDENTITY_SIZE, init=self._identity)
        stored = identity.read_port()
        word = Signal(self._data_bits, reset_less=True)  # a beat
        strobes = Signal(size)
        at, left = Signal(32, reset_less=True), Signal(17)
        of_csr, of_identity = Signal(), Signal()
        lane, last_lane, ended = Signal(range(size)), Signal(), Signal()
        m.d.comb += [
            of_csr.eq((self.op == Op.READ_CSR) | (self.op == Op.WRITE_CSR)),
            of_identity.eq(self.op == Op.READ_IDENTITY),
            lane.eq(at[: len(lane)]),
            last_lane.eq(lane.all()),
            stored.addr.eq(at),
            stored.en.eq(1),
        ]
        with m.If(of_csr):
            m.d.comb += [lane.eq(at[:2]), last_lane.eq(at[:2].all())]

        # --- channels ---------------------------------------------------------------------------------------
        beat = Cat(at[: len(lane)] & 0, at[len(lane) :])
        m.d.comb += [
            *(port.eq(len(lane)) for port in (axi.awsize, axi.arsize)),
            *(port.eq(Burst.INCR) for port in (axi.awburst, axi.arburst)),
            *(port.eq(CACHE_NORMAL) for port in (axi.awcache, axi.arcache)),
            axi.araddr.eq(beat),
            csr.araddr.eq(at),
            axi.wdata.eq(word),
            axi.wstrb.eq(strobes),
            axi.wlast.eq(1),
            csr.wdata.eq(word[:32]),
            csr.wstrb.eq(strobes[:4]),
            axi.rready.eq(1),
            csr.rready.eq(1),
            axi.bready.eq(1),
            csr.bready.eq(1),
        ]
        for bus in (axi, csr):
            for valid, ready in (
                (bus.awvalid, bus.awready),
                (bus.wvalid, bus.wready),
                (bus.arvalid, bus.arready),
            ):
                with m.If(ready):
                    m.d.sync += valid.eq(0)
        free = Signal()  # both channels of a write
        m.d.comb += free.eq(~(axi.awvalid | axi.wvalid | csr.awvalid | csr.wvalid))
        opened, answered, unanswered = Signal(), Signal(), Signal(range(_OPEN + 1))
        m.d.comb += answered.eq((axi.bvalid & axi.bready) | (csr.bvalid & csr.bready))
        m.d.sync += unanswered.eq(unanswered + opened - answered)
        with m.If((axi.bvalid & axi.bresp.as_value()[1]) | (csr.bvalid & csr.bresp.as_value()[1])):
            m.d.sync += self.error.eq(1)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [at.eq(self.address), left.eq(self.count), self.error.eq(0), ended.eq(0)]
                    with m.If((self.op == Op.WRITE_MEMORY) | (self.op == Op.WRITE_CSR)):
                        m.next = "GATHER"
                    with m.Elif(self.op == Op.FILL_MEMORY):
                        m.next = "FILL"
                    with m.Else():
                        m.next = "FETCH"

            # --- writes -------------------------------------------------------------------------------------
            with m.State("GATHER"):
                m.d.comb += self.i.ready.eq(free)  # what is on the channels is in the word
                with m.If(self.i.valid & self.i.ready):
                    with m.Switch(lane):
                        for i in range(size):
                            with m.Case(i):
                                m.d.sync += [
                                    word.word_select(i, 8).eq(self.i.payload.octet),
                                    strobes[i].eq(1),
                                ]
                    m.d.sync += ended.eq(self.i.payload.last)
                    with m.If(last_lane | self.i.payload.last):
                        m.next = "STORE"
                    with m.Else():
                        m.d.sync += at.eq(at + 1)
            with m.State("FILL"):
                with m.If(left[len(lane) :] == 0):
                    m.next = "SETTLE"
                with m.Elif(free):
                    m.d.sync += [word.eq(0), strobes.eq(~0), left.eq(left - size)]
                    m.next = "STORE"
            with m.State("STORE"):
                with m.If(unanswered != _OPEN):
                    m.d.comb += opened.eq(1)
                    with m.If(of_csr):
                        m.d.sync += [
                            csr.awvalid.eq(1),
                            csr.wvalid.eq(1),
                            csr.awaddr.eq(Cat(at[:2] & 0, at[2:])),
                        ]
                    with m.Else():
                        m.d.sync += [axi.awvalid.eq(1), axi.wvalid.eq(1), axi.awaddr.eq(beat)]
                    m.next = "STORED"
            with m.State("STORED"):
                # The word's strobes must stay until it is taken.
                with m.If(free):
                    m.d.sync += strobes.eq(0)
                    with m.If(self.op == Op.FILL_MEMORY):
                        m.d.sync += at.eq(at + size)
                        m.next = "FILL"
                    with m.Elif(ended):
                        m.next = "SETTLE"
                    with m.Else():
                        m.d.sync += at.eq(at + 1)
                        m.next = "GATHER"
            with m.State("SETTLE"):
                with m.If(unanswered == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"

            # --- reads --------------------------------------------------------------------------------------
            with m.State("FETCH"):
                with m.If(left == 0):
                    m.next = "SETTLE"
                with m.Elif(of_identity):
                    m.next = "GIVE"
                with m.Else():
                    m.d.sync += [axi.arvalid.eq(~of_csr), csr.arvalid.eq(of_csr)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(axi.rvalid):
                    m.d.sync += [word.eq(axi.rdata), self.error.eq(self.error | axi.rresp.as_value()[1])]
                    m.next = "GIVE"
                with m.If(csr.rvalid):
                    m.d.sync += [word[:32].eq(csr.rdata), self.error.eq(self.error | csr.rresp.as_value()[1])]
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(word.word_select(lane, 8))]
                with m.If(of_identity):
                    m.d.comb += self.o.payload.eq(stored.data)
                with m.If(self.o.ready):
                    m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
                    with m.If(last_lane | of_identity | (left == 1)):
                        m.next = "FETCH"
        return m
