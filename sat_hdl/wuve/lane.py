"""One lane of WUVE: a multiplier, an adder behind it, and the element's entries."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.add import Add
from sat_hdl.arith.convert import Narrow, Widen
from sat_hdl.arith.multiply32 import Multiply32
from sat_hdl.formats import BINARY32, FloatFormat
from sat_hdl.stce.skew import delay
from sat_hdl.wuve.layouts import ENTRIES

__all__ = ["Addend", "Factor", "Lane"]


class Factor(enum.Enum, shape=2):
    """What a pass multiplies by its scalar."""

    X = 0
    FIRST = 1
    SECOND = 2
    RESULT = 3


class Addend(enum.Enum, shape=3):
    """What a pass adds to the product. A negative zero changes nothing."""

    Y = 0
    FIRST = 1
    SECOND = 2
    RESULT = 3
    NEGATIVE_ZERO = 4
    ZERO = 5


class Lane(wiring.Component):
    """``result = RNE32(RNE32(factor × scalar) + addend)``, one pass a cycle, beside two memories of ENTRIES
    words: what has to be kept of an element while it is in work, and its results until they leave.

    Lock-step: :class:`~sat_hdl.wuve.wuve.Wuve` drives all lanes with one set of strobes. A pass begins with
    ``issue``'s fields; its result may be the factor or addend of the pass that begins ``latency`` = 19
    cycles later, and is written ``latency`` + 1 cycles later.

    Inputs come through ``input_latency`` ranks under ``move`` (:class:`Widen`, or a delay beside it) and one
    under ``accept``. Only the last of those is X, Y and Z of a pass.

    MAXPOOL has its own path: an entry's FIRST is the best so far and SECOND its chunk's number, bit 16
    saying whether there is one; they are compared a cycle after they were read, and written then.

    Arguments
    ---------
    format: of 16-bit elements. target: "ecp5" or "portable".

    Members
    -------
    x, y, z: In(32). Raw elements. x_wide, y_wide: In(1). They are binary32 (y also: an integer).
    move: In(1). accept: In(1).
    mask_positive, mask_equal: In(1). X counts as +0 unless Y > 0; unless it equals ``want``: In(16),
        which goes with the element under ``accept``.
    address: In(5). Of the entry read, in the cycle of a pass.
    factor: In(Factor), addend: In(Addend), scalar: In(32).
    write_y: In(1). FIRST ← Y; write_z: SECOND ← Z; both at ``store_address``, in the cycle of a pass.
    write_result: In(1). SECOND at ``address`` ← result, in the cycle of a pass.
    relu: In(1). Results written are +0 if negative.
    store: In(1), store_address: In(5). FIRST ← the result of ``latency`` + 1 cycles ago.
    contest: In(1). MAXPOOL's write, to ``store_address``; begin: In(1): there is no best so far; padded: In(1): X
        can't win; number: In(16) of X's chunk.
    strange: Out(1). X, as the pass of this cycle sees it, is infinite or NaN.
    leave: In(1), exists: In(1). Takes the entry at ``address`` for output; +0 unless it exists.
    first, second: Out(32). The entry taken.
    narrow_move: In(1). Moves first on through ``narrow_latency`` ranks of :class:`Narrow`.
    narrow: Out(format.width).
    """

    #: From a pass to the cycle in which its result can take part in another.
    latency = 1 + Multiply32.latency + Add.latency

    def __init__(self, *, format: FloatFormat, target: str = "portable"):
        self._format, self._target = format, target
        self._widen = [Widen(format=format) for _ in range(2)]
        self._narrow = Narrow(format=format)
        address = range(ENTRIES)
        flags = ("x_wide", "y_wide", "move", "accept", "mask_positive", "mask_equal", "write_y", "write_z",
                 "write_result", "relu", "store", "contest", "begin", "padded", "leave", "exists",
                 "narrow_move")  # fmt: skip
        super().__init__(
            {name: In(32) for name in ("x", "y", "z", "scalar")}
            | {name: In(1) for name in flags}
            | {"address": In(address), "store_address": In(address), "want": In(16), "number": In(16)}
            | {"factor": In(Factor), "addend": In(Addend), "strange": Out(1)}
            | {"first": Out(32), "second": Out(32), "narrow": Out(format.width)}
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
        x, y, z, keep = self._inputs(m)
        result = Signal(32)

        # --- entries ------------------------------------------------------------------------------------
        ports = []
        for name in ("first", "second"):
            m.submodules[f"{name}_memory"] = memory = Memory(shape=32, depth=ENTRIES, init=[])
            read = memory.read_port(domain="comb")
            m.d.comb += read.addr.eq(self.address)
            ports.append((memory.write_port(), read.data))
        (write_first, first), (write_second, second) = ports
        stored = Signal(32, reset_less=True)
        m.d.sync += stored.eq(result)
        with m.If(self.relu & result[31]):
            m.d.sync += stored.eq(0)
        best, number = self._contest(m, x, first, second)
        m.d.comb += [
            write_first.en.eq(self.write_y | self.store | self.contest),
            write_first.addr.eq(self.store_address),
            write_first.data.eq(Mux(self.contest, best, Mux(self.write_y, y, stored))),
            write_second.en.eq(self.write_z | self.write_result | self.contest),
            write_second.addr.eq(Mux(self.write_result, self.address, self.store_address)),
            write_second.data.eq(Mux(self.contest, number, Mux(self.write_z, z, result))),
        ]

        # --- a pass -------------------------------------------------------------------------------------
        factor, addend, scalar = (
            Signal(32, name=n, reset_less=True) for n in ("factor_q", "addend_q", "scalar_q")
        )
        m.d.sync += scalar.eq(self.scalar)
        with m.Switch(self.factor):
            for choice, value in ((Factor.X, x), (Factor.FIRST, first), (Factor.SECOND, second)):
                with m.Case(choice):
                    m.d.sync += factor.eq(value)
            with m.Default():
                m.d.sync += factor.eq(result)
        with m.If((self.factor == Factor.X) & ~keep):
            m.d.sync += factor.eq(0)
        raw = self.addend.as_value()
        m.d.sync += addend.eq(Mux(raw[1], Mux(raw[0], result, second), Mux(raw[0], first, y)))
        with m.If(raw[2]):
            m.d.sync += addend.eq(Mux(raw[0], 0, 1 << 31))
        m.submodules.multiply = multiply = Multiply32(target=self._target)
        m.submodules.add = add = Add(target=self._target)
        m.d.comb += [
            multiply.a.eq(factor),
            multiply.b.eq(scalar),
            add.a.eq(multiply.o),
            add.b.eq(delay(m, addend, Multiply32.latency, "addend")),
            result.eq(add.o),
        ]

        # --- output -------------------------------------------------------------------------------------
        with m.If(self.leave):
            m.d.sync += [self.first.eq(first), self.second.eq(second)]
            with m.If(~self.exists):
                m.d.sync += [self.first.eq(0), self.second.eq(0)]
        m.submodules.narrow = EnableInserter(self.narrow_move)(self._narrow)
        m.d.comb += [self._narrow.i.eq(self.first), self.narrow.eq(self._narrow.o)]
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
        with m.If(self.accept):
            m.d.sync += [x.eq(moved[0]), y.eq(moved[1]), z.eq(moved[2])]
            m.d.sync += keep.eq(~(self.mask_positive & ~positive) & ~(self.mask_equal & ~equal))
        m.d.comb += self.strange.eq(x[23:31].all())
        return x, y, z, keep

    def _contest(self, m: Module, x, first, second):
        """MAXPOOL: what to write a cycle after an element and the best so far were read."""
        below = BINARY32.frac_bits - self._format.frac_bits  # 0 in a widened operand

        def rank(value, name):
            q = Signal.like(value, name=name, reset_less=True)
            m.d.sync += q.eq(value)
            return q

        element, best, number = rank(x, "element"), rank(first, "best"), rank(second[:17], "best_number")
        # Canonical NaN is positive and above infinity; so by sign and magnitude it beats everything but itself.
        keys = [Cat(word[below:31] ^ word[31].replicate(31 - below), ~word[31]) for word in (element, best)]
        zeros = ~(element[below:31] | best[below:31]).any()
        better = (keys[0] > keys[1]) & ~zeros
        has = number[16] & ~self.begin
        wins = self.begin | (~self.padded & (~has | better))
        written = Cat(Mux(wins, self.number, number[:16]), has | ~self.padded, Const(0, 15))
        return Mux(wins, element, best), written
