"""The vector unit of the cycle model: its streams, and the lanes between them, some vectors at a time."""

from collections import deque
from collections.abc import Callable

from sat_hdl.compiler.array_cycles import conversions
from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.compiler.cycle_model.streams import FIRST_BURST, Reader, Writer, bursts, in_turns
from sat_hdl.compiler.cycle_model.units import Done, Registers, descriptor
from sat_hdl.compiler.cycle_model.vector_steps import Command, Step, outputs_of
from sat_hdl.config import Config
from sat_hdl.control.vector_unit import COPIES, READERS, WRITERS
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS

__all__ = ["VectorModel"]

#: Cycles in which registers are copied: a reader's words and what x is padded with. Those of the pruned copies follow
#: while the command has begun.
_COPIED = READ_WORDS + 1
#: From a command's being handed over to its first vector: decoded, and the sequencer set up.
_DECODED = 6
#: From the last vector's being taken to the unit's being done, besides the ranks of the conversion, if nothing is
#: written.
_QUIET = 4


class _Input:
    """When the beats of an input are offered, and which have been taken."""

    def __init__(self):
        self._bursts: deque[tuple[int, int, int]] = deque()
        self._count = self.taken = 0

    def add(self, beats: int, first: int, last: int):
        self._count += beats
        self._bursts.append((self._count, first, last))

    def there(self, beats: int) -> int | None:
        """When the last of so many more is offered; None if that is not known yet."""
        beat = self.taken + beats
        if beat > self._count:
            return None
        while self._bursts[0][0] < beat:
            self._bursts.popleft()
        end, first, last = self._bursts[0]
        return max(first, last - (end - beat))


class VectorModel:
    """WUVE and the pre-generation of copies between affine readers and writers."""

    def __init__(self, config: Config, clock: Clock, ports: Ports):
        self._config = config
        self._readers: dict[str, Reader] = {}
        for i, name in enumerate(READERS):
            self._readers[name] = Reader(clock, ports, 2 + i, self._taker(name))
        self._writers = {name: Writer(clock, ports, 1 + i, self._written) for i, name in enumerate(WRITERS)}
        self._inputs: dict[str, _Input] = {}
        self._gave: dict[str, int] = {}
        self._steps: list[Step] = []
        self._step = self._free = self._open = self._last = 0
        self._going = False
        self._done: Done | None = None

    def _taker(self, name: str) -> Callable[[int, int, int], None]:
        def arrived(beats: int, first: int, last: int):
            self._inputs[name].add(beats, first, last)
            self._go()

        return arrived

    def copies(self, action: str, registers: Registers) -> int:
        late = "copies" in outputs_of(action, registers)
        return _COPIED + (len(COPIES) * WRITE_WORDS + 1 if late else 0)

    def start(self, at: int, action: str, registers: Registers, done: Done):
        beat = self._config.memory_bits // 8
        written = {
            name: in_turns([descriptor("vector", registers, f"{part}_", writes=True) for part in parts], beat)
            for name, parts in outputs_of(action, registers).items()
        }
        command = Command(
            self._config, action, registers, {name: sum(beats) for name, beats in written.items()}
        )
        self._steps, self._step = list(command.steps()), 0
        self._inputs = {name: _Input() for name in command.inputs}
        self._gave = dict.fromkeys(written, 0)
        self._free = at + _COPIED + _DECODED
        self._open, self._last, self._done = len(written), 0, done
        for name, lengths in written.items():
            self._writers[name].start(lengths, self._go)
        self._going = True  # until all inputs have begun
        for name in command.inputs:
            lengths, padding, _ = bursts(descriptor("vector", registers, f"{name}_"), beat)
            self._readers[name].start(at + READ_WORDS + FIRST_BURST, lengths, padding)
        self._going = False
        self._go()

    def _go(self):
        """Goes on as far as operands and room for results are known."""
        if self._going or self._step >= len(self._steps):
            return
        self._going = True
        while self._step < len(self._steps):
            end = self._end(self._steps[self._step])
            if end is None:
                self._going = False
                return
            self._take(self._steps[self._step], end)
            self._step += 1
        self._going = False
        if not self._gave and self._done is not None:
            self._done(self._free + conversions(self._config)[0] + _QUIET)

    def _end(self, step: Step) -> int | None:
        """The cycle after a step; None if it is not known yet."""
        end = self._free + step.cycles
        for name, beats in step.takes.items():
            there = self._inputs[name].there(beats) if beats else 0
            if there is None:
                return None
            end = max(end, there + 1)
        for name, beats in step.gives.items():
            room = self._writers[name].room(self._gave[name] + beats) if beats else 0
            if room is None:
                return None
            end = max(end, room - step.late[name])
        return end

    def _take(self, step: Step, end: int):
        begin = max(self._free, end - step.cycles)
        self._free = end
        for name, beats in step.gives.items():
            if beats:
                self._gave[name] += beats
                self._writers[name].make(self._gave[name], end + step.late[name], step.cycles / beats)
        for name, beats in step.takes.items():
            if beats:
                self._inputs[name].taken += beats
                self._readers[name].take(beats, begin, end - 1)

    def _written(self, at: int):
        self._open -= 1
        self._last = max(self._last, at)
        if self._open == 0 and self._done is not None:
            self._done(self._last)
