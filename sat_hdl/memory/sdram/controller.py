"""An SDRAM behind AXI4.

Why not LiteDRAM, which is on PyPI and well kept? It was weighed (2024.12). It brings LiteX and Migen, a second
hardware language, for one block. Its SDR chips are started by software of a LiteX SoC, or by a host that knows
the sequence, where here a small state machine does it. The Verilog that it generates could be shipped
(BSD-2-Clause), but for one clock, chip and width of port each, and with none of our checks of parameters. And its
model of a memory is no component that our simulator could hold beside a device at full speed. What a device with
bursts of 16 beats needs, one access after another with the next row opened meanwhile, is small enough to be
proved.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.memory.axi import Axi4Signature, Response
from sat_hdl.memory.sdram.chip import ULX3S_CHIP, SdramChip
from sat_hdl.memory.sdram.cut import PIECE_BEATS, BurstCut
from sat_hdl.memory.sdram.engine import SdramEngine

__all__ = ["AxiSdram"]

#: Beats that wait on their way in, and out: one piece transfers, the next gathers.
_DEPTH = 2 * PIECE_BEATS
#: Pieces of reads under way, and bursts of writes without an answer.
_READS, _WRITES = 8, 4
#: Pieces of one direction in a row while the other waits. Each turn costs some 5 cycles, and each piece up to
#: 16 beats.
_RUN = 4


class AxiSdram(wiring.Component):
    """A 16-bit SDRAM chip as an AXI4 subordinate: the memory from address 0 on.

    Sequential bursts of 16 beats and more move a word a cycle, but for refreshes and changes of direction: 97 %
    of the pins' peak. Answers come in the order of their addresses, reads apart from writes; a write is answered
    when what comes after it will find it done. After a reset the chip is started anew, which takes 0.2 ms;
    bursts wait until then.

    Any INCR burst is served, narrow beats at a piece each. Other bursts, and what is outside the memory, are
    answered by SLVERR: writes change nothing, reads deliver anything.

    Arguments
    ---------
    data_bits, id_bits: see :class:`~sat_hdl.memory.axi.Axi4Signature`; 32, 64 or 128 bits.
    chip, clock_mhz, cas_latency, input_delay: see :class:`~sat_hdl.memory.sdram.engine.SdramEngine`.

    Members
    -------
    s_axi: In(Axi4Signature). pins: Out(PinsSignature).
    """

    def __init__(
        self,
        *,
        data_bits: int = 64,
        id_bits: int = 1,
        chip: SdramChip = ULX3S_CHIP,
        clock_mhz: float = 100.0,
        cas_latency: int = 3,
        input_delay: int = 0,
    ):
        self._engine = SdramEngine(
            chip=chip,
            clock_mhz=clock_mhz,
            data_bits=data_bits,
            cas_latency=cas_latency,
            input_delay=input_delay,
        )
        self._size, self._data_bits, self._id_bits = chip.size, data_bits, id_bits
        super().__init__(
            {
                "s_axi": In(Axi4Signature(data_bits=data_bits, id_bits=id_bits)),
                "pins": Out(self._engine.pins.signature),
            }
        )

    @property
    def engine(self) -> SdramEngine:
        """What schedules the commands."""
        return self._engine

    def elaborate(self, platform):
        m = Module()
        axi = self.s_axi
        m.submodules.engine = engine = self._engine
        connect(m, engine.pins, flipped(self.pins))

        room_bits = _DEPTH.bit_length()
        cuts = {}
        for name in ("ar", "aw"):
            cut = BurstCut(
                data_bits=self._data_bits, size=self._size, id_bits=self._id_bits, room_bits=room_bits
            )
            m.submodules[f"{name}_cut"] = cuts[name] = cut
            m.d.comb += [
                cut.i.valid.eq(getattr(axi, f"{name}valid")),
                getattr(axi, f"{name}ready").eq(cut.i.ready),
            ]
            m.d.comb += [
                getattr(cut.i.payload, field).eq(getattr(axi, f"{name}{field}"))
                for field in ("id", "addr", "len", "size", "burst")
            ]
        reads, writes = cuts["ar"].o, cuts["aw"].o

        takes_read, takes_write = self._choose(m, reads, writes)
        self._read(m, cuts["ar"], takes_read)
        self._write(m, cuts["aw"], takes_write)
        return m

    def _choose(self, m: Module, reads, writes) -> tuple[Signal, Signal]:
        """Hands pieces to the engine: of one direction until it has none, or has had its turn."""
        engine = self._engine
        writing, count = Signal(), Signal(range(_RUN + 1))
        chosen = Signal()
        same = Mux(writing, writes.valid, reads.valid)
        other = Mux(writing, reads.valid, writes.valid)
        access, piece = (
            engine.accesses.payload,
            Mux(chosen, writes.payload.as_value(), reads.payload.as_value()),
        )
        piece = data.View(reads.payload.shape(), piece)
        column_bits = len(access.column)
        taken = Signal()
        m.d.comb += [
            chosen.eq(writing ^ (other & (~same | (count == _RUN)))),
            engine.accesses.valid.eq(reads.valid | writes.valid),
            taken.eq(engine.accesses.valid & engine.accesses.ready),
            reads.ready.eq(engine.accesses.ready & ~chosen),
            writes.ready.eq(engine.accesses.ready & chosen),
            access.column.eq(piece.address),
            access.bank.eq(piece.address[column_bits:]),
            access.row.eq(piece.address[column_bits + 2 :]),
            access.beats.eq(piece.beats),
            access.write.eq(chosen),
            access.masked.eq(piece.error),
            access.last.eq(piece.last),
        ]
        with m.If(taken):
            m.d.sync += writing.eq(chosen)
            with m.If(chosen != writing):
                m.d.sync += count.eq(1)
            with m.Elif(count != _RUN):
                m.d.sync += count.eq(count + 1)
        return taken & ~chosen, taken & chosen

    def _read(self, m: Module, cut: BurstCut, taken: Signal):
        """Beats from the engine to R, each piece with what AXI wants to know of it."""
        axi, engine, piece = self.s_axi, self._engine, cut.o.payload
        about = data.StructLayout({"id": self._id_bits, "beats": len(piece.beats), "last": 1, "error": 1})
        m.submodules.beats = beats = SyncFIFO(width=self._data_bits, depth=_DEPTH)
        m.submodules.pieces = pieces = SyncFIFO(width=about.size, depth=_READS)
        entry, head = data.View(about, pieces.w_data), data.View(about, pieces.r_data)
        room = Signal(range(_DEPTH + 1), init=_DEPTH)
        passed = Signal(len(piece.beats))
        leaves, ends = axi.rvalid & axi.rready, passed == head.beats
        m.d.comb += [
            beats.w_en.eq(engine.read),
            beats.w_data.eq(engine.read_data),
            beats.r_en.eq(leaves),
            pieces.w_en.eq(taken),
            pieces.r_en.eq(leaves & ends),
            *(entry[name].eq(piece[name]) for name in ("id", "beats", "last", "error")),
            axi.rvalid.eq(beats.r_rdy),
            axi.rdata.eq(beats.r_data),
            axi.rid.eq(head.id),
            axi.rlast.eq(head.last & ends),
            axi.rresp.eq(Mux(head.error, Response.SLVERR, Response.OKAY)),
            cut.room.eq(Mux(pieces.w_level < _READS, room, 0)),
        ]
        m.d.sync += room.eq(room + leaves - Mux(taken, piece.beats + 1, 0))
        with m.If(leaves):
            m.d.sync += passed.eq(Mux(ends, 0, passed + 1))

    def _write(self, m: Module, cut: BurstCut, taken: Signal):
        """W to the engine, and B when the last of a burst is issued."""
        axi, engine, piece = self.s_axi, self._engine, cut.o.payload
        m.submodules.data = beats = SyncFIFO(width=len(axi.wdata) + len(axi.wstrb), depth=_DEPTH)
        m.submodules.answers = answers = SyncFIFO(width=self._id_bits + 1, depth=_WRITES)
        there = Signal(range(_DEPTH + 1))  # beats that no piece has yet
        done = Signal(range(_WRITES + 1))
        comes, answered = axi.wvalid & axi.wready, axi.bvalid & axi.bready
        m.d.comb += [
            axi.wready.eq(beats.w_rdy),
            beats.w_en.eq(axi.wvalid),
            beats.w_data.eq(axi.wdata | axi.wstrb << len(axi.wdata)),
            engine.write_data.eq(beats.r_data),
            engine.write_strobe.eq(beats.r_data[len(axi.wdata) :]),
            beats.r_en.eq(engine.take),
            answers.w_en.eq(taken & piece.last),
            answers.w_data.eq(piece.id << 1 | piece.error),
            answers.r_en.eq(answered),
            axi.bvalid.eq(done != 0),
            axi.bid.eq(answers.r_data[1:]),
            axi.bresp.eq(Mux(answers.r_data[0], Response.SLVERR, Response.OKAY)),
            cut.room.eq(Mux(answers.w_level < _WRITES, there, 0)),
        ]
        m.d.sync += [
            there.eq(there + comes - Mux(taken, piece.beats + 1, 0)),
            done.eq(done + engine.written - answered),
        ]
