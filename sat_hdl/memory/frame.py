"""From a descriptor's first word to ``done``: what readers and writers have in common."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.descriptor import LOOPS, StreamError

__all__ = ["StreamFrame"]

_RUN = 1 + 2 * LOOPS  # number of the word that holds the run


class StreamFrame(wiring.Component):
    """Takes a descriptor's words, says what is wrong with them, and keeps the state of the stream.

    Arguments
    ---------
    words: of a descriptor, 12 to 16, with what may follow it.
    data_bits: D.
    run_multiple: bytes that a run must be a multiple of, a power of two.
    descriptors: that come one after the other.

    Members
    -------
    words: In(stream of 32 bits). Ready while idle (and not halted) and until the last has come. A stride of a loop
        that goes round once is not used, so it may be anything.
    number: Out(4). Of the word that comes next.
    which: Out. Of several descriptors, the one whose word comes next. uses: In(descriptors). Which of several are
        looked at, steady while words come.
    starts: Out(1), for a cycle: with the last word.
    run: Out(32). Bytes of a run (of the last descriptor), from the cycle after its word.
    misaligned: Out(1). From the cycle after the last word: memory is not to be touched.
    running: Out(1). From two cycles after the last word, unless EMPTY, until the stream is at its end or halted.
    halting, dropping: Out(1). It has been halted; everything left is to be forgotten (if EMPTY, too).
    complete: In(1). The stream is at its end. quiet: In(1). Nothing is outstanding. bus_error: In(1), for a cycle.
    busy, done, error, halt: as of :class:`~sat_hdl.memory.reader.AffineReader`.
    """

    def __init__(self, *, words: int, data_bits: int, run_multiple: int, descriptors: int = 1):
        self._words, self._descriptors = words, descriptors
        self._size_bits, self._run_bits = ((size - 1).bit_length() for size in (data_bits // 8, run_multiple))
        flags = ("starts", "misaligned", "running", "halting", "dropping", "busy", "done")
        super().__init__(
            {"words": In(stream.Signature(32)), "number": Out(4), "run": Out(32), "error": Out(StreamError)}
            | {flag: Out(1) for flag in flags}
            | {flag: In(1) for flag in ("complete", "quiet", "bus_error", "halt")}
            | ({"which": Out(range(descriptors)), "uses": In(descriptors)} if descriptors > 1 else {})
        )

    def elaborate(self, platform):
        m = Module()
        word, takes = self.words.payload, Signal()
        empty = Signal()
        crooked = Signal(LOOPS, reset_less=True)  # of the strides, in the order of the words
        low = Signal()  # none of the word's low half is set
        final = Signal()  # a descriptor's last word
        counts, again, ends = Const(1, 1), Const(0, 1), Const(1, 1)
        if self._descriptors > 1:
            counts, again = self.uses.bit_select(self.which, 1), self.which != 0
            ends = self.which == self._descriptors - 1
            with m.If(takes & final):
                m.d.sync += self.which.eq(Mux(ends, 0, self.which + 1))
        m.d.comb += [
            takes.eq(self.words.valid & self.words.ready),
            final.eq(self.number == self._words - 1),
            self.starts.eq(takes & final & ends),
            low.eq((word[:16] == 0) & counts),
        ]
        with m.If(takes):
            m.d.sync += self.number.eq(self.number + 1)
            with m.If(self.number == 0):
                wrong = word[: self._size_bits].any() & counts
                m.d.sync += [self.misaligned.eq(wrong | (again & self.misaligned)), empty.eq(again & empty)]
            with m.Elif(self.number <= LOOPS):
                m.d.sync += crooked.eq((crooked << 1) | word[: self._size_bits].any())
            with m.Elif(self.number < _RUN):
                m.d.sync += [crooked.eq(crooked << 1), empty.eq(empty | low)]
                with m.If(crooked[-1] & (word[:16] != 1) & counts):
                    m.d.sync += self.misaligned.eq(1)
            with m.Elif(self.number == _RUN):
                m.d.sync += [self.run.eq(word), empty.eq(empty | (low & (word[16:] == 0)))]
                with m.If(word[: self._run_bits].any() & counts):
                    m.d.sync += self.misaligned.eq(1)
        with m.If(takes & final):
            m.d.sync += self.number.eq(0)

        with m.If(self.running & self.bus_error & (self.error == StreamError.NONE)):
            m.d.sync += self.error.eq(StreamError.BUS_ERROR)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.words.ready.eq(~self.halt)
                with m.If(takes):
                    m.d.sync += self.error.eq(StreamError.NONE)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.words.ready.eq(1)
                with m.If(self.starts):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(empty):
                    m.d.comb += self.dropping.eq(1)
                    m.d.sync += self.error.eq(StreamError.EMPTY)
                    m.next = "DONE"
                with m.Else():
                    m.d.sync += self.running.eq(1)
                    m.next = "RUN"
                    with m.If(self.misaligned):
                        m.d.sync += self.error.eq(StreamError.MISALIGNED)
            with m.State("RUN"):
                with m.If(self.complete):
                    m.d.sync += self.running.eq(0)
                    m.next = "DONE"
                with m.Elif(self.halt):
                    m.d.sync += self.running.eq(0)
                    m.next = "HALT"
            with m.State("HALT"):
                m.d.comb += self.halting.eq(1)
                with m.If(self.quiet):
                    m.d.comb += self.dropping.eq(1)
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m
