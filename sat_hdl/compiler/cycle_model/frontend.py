"""Front end, queues and semaphores of the cycle model."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.control.fetch import BURST
from sat_hdl.control.isa import SEMAPHORES, UNITS, Instruction, Op, RunFlag
from sat_hdl.control.unit import UnitQueue
from sat_hdl.memory.fifo import BlockFifo

__all__ = ["Fetch", "Queue", "Semaphores"]

#: Entries of a unit's queue: those in its memory and two on their way out.
_QUEUED = 32 + 2


class Fetch:
    """Words of the program, prefetched: two bursts of beats at most.

    Arguments
    ---------
    ready: called when a word that was asked for is there.
    """

    def __init__(self, clock: Clock, ports: Ports, beat_bytes: int, ready: Callable[[], None]):
        self._clock, self._ports, self._ready = clock, ports, ready
        self._beat = beat_bytes
        self._there: dict[int, int] = {}  # when each beat can be looked at, by its number in memory
        self._asked = self._limit = 0  # beats: all below have been asked for; below that there is room
        self._asks = self._room_at = (
            0  # when a burst can be asked for: the last is under way, and there is room
        )
        self._jumps = 0
        self._pending = self._jumping = self._on_offer = False

    def jump(self, at: int, address: int):
        """Goes on at ``address``, said in cycle ``at``. A burst that was asked for comes nevertheless."""
        self._jumping = True

        def begin():
            self._jumping = False
            self._pending = self._on_offer
            self._jumps += 1
            self._there.clear()
            self._asked = address // (self._beat * BURST) * BURST
            self._limit = self._asked + 2 * BURST
            self._room_at = at + 1
            self._go()

        self._clock.at(at, begin)

    def word(self, address: int) -> int | None:
        """When the instruction at ``address`` can be taken by a front end that waits for it; None: not known yet."""
        if self._jumping:
            return None
        first = address // self._beat
        if self._beat == 4:  # half an instruction waits for the other
            if first + 1 not in self._there:
                return None
            return max(self._there[first] + 1, self._there[first + 1])
        return self._there.get(first)

    def taken(self, address: int, at: int):
        """The instruction at ``address`` was taken in cycle ``at``."""
        # Whole bursts are asked for.
        limit = (address + 8) // self._beat // BURST * BURST + 2 * BURST
        if limit > self._limit and not self._jumping:
            self._limit, self._room_at = limit, at + 1
            self._go()

    def _go(self):
        if self._pending or self._asked + BURST > self._limit:
            return
        self._pending = True
        self._asks = max(self._asks, self._room_at)
        jumps = self._jumps
        self._clock.at(self._asks + 1, lambda: self._request(jumps))

    def _request(self, jumps: int):
        if jumps == self._jumps:
            self._on_offer = True
            self._ports.read.ask(0, BURST, lambda *when: self._answered(jumps, *when))

    def _answered(self, jumps: int, granted: int, first: int, last: int):
        self._on_offer = False
        if jumps != self._jumps:  # what was asked for before a jump comes for nothing
            self._asks = max(self._asks, granted + 1)
            self._pending = False
            self._go()
            return
        for i in range(BURST):
            self._there[self._asked + i] = first + 1 + (last - first) * i // (BURST - 1)
        self._asked += BURST
        self._asks = granted + 1
        self._pending = False
        self._go()
        self._ready()


class Semaphores:
    """Counters that units wait for. Units are asked in turns, one a cycle.

    Arguments
    ---------
    phase: of the turns: the unit that is asked in cycle 0.
    """

    def __init__(self, clock: Clock, phase: int = 0):
        self._clock, self._phase = clock, phase
        self._counts = [0] * SEMAPHORES
        self._waiting: dict[int, tuple[tuple[int, ...], Callable[[int], None]]] = {}

    def signal(self, numbers: tuple[int, ...], at: int):
        """Adds 1 to each, so that they can be taken from cycle ``at`` on."""

        def add():
            for number in numbers:
                self._counts[number] += 1
            for unit in list(self._waiting):
                self._try(unit)

        self._clock.at(at, add)

    def wait(self, unit: int, numbers: tuple[int, ...], taken: Callable[[int], None]):
        """Calls ``taken`` with the cycle in which unit number ``unit`` has them."""
        self._waiting[unit] = numbers, taken
        self._try(unit)

    def _try(self, unit: int):
        numbers, _ = self._waiting[unit]
        if all(self._counts[number] > 0 for number in numbers):
            now = self._clock.now
            self._clock.at(now + (unit - now - self._phase) % len(UNITS), lambda: self._take(unit))

    def _take(self, unit: int):
        if unit not in self._waiting:
            return
        numbers, taken = self._waiting[unit]
        if any(self._counts[number] == 0 for number in numbers):
            return
        for number in numbers:
            self._counts[number] -= 1
        del self._waiting[unit]
        taken(self._clock.now)


class Model(Protocol):
    """What a unit does."""

    def copies(self, action: str, registers: Mapping[str, int]) -> int:
        """Cycles in which a run's registers are copied, right after its start."""
        ...

    def start(self, at: int, action: str, registers: Mapping[str, int], done: Callable[[int], None]):
        """Begins a run in cycle ``at``; ``done`` is told when it is over."""
        ...


class Queue:
    """A unit's queue of instructions and its registers.

    Arguments
    ---------
    unit: its name. model: what it does. room: called when an entry has left.

    Members
    -------
    overflow: whether the overflow flag is up. busy, blocked: cycles. runs: how many. idle: from when on nothing is
        queued or running; None: not known.
    """

    overflow = False

    def __init__(
        self, clock: Clock, unit: str, model: Model, semaphores: Semaphores, room: Callable[[], None]
    ):
        self._clock, self._model, self._semaphores, self._room = clock, model, semaphores, room
        self._number = list(UNITS).index(unit)
        self.registers = {register.name: 0 for register in UNITS[unit].registers}
        self._entries: deque[tuple[int, Instruction, int]] = deque()
        self._left: list[int] = []  # when each entry has left
        self._put = 0
        self._free = 0  # the next entry's first cycle at the head
        self._copied = 0  # registers can be written from this cycle on
        self._running = False
        self._ended = 0  # the cycle after the last run
        self._stuck = False
        self.busy = self.blocked = self.runs = 0

    def room(self) -> int | None:
        """From when on the next entry finds room."""
        if self._put < _QUEUED:
            return 0
        place = self._put - _QUEUED
        return self._left[place] + 1 if place < len(self._left) else None

    def put(self, instruction: Instruction, value: int, at: int):
        self._put += 1
        self._entries.append((at, instruction, value))
        self.go()

    @property
    def idle(self) -> int | None:
        """From when on nothing is queued or running."""
        if self._running or self._entries:
            return None
        return max(self._free, self._ended)

    def _leave(self, at: int):
        self._left.append(at)
        self._free = at + 1

    def go(self):
        while self._entries and not self._stuck:
            put, instruction, value = self._entries[0]
            here = max(put + BlockFifo.latency, self._free)
            if instruction.op is Op.RUN:
                if self._running:
                    return
                self._stuck = True
                self._clock.at(max(here, self._ended), self._ask)
                return
            self._entries.popleft()
            at = max(here, self._copied)
            register = str(instruction.register)
            if instruction.op is Op.ADD:
                at += UnitQueue.adding - 1
                value = (self.registers[register] + value) & 0xFFFFFFFF
            self.registers[register] = value
            self._leave(at)
            self._room()

    def _ask(self):
        instruction = self._entries[0][1]
        self._asked = self._clock.now
        if instruction.wait:
            self._semaphores.wait(self._number, instruction.wait, self._begin)
        else:
            self._begin(self._clock.now)

    def _begin(self, granted: int):
        _, instruction, _ = self._entries.popleft()
        self.blocked += granted - self._asked
        self._stuck = False
        self._signal = instruction.signal
        if self.skips(instruction):
            self._leave(granted + 1)
            self._ended = granted + 2
            self._semaphores.signal(instruction.signal, granted + 2)
            self.go()
            self._room()
            return
        start = granted + 1
        self._begun = start
        self._leave(start)
        action = str(instruction.action)
        self._copied = start + 1 + self._model.copies(action, self.registers)
        self._running = True
        self.runs += 1
        self._model.start(start, action, dict(self.registers), self._done)
        self._room()
        self.go()

    def skips(self, instruction: Instruction) -> bool:
        """Whether it does nothing, for the overflow flag is up."""
        return self.overflow and RunFlag.UNLESS_OVERFLOW in instruction.flags

    def _done(self, at: int):
        """The run is done in cycle ``at``."""
        self._clock.at(at, lambda: self._end(at))

    def _end(self, at: int):
        self.busy += at - self._begun
        self._running = False
        self._ended = at + 1
        if self._signal:
            self._semaphores.signal(self._signal, at + 1)
        self.go()
        self._room()
