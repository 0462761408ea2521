"""WUVE's schedule: which pass of which vector begins in a cycle, and which results leave."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.formats import BINARY32
from sat_hdl.stce.skew import delay
from sat_hdl.wuve.lane import Lane
from sat_hdl.wuve.layouts import DECAY, ENTRIES, INV_SCALE, MOMENTUM, RATE
from sat_hdl.wuve.sequencer import token_layout

__all__ = ["Schedule", "plan_layout"]

_ONE = BINARY32.bias << BINARY32.frac_bits


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

    Arguments
    ---------
    lanes: L.
    paced: SGD's vectors enter no sooner one after the other than they have passes. All slots together take no more
        anyway; but vectors that enter side by side read side by side, and then leave side by side, faster than the
        copies take them, one in 4 cycles. Paced, one leaves whenever one enters, for the ring's length is no multiple
        of 4 or 5. Of no use where memory gives vectors at a slower pace.

    Members
    -------
    plan: In(plan_layout), scalars: In(8 × 32). Held while anything is under way.
    waiting: In(1), token: In(token_layout), padded: In(1). The next vector. accept: Out(1). It is taken.
    entered: Out(1). A vector was taken in the last cycle, of ``entered_many`` + 1 elements; entered_pad: Out(1).
    strobes, address, operand_address, store_address, scalar, number: Out, the lane's. padded_now: its padded.
    leave: Out(1), leave_many, leave_last: Out. An entry leaves, if room: In(1), 2 cycles after its results were
        written at the earliest: a word is not read in the cycle in which it is written.
    quiet: Out(1). Nothing is under way and no results wait.
    too_long: Out(1). A chunk had more than ENTRIES vectors; from then on vectors are taken and dropped.
    clear: In(1). Forgets that, and every entry; while nothing is under way.
    """

    #: The lane's single-bit strobes that are made here, by their names there.
    strobes = (
        *(
            "second",
            "entry_factor",
            "entry_addend",
            "x_factor",
            "y_addend",
            "keep_y",
            "keep_z",
            "result_factor",
        ),
        *("result_addend", "from_zero", "keep_result", "written", "write_first", "write_second", "contest"),
        *("contests", "begin", "padded_now"),
    )

    def __init__(self, *, lanes: int, paced: bool):
        self._lanes, self._paced = lanes, paced
        many = max(1, (lanes - 1).bit_length())
        address = range(ENTRIES)
        flags = (
            *("entered", "entered_pad", "leave", "leave_last", "quiet", "too_long", "accept", *self.strobes),
        )
        super().__init__(
            {flag: Out(1) for flag in flags}
            | {"plan": In(plan_layout()), "scalars": In(data.ArrayLayout(32, 8))}
            | {"waiting": In(1), "token": In(token_layout(lanes)), "padded": In(1)}
            | {"room": In(1), "clear": In(1), "entered_many": Out(many), "leave_many": Out(many)}
            | {name: Out(address) for name in ("address", "operand_address", "store_address")}
            | {"number": Out(16), "scalar": Out(32)}
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
        ending = delay(m, back_valid & ~more, 1, "ending", reset=True)
        written = delay(m, ending, 1, "written", reset=True)
        stored = delay(m, written, 1, "stored", reset=True)
        stored_tag = data.View(tag_layout, delay(m, back, 3, "stored_tag"))

        # --- a new vector -------------------------------------------------------------------------------
        used = Signal(range(ENTRIES + 1))
        under_way = Signal(range(2 * ENTRIES))
        vectors = Signal(range(ENTRIES + 1), reset_less=True)  # of the window's first chunk
        head, tail = Signal(range(ENTRIES)), Signal(range(ENTRIES))
        base, following = Signal.like(head, reset_less=True), Signal.like(head, reset_less=True)
        entry = Signal.like(head)
        ready = Signal()
        enters = Signal()
        may_enter = ~more & ~self._hold(m, enters, last_pass) if self._paced else ~more
        allocates = Signal()
        too_long = plan.chain | plan.contest
        too_long = too_long & token.first & ~token.final & ~token.chunk_start & vectors[-1]
        m.d.comb += [
            entry.eq(Mux(token.first, head, Mux(token.chunk_start, base, following))),
            # SGD writes the entry as it comes; a result may be written then.
            ready.eq(may_enter & Mux(token.first, ~used[-1], under_way < vectors) & ~(plan.sgd & ending)),
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
        keeps = delay(m, self.keep_y, 1, "keeps", reset=True)
        m.d.comb += [
            self.contest.eq(contest),
            Cat(self.begin, self.padded_now, self.number).eq(contest_tag[6:]),
            self.written.eq(written),
            self.write_first.eq(stored | contest | keeps),
            self.write_second.eq(self.keep_result | contest | keeps),
            self.store_address.eq(
                Mux(plan.contest, contest_entry, Mux(keeps, self.operand_address, stored_tag.entry))
            ),
        ]
        m.d.sync += self.operand_address.eq(now.entry)

        # --- leaving ------------------------------------------------------------------------------------
        done = Signal(range(ENTRIES + 1))
        slot = Signal()  # no pass reads in this cycle
        ends = stored | contest
        # Written in this cycle, to be read in the next, to leave in the one after.
        finished = delay(
            m, (stored & stored_tag.final) | (contest & contest_final), 1, "finished", reset=True
        )
        reading = Signal.like(self.address)  # whose words there are now
        # `leave` comes late: it selects, rather than enters a sum.
        tail_next = Mux(self.leave, tail + 1, tail)[: len(tail)]
        m.d.comb += [
            self.leave.eq(slot & self.room & (done != 0)),
            self.address.eq(Mux(reads, entry_next, tail_next)),
        ]
        m.d.sync += [
            slot.eq(~reads),
            reading.eq(self.address),
            tail.eq(tail_next),
            done.eq(done + finished - self.leave),
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
            read.addr.eq(reading),
            Cat(self.leave_many, self.leave_last).eq(read.data),
            self.quiet.eq((under_way == 0) & (done == 0) & ~finished & ~self.entered),
        ]
        return m

    def _hold(self, m: Module, enters, last_pass) -> Signal:
        """From a vector's entering for SGD on, for one cycle less than it has passes."""
        hold, left = Signal(), Signal(2, reset_less=True)
        with m.If(enters & self.plan.sgd):
            m.d.sync += [left.eq(last_pass - 1), hold.eq(1)]
        with m.Elif(hold):
            m.d.sync += [left.eq(left - 1), hold.eq(left != 0)]
        return hold

    def _operands(self, m: Module, more, number, enters, reads):
        """The lane's strobes: of the next cycle, in which a pass reads, and of the one after."""
        plan, token = self.plan, self.token
        names = ("second", "entry_factor", "entry_addend", "x_factor", "y_addend", "keep_y")
        now = {name: Signal(name=name) for name in names}
        names = ("result_factor", "result_addend", "from_zero", "keep_result")
        later = {name: Signal(name=name) for name in names}
        index, one, negative = Signal(3), Signal(), Signal()
        m.d.comb += [
            reads.eq(now["entry_factor"] | now["entry_addend"] | (plan.contest & enters)),
            now["x_factor"].eq(enters),
            index.eq(plan.scalar),
        ]
        with m.If(plan.sgd):
            passes = (  # the scalar and the strobes
                (INV_SCALE, ()),
                (DECAY, ("entry_factor", "result_addend")),
                (MOMENTUM, ("entry_factor", "second", "result_addend")),
                (MOMENTUM, ("result_factor", "entry_addend", "second", "keep_result")),  # Nesterov's
                (RATE, ("result_factor", "entry_addend")),
            )
            with m.Switch(number + ((number == 3) & ~plan.nesterov)):
                for i, (scalar, strobes) in enumerate(passes):
                    with m.Case(i):
                        m.d.comb += [index.eq(scalar), *(({**now, **later})[name].eq(1) for name in strobes)]
                        if i == 2:
                            m.d.comb += later["keep_result"].eq(plan.nesterov)
                        if i == 4:
                            m.d.comb += [later["keep_result"].eq(~plan.nesterov), negative.eq(1)]
            m.d.comb += now["keep_y"].eq(enters)
            with m.If(~more):
                m.d.comb += later["keep_result"].eq(0)
        with m.Elif(plan.chain):
            m.d.comb += [
                one.eq(~more),
                later["result_factor"].eq(more),
                later["from_zero"].eq(~more & token.first),
                now["entry_addend"].eq(enters & ~token.first),
            ]
        with m.Else():
            m.d.comb += [now["y_addend"].eq(plan.add), one.eq(~plan.scale)]

        index_q, one_q, negative_q = (Signal.like(s, reset_less=True) for s in (index, one, negative))
        m.d.sync += [index_q.eq(index), one_q.eq(one), negative_q.eq(negative)]
        chosen = Array(self.scalars)[index_q]
        m.d.sync += self.scalar.eq(Cat(chosen[:31], chosen[31] ^ negative_q))
        with m.If(one_q):
            m.d.sync += self.scalar.eq(_ONE)
        m.d.sync += [getattr(self, name).eq(value) for name, value in now.items()]
        m.d.sync += [self.keep_z.eq(now["keep_y"]), self.contests.eq(plan.contest)]
        m.d.comb += [getattr(self, name).eq(delay(m, value, 2, name)) for name, value in later.items()]
