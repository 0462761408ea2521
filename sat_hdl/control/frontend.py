"""The front end: obeys loops, hands everything else to the units, and ends programs, well or badly."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.control.fetch import fetched_layout
from sat_hdl.control.isa import LOOP_DEPTH, UNITS, Op
from sat_hdl.control.unit import entry_layout
from sat_hdl.layouts import ErrorCode

__all__ = ["Frontend"]

#: Cycles without a step after which blocked units are taken for deadlocked: a semaphore's way takes fewer.
PATIENCE = 64


class Frontend(wiring.Component):
    """Runs a program: an instruction in two cycles.

    A program ends well when HALT is reached and every unit is idle, badly on the first error: ``halt`` then
        stops all units, and
    when nothing is on its way to or from memory any more, ``failed`` tells. It stays so until a reset.

    Arguments
    ---------
    units: names of the units there are, in the order of the ports.
    parameters: host parameters, 1 to 256.

    Members
    -------
    start: In(1), program: In(32): a multiple of 8, else MISALIGNED. limit: In(32): cycles that a program may take, 0:
        any number.
    jump, target: Out; instructions: In(stream): of :class:`~sat_hdl.control.fetch.Fetch`.
    parameter: Out, number of a host parameter; parameter_value: In(32), in the same cycle.
    entries: Out(entry_layout), entry_valid: Out(units), entry_ready: In(units): to the units' queues.
    idle, blocked: In(units). error: In(ErrorCode for each unit), with error_address: In(32 each).
    semaphore_overflow: In(1). quiet: In(1): nothing is on its way to or from memory.
    busy, done, failed: Out(1). fault: Out(ErrorCode), fault_address: Out(32), fault_unit: Out(4): 0 is the front end.
    halt: Out(1). running: Out(1): a cycle of the program.
    """

    def __init__(self, *, units: list[str], parameters: int):
        unknown = [name for name in units if name not in UNITS]
        if unknown or not units:
            raise ValueError(f"units must be some of {', '.join(UNITS)}, not {units!r}")
        if not isinstance(parameters, int) or not 1 <= parameters <= 256:
            raise ValueError(f"parameters must be an integer from 1 to 256, not {parameters!r}")
        self._units = units
        self._parameters = parameters
        count = len(units)
        super().__init__(
            {
                "start": In(1),
                "program": In(32),
                "limit": In(32),
                "jump": Out(1),
                "target": Out(32),
                "instructions": In(stream.Signature(fetched_layout())),
                "parameter": Out(range(parameters)),
                "parameter_value": In(32),
                "entries": Out(entry_layout()),
                "entry_valid": Out(count),
                "entry_ready": In(count),
                "idle": In(count),
                "blocked": In(count),
                "error": In(data.ArrayLayout(4, count)),
                "error_address": In(data.ArrayLayout(32, count)),
                "semaphore_overflow": In(1),
                "quiet": In(1),
                "busy": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "fault": Out(ErrorCode),
                "fault_address": Out(32),
                "fault_unit": Out(4),
                "halt": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self._units)
        instruction = Signal(64)
        address = Signal(32)
        fetch_error = Signal()
        fields = data.View(
            data.StructLayout({"signal": 8, "wait": 8, "register": 8, "unit": 4, "op": 4, "immediate": 32}),
            instruction,
        )

        # --- is it one? -----------------------------------------------------------------------------------
        known = Signal()
        target = Signal(count)
        with m.Switch(fields.unit):
            for i, name in enumerate(self._units):
                unit = UNITS[name]
                with m.Case(unit.number):
                    m.d.comb += [
                        target.eq(1 << i),
                        known.eq(
                            Mux(
                                fields.op == Op.RUN,
                                Cat(fields.immediate == action for action in unit.actions.values()).any(),
                                fields.register < len(unit.registers),
                            )
                        ),
                    ]

        # --- loops ----------------------------------------------------------------------------------------
        # In LUT RAM, the innermost below ``depth``: registers and what chooses one of them take three times as much.
        loop = data.StructLayout({"start": 32, "left": 32})
        m.submodules.loops = loops = Memory(shape=loop, depth=LOOP_DEPTH, init=[])
        opened, inner = loops.write_port(), loops.read_port(domain="comb")
        innermost = inner.data
        depth = Signal(range(LOOP_DEPTH + 1))
        below = (depth - 1)[: len(inner.addr)]
        ends = fields.op == Op.END
        m.d.comb += [
            inner.addr.eq(below),
            opened.addr.eq(Mux(ends, below, depth)),
            opened.data.start.eq(Mux(ends, innermost.start, address + 8)),
            opened.data.left.eq(Mux(ends, innermost.left - 1, fields.immediate)),
        ]

        fault = Signal(ErrorCode)  # of this instruction
        stuck = Signal(range(PATIENCE + 1))
        waiting = Signal()
        m.d.comb += [
            self.parameter.eq(fields.immediate),
            self.entries.op.eq(Mux(fields.op == Op.PARAM, Op.SET, fields.op)),
            self.entries.register.eq(fields.register),
            self.entries.immediate.eq(Mux(fields.op == Op.PARAM, self.parameter_value, fields.immediate)),
            self.entries.wait.eq(fields.wait),
            self.entries.signal.eq(fields.signal),
            self.entries.address.eq(address),
        ]
        running, failing = self.running, Signal()
        cycles = Signal(32)  # up to the largest limit
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.done.eq(0), cycles.eq(0), depth.eq(0), stuck.eq(0)]
                    with m.If(self.program[:3].any()):
                        m.d.sync += address.eq(self.program)
                        m.next = "MISPLACED"
                    with m.Else():
                        m.d.comb += [self.jump.eq(1), self.target.eq(self.program)]
                        m.next = "FETCH"
            with m.State("MISPLACED"):
                m.d.comb += [running.eq(1), fault.eq(ErrorCode.MISALIGNED)]
                m.next = "STOPPING"
            with m.State("FETCH"):
                m.d.comb += [running.eq(1), self.instructions.ready.eq(1)]
                m.d.sync += [
                    instruction.eq(self.instructions.payload.word),
                    address.eq(self.instructions.payload.address),
                    fetch_error.eq(self.instructions.payload.error),
                ]
                with m.If(self.instructions.valid):
                    m.next = "OBEY"
                with m.If(failing):
                    m.next = "STOPPING"
            with m.State("OBEY"):
                m.d.comb += running.eq(1)
                with m.If(fetch_error):
                    m.d.comb += fault.eq(ErrorCode.FETCH_ERROR)
                with m.Else():
                    with m.Switch(fields.op):
                        with m.Case(Op.HALT):
                            m.d.comb += waiting.eq(1)
                            with m.If(self.idle.all()):
                                m.d.sync += self.done.eq(1)
                                m.next = "IDLE"
                        with m.Case(Op.LOOP):
                            with m.If((fields.immediate == 0) | (depth == LOOP_DEPTH)):
                                m.d.comb += fault.eq(ErrorCode.BAD_LOOP)
                            with m.Else():
                                m.d.comb += opened.en.eq(1)
                                m.d.sync += depth.eq(depth + 1)
                                m.next = "FETCH"
                        with m.Case(Op.END):
                            with m.If(depth == 0):
                                m.d.comb += fault.eq(ErrorCode.BAD_LOOP)
                            with m.Elif(innermost.left == 1):
                                m.d.sync += depth.eq(depth - 1)
                                m.next = "FETCH"
                            with m.Else():
                                m.d.comb += [
                                    opened.en.eq(1),
                                    self.jump.eq(1),
                                    self.target.eq(innermost.start),
                                ]
                                m.next = "FETCH"
                        with m.Case(Op.SET, Op.ADD, Op.PARAM, Op.RUN):
                            beyond = (fields.op == Op.PARAM) & (fields.immediate >= self._parameters)
                            with m.If(~known | beyond):
                                m.d.comb += fault.eq(ErrorCode.ILLEGAL_INSTRUCTION)
                            with m.Else():
                                m.d.comb += [self.entry_valid.eq(target), waiting.eq(1)]
                                with m.If((self.entry_ready & target).any()):
                                    m.next = "FETCH"
                        with m.Default():
                            m.d.comb += fault.eq(ErrorCode.ILLEGAL_INSTRUCTION)
                with m.If(failing):
                    m.next = "STOPPING"
            with m.State("STOPPING"):
                m.d.comb += self.halt.eq(1)
                with m.If(self.quiet):
                    m.next = "FAILED"
            with m.State("FAILED"):
                m.d.comb += [self.halt.eq(1), self.failed.eq(1)]

        # --- what ends a program ---------------------------------------------------------------------------
        unit_error = Cat(self.error[i] for i in range(count)).any()
        dead = waiting & ~(self.entry_ready & self.entry_valid).any()
        dead &= (self.idle | self.blocked).all() & self.blocked.any()
        m.d.sync += stuck.eq(Mux(dead, stuck + (stuck != PATIENCE), 0))
        m.d.comb += self.busy.eq(running | (self.halt & ~self.failed))
        late = (self.limit != 0) & (cycles >= self.limit)
        causes = [
            (fault != ErrorCode.NONE, fault, address, 0),
            (self.semaphore_overflow, ErrorCode.SEMAPHORE_OVERFLOW, address, 0),
            (stuck == PATIENCE, ErrorCode.DEADLOCK, address, 0),
            (late, ErrorCode.TIMEOUT, address, 0),
        ]
        causes += [
            (self.error[i] != 0, self.error[i], self.error_address[i], UNITS[name].number)
            for i, name in enumerate(self._units)
        ]
        m.d.comb += failing.eq(running & (Cat(condition for condition, *_ in causes[:4]).any() | unit_error))
        with m.If(running):
            m.d.sync += cycles.eq(cycles + ~cycles.all())
            for condition, code, where, unit in causes:
                with m.If(condition):
                    m.d.sync += [
                        self.fault.eq(code),
                        self.fault_address.eq(where),
                        self.fault_unit.eq(unit),
                        self.done.eq(0),
                    ]
        return m
