"""The vector unit: WUVE and the pre-generation of pruned copies between affine readers and writers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.control.unit import run_layout, stream_fault
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import WRITE_WORDS, StreamError
from sat_hdl.memory.read_port import ReadClientSignature
from sat_hdl.memory.reader import AffineReader
from sat_hdl.memory.register_slice import RegisterSlice
from sat_hdl.memory.relay import Relay
from sat_hdl.memory.write_port import WriteClientSignature
from sat_hdl.memory.writer import AffineWriter
from sat_hdl.wuve.layouts import Op
from sat_hdl.wuve.pregenerate import Pregenerate
from sat_hdl.wuve.transpose import Transpose
from sat_hdl.wuve.wuve import Wuve

__all__ = ["COPIES", "READERS", "WRITERS", "VectorUnit"]

READERS = ("x", "y", "z")
WRITERS = ("out0", "out1", "copies")
#: The streams that the last writer writes in turns: a run each of every block of weights.
COPIES = ("ff_values", "ff_indices", "bp_values", "bp_indices")
#: Cycles without a beat and with nothing under way to or from memory after which a stream that still wants some is
#: known to get none.
PATIENCE = 4095


class VectorUnit(wiring.Component):
    """Runs a vector command: starts the streams that it uses and the lanes, and waits for all of them.

    A descriptor whose elements are not as many as the command's ends in BAD_SHAPE.

    Arguments
    ---------
    config: everything.
    depth: beats of room of each stream.

    Members
    -------
    values: In(32 × plain registers), words: In(32 × streams), number: Out(4), copying: Out(1), which: Out,
        word: In(32), run: In(stream of run_layout), done: Out(1): see :class:`~sat_hdl.control.unit.UnitQueue`. The
        words of the copies follow those of the other streams, while the command works already.
    error: Out(4), an ErrorCode, from its finding until a reset; error_address: Out(32).
    halt: In(1). busy: Out(1). on_memory: Out(1): something may be on its way to or from memory.
    waiting: Out(1). Busy, and its lanes miss an operand, memory takes no result, or has not answered yet.
    overflow: Out(1), for a cycle: an inf or a NaN was met by a command that looks for them.
    reads, writes: arrays of Out(ReadClientSignature), Out(WriteClientSignature).
    """

    def __init__(self, config: Config, *, depth: int = 256):
        self._config, self._depth = config, depth
        unit = UNITS["vector"]
        bits = config.memory_bits
        super().__init__(
            {
                "values": In(data.ArrayLayout(32, len(unit.plain))),
                "words": In(data.ArrayLayout(32, len(unit.streams) - len(COPIES))),
                "which": Out(range(len(COPIES))),
                "word": In(32),
                "number": Out(4),
                "copying": Out(1),
                "run": In(stream.Signature(run_layout())),
                "done": Out(1),
                "error": Out(4),
                "error_address": Out(32),
                "halt": In(1),
                "busy": Out(1),
                "on_memory": Out(1),
                "waiting": Out(1),
                "overflow": Out(1),
                "reads": Out(ReadClientSignature(data_bits=bits)).array(len(READERS)),
                "writes": Out(WriteClientSignature(data_bits=bits)).array(len(WRITERS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        unit = UNITS["vector"]
        bits = config.memory_bits
        m.submodules.wuve = wuve = Wuve(
            lanes=config.vector_lanes, data_bits=bits, format=config.format, target=config.target
        )

        m.submodules.copier = copier = Pregenerate(config)
        # Whether the copier has room is known late, and stops the lanes far away. A relay before the copier costs a
        # cycle a vector beside the copier's own, for which there is time where memory bounds the update.
        vector_cycles = Transpose.vector_cycles(config.vector_lanes, config.copy_lanes)
        least = max(4, 3 * 32 * config.vector_lanes // bits)
        stage = Relay if 1 + vector_cycles <= least else RegisterSlice
        m.submodules.relay = relay = stage(shape=wuve.half.payload.shape())
        connect(m, wuve.half, relay.i)
        connect(m, relay.o, copier.half)

        def register(name: str):
            return self.values[unit.index(name) - sum(unit.streams)]

        # --- which streams a command uses -----------------------------------------------------------------
        op = self.run.payload.action
        copies = register("copies")
        ff, bp = (op == Op.SGD.value) & copies[16], (op == Op.SGD.value) & copies[18]
        parts = Cat(ff, ff & copies[17], bp, bp & copies[19])  # of COPIES
        uses = {
            "x": 1,
            "y": Cat(op == o.value for o in (Op.SGD, Op.ADD, Op.MASK, Op.SELECT_SUM)).any(),
            "z": op == Op.SGD.value,
            "out0": op != Op.CHECK.value,
            "out1": (op == Op.SGD.value) | (op == Op.MAXPOOL.value),
            "copies": ff | bp,
        }
        streams: dict[str, AffineReader | AffineWriter] = {}
        for i, name in enumerate(READERS):
            streams[name] = reader = AffineReader(
                data_bits=bits, depth=self._depth, fill=name == "x", target=config.target
            )
            m.submodules[name] = reader
            connect(m, reader.out, getattr(wuve, name))
            connect(m, reader.port, flipped(self.reads[i]))
        for i, name in enumerate(WRITERS):
            descriptors = len(COPIES) if name == "copies" else 1
            streams[name] = writer = AffineWriter(
                data_bits=bits, depth=self._depth, descriptors=descriptors, target=config.target
            )
            m.submodules[name] = writer
            beats = copier.beats if name == "copies" else getattr(wuve, name)
            m.d.comb += [
                writer.data.payload.eq(beats.payload if name == "copies" else beats.payload.data),
                writer.data.valid.eq(beats.valid),
                beats.ready.eq(writer.data.ready),
            ]
            connect(m, writer.port, flipped(self.writes[i]))
        m.d.comb += self.on_memory.eq(Cat(s.busy for s in streams.values()).any())

        # --- the command: held from start to status -------------------------------------------------------
        start = Signal()
        command, scalars = Signal.like(wuve.command.payload), Signal.like(wuve.scalars)
        flags = register("flags")
        wanted = Signal.like(command)
        names = ("x_wide", "y_wide", "out_wide", "relu", "scale")
        m.d.comb += [
            wuve.command.payload.eq(command),
            wuve.scalars.eq(scalars),
            wanted.op.eq(op),
            *(wanted[name].eq(flags[i]) for i, name in enumerate(names)),
            wanted.scalar.eq(flags[5:8]),
            wanted.nesterov.eq(flags[8]),
            wanted.half.eq(ff | bp),
            *(wanted[name].eq(register(name)) for name in ("count", "run", "chunk", "window")),
            wanted.base.eq(register("want")[:16]),
            wanted.inner.eq(register("want")[16:]),
            wanted.step_inner.eq(register("want_step")[:16]),
            wanted.step_outer.eq(register("want_step")[16:]),
        ]
        # Whole blocks of E × E weights, and a count that the copier can't run is not to look like one it can.
        plan, largest = copier.start.payload, (1 << config.count_bits) - 1
        block_bits = 2 * (config.panel - 1).bit_length()
        m.d.comb += [
            plan.blocks.eq(register("count")[block_bits:24]),
            plan.keep.eq(Mux(copies[:8] > largest, 0, copies[:8])),
            plan.group.eq(Mux(copies[8:16] > largest, 0, copies[8:16])),
            *(plan[name].eq(copies[16 + i]) for i, name in enumerate(("ff", "ff_sparse", "bp", "bp_sparse"))),
            copier.start.valid.eq(start & (ff | bp)),
        ]
        checks = Signal()
        # Only then: by the time that the copies' words have come, a stream may have ended and want its next.
        handing_out = Signal()
        started = Signal(len(streams))
        ready = Cat(s.words.ready for s in streams.values())
        copies_turn, wanted_copies = Signal(), Signal(len(COPIES))
        m.d.comb += streams["copies"].uses.eq(wanted_copies)
        for i, s in enumerate(streams.values()):
            m.d.comb += s.halt.eq(self.halt)
            if i < len(self.words):
                m.d.comb += [
                    s.words.payload.eq(self.words[i]),
                    s.words.valid.eq(handing_out & started[i] & (self.number < unit.streams[i])),
                ]
        m.d.comb += start.eq(self.run.valid & self.run.ready)
        self._copy_in_turn(m, streams["copies"], copies_turn)

        faults, finished = Signal(4), Signal(len(streams) + 2)
        answered = finished[len(streams)]  # the lanes have done all
        done_now = Signal.like(finished)
        idle = Signal(range(PATIENCE + 1))
        # Of a writer that is done, nothing is refused; of one that is not used, nothing is offered.
        refused = [s.data.valid & ~s.data.ready for s in streams.values() if isinstance(s, AffineWriter)]
        m.d.comb += self.waiting.eq(self.busy & (wuve.starved | Cat(refused).any() | (answered & ~self.done)))
        moves = [s.out.valid & s.out.ready for s in streams.values() if isinstance(s, AffineReader)]
        moves += [s.data.valid & s.data.ready for s in streams.values() if isinstance(s, AffineWriter)]
        alive = Cat(moves).any() | Cat(s.waits for s in streams.values()).any()
        m.d.comb += done_now.eq(
            finished
            | Cat(*(s.done for s in streams.values()), wuve.status.valid & wuve.status.ready, copier.done)
        )
        stream_faults = []
        for i, s in enumerate(streams.values()):
            bus = ErrorCode.READ_ERROR if isinstance(s, AffineReader) else ErrorCode.WRITE_ERROR
            stream_faults.append((started[i] & (s.error != StreamError.NONE), stream_fault(s.error, bus)))
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.run.ready.eq(ready.all() & ~copier.busy)
                m.d.sync += idle.eq(0)
                with m.If(start):
                    m.d.sync += [
                        self.error_address.eq(self.run.payload.address),
                        command.eq(wanted),
                        checks.eq(flags[9]),
                        *(scalars[i].eq(register(f"scalar{i}")) for i in range(8)),
                        started.eq(Cat(*uses.values())),
                        wanted_copies.eq(parts),
                        finished.eq(~Cat(*uses.values(), 1, ff | bp)),
                    ]
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += [self.copying.eq(1), handing_out.eq(1)]
                m.d.sync += [finished.eq(done_now), self.number.eq(self.number + 1)]
                with m.If(self.number == max(unit.streams) - 1):
                    m.d.sync += [self.number.eq(0), copies_turn.eq(started[-1])]
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.sync += finished.eq(done_now)
                m.d.comb += wuve.command.valid.eq(1)
                with m.If(wuve.command.ready):
                    m.next = "WORK"
            with m.State("WORK"):
                m.d.sync += [finished.eq(done_now), idle.eq(Mux(alive, 0, idle + 1))]
                # A vector that no block wants stays in the relay: such a command has no end.
                m.d.comb += wuve.status.ready.eq(~relay.o.valid)
                with m.If(wuve.status.valid & wuve.status.ready):
                    m.d.comb += self.overflow.eq(checks & wuve.status.payload.overflow)
                    with m.If(wuve.status.payload.error):
                        m.d.comb += faults.eq(ErrorCode.BAD_SHAPE.value)
                with m.If(copier.error):
                    m.d.comb += faults.eq(ErrorCode.BAD_KEEP.value)
                for condition, code in stream_faults:
                    with m.If(condition):
                        m.d.comb += faults.eq(code)
                # Streams that neither move nor wait for memory have nothing to wait for.
                with m.If(idle == PATIENCE):
                    m.d.comb += faults.eq(ErrorCode.BAD_SHAPE.value)
                with m.If(faults != 0):
                    m.next = "FAULT"
                with m.Elif(done_now.all()):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
            with m.State("FAULT"):
                pass
        with m.If(self.error == 0):
            m.d.sync += self.error.eq(faults)
        return m

    def _copy_in_turn(self, m: Module, writer: AffineWriter, copying):
        """Hands the words of the copies to their writer from ``copying``'s rising on; then it falls."""
        # A word is there two cycles after its number.
        under_way, here = Signal(), Signal()
        m.d.sync += [under_way.eq(copying), here.eq(under_way)]
        m.d.comb += [writer.words.payload.eq(self.word), writer.words.valid.eq(here)]
        with m.If(copying | under_way):
            m.d.comb += self.copying.eq(1)
        with m.If(copying):
            m.d.sync += self.number.eq(self.number + 1)
            with m.If(self.number == WRITE_WORDS - 1):
                m.d.sync += [self.number.eq(0), self.which.eq(self.which + 1)]
                with m.If(self.which == len(COPIES) - 1):
                    m.d.sync += [self.which.eq(0), copying.eq(0)]
