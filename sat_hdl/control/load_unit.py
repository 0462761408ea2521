"""The load unit: an affine reader and what spreads its beats over the buffers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.control.load import scatter_layout
from sat_hdl.control.unit import run_layout, stream_fault
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.read_port import ReadClientSignature
from sat_hdl.memory.reader import AffineReader, read_beat_layout

__all__ = ["LoadUnit"]


class LoadUnit(wiring.Component):
    """Runs LOAD: reads a stream and sends it to the :class:`~sat_hdl.control.load.Scatter`.

    Arguments
    ---------
    config: everything.

    Members
    -------
    values: In(32 × plain registers), words: In(32 × streams), number: Out(4), copying: Out(1),
        run: In(stream of run_layout), done: Out(1): see :class:`~sat_hdl.control.unit.UnitQueue`.
    error: Out(4), an ErrorCode, from its finding until a reset; error_address: Out(32).
    halt: In(1). busy: Out(1). on_memory: Out(1): something may be on its way to or from memory.
    waiting: Out(1). Busy, and nothing comes from memory.
    start: Out(1), what: Out(scatter_layout), beats: Out(stream of read_beat_layout), loading, range_error:
        In(1): the scatter's.
    port: Out(ReadClientSignature).
    """

    def __init__(self, config: Config, *, depth: int = 256):
        self._config, self._depth = config, depth
        super().__init__(
            {
                "values": In(data.ArrayLayout(32, len(UNITS["load"].plain))),
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
                "what": Out(scatter_layout(config)),
                "beats": Out(stream.Signature(read_beat_layout(config.memory_bits))),
                "loading": In(1),
                "range_error": In(1),
                "port": Out(ReadClientSignature(data_bits=config.memory_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        unit = UNITS["load"]
        m.submodules.reader = reader = AffineReader(
            data_bits=config.memory_bits, depth=self._depth, target=config.target
        )
        connect(m, reader.port, flipped(self.port))
        connect(m, reader.out, flipped(self.beats))

        def register(name: str):
            return self.values[unit.index(name) - sum(unit.streams)]

        m.d.comb += [
            reader.halt.eq(self.halt),
            self.on_memory.eq(reader.busy),
            self.waiting.eq(self.busy & reader.busy & ~reader.out.valid),
            reader.words.payload.eq(self.words[0]),
            reader.words.valid.eq(self.copying),
            self.what.target.as_value().eq(self.run.payload.action),
            self.what.take.eq(register("take")),
            self.what.inner.eq(register("inner")),
            self.what.to.eq(register("to")),
            self.what.pitch.eq(register("pitch")),
        ]
        read_error = Signal(4)
        m.d.comb += read_error.eq(stream_fault(reader.error, ErrorCode.READ_ERROR))
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += [
                    self.run.ready.eq(reader.words.ready),
                    self.start.eq(self.run.valid & self.run.ready),
                ]
                with m.If(self.start):
                    m.d.sync += self.error_address.eq(self.run.payload.address)
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += self.copying.eq(1)
                m.d.sync += self.number.eq(self.number + 1)
                with m.If(self.number == reader.word_count - 1):
                    m.d.sync += self.number.eq(0)
                    m.next = "READ"
            with m.State("READ"):
                with m.If(reader.done):
                    m.next = "WRITE"
            with m.State("WRITE"):
                with m.If(~self.loading):
                    with m.If(self.error == ErrorCode.NONE):
                        m.d.sync += self.error.eq(read_error)
                    m.d.comb += self.done.eq((read_error | self.error) == 0)
                    m.next = "IDLE"
        with m.If(self.range_error & (self.error == ErrorCode.NONE)):
            m.d.sync += self.error.eq(ErrorCode.OUT_OF_RANGE)
        return m
