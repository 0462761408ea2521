"""The shared memory port of the cycle model, burst by burst, and the memory behind it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.memory.write_port import WritePort

__all__ = ["Memory", "Ports"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory whose answers come in the order of the addresses, without random delays.

    Arguments
    ---------
    read_latency: cycles from a burst's address to its first beat, at least 1.
    write_latency: cycles from a burst's last beat to its answer, at least 1.
    outstanding: bursts of each direction that are accepted before the first is answered, at least 1.
    bandwidth: most beats per cycle, reads and writes together; None: one each way.
    """

    read_latency: int = 10
    write_latency: int = 10
    outstanding: int = 16
    bandwidth: float | None = None

    def __post_init__(self):
        for name in ("read_latency", "write_latency", "outstanding"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"A memory's {name} must be an integer of at least 1, not {value!r}")
        if self.bandwidth is not None and not 0 < self.bandwidth <= 2:
            raise ValueError(f"A memory's bandwidth must be up to 2 beats per cycle, not {self.bandwidth!r}")


#: What a client is told of its burst: the cycle in which it is granted; of a read those in which the first and the
#: last beat is there, of a write those in which the last beat is given away and the answer is known.
Granted = Callable[[int, int, int], None]


class _Turns:
    """An address channel: those who wait take turns, and the next is chosen when the one before has been accepted.

    Members
    -------
    free: the cycle in which the next can be granted.
    """

    def __init__(self, clock: Clock, serve: Callable[[int, int, Granted], int]):
        self._clock, self._serve = clock, serve
        self._waiting: dict[int, tuple[int, Granted]] = {}
        self._last, self._choosing = -1, False
        self._free = 0

    def ask(self, client: int, beats: int, granted: Granted):
        """Client number ``client`` asks for a burst from now on."""
        now = self._clock.now
        if not self._waiting and self._free <= now:
            self._last = client
            self._free = self._serve(now, beats, granted)
            return
        self._waiting[client] = beats, granted
        if not self._choosing:
            self._choosing = True
            self._clock.at(self._free, self._choose)

    def _choose(self):
        self._choosing = False
        client = min(self._waiting, key=lambda number: (number <= self._last, number))
        beats, granted = self._waiting.pop(client)
        self._last = client
        self._free = self._serve(self._clock.now, beats, granted)
        if self._waiting and not self._choosing:
            self._choosing = True
            self._clock.at(self._free, self._choose)


class Ports:
    """Serves bursts of the units' streams.

    Members
    -------
    read, write: whom to ask for bursts. A write is asked for when all its beats are there.
    read_beats, write_beats: so far.
    """

    def __init__(self, clock: Clock, memory: Memory):
        self._memory = memory
        self.read, self.write = _Turns(clock, self._read), _Turns(clock, self._write)
        # Cycles a beat takes of the data channel, and of what both directions share.
        bandwidth = memory.bandwidth
        self._pace = 1.0 if bandwidth is None else max(1.0, 1 / bandwidth)
        self._share = 0.0 if bandwidth is None or bandwidth >= 2 else 1 / bandwidth
        self._shared_free = 0.0
        self._read_data = self._write_data = 0.0  # when the data channels are free
        # When the bursts of the last places were answered, and when the data of writes began to be taken.
        self._reads: deque[int] = deque([-1] * memory.outstanding, memory.outstanding)
        self._writes: deque[int] = deque([-1] * memory.outstanding, memory.outstanding)
        self._begun: deque[int] = deque([-1] * WritePort.ahead, WritePort.ahead)
        self.read_beats = self.write_beats = 0

    def _spread(self, start: float, free: float, beats: int) -> tuple[int, int, float]:
        """First and last cycle of ``beats`` on a data channel from ``start`` on, and when it is free again."""
        first = max(start, free)
        if self._share == 0:
            return int(first), int(first) + beats - 1, first + beats
        end = max(first + (beats - 1) * self._pace, self._shared_free + (beats - 1) * self._share)
        self._shared_free = max(first, self._shared_free) + beats * self._share
        return int(first), int(end), end + self._pace

    def _read(self, now: int, beats: int, granted: Granted) -> int:
        accepted = max(now + 1, self._reads[0] + 1)
        start = accepted + self._memory.read_latency
        first, last, self._read_data = self._spread(start, self._read_data, beats)
        self._reads.append(last)
        self.read_beats += beats
        granted(now, first + 1, last + 1)
        return accepted

    def _write(self, now: int, beats: int, granted: Granted) -> int:
        accepted = max(now + 1, self._writes[0] + 1, self._begun[0] + 1)
        first, last, self._write_data = self._spread(now + 3, self._write_data, beats)
        self._begun.append(first - 1)
        answered = max(max(last, accepted) + self._memory.write_latency, self._writes[-1] + 1)
        self._writes.append(answered)
        self.write_beats += beats
        granted(now, last - 1, answered + 1)
        return accepted
