"""Writes an affine stream to memory."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.memory.affine import AffineWalk
from sat_hdl.memory.descriptor import WRITE_WORDS, StreamError
from sat_hdl.memory.fifo import BlockFifo
from sat_hdl.memory.frame import StreamFrame
from sat_hdl.memory.interleaved_walk import InterleavedWalk
from sat_hdl.memory.read_port import request_layout
from sat_hdl.memory.split import BurstSplit, check_widths
from sat_hdl.memory.write_port import WriteClientSignature, write_beat_layout

__all__ = ["AffineWriter"]


class AffineWriter(wiring.Component):
    """Takes the beats of a descriptor's runs, one a cycle while memory does, and writes them.

    Every run begins with a beat; what its last beat has beyond the run's bytes is not written. A burst is asked for
    when its data are all here. As many beats as the descriptor has are taken, whatever is wrong, unless it is EMPTY:
    after an error of memory the rest is written nevertheless; if it is MISALIGNED, nothing is.

    Of several ``descriptors`` those that are used take turns: a run of one, a run of the next (see
    :class:`~sat_hdl.memory.interleaved_walk.InterleavedWalk`). Between two runs' beats are 2 cycles, from a run's
    first to the next one's first at least 4. If one is MISALIGNED or EMPTY, so is the stream. If their runs are not
    equally many, it takes the beats of at most one turn more than all of them have, and never ends.

    Arguments
    ---------
    data_bits: D, 16 to 512, a power of two.
    depth: beats of room, a power of two of at least 2 · burst_beats.
    burst_beats: of the longest burst, a power of two; no more than 4096 bytes.
    descriptors: 1 to 8.
    target: "ecp5" or "portable".

    Members
    -------
    words: In(stream of 32 bits). The 12 words of a descriptor, of each in turn. Ready while not busy (and not
        halted), and from the first to the last.
    uses: In(descriptors), of several: which take part, at least one; steady while busy, and with the first word. The
        words of others come, too, but don't matter.
    data: In(stream of data_bits). Ready only while beats of a started stream are wanted.
    port: Out(WriteClientSignature).
    busy: Out(1). From the cycle after the first word to ``done``.
    done: Out(1), for a cycle: memory has answered for every burst, or the writer has been halted; nothing is
        outstanding.
    error: Out(StreamError). Rises when it is found, stays until the next start.
    halt: In(1). Ends the stream: no beat is taken and no burst asked for any more (an offer is withdrawn); bursts
        under way are waited for, then ``done``.
    waits: Out(1). A burst is to be asked for, or has not been answered.
    """

    #: Bursts that may wait to be asked for, and that may be unanswered.
    queued, most_outstanding = 16, 255

    def __init__(
        self,
        *,
        data_bits: int,
        depth: int = 256,
        burst_beats: int = 16,
        descriptors: int = 1,
        target: str = "portable",
    ):
        check_widths(data_bits, burst_beats)
        if not isinstance(depth, int) or depth.bit_count() != 1 or not 2 * burst_beats <= depth <= 4096:
            raise ValueError(
                f"depth must be a power of two from 2 × burst_beats = {2 * burst_beats} to 4096, not {depth!r}"
            )
        self._data_bits, self._depth = data_bits, depth
        if not isinstance(descriptors, int) or not 1 <= descriptors <= 8:
            raise ValueError(f"descriptors must be an integer from 1 to 8, not {descriptors!r}")
        self._descriptors = descriptors
        if descriptors > 1:
            self._walk = InterleavedWalk(descriptors=descriptors, target=target)
        else:
            self._walk = AffineWalk(padding=False, target=target)
        self._split = BurstSplit(data_bits=data_bits, burst_beats=burst_beats, target=target)
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "data": In(stream.Signature(data_bits)),
                "port": Out(WriteClientSignature(data_bits=data_bits)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(StreamError),
                "halt": In(1),
                "waits": Out(1),
            }
            | ({"uses": In(descriptors)} if descriptors > 1 else {})
        )

    def elaborate(self, platform):
        m = Module()
        size = self._data_bits // 8
        size_bits = (size - 1).bit_length()
        beat = write_beat_layout(self._data_bits)
        m.submodules.split = split = self._split
        m.submodules.beats = beats = BlockFifo(width=beat.size, depth=self._depth)
        m.submodules.frame = frame = StreamFrame(
            words=WRITE_WORDS, data_bits=self._data_bits, run_multiple=2, descriptors=self._descriptors
        )
        running, misaligned = frame.running, frame.misaligned
        requests = SyncFIFO(width=request_layout().size, depth=self.queued)
        m.submodules.requests = ResetInserter(frame.dropping)(requests)
        connect(m, flipped(self.words), frame.words)
        m.d.comb += [
            Cat(self.busy, self.done, self.error).eq(Cat(frame.busy, frame.done, frame.error)),
            frame.halt.eq(self.halt),
        ]
        for part in (split, beats):
            m.d.comb += part.clear.eq(frame.dropping)

        # --- taking beats until a burst is whole ------------------------------------------------------------
        burst, request = split.bursts.payload, self.port.request
        place = Signal(8)  # of the beat in its burst
        takes = Signal()
        whole = Signal()
        tail = Signal(size)  # strobes of a run's last beat
        stored = Signal(beat)
        m.d.comb += [
            self.data.ready.eq(running & split.bursts.valid & beats.room & requests.w_rdy),
            takes.eq(self.data.valid & self.data.ready),
            whole.eq(place == burst.length),
            stored.data.eq(self.data.payload),
            stored.strobes.eq(tail | (~(whole & burst.ends)).replicate(size)),
            beats.write.eq(takes & ~misaligned),
            beats.data.eq(stored),
            requests.w_en.eq(takes & whole & ~misaligned),
            requests.w_data.eq(Cat(burst.address, burst.length)),
            split.bursts.ready.eq(takes & whole),
        ]
        with m.If(takes):
            m.d.sync += place.eq(Mux(whole, 0, place + 1))
        with m.If(frame.starts):
            m.d.sync += place.eq(0)
        ended, loads = self._runs(m, frame, split, takes & whole & burst.ends)
        used = split.run[:size_bits]
        with m.If(loads):
            m.d.sync += tail.eq(Cat(*((used == 0) | (used > i) for i in range(size - 1)), used == 0))

        # --- asking, and what is answered -------------------------------------------------------------------
        outstanding = Signal(range(self.most_outstanding + 1))
        accepted = request.valid & request.ready
        m.d.comb += [
            request.valid.eq(requests.r_rdy & running & (outstanding != self.most_outstanding)),
            request.payload.eq(requests.r_data),
            requests.r_en.eq(accepted),
            self.port.beats.valid.eq(beats.out.valid),
            self.port.beats.payload.eq(beats.out.payload),
            beats.out.ready.eq(self.port.beats.ready),
        ]
        m.d.sync += outstanding.eq(outstanding + accepted - self.port.done)
        m.d.comb += self.waits.eq(requests.r_rdy | (outstanding != 0))
        m.d.comb += [
            frame.bus_error.eq(self.port.done & self.port.error),
            frame.quiet.eq(outstanding == 0),
            frame.complete.eq(ended & ~requests.r_rdy & (outstanding == 0)),
        ]
        return m

    def _runs(self, m: Module, frame: StreamFrame, split: BurstSplit, run_ends):
        """The walk and what it gives. → every run's beats have been taken; ``tail`` is to be set."""
        walk, word, ended = self._walk, self.words, Signal()
        takes = word.valid & word.ready
        if isinstance(walk, AffineWalk):
            m.submodules.walk = walk
            connect(m, walk.runs, split.runs)
            m.d.comb += [
                walk.words.payload.eq(word.payload),
                walk.words.valid.eq(takes),
                walk.clear.eq(frame.dropping),
                split.run.eq(frame.run),
            ]
            with m.If(frame.starts):
                m.d.sync += ended.eq(0)
            with m.Elif(run_ends & split.bursts.payload.last):
                m.d.sync += ended.eq(1)
            return ended, Const(1, 1)
        # A run enters the split when the one before has left it, so that its bytes are those of all that is there.
        inside = Signal()
        m.submodules.walk = ResetInserter(frame.dropping)(walk)
        m.d.comb += [
            walk.word.eq(word.payload),
            walk.write.eq(takes),
            walk.number.eq(frame.number),
            walk.which.eq(frame.which),
            walk.start.eq(frame.starts),
            walk.uses.eq(self.uses),
            frame.uses.eq(self.uses),
            split.run.eq(walk.bytes),
            split.runs.payload.eq(walk.runs.payload),
            split.runs.valid.eq(walk.runs.valid & ~inside),
            walk.runs.ready.eq(split.runs.ready & ~inside),
            ended.eq(walk.ended & ~inside),
        ]
        loads = split.runs.valid & split.runs.ready
        with m.If(frame.dropping | run_ends):
            m.d.sync += inside.eq(0)
        with m.Elif(loads):
            m.d.sync += inside.eq(1)
        return ended, loads
