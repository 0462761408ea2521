"""A memory in block RAM behind AXI4, for boards that have no other."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sat_hdl.memory.axi import Axi4Signature, Response
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.read_pipe import ReadPipe
from sat_hdl.memory.register_slice import RegisterSlice
from sat_hdl.memory.split import check_widths

__all__ = ["AxiRam"]


class AxiRam(wiring.Component):
    """A subordinate with ``size`` bytes from address 0 on.

    A beat each way a cycle, burst after burst; the first beat of a read comes ``latency`` = 5 cycles after its
    address was taken. Bursts are INCR, of the port's width and aligned. A beat outside is answered by SLVERR: what
    is written there is dropped, what is read there is of no meaning.

    Arguments
    ---------
    size: bytes, a power of two of at least two beats. data_bits: 16 to 512, a power of two. id_bits: of identifiers.

    Members
    -------
    s_axi: In(Axi4Signature).
    """

    latency = 5

    def __init__(self, *, size: int, data_bits: int, id_bits: int):
        check_widths(data_bits, 2)
        least = 2 * data_bits // 8
        if not isinstance(size, int) or size < least or size.bit_count() != 1 or size >= 1 << 32:
            raise ValueError(f"size must be a power of two from {least} to 2^31 bytes, not {size!r}")
        self._size, self._data_bits = size, data_bits
        self._banks = Banks(parts=data_bits // 8, width=8, depth=8 * size // data_bits)
        super().__init__({"s_axi": In(Axi4Signature(data_bits=data_bits, id_bits=id_bits))})

    def elaborate(self, platform):
        m = Module()
        axi = self.s_axi
        beat = self._data_bits // 8
        shift, top = (beat - 1).bit_length(), (self._size - 1).bit_length()
        m.submodules.banks = banks = self._banks

        # --- writes -----------------------------------------------------------------------------------------
        at, writing = Signal(32), Signal()
        outside, takes, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            outside.eq(at[top:].any()),
            axi.wready.eq(writing & (~axi.wlast | ~axi.bvalid | axi.bready)),
            takes.eq(axi.wvalid & axi.wready),
            ends.eq(takes & axi.wlast),
            axi.awready.eq(~writing | ends),
            banks.write_address.eq(at[shift:top]),
            banks.write_data.eq(axi.wdata),
            banks.write_enable.eq(Mux(takes & ~outside, axi.wstrb, 0)),
        ]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        identifier = Signal.like(axi.awid)
        with m.If(takes):
            m.d.sync += at.eq(at + beat)
        with m.If(ends):
            m.d.sync += [
                writing.eq(0),
                axi.bvalid.eq(1),
                axi.bid.eq(identifier),
                # A burst that goes outside ends there.
                axi.bresp.eq(Mux(outside, Response.SLVERR, Response.OKAY)),
            ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [at.eq(axi.awaddr), identifier.eq(axi.awid), writing.eq(1)]

        # --- reads ------------------------------------------------------------------------------------------
        asked_layout = data.StructLayout(
            {"word": len(banks.read_address), "id": len(axi.arid), "last": 1, "error": 1}
        )
        m.submodules.pipe = pipe = ReadPipe(address_shape=asked_layout, data_shape=banks.read_data.shape())
        asked, given = pipe.addresses.payload, pipe.out.payload.address
        # Whoever asks decides by a register whether he may ask again.
        address = data.StructLayout({"id": len(axi.arid), "address": 32, "length": 8})
        m.submodules.ar_cut = cut = RegisterSlice(shape=address)
        start, starts = cut.o.payload, Signal()
        source, left, reading = Signal(32), Signal(8), Signal()
        issued, last = Signal(), Signal()
        reader = Signal.like(axi.arid)
        m.d.comb += [
            pipe.addresses.valid.eq(reading),
            issued.eq(pipe.addresses.valid & pipe.addresses.ready),
            last.eq(left == 0),
            cut.i.valid.eq(axi.arvalid),
            cut.i.payload.eq(Cat(axi.arid, axi.araddr, axi.arlen)),
            axi.arready.eq(cut.i.ready),
            cut.o.ready.eq(~reading | (issued & last)),
            starts.eq(cut.o.valid & cut.o.ready),
            pipe.granted.eq(~(takes & (pipe.address.word == at[shift:top]))),
            banks.read_address.eq(pipe.address.word),
            banks.read_enable.eq(pipe.enable),
            pipe.data.eq(banks.read_data),
            asked.word.eq(source[shift:top]),
            asked.id.eq(reader),
            asked.last.eq(last),
            asked.error.eq(source[top:].any()),
            pipe.out.ready.eq(axi.rready),
            axi.rvalid.eq(pipe.out.valid),
            axi.rdata.eq(pipe.out.payload.data.as_value()),
            axi.rid.eq(given.id),
            axi.rlast.eq(given.last),
            axi.rresp.eq(Mux(given.error, Response.SLVERR, Response.OKAY)),
        ]
        with m.If(issued):
            m.d.sync += [source.eq(source + beat), left.eq(left - 1)]
            with m.If(last):
                m.d.sync += reading.eq(0)
        with m.If(starts):
            m.d.sync += [source.eq(start.address), left.eq(start.length), reader.eq(start.id), reading.eq(1)]
        return m
