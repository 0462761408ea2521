"""Walks several affine streams in turns: a run of the first, one of the second, and again from the first."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.memory.affine import run_layout
from sat_hdl.memory.descriptor import LOOPS, WRITE_WORDS
from sat_hdl.memory.registered_ram import RegisteredRam

__all__ = ["InterleavedWalk"]

#: Words of a descriptor, with room: so many to the next one's.
_PITCH = 16
#: Numbers of the words that hold the innermost loop's stride and count.
_STRIDE, _COUNT = LOOPS, 2 * LOOPS


class InterleavedWalk(wiring.Component):
    """Gives a run of each descriptor that takes part, in their order, and then again, until none has one left.

    The runs are made one at a time, by one adder: everything that is known of a descriptor and of its loops lies in
    block RAM, ``rams`` = 5 of 36 bits. Loops are looked at from the innermost outwards up to the one that steps, one
    a cycle; then, while the run is on offer already, where they are now is kept, one a cycle. So a run is offered
    ``latency`` = 4 cycles after the last one was taken, where innermost loops step; each loop more of this step or of
    the last run's costs a cycle more. A descriptor's first run counts as one of 6 loops.

    Descriptors that take part must have the same number of runs. If they don't, none is given any more from the first
    one on that is there where another of its turn was not, or is not where another was; and ``ended`` never rises.

    To forget what is left, reset it.

    Arguments
    ---------
    descriptors: 2 to 8, of writers.
    target: "ecp5" or "portable".

    Members
    -------
    word: In(32), write: In(1): word ``number``, In(4), of descriptor ``which``, In.
    start: In(1), for a cycle, no earlier than with the last word.
    uses: In(descriptors). Which take part, at least one; steady from ``start`` to the end.
    runs: Out(stream of run_layout). Without ``padding`` and ``last``.
    bytes: Out(32). Those of the run on offer; steady from the cycle before.
    ended: Out(1). From the last run's being taken, once it is seen that there is no other, to the next start.
    """

    latency, rams = 4, 5

    def __init__(self, *, descriptors: int, target: str = "portable"):
        check_target(target)
        if not isinstance(descriptors, int) or not 2 <= descriptors <= 8:
            raise ValueError(f"descriptors must be an integer from 2 to 8, not {descriptors!r}")
        self._descriptors, self._target = descriptors, target
        super().__init__(
            {
                "word": In(32),
                "write": In(1),
                "number": In(4),
                "which": In(range(descriptors)),
                "start": In(1),
                "uses": In(descriptors),
                "runs": Out(stream.Signature(run_layout())),
                "bytes": Out(32),
                "ended": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now = Signal.like(self.which)  # the descriptor whose turn it is
        scans = Signal()
        # 1 + number of a loop, from the innermost; 0: where the first run is.
        loop, behind, at = (Signal(range(LOOPS + 1), name=name) for name in ("loop", "behind", "at"))
        first, opens, ending = (
            Signal(),
            Signal(),
            Signal(),
        )  # the first turn; a turn's first; a turn without runs
        entry = Signal.like(loop)
        restarts = Signal()

        # --- what is known of the loops ---------------------------------------------------------------------
        words = [
            self._ram(m, name, 32, self._descriptors * _PITCH)
            for name in ("strides_and_base", "counts", "run_bytes")
        ]
        strides, counts, run_bytes = words
        for ram in words:
            m.d.comb += [
                ram.write_address.eq(Cat(self.number, self.which)),
                ram.write_enable.eq(self.write),
                ram.write_data.eq(self.word),
            ]
        counters = self._ram(m, "counters", 16, self._descriptors * 8)
        places = self._ram(m, "places", 32, self._descriptors * 8)
        m.submodules.sum = add = MuxAdder(width=32, target=self._target)
        m.submodules.down = down = MuxAdder(width=16, target=self._target)
        m.d.comb += [
            strides.read_address.eq(Cat(loop, Const(0, 1), now)),
            counts.read_address.eq(Cat((loop + _COUNT - LOOPS)[:4], now)),
            run_bytes.read_address.eq(Cat(Const(WRITE_WORDS - 1, 4), now)),
            counters.read_address.eq(Cat(loop, now)),
            places.read_address.eq(Cat(loop, now)),
            *(ram.reads.eq(scans) for ram in (counters, places)),
            add.x.eq(strides.read_data),
            add.y0.eq(places.read_data),
            add.s.eq(first),
            places.write_address.eq(Cat(loop, now)),
            places.write_data.eq(self.runs.payload.address),
            down.x.eq((~restarts).replicate(16)),
            down.y0.eq(counters.read_data),
            down.y1.eq(counts.read_data),
            down.s.eq(restarts),
            counters.write_address.eq(Cat(at, now)),
            counters.write_data.eq(down.o),
            self.bytes.eq(run_bytes.read_data),
        ]

        # --- whose turn is next -----------------------------------------------------------------------------
        following = Signal.like(now)
        lowest = Signal.like(now)
        wraps = Signal()
        above = Array(Const(-1 << (i + 1), self._descriptors) for i in range(self._descriptors))[now]
        m.d.comb += [wraps.eq(~(self.uses & above).any()), following.eq(lowest)]
        for i in reversed(range(self._descriptors)):
            with m.If(self.uses[i]):
                m.d.comb += lowest.eq(i)
            with m.If((self.uses & above)[i]):
                m.d.comb += following.eq(i)

        # --- a run ------------------------------------------------------------------------------------------
        asked, known = Signal(), Signal()  # ranks of the RAMs: a loop is there in the second
        taken = self.runs.valid & self.runs.ready
        m.d.comb += restarts.eq(first | (counters.read_data == 1))
        m.d.sync += [behind.eq(loop), at.eq(behind)]
        with m.If(taken):
            m.d.sync += self.runs.valid.eq(0)

        def go_on():
            m.d.sync += [now.eq(following), opens.eq(wraps), first.eq(first & ~wraps)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [now.eq(lowest), loop.eq(LOOPS)]
                with m.If(self.start):
                    m.d.sync += [first.eq(1), opens.eq(1), ending.eq(0), self.ended.eq(0)]
                    m.next = "SCAN"
            with m.State("SCAN"):
                m.d.comb += [scans.eq(1), counters.write_enable.eq(known)]
                m.d.sync += [loop.eq(Mux(loop == 0, 0, loop - 1)), asked.eq(1), known.eq(asked)]
                with m.If(known & (Mux(at == 0, 1, ~restarts))):
                    m.d.sync += [asked.eq(0), known.eq(0), loop.eq(LOOPS)]
                    m.d.sync += [entry.eq(at), self.runs.payload.address.eq(add.o)]
                    with m.If((at == 0) & ~first):
                        m.d.sync += ending.eq(1)
                        go_on()
                        with m.If(~opens & ~ending):
                            m.next = "STUCK"
                        with m.Elif(wraps):
                            m.d.sync += self.ended.eq(1)
                            m.next = "IDLE"
                    with m.Elif(ending):
                        m.next = "STUCK"
                    with m.Else():
                        m.d.sync += self.runs.valid.eq(1)
                        m.next = "KEEP"
            with m.State("KEEP"):
                # This loop and those inside it are there now.
                m.d.comb += places.write_enable.eq(1)
                m.d.sync += loop.eq(loop - 1)
                with m.If(loop == entry):
                    m.d.sync += loop.eq(LOOPS)
                    m.next = "WAIT"
                    with m.If(taken | ~self.runs.valid):
                        go_on()
                        m.next = "SCAN"
            with m.State("WAIT"):
                with m.If(taken):
                    go_on()
                    m.next = "SCAN"
            with m.State("STUCK"):
                pass
        return m

    def _ram(self, m: Module, name: str, width: int, depth: int) -> RegisteredRam:
        ram = RegisteredRam(width=width, depth=1 << (depth - 1).bit_length(), target=self._target)
        m.submodules[name] = ram
        return ram
