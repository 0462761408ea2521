"""A unit's side of the program: its queue of instructions and its registers."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.control.isa import SEMAPHORES, Op, RunFlag
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import StreamError
from sat_hdl.memory.fifo import BlockFifo

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


class UnitQueue(wiring.Component):
    """Obeys SET and RUN, one a cycle, and ADD, one in two (three, of a stream ``in_turn``), in order, from a queue.

    A unit copies the plain registers that it needs in the cycle in which it takes ``run``, and those of its streams
    word by word right after it: they lie in LUT RAM, but those ``in_turn``, whose words come last, in a block RAM. So
    the next run's are written while it works. The next RUN waits until the unit is done. What a register holds that
    no program has set yet is undefined.

    Arguments
    ---------
    registers: how many the unit has, 1 to 256.
    streams: of these, those that are words of streams come first: so many, up to 16, for each.
    in_turn: so many of them, the last, up to 4, are copied one after the other.
    depth: of the queue, a power of two of at least 4.

    Members
    -------
    entries: In(stream of entry_layout).
    values: Out(32 × plain registers).
    words: Out(32 × streams). Word ``number`` of each that is not ``in_turn``, while ``copying``.
    which: In, word: Out(32), if there are several ``in_turn``: word ``number`` of that one of them, two cycles later,
        if ``copying`` still in the next.
    number: In(4), copying: In(1). Must be set from the cycle after a run was taken until its words are copied.
    run: Out(stream of run_layout). done: In(1), for a cycle when the unit has done what it took.
    wait: Out(SEMAPHORES). The semaphores that the next run needs; 0 if none is ready to start. taken: In(1).
        It has them.
    signal: Out(SEMAPHORES), for a cycle.
    overflow: In(1). The flag; a run may depend on it. clear: Out(1). Clears it.
    halt: In(1). Nothing more is begun.
    idle: Out(1). Nothing is queued or running. blocked: Out(1). Waits for semaphores, and nothing is running.
    """

    def __init__(self, *, registers: int, streams: Sequence[int] = (), in_turn: int = 0, depth: int = 32):
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
        self._streams, self._in_turn, self._depth = tuple(streams), in_turn, depth
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

        write, summed = self._registers(m, head)

        running, offered, skipping, looked = Signal(), Signal(), Signal(), Signal()
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
        m.d.sync += [summed.eq(0), looked.eq(0)]
        bank = head.register[4:]
        late = (bank >= len(self.words)) & (bank < len(self._streams)) if self._in_turn else Const(0, 1)
        with m.If(offered):
            with m.If(self.run.ready):
                m.d.comb += leaves.eq(1)
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
            with m.If((head.op == Op.ADD) & ~summed):
                m.d.sync += [summed.eq(looked | ~late), looked.eq(1)]
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

    def _registers(self, m: Module, head):
        """→ writes ``head``'s register; the sum of an ADD has been begun."""
        write, summed = Signal(), Signal()
        value = Signal(32)
        read = Signal(32, reset_less=True)
        place, bank = head.register[:4], head.register[4:]
        m.d.comb += value.eq(head.immediate)
        with m.If(head.op == Op.ADD):
            m.d.comb += value.eq(read + head.immediate)
        banks = {}
        ends = len(self._streams) + -(-self._plain // 16)
        for i in [*range(len(self.words)), *range(len(self._streams), ends)]:
            m.submodules[f"bank_{i}"] = memory = Memory(shape=32, depth=16, init=[])
            writer, reader = memory.write_port(), memory.read_port(domain="comb")
            is_stream = i < len(self.words)
            m.d.comb += [
                reader.addr.eq(Mux(self.copying, self.number, place) if is_stream else place),
                writer.addr.eq(place),
                writer.data.eq(value),
                writer.en.eq(write & (bank == i)),
            ]
            if is_stream:
                m.d.comb += self.words[i].eq(reader.data)
            banks[i] = reader.data
        shown = bank
        if self._in_turn:
            in_turn = range(len(self.words), len(self._streams))
            attrs = {"ram_style": "block", "no_rw_check": 1}
            m.submodules.in_turn = memory = Memory(shape=32, depth=64, init=[], attrs=attrs)
            writer, reader = memory.write_port(), memory.read_port()
            m.d.comb += [
                reader.en.eq(~write),
                reader.addr.eq(
                    Mux(self.copying, Cat(self.number, (self.which + in_turn[0])[:2]), head.register[:6])
                ),
                writer.addr.eq(head.register[:6]),
                writer.data.eq(value),
                writer.en.eq(write & (bank >= in_turn[0]) & (bank <= in_turn[-1])),
                self.word.eq(read),
            ]
            # What chooses an ADD's register is free while words are copied.
            shown = Mux(self.copying, in_turn[0], bank)
            banks |= dict.fromkeys(in_turn, reader.data)
        m.d.sync += read.eq(Array(banks[i] for i in sorted(banks))[shown])
        for number in range(self._plain):
            at = number + 16 * len(self._streams)
            with m.If(write & (head.register == at)):
                m.d.sync += self.values[number].eq(value)
        return write, summed
