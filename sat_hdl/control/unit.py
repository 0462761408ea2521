"""A unit's side of the program: its queue of instructions and its registers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.control.isa import SEMAPHORES, Op, RunFlag
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import StreamError

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
    """Obeys SET, ADD and RUN in order, one a cycle, from a queue.

    A unit copies the registers that it needs in the cycle in which it takes ``run``, so the next run's are
    written while it works. The next RUN waits until the unit is done.

    Arguments
    ---------
    registers: how many the unit has, 1 to 256.
    depth: of the queue.

    Members
    -------
    entries: In(stream of entry_layout).
    values: Out(32 × registers).
    run: Out(stream of run_layout). done: In(1), for a cycle when the unit has done what it took.
    wait: Out(SEMAPHORES). The semaphores that the next run needs; 0 if none is ready to start. taken: In(1).
        It has them.
    signal: Out(SEMAPHORES), for a cycle.
    overflow: In(1). The flag; a run may depend on it. clear: Out(1). Clears it.
    halt: In(1). Nothing more is begun.
    idle: Out(1). Nothing is queued or running. blocked: Out(1). Waits for semaphores, and nothing is running.
    """

    def __init__(self, *, registers: int, depth: int = 32):
        if not isinstance(registers, int) or not 1 <= registers <= 256:
            raise ValueError(f"registers must be an integer from 1 to 256, not {registers!r}")
        if not isinstance(depth, int) or depth < 2:
            raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
        self._registers, self._depth = registers, depth
        super().__init__(
            {
                "entries": In(stream.Signature(entry_layout())),
                "values": Out(data.ArrayLayout(32, registers)),
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
        )

    def elaborate(self, platform):
        m = Module()
        layout = entry_layout()
        m.submodules.queue = queue = SyncFIFOBuffered(width=layout.size, depth=self._depth)
        head = data.View(layout, queue.r_data)
        m.d.comb += [
            queue.w_data.eq(self.entries.payload),
            queue.w_en.eq(self.entries.valid),
            self.entries.ready.eq(queue.w_rdy),
        ]

        # What ADD reads lies in LUT RAM: reading the registers themselves would take a wide multiplexer.
        m.submodules.mirror = mirror = Memory(shape=32, depth=self._registers, init=[])
        writer, reader = mirror.write_port(), mirror.read_port(domain="comb")
        value, write = Signal(32), Signal()
        m.d.comb += [
            reader.addr.eq(head.register),
            value.eq(head.immediate),
            writer.addr.eq(head.register),
            writer.data.eq(value),
            writer.en.eq(write),
        ]
        with m.If(head.op == Op.ADD):
            m.d.comb += value.eq(reader.data + head.immediate)
        with m.If(write):
            with m.Switch(head.register):
                for number in range(self._registers):
                    with m.Case(number):
                        m.d.sync += self.values[number].eq(value)

        running, offered = Signal(), Signal()
        signal = Signal(SEMAPHORES)
        here = queue.r_rdy & ~self.halt
        m.d.comb += [
            self.run.payload.action.eq(head.immediate),
            self.run.payload.address.eq(head.address),
            self.run.valid.eq(offered),
            self.idle.eq(~queue.r_rdy & ~running),
        ]
        with m.If(self.done):
            m.d.sync += running.eq(0)
            m.d.comb += self.signal.eq(signal)
        clears = (head.register & RunFlag.CLEAR_OVERFLOW).any()
        skip = (head.register & RunFlag.UNLESS_OVERFLOW).any() & self.overflow & ~clears
        with m.If(offered):
            with m.If(self.run.ready):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += [offered.eq(0), running.eq(1), signal.eq(head.signal)]
        with m.Elif(here & (head.op == Op.RUN)):
            with m.If(~running):
                m.d.comb += self.wait.eq(head.wait)
                with m.If((head.wait == 0) | self.taken):
                    m.d.comb += self.clear.eq(clears)
                    with m.If(skip):
                        m.d.comb += [queue.r_en.eq(1), self.signal.eq(head.signal)]
                    with m.Else():
                        m.d.sync += offered.eq(1)
                with m.Else():
                    m.d.comb += self.blocked.eq(1)
        with m.Elif(here):
            m.d.comb += [queue.r_en.eq(1), write.eq(1)]
        return m
