"""Reads an affine stream from memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from sat_hdl.memory.affine import AffineWalk
from sat_hdl.memory.descriptor import READ_WORDS, StreamError
from sat_hdl.memory.fifo import BlockFifo
from sat_hdl.memory.frame import StreamFrame
from sat_hdl.memory.read_port import ReadClientSignature
from sat_hdl.memory.register_slice import RegisterSlice
from sat_hdl.memory.split import BurstSplit, check_widths

__all__ = ["AffineReader", "read_beat_layout"]


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
    fill: whether what padding is made of, 16 bits over and over, follows the descriptor; else it is +0.
    target: "ecp5" or "portable".

    Members
    -------
    words: In(stream of 32 bits). The ``word_count`` words of the stream. Ready while not busy (and not halted), and
        from the first to the last.
    out: Out(stream of read_beat_layout).
    port: Out(ReadClientSignature).
    busy: Out(1). From the cycle after the first word to ``done``.
    done: Out(1), for a cycle: every beat has been taken, or the reader has been halted; nothing is outstanding.
    error: Out(StreamError). Rises when it is found, stays until the next start.
    halt: In(1). Ends the stream: no beat is offered any more (one on offer is withdrawn), and no burst asked for but
        the one that was already; bursts under way are waited for, then ``done``.
    waits: Out(1). Memory has been asked for something that has not come.
    """

    def __init__(
        self,
        *,
        data_bits: int,
        depth: int = 256,
        burst_beats: int = 16,
        fill: bool = False,
        target: str = "portable",
    ):
        check_widths(data_bits, burst_beats)
        if not isinstance(depth, int) or depth.bit_count() != 1 or not 4 * burst_beats <= depth <= 4096:
            raise ValueError(
                f"depth must be a power of two from 4 × burst_beats = {4 * burst_beats} to 4096, not {depth!r}"
            )
        self._data_bits, self._depth, self._burst_beats = data_bits, depth, burst_beats
        self._fill = fill
        self._walk = AffineWalk(padding=True, target=target)
        self._split = BurstSplit(data_bits=data_bits, burst_beats=burst_beats, target=target)
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "out": Out(stream.Signature(read_beat_layout(data_bits))),
                "port": Out(ReadClientSignature(data_bits=data_bits)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(StreamError),
                "halt": In(1),
                "waits": Out(1),
            }
        )

    @property
    def word_count(self) -> int:
        """Words of a stream."""
        return READ_WORDS + self._fill

    def elaborate(self, platform):
        m = Module()
        beat_bits = self._burst_beats.bit_length() - 1
        order = data.StructLayout({"padding": 1, "ends": 1, "last": 1, "length": beat_bits})
        m.submodules.walk = walk = self._walk
        m.submodules.split = split = self._split
        m.submodules.beats = beats = BlockFifo(width=self._data_bits, depth=self._depth)
        # Where padding goes among the bursts that are read. A burst is here before it is asked for.
        m.submodules.orders = orders = BlockFifo(width=order.size, depth=self._depth)
        m.submodules.frame = frame = StreamFrame(
            words=self.word_count, data_bits=self._data_bits, run_multiple=self._data_bits // 8
        )
        running, clear = frame.running, Signal()
        takes = self.words.valid & self.words.ready
        m.d.comb += [
            frame.words.valid.eq(self.words.valid),
            frame.words.payload.eq(self.words.payload),
            self.words.ready.eq(frame.words.ready),
            walk.words.payload.eq(self.words.payload),
            walk.words.valid.eq(takes & (frame.number < READ_WORDS)),
            split.run.eq(frame.run),
            clear.eq(frame.dropping | frame.halting),
            Cat(self.busy, self.done, self.error).eq(Cat(frame.busy, frame.done, frame.error)),
            frame.halt.eq(self.halt),
        ]
        fill = Signal(16)
        if self._fill:
            with m.If(takes & (frame.number == READ_WORDS)):
                m.d.sync += fill.eq(self.words.payload)
        connect(m, walk.runs, split.runs)
        for part in (walk, split, beats, orders):
            m.d.comb += part.clear.eq(clear)

        # --- asking -----------------------------------------------------------------------------------------
        request, burst = self.port.request, split.bursts.payload
        padding = burst.padding | frame.misaligned
        moves = Signal()
        asks = Signal()
        beats_asked = Signal(range(self._burst_beats + 1))
        # They count a cycle later: who is granted a request is known late.
        counted = Signal.like(beats_asked)
        places = Signal(range(self._depth + 1))  # not kept for anything, but for what is still to be counted
        more = Signal.like(places)
        fits = Signal()  # the longest burst, also if one was asked for in the cycle before
        m.d.comb += [
            moves.eq(
                (padding | (fits & (~request.valid | request.ready)))
                & orders.room
                & split.bursts.valid
                & running
            ),
            split.bursts.ready.eq(moves),
            orders.write.eq(moves),
            orders.data.eq(Cat(padding, burst.ends, burst.last, burst.length[:beat_bits])),
            asks.eq(moves & ~padding),
            beats_asked.eq(Mux(asks, burst.length[:beat_bits] + 1, 0)),
        ]
        m.d.comb += more.eq(places + beats.taken - counted)
        m.d.sync += [counted.eq(beats_asked), places.eq(more), fits.eq(more >= 2 * self._burst_beats)]
        with m.If(frame.starts):
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
        m.d.sync += outstanding.eq(outstanding + counted - self.port.valid)
        m.d.comb += [
            beats.write.eq(self.port.valid),
            beats.data.eq(self.port.data),
            frame.bus_error.eq(self.port.valid & self.port.error),
            frame.quiet.eq((outstanding == 0) & (counted == 0)),
            self.waits.eq(request.valid | (outstanding != 0)),
        ]

        # Whoever takes beats may decide late: no path goes on from there into the queues.
        beat = data.StructLayout({"beat": read_beat_layout(self._data_bits), "final": 1})
        m.submodules.out = out = RegisterSlice(shape=beat)
        place = Signal(beat_bits)  # of the beat in its burst
        ends = Signal()
        head = data.View(order, orders.out.payload)
        gives = Signal()
        m.d.comb += [
            ends.eq(place == head.length),
            out.i.valid.eq(orders.out.valid & (head.padding | beats.out.valid)),
            out.i.payload.beat.data.eq(
                Mux(head.padding, fill.replicate(self._data_bits // 16), beats.out.payload)
            ),
            out.i.payload.beat.last.eq(ends & head.ends),
            out.i.payload.beat.pad.eq(head.padding),
            out.i.payload.final.eq(ends & head.ends & head.last),
            gives.eq(out.i.valid & out.i.ready),
            beats.out.ready.eq(orders.out.valid & ~head.padding & out.i.ready),
            orders.out.ready.eq(gives & ends),
            self.out.valid.eq(out.o.valid & running),
            self.out.payload.eq(out.o.payload.beat),
            out.o.ready.eq(self.out.ready & running),
            out.clear.eq(frame.starts | frame.complete | frame.halting),
            frame.complete.eq(out.o.valid & self.out.ready & running & out.o.payload.final),
        ]
        with m.If(gives):
            m.d.sync += place.eq(Mux(ends, 0, place + 1))
        with m.If(frame.starts):
            m.d.sync += place.eq(0)
        return m
