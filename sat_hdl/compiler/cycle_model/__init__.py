"""How many cycles a program takes: the device's rules, event by event, without its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.frontend import Fetch, Queue, Semaphores
from sat_hdl.compiler.cycle_model.ports import Memory, Ports
from sat_hdl.compiler.cycle_model.units import ComputeModel, LoadModel, StoreModel
from sat_hdl.compiler.cycle_model.vector import VectorModel
from sat_hdl.config import Config, require
from sat_hdl.control.isa import UNITS, Instruction, Op, decode

__all__ = ["Memory", "Prediction", "predict"]

#: The end of a program may be known of later than it is, but not by so many cycles.
_LATE = 1000


@dataclass(frozen=True)
class Prediction:
    """What a program is expected to do.

    Arguments
    ---------
    cycles: from start to end.
    busy, blocked, runs: of each unit: cycles in which it works and waits for a semaphore; how many runs.
    array_busy: cycles in which the array takes a weight.
    read_beats, write_beats: of memory.
    """

    cycles: int
    busy: dict[str, int]
    blocked: dict[str, int]
    runs: dict[str, int]
    array_busy: int
    read_beats: int
    write_beats: int


def predict(
    words: Sequence[int],
    config: Config,
    memory: Memory | None = None,
    *,
    address: int = 0,
    parameters: Sequence[int] = (),
    overflow: bool = False,
    limit: float = inf,
) -> Prediction:
    """The cycles of a program on a device of ``config``.

    Arguments
    ---------
    words: its 64-bit instructions, HALT at the end.
    memory: that the device works with; by default as :class:`Memory` is by itself.
    address: of the first instruction, in bytes.
    parameters: 32-bit host parameters, from number 0.
    overflow: whether runs that depend on the overflow flag find it up; what raises it is not looked at.
    limit: cycles after which it is given up. What is said then is how far it came, which is more than that.

    Raises
    ------
    ConfigError: a program that has no end, or whose units wait for each other.
    IsaError: a word that is no instruction.
    """
    return _Device(
        [int(word) for word in words], config, memory or Memory(), address, parameters, overflow
    ).run(limit)


class _Device:
    def __init__(
        self, words: list[int], config: Config, memory: Memory, address: int, parameters: Sequence[int],
        overflow: bool,
    ):  # fmt: skip
        self._clock = clock = Clock()
        self._ports = ports = Ports(clock, memory)
        self._start, self._parameters = address, [*parameters, *[0] * 256]
        self._words, self._decoded = words, dict[int, Instruction]()
        semaphores = Semaphores(clock)
        self._compute = ComputeModel(config)
        models = {
            "load": LoadModel(config, clock, ports), "compute": self._compute,
            "store": StoreModel(config, clock, ports, self._compute), "vector": VectorModel(config, clock, ports),
        }  # fmt: skip
        self._queues = {name: Queue(clock, name, models[name], semaphores, self._go) for name in UNITS}
        for queue in self._queues.values():
            queue.overflow = overflow
        self._fetch = Fetch(clock, ports, config.memory_bits // 8, self._go)
        self._place = 0  # of the instruction that comes next
        self._now = 0  # the cycle in which it can be taken
        self._loops: list[list[int]] = []
        self._going, self._end = False, -1

    def run(self, limit: float) -> Prediction:
        # The start is a jump in the cycle before.
        self._fetch.jump(-1, self._start)
        self._go()
        beyond = self._clock.run(limit + _LATE)
        if self._end < 0 and beyond is not None:
            self._end = beyond
        require(self._end >= 0, "The program doesn't end: units wait for each other, or there is no HALT.")
        return Prediction(
            cycles=self._end,
            busy={name: queue.busy for name, queue in self._queues.items()},
            blocked={name: queue.blocked for name, queue in self._queues.items()},
            runs={name: queue.runs for name, queue in self._queues.items()},
            array_busy=self._compute.array_busy,
            read_beats=self._ports.read_beats,
            write_beats=self._ports.write_beats,
        )

    def _go(self):
        """Goes on as far as it can: an instruction is taken in one cycle and obeyed in the next."""
        if self._going:
            return
        self._going = True
        while self._end < 0 and self._place < len(self._words) and self._obey():
            pass
        self._going = False

    def _obey(self) -> bool:
        address = self._start + 8 * self._place
        there = self._fetch.word(address)
        if there is None:
            return False
        taken = max(self._now, there)
        now = taken + 1
        instruction = self._decoded.get(self._place)
        if instruction is None:
            instruction = self._decoded[self._place] = decode(self._words[self._place])
        follows = self._place + 1
        if instruction.unit is not None:
            queue = self._queues[instruction.unit]
            room = queue.room()
            if room is None:
                self._let_go(address, taken)
                return False
            now = max(now, room)
            value = instruction.immediate & 0xFFFFFFFF
            if instruction.op is Op.PARAM:
                value = self._parameters[value]
            self._place, self._now = follows, now + 1
            self._let_go(address, taken)
            queue.put(instruction, value, now)
            return True
        self._let_go(address, taken)
        match instruction.op:
            case Op.LOOP:
                self._loops.append([follows, instruction.immediate])
            case Op.END:
                self._loops[-1][1] -= 1
                if self._loops[-1][1]:
                    follows = self._loops[-1][0]
                    self._place, self._now = follows, now + 1
                    self._fetch.jump(now, self._start + 8 * follows)
                    return False
                self._loops.pop()
            case Op.HALT:
                idle = [queue.idle for queue in self._queues.values()]
                if any(cycle is None for cycle in idle):
                    return False
                self._end = max(now, *(cycle for cycle in idle if cycle is not None)) + 1
                return False
        self._place, self._now = follows, now + 1
        return True

    def _let_go(self, address: int, at: int):
        self._fetch.taken(address, at)
