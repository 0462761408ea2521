"""Walks the five loops of an affine stream: an address a cycle, without a multiplier."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.memory.descriptor import COORDINATE_BITS, LOOPS, READ_WORDS, WRITE_WORDS

__all__ = ["AffineWalk", "run_layout"]

#: Number of the first of the words that hold the loops' counts and moves; the strides are words 1 to LOOPS.
_COUNTS = 1 + LOOPS
#: Where base and origin lie among the loops' entries: the first run is a step from nowhere to there.
_ORIGIN = 7


def run_layout() -> data.StructLayout:
    """A run: its byte address, whether it is padding, whether it is the stream's last."""
    return data.StructLayout({"address": 32, "padding": 1, "last": 1})


class AffineWalk(wiring.Component):
    """Gives the runs of a descriptor in order, one a cycle while they are taken.

    The first is valid ``latency`` cycles after the first word, if the words come without a pause. A counter of 0
    steps is not to be started.

    Each loop keeps where its present step began, in LUT RAM. A step of loop k adds its stride to that; then k and all
    loops inside it are there. Only k's place is written: a loop inside that has not stepped since has none of its own
    and steps from that of the nearest loop around it that has. The strides are in block RAM, one of 36 bits.

    Arguments
    ---------
    padding: whether coordinates are kept and runs outside the extent marked (a reader); else the descriptor is a
        writer's.
    target: "ecp5" or "portable".

    Members
    -------
    words: In(stream of 32 bits). A descriptor's, in order. Ready once the last run is on its way out.
    runs: Out(stream of run_layout).
    clear: In(1). Forgets what is left, and words that came.
    """

    def __init__(self, *, padding: bool, target: str = "portable"):
        check_target(target)
        self._padding, self._target = padding, target
        self._words = READ_WORDS if padding else WRITE_WORDS
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "runs": Out(stream.Signature(run_layout())),
                "clear": In(1),
            }
        )

    @property
    def latency(self) -> int:
        """The words, one to choose what is added, one to add it."""
        return self._words + 2

    def elaborate(self, platform):
        m = Module()
        busy, begin = Signal(), Signal()
        number = Signal(4)  # of the word that comes next
        takes = Signal()
        out_valid = Signal()
        flows = ~out_valid | self.runs.ready
        m.d.comb += [
            self.words.ready.eq(~busy),
            takes.eq(self.words.valid & ~busy),
            begin.eq(takes & (number == self._words - 1)),
        ]
        with m.If(takes):
            m.d.sync += number.eq(number + 1)
        with m.If(begin | self.clear):
            m.d.sync += number.eq(0)

        restarted = Signal(LOOPS)  # since loop k stepped last, one around it has
        first, last, step, ends = self._steps(m, takes, begin, number, flows, restarted)
        any_step = first | ~last.all()
        entry, source, coming = Signal(range(8)), Signal(range(8)), Signal(range(8), init=_ORIGIN)
        opens, adds = Signal(), Signal()
        with m.If(flows & any_step):
            for k in range(LOOPS):
                with m.If(first | Cat(*step[:k], 0).any()):
                    m.d.sync += restarted[k].eq(1)
                with m.Elif(step[k]):
                    m.d.sync += restarted[k].eq(0)
        for k in range(LOOPS):
            with m.If(~last[k] & ~first):
                m.d.comb += coming.eq(k)
        with m.If(flows):
            m.d.sync += [adds.eq(any_step), opens.eq(first), entry.eq(coming), source.eq(_ORIGIN)]
            for k in range(LOOPS):
                with m.If(~restarted[k] & ~last[k:].all()):
                    m.d.sync += source.eq(k)
            m.d.sync += [out_valid.eq(adds), self.runs.payload.last.eq(ends)]

        # --- addresses --------------------------------------------------------------------------------------
        word = self.words.payload
        # In block RAM: slow, but nothing is between it and the adder.
        attrs = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.strides = memory = Memory(shape=32, depth=8, init=[], attrs=attrs)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(takes & (number <= LOOPS)),
            write.addr.eq(number - 1),
            write.data.eq(word),
            read.en.eq(flows),
            read.addr.eq(coming),
        ]
        strides = read.data
        moved = flows & adds
        address = self._sum(m, "address", 32, moved, entry, source, opens, strides, 0)
        with m.If(moved):
            m.d.sync += self.runs.payload.address.eq(address)
        m.d.comb += self.runs.valid.eq(out_valid)

        # --- whether anything is left ---------------------------------------------------------------------
        with m.If(flows & out_valid & self.runs.payload.last):
            m.d.sync += busy.eq(0)
        with m.If(begin):
            m.d.sync += busy.eq(1)
        with m.If(self.clear):
            m.d.sync += [adds.eq(0), out_valid.eq(0), busy.eq(0)]
        if self._padding:
            self._mark(m, takes, number, moved, entry, source, opens)
        return m

    def _steps(self, m: Module, takes, begin, number, flows, restarted):
        """Counts. → the first run is still to be given; loop k is in its last step; a bit for the loop that steps
        now: the innermost that is not in its last step; the run that is being added is the last.

        So one loop steps at a time, and one adder counts for all, as for the addresses: only the counter of the loop
        that steps is written, and one that has restarted since begins from its count."""
        word = self.words.payload
        first = Signal()
        last = Signal(LOOPS, init=(1 << LOOPS) - 1)
        step = [~first & ~last[k] & last[k + 1 :].all() for k in range(LOOPS)]
        once, twice = Signal(LOOPS, reset_less=True), Signal(LOOPS, reset_less=True)  # its count
        stepping = Signal(range(LOOPS))
        for k in range(1, LOOPS):
            with m.If(~last[k]):
                m.d.comb += stepping.eq(k)
        is_count = (number >= _COUNTS) & (number < _COUNTS + LOOPS)
        count = self._table(m, "counts", 16, takes & is_count, number - _COUNTS, word, stepping)
        m.submodules.counters = memory = Memory(shape=16, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.submodules.count_down = down = MuxAdder(width=16, target=self._target)
        anew = (Cat(step) & restarted).any()
        m.d.comb += [
            read.addr.eq(stepping),
            down.x.eq(-1),
            down.y0.eq(read.data),
            down.y1.eq(count),
            down.s.eq(anew),
            write.en.eq(flows),
            write.addr.eq(stepping),
            write.data.eq(down.o),
        ]
        with m.If(flows):
            m.d.sync += first.eq(0)
        with m.If(begin):
            m.d.sync += first.eq(1)
        for k in range(LOOPS):
            with m.If(takes & (number == _COUNTS + k)):
                m.d.sync += [once[k].eq(word[:16] == 1), twice[k].eq(word[:16] == 2)]
            with m.If(begin | (flows & Cat(step[:k], 0).any())):
                m.d.sync += last[k].eq(once[k])
            with m.Elif(flows & step[k]):
                m.d.sync += last[k].eq(Mux(restarted[k], twice[k], read.data == 2))
        with m.If(self.clear):
            m.d.sync += [first.eq(0), last.eq((1 << LOOPS) - 1)]
        return first, last, step, last.all()

    @staticmethod
    def _table(m: Module, name: str, width: int, enable, at, value, entry):
        """What a step of ``entry`` adds: written word by word as the descriptor comes."""
        m.submodules[name] = memory = Memory(shape=width, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.en.eq(enable), write.addr.eq(at), write.data.eq(value), read.addr.eq(entry)]
        return read.data

    def _sum(self, m: Module, name: str, width: int, moved, entry, source, opens, move, start):
        """Where the run that is being added begins; kept as ``entry``'s place."""
        m.submodules[f"{name}_places"] = memory = Memory(shape=width, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.submodules[f"{name}_sum"] = add = MuxAdder(width=width, target=self._target)
        m.d.comb += [
            read.addr.eq(source),
            add.x.eq(move),
            add.y0.eq(read.data),
            add.y1.eq(start),
            add.s.eq(opens),
            write.en.eq(moved),
            write.addr.eq(entry),
            write.data.eq(add.o),
        ]
        return add.o

    def _mark(self, m: Module, takes, number, moved, entry, source, opens):
        """Finds the runs that are padding."""
        word = self.words.payload
        is_count = (number >= _COUNTS) & (number < _COUNTS + LOOPS)
        moves = self._table(m, "moves", 16, takes & is_count, number - _COUNTS, word[16:], entry)
        origin, extent = Signal(32, reset_less=True), Signal(32, reset_less=True)
        bounded = Signal(reset_less=True)
        with m.If(takes & (number == READ_WORDS - 2)):
            m.d.sync += origin.eq(word)
        with m.If(takes & (number == READ_WORDS - 1)):
            m.d.sync += [extent.eq(word), bounded.eq(word[:16] != 0)]
        outside = []
        for i, axis in enumerate("yx"):
            start, size = origin[16 * i : 16 * (i + 1)], extent[16 * i : 16 * (i + 1)]
            move = Signal(signed(8), name=f"{axis}_move")
            place = Signal(signed(COORDINATE_BITS), name=axis, reset_less=True)
            m.d.comb += move.eq(moves[8 * i : 8 * (i + 1)] & (~opens).replicate(8))
            total = self._sum(m, axis, COORDINATE_BITS, moved, entry, source, opens, move, start.as_signed())
            with m.If(moved):
                m.d.sync += place.eq(total.as_signed())
            outside += [place < 0, place.as_unsigned() >= size]
        m.d.comb += self.runs.payload.padding.eq(bounded & Cat(outside).any())
