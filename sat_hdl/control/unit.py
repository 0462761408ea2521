"""A unit's side of the program: its queue of instructions and its registers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import check_target
from sat_hdl.control.isa import SEMAPHORES, Op, RunFlag
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import StreamError
from sat_hdl.memory.fifo import BlockFifo
from sat_hdl.memory.one_hot import choose
from sat_hdl.memory.registered_ram import RegisteredRam

__all__ = ["UnitQueue", "entry_layout", "run_layout", "stream_fault"]


def entry_layout() -> data.StructLayout:
    """An instruction on its way to a unit. ``op``: SET, ADD or RUN; PARAM has become SET. ``address``: its own."""
    return data.StructLayout(
        {"op": 3, "register": 8, "immediate": 32, "wait": SEMAPHORES, "signal": SEMAPHORES, "address": 32}
    )


def run_layout() -> data.StructLayout:
    """What a unit is to do, and the address of the RUN that says so."""
    return data.StructLayout({"action": 8, "address": 32})


def stream_fault(error, bus: ErrorCode):
    """The :class:`ErrorCode` of a stream's error; ``bus``: what a wrong answer of memory is."""
    wrong = Mux(error == StreamError.BUS_ERROR, bus.value, ErrorCode.MISALIGNED.value)
    return Mux(error == StreamError.NONE, ErrorCode.NONE.value, wrong)


class _Bank(NamedTuple):
    """A block RAM of registers, in blocks of 16."""

    #: Whether the register in hand lies in it, and in which of its ``blocks``.
    mine: Value
    block: Value
    blocks: int
    #: What is read for a copy, and where to.
    asked: Value
    out: Any


class UnitQueue(wiring.Component):
    """Obeys SET and RUN, one a cycle, and ADD, one in ``adding`` = 3, in order, from a queue.

    A unit copies the plain registers that it needs in the cycle in which it takes ``run``, and those of its streams
    word by word right after it, those ``in_turn`` last. So the next run's are written while it works. The next RUN
    waits until the unit is done. What a register holds that no program has set yet is undefined.

    The words of a stream lie in a block RAM (LUT RAM of 16 words takes 48 LUTs a stream), which is asked for word 0
    while a RUN waits and for a later one before its turn. Those ``in_turn`` share one, and copies of the plain
    registers, for ADD, lie beside the first stream's.

    Arguments
    ---------
    registers: how many the unit has, 1 to 256.
    streams: of these, those that are words of streams come first: so many, up to 16, for each.
    in_turn: so many of them, the last, up to 4, are copied one after the other.
    depth: of the queue, a power of two of at least 4.
    target: "ecp5" or "portable".

    Members
    -------
    entries: In(stream of entry_layout).
    values: Out(32 × plain registers).
    words: Out(32 × streams). Word ``number`` of each that is not ``in_turn``, while ``copying``.
    number: In(4), copying: In(1). Must be set from the cycle after a run was taken until its words are copied; for
        ``words`` the number is that of the cycle, from 0 on.
    which: In, word: Out(32), if there are several ``in_turn``: word ``number`` of that one of them, two cycles later.
    run: Out(stream of run_layout). done: In(1), for a cycle when the unit has done what it took.
    wait: Out(SEMAPHORES). The semaphores that the next run needs; 0 if none is ready to start. taken: In(1).
        It has them.
    signal: Out(SEMAPHORES), for a cycle.
    overflow: In(1). The flag; a run may depend on it. clear: Out(1). Clears it.
    halt: In(1). Nothing more is begun.
    idle: Out(1). Nothing is queued or running. blocked: Out(1). Waits for semaphores, and nothing is running.
    """

    #: Cycles of an ADD: its register is read, and written with the sum in the last.
    adding = 3

    def __init__(
        self,
        *,
        registers: int,
        streams: Sequence[int] = (),
        in_turn: int = 0,
        depth: int = 32,
        target: str = "portable",
    ):
        check_target(target)
        if not isinstance(registers, int) or not 1 <= registers <= 256:
            raise ValueError(f"registers must be an integer from 1 to 256, not {registers!r}")
        if any(not isinstance(n, int) or not 1 <= n <= 16 for n in streams) or sum(streams) > registers:
            raise ValueError(
                f"streams must be integers from 1 to 16, together at most registers = {registers}, not {streams!r}"
            )
        if not isinstance(in_turn, int) or in_turn == 1 or not 0 <= in_turn <= min(4, len(streams)):
            raise ValueError(f"in_turn must be 0 or from 2 to {min(4, len(streams))}, not {in_turn!r}")
        if not isinstance(depth, int) or depth < 4 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two of at least 4, not {depth!r}")
        self._streams, self._depth, self._target = tuple(streams), depth, target
        self._plain = registers - sum(streams)
        super().__init__(
            {
                "entries": In(stream.Signature(entry_layout())),
                "values": Out(data.ArrayLayout(32, self._plain)),
                "words": Out(data.ArrayLayout(32, len(self._streams) - in_turn)),
                "number": In(4),
                "copying": In(1),
                "run": Out(stream.Signature(run_layout())),
                "done": In(1),
                "wait": Out(SEMAPHORES),
                "taken": In(1),
                "signal": Out(SEMAPHORES),
                "overflow": In(1),
                "clear": Out(1),
                "halt": In(1),
                "idle": Out(1),
                "blocked": Out(1),
            }
            | ({"which": In(range(in_turn)), "word": Out(32)} if in_turn else {})
        )

    def elaborate(self, platform):
        m = Module()
        layout = entry_layout()
        m.submodules.queue = queue = BlockFifo(width=layout.size, depth=self._depth)
        head, here, leaves = data.View(layout, queue.out.payload), Signal(), Signal()
        entry = Signal(layout)
        queued = Signal(range(self._depth + 4))  # and those on their way out of the queue
        takes = self.entries.valid & queue.room
        m.d.comb += [
            entry.eq(self.entries.payload),
            queue.data.eq(entry),
            queue.write.eq(takes),
            self.entries.ready.eq(queue.room),
            queue.out.ready.eq(leaves),
            here.eq(queue.out.valid & ~self.halt),
        ]
        with m.If(self.entries.payload.op != Op.RUN):
            m.d.comb += entry.register.eq(self._place(self.entries.payload.register))
        m.d.sync += queued.eq(queued + takes - (queue.out.valid & leaves))

        write, leading = self._registers(m, head)
        summed = Signal(self.adding - 1)

        running, offered, skipping = Signal(), Signal(), Signal()
        signal = Signal(SEMAPHORES)
        m.d.comb += [
            self.run.payload.action.eq(head.immediate),
            self.run.payload.address.eq(head.address),
            self.run.valid.eq(offered),
            self.idle.eq((queued == 0) & ~running),
        ]
        with m.If(self.done):
            m.d.sync += running.eq(0)
            m.d.comb += self.signal.eq(signal)
        clears = (head.register & RunFlag.CLEAR_OVERFLOW).any()
        skip = (head.register & RunFlag.UNLESS_OVERFLOW).any() & self.overflow & ~clears
        m.d.sync += summed.eq(0)
        with m.If(self.copying):
            m.d.comb += leading.eq(self.number + 2)
        with m.If(offered):
            with m.If(self.run.ready):
                m.d.comb += [leaves.eq(1), leading.eq(1)]
                m.d.sync += [offered.eq(0), running.eq(1), signal.eq(head.signal)]
        # A cycle later, for the semaphores' answer comes late.
        with m.Elif(skipping):
            m.d.comb += [leaves.eq(1), self.signal.eq(head.signal)]
            m.d.sync += skipping.eq(0)
        with m.Elif(here & (head.op == Op.RUN)):
            with m.If(~running):
                m.d.comb += self.wait.eq(head.wait)
                with m.If((head.wait == 0) | self.taken):
                    m.d.comb += self.clear.eq(clears)
                    m.d.sync += [skipping.eq(skip), offered.eq(~skip)]
                with m.Else():
                    m.d.comb += self.blocked.eq(1)
        with m.Elif(here & ~self.copying):
            with m.If((head.op == Op.ADD) & ~summed[-1]):
                m.d.sync += summed.eq(Cat(1, summed))
            with m.Else():
                m.d.comb += [leaves.eq(1), write.eq(1)]
        return m

    def _place(self, register: Signal):
        """Bank, a stream or above all of them 16 plain registers, and place in it of a register's number."""
        starts = [sum(self._streams[:i]) for i in range(len(self._streams) + 1)]
        beyond = [register >= start for start in starts[1:]]
        bank = Value.cast(sum(beyond, start=Const(0, 4)))[:4]
        offset = Array(Const(start & 255, 8) for start in starts)[bank] if self._streams else Const(0, 8)
        place = (register - offset)[:8]
        return Cat(place[:4], (bank + place[4:])[:4])

    def _banks(self, bank, leading) -> list[_Bank]:
        """Block RAMs of a register in ``bank`` of :meth:`_place`: of each stream that is not ``in_turn``, the first
        with the plain registers behind it, and of those that are."""
        count, alike = len(self._streams), len(self.words)
        # Behind the words of the first stream, if it has a memory of its own.
        first = min(1, alike)
        plain, above = (bank >= count, bank - (count - first)) if count else (Const(1, 1), bank)
        asked = Cat(leading, Const(0, 4))
        out = self.words[0] if alike else None
        mine = (bank == 0) | plain if alike else plain
        banks = [_Bank(mine, Mux(plain, above, 0), -(-self._plain // 16) + first, asked, out)]
        banks += [_Bank(bank == i, Const(0, 1), 1, asked, self.words[i]) for i in range(1, alike)]
        if count > alike:
            asked = Mux(self.copying, Cat(self.number, self.which), 0)
            banks.append(_Bank((bank >= alike) & ~plain, bank - alike, count - alike, asked, self.word))
        return banks

    def _registers(self, m: Module, head):
        """→ writes ``head``'s register; number of the word that is copied in two cycles, 0 if none is."""
        write, leading = Signal(), Signal(4)
        value = Signal(32)
        place = head.register[:4]
        adds = head.op == Op.ADD
        banks = self._banks(head.register[4:], leading)
        read = []
        for i, bank in enumerate(banks):
            words = RegisteredRam(
                width=32, depth=1 << (16 * max(1, bank.blocks) - 1).bit_length(), target=self._target
            )
            m.submodules[f"bank_{i}"] = words
            m.d.comb += [
                words.read_address.eq(Mux(self.copying | ~adds, bank.asked, Cat(place, bank.block))),
                words.write_address.eq(Cat(place, bank.block)),
                words.write_data.eq(value),
                words.write_enable.eq(write & bank.mine),
            ]
            if bank.out is not None:
                m.d.comb += bank.out.eq(words.read_data)
            read.append(words.read_data)
        chosen = Signal(len(banks), reset_less=True)  # an ADD stays for some cycles
        m.d.sync += chosen.eq(Cat(bank.mine for bank in banks))
        m.d.comb += value.eq(head.immediate)
        with m.If(adds):
            m.d.comb += value.eq(choose(read, chosen) + head.immediate)
        for number in range(self._plain):
            with m.If(write & (head.register == number + 16 * len(self._streams))):
                m.d.sync += self.values[number].eq(value)
        return write, leading
