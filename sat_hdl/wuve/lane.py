"""One lane of WUVE: a multiplier, an adder behind it, and the element's entries."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.add import Add
from sat_hdl.arith.convert import Narrow, Widen
from sat_hdl.arith.multiply32 import Multiply32
from sat_hdl.formats import BINARY32, FloatFormat
from sat_hdl.stce.skew import delay
from sat_hdl.wuve.layouts import ENTRIES

__all__ = ["Lane"]


class Lane(wiring.Component):
    """``result = RNE32(RNE32(factor × scalar) + addend)``, one pass a cycle, beside two memories of ENTRIES
    words, in a block RAM each: what has to be kept of an element while it is in work, and its results until they
    leave.

    Lock-step: :class:`~sat_hdl.wuve.wuve.Wuve` drives all lanes with one set of strobes. A pass has its
    entry in one cycle and takes its operands in the next, in which the result of the pass ``latency`` = 19
    cycles before is there to be one of them. Results are written a cycle later. An entry's address comes a cycle
    before its words, and not in one in which they are written: what comes then is not defined.

    Whatever is not an operand of a pass, or not to be written, is 0 by its register's reset, and what remains
    is ORed: an OR of two words and a masked third is one LUT a bit, a multiplexer of as many three or four.

    Inputs come through ``input_latency`` ranks under ``move`` (:class:`Widen`, or a delay beside it); with
    ``accept`` they become X, Y and Z of the pass that reads in the next cycle.

    MAXPOOL has its own path: an entry's FIRST is the best so far and SECOND its chunk's number, bit 16
    saying whether there is one; they are compared a cycle after they were read, and replaced then.

    Arguments
    ---------
    format: of 16-bit elements. target: "ecp5" or "portable".

    Members
    -------
    x, y, z: In(32). Raw elements. x_wide, y_wide: In(1). They are binary32 (y also: an integer).
    move: In(1). accept: In(1).
    mask_positive, mask_equal: In(1). X counts as +0 unless Y > 0; unless it equals ``want``: In(16),
        which goes with the element under ``accept``.
    address: In(5). Of the entry read in the next cycle. In that:
        second: In(1). SECOND is read, else FIRST. entry_factor, entry_addend: In(1). What was read is that.
        x_factor, y_addend: In(1). X, Y is. Without any addend it is -0, which changes nothing.
        keep_y, keep_z: In(1). FIRST ← Y, SECOND ← Z in the next cycle, at ``store_address``.
    In the next cycle:
        result_factor, result_addend, from_zero: In(1). The result, or +0, is.
        scalar: In(32).
        keep_result: In(1). SECOND ← the result, at ``operand_address``: In(5).
        written: In(1). The result is written in the cycle after; relu: In(1): as +0 if it is negative.
    write_first, write_second: In(1). Of the cycle's writes; FIRST's, and SECOND's but keep_result's, are at
        ``store_address``: In(5).
    contests: In(1). The read is of MAXPOOL. contest: In(1). Its comparison, in the cycle after, and its write at
        ``store_address``; begin: In(1): there is no best so far; padded: In(1): X can't win; number: In(16) of
        X's chunk.
    strange: Out(1). X, in the cycle of a read, is infinite or NaN.
    leave: In(1), exists: In(1). Takes what is read for output, whether or not it leaves now; +0 unless it exists.
    left_first, left_second: Out(32). The entry taken.
    narrow_move: In(1). Moves left_first on through ``narrow_latency`` ranks of :class:`Narrow`.
    narrow: Out(format.width).
    """

    #: From a pass to the cycle in which its result can take part in another.
    latency = 1 + Multiply32.latency + Add.latency

    def __init__(self, *, format: FloatFormat, target: str = "portable"):
        self._format, self._target = format, target
        self._widen = [Widen(format=format) for _ in range(2)]
        self._narrow = Narrow(format=format)
        address = range(ENTRIES)
        flags = (
            *("x_wide", "y_wide", "move", "accept", "mask_positive", "mask_equal", "second", "entry_factor"),
            *("entry_addend", "x_factor", "y_addend", "keep_y", "keep_z", "result_factor", "result_addend"),
            *(
                "from_zero",
                "keep_result",
                "written",
                "relu",
                "write_first",
                "write_second",
                "contest",
                "begin",
            ),
            *("padded", "leave", "exists", "narrow_move", "contests"),
        )
        super().__init__(
            {name: In(32) for name in ("x", "y", "z", "scalar")}
            | {name: In(1) for name in flags}
            | {name: In(address) for name in ("address", "operand_address", "store_address")}
            | {"want": In(16), "number": In(16), "strange": Out(1), "narrow": Out(format.width)}
            | {"left_first": Out(32), "left_second": Out(32)}
        )

    @property
    def input_latency(self) -> int:
        """Ranks from ``x`` to before X."""
        return self._widen[0].latency

    @property
    def narrow_latency(self) -> int:
        """Ranks from ``first`` to ``narrow``."""
        return self._narrow.latency

    def elaborate(self, platform):
        m = Module()

        def rank(value, name, unless=None):
            """The value, registered; 0 unless the condition holds."""
            q = Signal.like(value, name=name, reset_less=True)
            m.d.sync += q.eq(value)
            if unless is not None:
                with m.If(~unless):
                    m.d.sync += q.eq(0)
            return q

        x, y, z, keep = self._inputs(m)
        result = Signal(32)

        # --- entries ------------------------------------------------------------------------------------
        memories = []
        attrs = {"ram_style": "block", "no_rw_check": 1}
        for name in ("first", "second"):
            memory = Memory(shape=32, depth=ENTRIES, init=[], attrs=attrs)
            m.submodules[f"{name}_memory"] = memory
            read = memory.read_port()
            m.d.comb += read.addr.eq(self.address)
            memories.append((memory.write_port(), read.data))
        (write_first, first), (write_second, second) = memories
        stored = Signal(32, reset_less=True)
        m.d.sync += stored.eq(result)
        with m.If(~self.written | (self.relu & result[31])):
            m.d.sync += stored.eq(0)
        element = rank(x, "element", self.contests)
        wins, number = self._contest(m, x, element, first, second)
        loses = self.contest & ~wins
        m.d.comb += [
            write_first.en.eq(self.write_first & ~loses),
            write_first.addr.eq(self.store_address),
            write_first.data.eq(stored | element | rank(y, "kept_y", self.keep_y)),
            write_second.en.eq(self.write_second & ~loses),
            write_second.addr.eq(Mux(self.keep_result, self.operand_address, self.store_address)),
            write_second.data.eq(
                (result & self.keep_result.replicate(32)) | number | rank(z, "kept_z", self.keep_z)
            ),
        ]

        # --- a pass -------------------------------------------------------------------------------------
        entry = Mux(self.second, second, first)
        factor = rank(x, "x_operand", self.x_factor & keep) | rank(entry, "entry_0", self.entry_factor)
        addend = rank(y, "y_operand", self.y_addend) | rank(entry, "entry_1", self.entry_addend)
        silent = rank(~(self.y_addend | self.entry_addend), "silent") & ~(self.result_addend | self.from_zero)
        factor = factor | (result & self.result_factor.replicate(32))
        addend = addend | (result & self.result_addend.replicate(32)) | Cat(Const(0, 31), silent)
        m.submodules.multiply = multiply = Multiply32(target=self._target)
        m.submodules.add = add = Add(target=self._target)
        m.d.comb += [
            multiply.a.eq(rank(factor, "factor")),
            multiply.b.eq(rank(self.scalar, "factor_scalar")),
            add.a.eq(multiply.o),
            add.b.eq(delay(m, rank(addend, "addend"), Multiply32.latency, "addend")),
            result.eq(add.o),
        ]

        # --- output -------------------------------------------------------------------------------------
        for taken, value, out in ((0, first, self.left_first), (1, second, self.left_second)):
            left = Signal(32, name=f"left_{taken}", reset_less=True)
            with m.If(self.leave):
                m.d.sync += left.eq(value)
                with m.If(~self.exists):
                    m.d.sync += left.eq(0)
            m.d.comb += out.eq(left)
        m.submodules.narrow = EnableInserter(self.narrow_move)(self._narrow)
        m.d.comb += [self._narrow.i.eq(self.left_first), self.narrow.eq(self._narrow.o)]
        return m

    def _inputs(self, m: Module):
        """X, Y, Z, and whether X counts."""
        ranks = self.input_latency
        moved = []
        for name, raw in (("x", self.x), ("y", self.y), ("z", self.z)):
            for i in range(ranks):
                rank = Signal(32, name=f"{name}_raw_{i}", reset_less=True)
                with m.If(self.move):
                    m.d.sync += rank.eq(raw)
                raw = rank
            moved.append(raw)
        for i, (name, wide) in enumerate((("x", self.x_wide), ("y", self.y_wide))):
            widen = self._widen[i]
            m.submodules[f"widen_{name}"] = EnableInserter(self.move)(widen)
            m.d.comb += widen.i.eq(getattr(self, name)[: self._format.width])
            moved[i] = Mux(wide, moved[i], widen.o)
        x, y, z = (Signal(32, name=f"{name}_q", reset_less=True) for name in "xyz")
        keep = Signal(reset_less=True)
        above = moved[1]
        nan = above[23:31].all() & above[:23].any()
        positive = ~above[31] & above[:31].any() & ~nan
        equal = above[:16] == self.want
        m.d.sync += [
            *(q.eq(value) for q, value in zip((x, y, z), moved)),
            keep.eq(~(self.mask_positive & ~positive) & ~(self.mask_equal & ~equal)),
        ]
        m.d.comb += self.strange.eq(x[23:31].all())
        return x, y, z, keep

    def _contest(self, m: Module, x, element, first, second):
        """MAXPOOL, a cycle after an element and the best so far were read: whether it wins, and its number."""
        below = BINARY32.frac_bits - self._format.frac_bits  # 0 in a widened operand
        best = Signal(31 - below + 1, reset_less=True)
        had, negative = Signal(reset_less=True), Signal(reset_less=True)
        # +0 is no better than -0; as that it loses against all that is not negative.
        m.d.sync += [best.eq(first[below:]), had.eq(second[16]), negative.eq(x[31] | ~x[below:31].any())]
        # Canonical NaN is positive and above infinity; so by sign and magnitude it beats everything but itself.
        # Of equal magnitudes that of a negative element counts as the greater: it must not win.
        greater = Cat(negative, element[below:31]) > Cat(Const(0, 1), best[:-1])
        better = Mux(negative, best[-1] & ~greater, best[-1] | greater)
        wins = self.begin | (~self.padded & (~had | better))
        return wins, Cat(self.number, ~self.padded) & self.contest.replicate(17)
