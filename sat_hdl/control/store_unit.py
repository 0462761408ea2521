"""The store unit: what takes results out of their buffer, and an affine writer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.control.gather import gather_layout
from sat_hdl.control.isa import UNITS
from sat_hdl.control.unit import run_layout, stream_fault
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import WRITE_WORDS, StreamError
from sat_hdl.memory.write_port import WriteClientSignature
from sat_hdl.memory.writer import AffineWriter

__all__ = ["StoreUnit"]

#: Cycles without a beat after which a writer that still wants some is known to get none.
PATIENCE = 31


class StoreUnit(wiring.Component):
    """Runs STORE: takes what the :class:`~sat_hdl.control.gather.Gather` makes and writes it.

    Arguments
    ---------
    config: everything.

    Members
    -------
    values: In(32 × plain registers), words: In(32 × streams), number: Out(4), copying: Out(1),
        run: In(stream of run_layout), done: Out(1): see :class:`~sat_hdl.control.unit.UnitQueue`.
    error: Out(4), an ErrorCode, from its finding until a reset; error_address: Out(32).
    halt: In(1). busy: Out(1). on_memory: Out(1): something may be on its way to or from memory.
    waiting: Out(1). Busy, and memory takes nothing, or has not answered yet.
    start: Out(1), what: Out(gather_layout), beats: In(stream of memory_bits), storing, range_error: In(1):
        the gather's.
    port: Out(WriteClientSignature).
    """

    def __init__(self, config: Config, *, depth: int = 256):
        self._config, self._depth = config, depth
        super().__init__(
            {
                "values": In(data.ArrayLayout(32, len(UNITS["store"].plain))),
                "words": In(data.ArrayLayout(32, 1)),
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
                "start": Out(1),
                "what": Out(gather_layout(config)),
                "beats": In(stream.Signature(config.memory_bits)),
                "storing": In(1),
                "range_error": In(1),
                "port": Out(WriteClientSignature(data_bits=config.memory_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        unit = UNITS["store"]
        m.submodules.writer = writer = AffineWriter(
            data_bits=config.memory_bits, depth=self._depth, target=config.target
        )
        beats = writer.data
        connect(m, writer.port, flipped(self.port))
        connect(m, flipped(self.beats), beats)

        def register(name: str):
            return self.values[unit.index(name) - sum(unit.streams)]

        m.d.comb += [
            writer.halt.eq(self.halt),
            self.on_memory.eq(writer.busy),
            self.waiting.eq(self.busy & ~(beats.valid & beats.ready) & (beats.valid | ~self.storing)),
            writer.words.payload.eq(self.words[0]),
            writer.words.valid.eq(self.copying),
            self.what.form.as_value().eq(self.run.payload.action),
            self.what.first.eq(register("from")),
            self.what.m.eq(register("m")),
            self.what.n.eq(register("n")),
        ]
        fault = Signal(4)
        idle = Signal(range(PATIENCE + 1))
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += [
                    self.run.ready.eq(writer.words.ready & ~self.storing),
                    self.start.eq(self.run.valid & self.run.ready),
                ]
                m.d.sync += idle.eq(0)
                with m.If(self.start):
                    m.d.sync += self.error_address.eq(self.run.payload.address)
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += self.copying.eq(1)
                m.d.sync += self.number.eq(self.number + 1)
                with m.If(self.number == WRITE_WORDS - 1):
                    m.d.sync += self.number.eq(0)
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += idle.eq(Mux(self.storing | ~beats.ready, 0, idle + 1))
                with m.If(idle == PATIENCE):
                    m.d.comb += fault.eq(ErrorCode.BAD_SHAPE)
                    m.next = "IDLE"
                with m.Elif(writer.done):
                    with m.If(writer.error != StreamError.NONE):
                        m.d.comb += fault.eq(stream_fault(writer.error, ErrorCode.WRITE_ERROR))
                    with m.Elif(self.storing):
                        m.d.comb += fault.eq(ErrorCode.BAD_SHAPE)
                    with m.Else():
                        m.d.comb += self.done.eq(self.error == ErrorCode.NONE)
                    m.next = "IDLE"
        with m.If(self.error == ErrorCode.NONE):
            m.d.sync += self.error.eq(Mux(self.range_error, ErrorCode.OUT_OF_RANGE.value, fault))
        return m
