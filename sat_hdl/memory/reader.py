"""Reads an affine stream from memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.affine import AffineWalk
from sat_hdl.memory.check import is_empty, is_misaligned
from sat_hdl.memory.descriptor import StreamError, read_descriptor_layout
from sat_hdl.memory.fifo import BlockFifo
from sat_hdl.memory.read_port import ReadClientSignature
from sat_hdl.memory.split import BurstSplit, check_widths

__all__ = ["AffineReader", "read_beat_layout", "read_start_layout"]


def read_start_layout() -> data.StructLayout:
    """What to read; ``fill``: what padding is made of, 16 bits, over and over."""
    return data.StructLayout({"descriptor": read_descriptor_layout(), "fill": 16})


def read_beat_layout(data_bits: int) -> data.StructLayout:
    """``last``: of a run. ``pad``: its run is padding."""
    return data.StructLayout({"data": data_bits, "last": 1, "pad": 1})


class AffineReader(wiring.Component):
    """Delivers the runs of a descriptor, beat by beat: one a cycle if memory answers within
    ``depth`` - 2 · ``burst_beats`` cycles.

    It asks for a burst only when it has kept room for it, so many bursts are under way at once and none is ever in
    the way of another client's. A stream has its full number of beats whatever is wrong with it, unless it is EMPTY:
    beats that memory gives with an error are passed on; all runs of one that is MISALIGNED are padding, and memory
    is not read.

    Arguments
    ---------
    data_bits: D, 16 to 512, a power of two.
    depth: beats of room, a power of two of at least 4 · burst_beats.
    burst_beats: of the longest burst, a power of two; no more than 4096 bytes.

    Members
    -------
    start: In(stream of read_start_layout). Ready while not busy (and not halted).
    out: Out(stream of read_beat_layout).
    port: Out(ReadClientSignature).
    busy: Out(1). From the cycle after ``start`` to ``done``.
    done: Out(1), for a cycle: every beat has been taken, or the reader has been halted; nothing is outstanding.
    error: Out(StreamError). Rises when it is found, stays until the next start.
    halt: In(1). Ends the stream: no beat is offered any more (one on offer is withdrawn), and no burst asked for but
        the one that was already; bursts under way are waited for, then ``done``.
    waits: Out(1). Memory has been asked for something that has not come.
    """

    def __init__(self, *, data_bits: int, depth: int = 256, burst_beats: int = 16):
        check_widths(data_bits, burst_beats)
        if not isinstance(depth, int) or depth.bit_count() != 1 or not 4 * burst_beats <= depth <= 4096:
            raise ValueError(
                f"depth must be a power of two from 4 × burst_beats = {4 * burst_beats} to 4096, not {depth!r}"
            )
        self._data_bits, self._depth, self._burst_beats = data_bits, depth, burst_beats
        super().__init__(
            {
                "start": In(stream.Signature(read_start_layout())),
                "out": Out(stream.Signature(read_beat_layout(data_bits))),
                "port": Out(ReadClientSignature(data_bits=data_bits)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(StreamError),
                "halt": In(1),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size_bits = (self._data_bits // 8 - 1).bit_length()
        beat_bits = self._burst_beats.bit_length() - 1
        order = data.StructLayout({"padding": 1, "last": 1})
        m.submodules.walk = walk = AffineWalk(padding=True)
        m.submodules.split = split = BurstSplit(data_bits=self._data_bits, burst_beats=self._burst_beats)
        m.submodules.beats = beats = BlockFifo(width=self._data_bits, depth=self._depth)
        # Where padding goes among the runs that are read. A run is here before its first burst is asked for.
        m.submodules.orders = orders = BlockFifo(width=order.size, depth=self._depth)

        descriptor = self.start.payload.descriptor
        starts = Signal()
        running = Signal()
        clear = Signal()
        fill = Signal(16)
        run = Signal(32)
        last_beat = Signal(32)  # of a run, counted from 0
        misaligned = Signal()
        empty = Signal()
        m.d.comb += starts.eq(self.start.valid & self.start.ready)
        with m.If(starts):
            m.d.sync += [
                fill.eq(self.start.payload.fill),
                run.eq(descriptor.run),
                misaligned.eq(is_misaligned(descriptor, self._data_bits, run_multiple=self._data_bits // 8)),
                empty.eq(is_empty(descriptor)),
            ]
        m.d.comb += [
            walk.start.payload.eq(descriptor),
            walk.start.valid.eq(starts),
            walk.runs.ready.eq(split.runs.ready),
            split.runs.valid.eq(walk.runs.valid),
            split.runs.payload.eq(walk.runs.payload),
            split.runs.payload.padding.eq(walk.runs.payload.padding | misaligned),
            split.last_beat.eq(last_beat),
        ]
        for part in (walk, split, beats, orders):
            m.d.comb += part.clear.eq(clear)

        # --- asking -----------------------------------------------------------------------------------------
        request, burst = self.port.request, split.bursts.payload
        moves = Signal()
        asks = Signal()
        beats_asked = Signal(range(self._burst_beats + 1))
        places = Signal(range(self._depth + 1))  # not kept for anything yet
        fits = Signal()  # the longest burst, also if one was asked for in the cycle before
        m.d.comb += [
            moves.eq(
                (burst.padding | (fits & (~request.valid | request.ready)))
                & (~burst.begins | orders.room)
                & split.bursts.valid
                & running
            ),
            split.bursts.ready.eq(moves),
            orders.write.eq(moves & burst.begins),
            orders.data.eq(Cat(burst.padding, burst.last)),
            asks.eq(moves & ~burst.padding),
            beats_asked.eq(Mux(asks, burst.length[:beat_bits] + 1, 0)),
        ]
        m.d.sync += [places.eq(places + beats.taken - beats_asked), fits.eq(places >= 2 * self._burst_beats)]
        with m.If(starts):
            m.d.sync += places.eq(self._depth)
        with m.If(asks):
            m.d.sync += [
                request.valid.eq(1),
                request.payload.address.eq(burst.address),
                request.payload.length.eq(burst.length),
            ]
        with m.Elif(request.ready):
            m.d.sync += request.valid.eq(0)

        # --- what comes back --------------------------------------------------------------------------------
        outstanding = Signal.like(places)
        m.d.sync += outstanding.eq(outstanding + beats_asked - self.port.valid)
        m.d.comb += [beats.write.eq(self.port.valid), beats.data.eq(self.port.data)]
        m.d.comb += self.waits.eq(request.valid | (outstanding != 0))

        out = self.out.payload
        left = Signal(32 - size_bits)  # of the run on its way out
        ends = Signal()
        out_valid = Signal()
        out_free = Signal()
        out_last = Signal()
        head = data.View(order, orders.out.payload)
        gives = Signal()
        m.d.comb += [
            out_free.eq(~out_valid | self.out.ready),
            gives.eq(orders.out.valid & (head.padding | beats.out.valid) & out_free),
            beats.out.ready.eq(orders.out.valid & ~head.padding & out_free),
            orders.out.ready.eq(gives & ends),
            self.out.valid.eq(out_valid & running),
        ]
        with m.If(out_free):
            m.d.sync += [
                out_valid.eq(gives),
                out.data.eq(Mux(head.padding, fill.replicate(self._data_bits // 16), beats.out.payload)),
                out.last.eq(ends),
                out.pad.eq(head.padding),
                out_last.eq(ends & head.last),
            ]
        with m.If(gives):
            m.d.sync += [left.eq(left - 1), ends.eq(left == 1)]
            with m.If(ends):
                m.d.sync += [left.eq(last_beat), ends.eq(last_beat == 0)]

        # --- from start to done -----------------------------------------------------------------------------
        with m.If(running & self.port.valid & self.port.error & (self.error == StreamError.NONE)):
            m.d.sync += self.error.eq(StreamError.BUS_ERROR)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.ready.eq(~self.halt)  # and the walk is, too
                with m.If(starts):
                    m.d.sync += self.error.eq(StreamError.NONE)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [
                    last_beat.eq((run - 1)[:32] >> size_bits),
                    left.eq((run - 1)[:32] >> size_bits),
                    ends.eq(run <= self._data_bits // 8),
                ]
                m.d.sync += running.eq(1)
                m.next = "RUN"
                with m.If(empty):
                    m.d.sync += running.eq(0)
                    m.d.comb += clear.eq(1)
                    m.d.sync += self.error.eq(StreamError.EMPTY)
                    m.next = "DONE"
                with m.Elif(misaligned):
                    m.d.sync += self.error.eq(StreamError.MISALIGNED)
            with m.State("RUN"):
                with m.If(out_valid & self.out.ready & out_last):
                    m.d.sync += [out_valid.eq(0), running.eq(0)]
                    m.next = "DONE"
                with m.Elif(self.halt):
                    m.d.sync += running.eq(0)
                    m.next = "HALT"
            with m.State("HALT"):  # beats that come are dropped
                m.d.comb += clear.eq(1)
                m.d.sync += out_valid.eq(0)
                with m.If(outstanding == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m
