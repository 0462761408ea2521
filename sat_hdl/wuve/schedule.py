"""WUVE's schedule: which pass of which vector begins in a cycle, and which results leave."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.formats import BINARY32
from sat_hdl.stce.skew import delay
from sat_hdl.wuve.lane import Addend, Factor, Lane
from sat_hdl.wuve.layouts import DECAY, ENTRIES, INV_SCALE, MOMENTUM, RATE
from sat_hdl.wuve.sequencer import token_layout

__all__ = ["Schedule", "plan_layout"]

_ONE = BINARY32.bias << BINARY32.frac_bits
_SIGN = 1 << 31


def plan_layout() -> data.StructLayout:
    """A command, decoded. One of ``sgd``, ``contest`` (MAXPOOL), ``chain`` (SUM, SELECT_SUM), ``check``, or none:
    a single pass. ``add``: ADD. ``scale_last``: a chain's last sum is scaled."""
    flags = ("sgd", "nesterov", "contest", "chain", "check", "add", "relu", "scale", "scale_last")
    return data.StructLayout({flag: 1 for flag in flags} | {"scalar": 3})


class Schedule(wiring.Component):
    """A ring of ``Lane.latency`` slots: a pass that begins now is back, with its result, that many cycles later.
    Then it begins its next pass at once, or its result is written and the slot takes a new vector.

    So passes follow back to back whatever their number, a vector enters in any cycle whose slot is free, and
    vectors leave in the order in which they came. A vector has one of ENTRIES entries from its first pass until
    its results leave. In a chain a chunk's vectors use the entries of the chunk before: such a pass waits
    until no more passes are under way than the chunk has vectors, fewer one, for then its own sum is written.
    The entries' read port serves passes first; results leave in cycles in which no pass reads.

    Members
    -------
    plan: In(plan_layout), scalars: In(8 × 32). Held while anything is under way.
    waiting: In(1), token: In(token_layout), padded: In(1). The next vector. accept: Out(1). It is taken.
    entered: Out(1). A vector was taken in the last cycle, of ``entered_many`` + 1 elements; entered_pad: Out(1).
    address … contest, begin, padded_now, number: Out, the lane's.
    leave: Out(1), leave_many, leave_last: Out. An entry leaves, if room: In(1).
    quiet: Out(1). Nothing is under way and no results wait.
    too_long: Out(1). A chunk had more than ENTRIES vectors; from then on vectors are taken and dropped.
    clear: In(1). Forgets that, and every entry; while nothing is under way.
    """

    def __init__(self, *, lanes: int):
        self._lanes = lanes
        many = max(1, (lanes - 1).bit_length())
        address = range(ENTRIES)
        flags = ("entered", "entered_pad", "write_y", "write_z", "write_result", "store", "contest", "begin",
                 "padded_now", "leave", "leave_last", "quiet", "too_long", "accept")  # fmt: skip
        super().__init__(
            {flag: Out(1) for flag in flags}
            | {"plan": In(plan_layout()), "scalars": In(data.ArrayLayout(32, 8))}
            | {"waiting": In(1), "token": In(token_layout(lanes)), "padded": In(1)}
            | {"room": In(1), "clear": In(1), "entered_many": Out(many), "leave_many": Out(many)}
            | {"address": Out(address), "store_address": Out(address), "number": Out(16)}
            | {"factor": Out(Factor), "addend": Out(Addend), "scalar": Out(32)}
        )

    def elaborate(self, platform):
        m = Module()
        plan, token = self.plan, self.token
        # A pass: its entry, its number, and whether it makes an entry's final result unless another follows.
        tag_layout = data.StructLayout({"entry": range(ENTRIES), "number": 3, "final": 1})
        now, now_valid = Signal(tag_layout, reset_less=True), Signal()  # the pass that begins in this cycle
        back = data.View(tag_layout, delay(m, now, Lane.latency - 1, "ring"))
        back_valid = delay(m, now_valid, Lane.latency - 1, "ring_valid", reset=True)
        last_pass = Mux(plan.nesterov, 4, 3)
        more = back_valid & (
            (plan.sgd & (back.number != last_pass)) | (plan.scale_last & back.final & (back.number == 0))
        )
        written = delay(m, back_valid & ~more, 1, "written", reset=True)
        stored = delay(m, written, 1, "stored", reset=True)
        stored_tag = data.View(tag_layout, delay(m, back, 2, "stored_tag"))

        # --- a new vector -------------------------------------------------------------------------------
        used = Signal(range(ENTRIES + 1))
        under_way = Signal(range(2 * ENTRIES))
        vectors = Signal(range(ENTRIES + 1), reset_less=True)  # of the window's first chunk
        head, tail = Signal(range(ENTRIES)), Signal(range(ENTRIES))
        base, following = Signal.like(head, reset_less=True), Signal.like(head, reset_less=True)
        entry = Signal.like(head)
        ready = Signal()
        enters = Signal()
        allocates = Signal()
        too_long = plan.chain | plan.contest
        too_long = too_long & token.first & ~token.final & ~token.chunk_start & vectors[-1]
        m.d.comb += [
            entry.eq(Mux(token.first, head, Mux(token.chunk_start, base, following))),
            # SGD writes the entry as it comes; a result may be written then.
            ready.eq(~more & Mux(token.first, ~used[-1], under_way < vectors) & ~(plan.sgd & written)),
            self.accept.eq(self.waiting & (plan.check | self.too_long | too_long | ready)),
            enters.eq(self.accept & ~(plan.check | self.too_long | too_long)),
            allocates.eq(enters & token.first),
        ]
        with m.If(self.waiting & too_long):
            m.d.sync += self.too_long.eq(1)
        with m.If(enters):
            m.d.sync += following.eq(entry + 1)
            with m.If(token.first):
                m.d.sync += vectors.eq(Mux(token.chunk_start, 1, vectors + 1))
                m.d.sync += head.eq(head + 1)
                with m.If(token.chunk_start):
                    m.d.sync += base.eq(head)
        m.d.sync += [
            self.entered.eq(self.accept),
            self.entered_many.eq(token.many),
            self.entered_pad.eq(self.padded),
        ]

        # --- the next cycle's pass ----------------------------------------------------------------------
        number = Mux(more, back.number + 1, 0)[:3]
        reads = Signal()
        entry_next = Mux(more, back.entry, entry)
        m.d.sync += [
            now_valid.eq(more | (enters & ~plan.contest)),
            now.entry.eq(entry_next),
            now.number.eq(number),
            now.final.eq(Mux(more, back.final, token.final)),
        ]
        self._operands(m, more, number, enters, reads)

        # --- MAXPOOL: compared and written in the cycle after -------------------------------------------
        contest = delay(m, enters & plan.contest, 2, "contest", reset=True)
        contest_tag = delay(
            m, Cat(entry, token.final, token.first, self.padded, token.number), 2, "contest_tag"
        )
        contest_entry, contest_final = contest_tag[:5], contest_tag[5]
        m.d.comb += [
            self.contest.eq(contest),
            Cat(self.begin, self.padded_now, self.number).eq(contest_tag[6:]),
            self.store.eq(stored),
            self.store_address.eq(
                Mux(plan.contest, contest_entry, Mux(self.write_y, now.entry, stored_tag.entry))
            ),
        ]

        # --- leaving ------------------------------------------------------------------------------------
        done = Signal(range(ENTRIES + 1))
        slot = Signal()  # no pass reads in this cycle
        ends = stored | contest
        finishes = (stored & stored_tag.final) | (contest & contest_final)
        tail_next = (tail + self.leave)[: len(tail)]
        m.d.comb += self.leave.eq(slot & self.room & (done != 0))
        m.d.sync += [
            slot.eq(~reads),
            self.address.eq(Mux(reads, entry_next, tail_next)),
            tail.eq(tail_next),
            done.eq(done + finishes - self.leave),
            used.eq(used + allocates - self.leave),
            under_way.eq(under_way + enters - ends),
        ]
        with m.If(self.clear):
            m.d.sync += [used.eq(0), done.eq(0), head.eq(0), tail.eq(0), self.too_long.eq(0)]
        m.submodules.ends = memory = Memory(shape=len(token.many) + 1, depth=ENTRIES, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(allocates),
            write.addr.eq(head),
            write.data.eq(Cat(token.many, token.run_end)),
            read.addr.eq(self.address),
            Cat(self.leave_many, self.leave_last).eq(read.data),
            self.quiet.eq((under_way == 0) & (done == 0) & ~self.entered),
        ]
        return m

    def _operands(self, m: Module, more, number, enters, reads):
        """The lane's strobes of the next cycle's pass."""
        plan, token = self.plan, self.token
        factor, addend, scalar = Signal(Factor), Signal(Addend), Signal(32)
        write_y, write_z, write_result = Signal(), Signal(), Signal()
        chosen = Array(self.scalars)[plan.scalar]
        m.d.comb += [
            factor.eq(Factor.X),
            addend.eq(Addend.NEGATIVE_ZERO),
            scalar.eq(_ONE),
            reads.eq(0),
        ]
        with m.If(plan.sgd):
            rate = self.scalars[RATE] ^ _SIGN
            passes = (
                # factor, scalar, addend, reads, SECOND ← result
                (Factor.X, self.scalars[INV_SCALE], Addend.NEGATIVE_ZERO, 0, 0),
                (Factor.FIRST, self.scalars[DECAY], Addend.RESULT, 1, 0),
                (Factor.SECOND, self.scalars[MOMENTUM], Addend.RESULT, 1, plan.nesterov),
                (Factor.RESULT, self.scalars[MOMENTUM], Addend.SECOND, 1, 1),  # Nesterov's
                (Factor.RESULT, rate, Addend.FIRST, 1, ~plan.nesterov),
            )
            with m.Switch(number + ((number == 3) & ~plan.nesterov)):
                for i, (f, s, a, r, w) in enumerate(passes):
                    with m.Case(i):
                        m.d.comb += [
                            factor.eq(f),
                            scalar.eq(s),
                            addend.eq(a),
                            reads.eq(r),
                            write_result.eq(w),
                        ]
            with m.If(~more):
                m.d.comb += [write_y.eq(enters), write_z.eq(enters)]
        with m.Elif(plan.contest):
            m.d.comb += reads.eq(enters)
        with m.Elif(plan.chain):
            m.d.comb += addend.eq(Mux(token.first, Addend.ZERO, Addend.FIRST))
            m.d.comb += reads.eq(enters & ~token.first)
            with m.If(more):
                m.d.comb += [factor.eq(Factor.RESULT), addend.eq(Addend.NEGATIVE_ZERO), scalar.eq(chosen)]
                m.d.comb += reads.eq(0)
        with m.Else():
            with m.If(plan.add):
                m.d.comb += addend.eq(Addend.Y)
            with m.If(plan.scale):
                m.d.comb += scalar.eq(chosen)
        m.d.sync += [
            self.factor.eq(factor),
            self.addend.eq(addend),
            self.scalar.eq(scalar),
            self.write_y.eq(write_y),
            self.write_z.eq(write_z),
            self.write_result.eq(write_result & more),
        ]
