"""Instruction fetch."""

from amaranth.hdl import Array, Cat, Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.read_port import ReadClientSignature

__all__ = ["Fetch", "fetched_layout"]

#: Beats of a burst. Bursts are aligned, so none crosses 4 KiB.
BURST = 8


def fetched_layout() -> data.StructLayout:
    """An instruction, where it was, and whether memory answered with an error."""
    return data.StructLayout({"word": 64, "address": 32, "error": 1})


class Fetch(wiring.Component):
    """Reads instructions one after another, ahead of the one in work, until it is told to go on elsewhere.

    What it has read ahead may lie past the program's end: an error answer is passed on with the instruction and
    matters only if that is reached.

    Arguments
    ---------
    data_bits: of the memory port.

    Members
    -------
    jump: In(1), target: In(32): go on at this byte address, a multiple of 8. Whatever was on its way is dropped.
    stop: In(1). No further bursts are asked for.
    instructions: Out(stream of fetched_layout). A jump empties it in the same cycle.
    port: Out(ReadClientSignature).
    busy: Out(1). Beats are on their way.
    """

    def __init__(self, *, data_bits: int):
        if data_bits not in (32, 64, 128, 256, 512):
            raise ValueError(f"data_bits must be 32, 64, 128, 256 or 512, not {data_bits!r}")
        self._data_bits = data_bits
        super().__init__(
            {
                "jump": In(1),
                "target": In(32),
                "stop": In(1),
                "instructions": Out(stream.Signature(fetched_layout())),
                "port": Out(ReadClientSignature(data_bits=data_bits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self._data_bits
        beat_bytes = width // 8
        burst_bytes = beat_bytes * BURST
        beat_bits, burst_bits = beat_bytes.bit_length() - 1, burst_bytes.bit_length() - 1

        beats = SyncFIFO(width=width + 1, depth=2 * BURST)
        m.submodules.beats = ResetInserter(self.jump)(beats)
        fetch = Signal(32 - burst_bits)  # burst to ask for next
        expected = Signal(range(8 * BURST))  # beats on their way
        stale = Signal(range(8 * BURST))  # of these, the first so many are dropped
        room = Signal(range(2 * BURST + 1), init=2 * BURST)  # for beats neither held nor expected
        pc = Signal(32)
        # A request stays on offer until it is taken, even if a jump makes it pointless.
        asks, pending = Signal(), Signal()
        m.d.comb += [
            asks.eq(~pending & ~self.stop & ~self.jump & (room >= BURST) & (expected < 6 * BURST)),
            self.port.request.valid.eq(pending),
            self.port.request.payload.length.eq(BURST - 1),
            self.busy.eq(expected != 0),
        ]
        with m.If(asks):
            m.d.sync += [
                pending.eq(1),
                self.port.request.payload.address.eq(fetch << burst_bits),
                fetch.eq(fetch + 1),
            ]
        with m.Elif(self.port.request.ready):
            m.d.sync += pending.eq(0)
        fresh = self.port.valid & (stale == 0)
        m.d.comb += [
            beats.w_data.eq(Cat(self.port.data, self.port.error)),
            beats.w_en.eq(fresh),
        ]

        # --- instructions out of beats ------------------------------------------------------------------
        take_beat = Signal()
        word, error, complete = Signal(64), Signal(), Signal()
        step = Signal()  # an instruction leaves
        held, error_bit = beats.r_data[:width], beats.r_data[-1]
        skip = Signal(range(BURST))  # beats of the first burst before the target
        if width == 32:
            low, low_error, half = Signal(32), Signal(), Signal()
            m.d.comb += [
                word.eq(Cat(low, held)),
                error.eq(low_error | error_bit),
                complete.eq(beats.r_rdy & half & (skip == 0)),
            ]
            takes_low = beats.r_rdy & (skip == 0) & ~half
            with m.If(takes_low):
                m.d.sync += [low.eq(held), low_error.eq(error_bit), half.eq(1)]
            with m.If(step | self.jump):
                m.d.sync += half.eq(0)
            m.d.comb += take_beat.eq(takes_low | step)
        else:
            per_beat = width // 64
            place = pc[3:beat_bits] if per_beat > 1 else 0
            m.d.comb += [
                word.eq(Array(held.word_select(i, 64) for i in range(per_beat))[place]),
                error.eq(error_bit),
                complete.eq(beats.r_rdy & (skip == 0)),
                take_beat.eq(step & (place == per_beat - 1)),
            ]
        skips = beats.r_rdy & (skip != 0)
        with m.If(skips):
            m.d.sync += skip.eq(skip - 1)
        m.d.comb += [
            self.instructions.payload.word.eq(word),
            self.instructions.payload.address.eq(pc),
            self.instructions.payload.error.eq(error),
            self.instructions.valid.eq(complete),
            step.eq(complete & self.instructions.ready),
            beats.r_en.eq(take_beat | skips),
        ]
        with m.If(step):
            m.d.sync += pc.eq(pc + 8)

        m.d.sync += [
            expected.eq(expected + (asks << 3) - self.port.valid),
            room.eq(room - (asks << 3) + (beats.r_en & beats.r_rdy)),
        ]
        with m.If(self.port.valid & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)
        with m.If(self.jump):
            m.d.sync += [
                pc.eq(self.target),
                fetch.eq(self.target >> burst_bits),
                skip.eq(self.target[beat_bits:burst_bits]),
                stale.eq(expected - self.port.valid),
                room.eq(2 * BURST),
            ]
        return m
