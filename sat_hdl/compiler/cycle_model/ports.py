"""The shared memory port of the cycle model, burst by burst, and the memory behind it."""

from collections import deque
from dataclasses import dataclass

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


class Ports:
    """Serves bursts in the order in which they are asked for: the ports take turns, which comes to the same, since a
    client has one request on offer at a time.

    Members
    -------
    read_beats, write_beats: so far.
    """

    def __init__(self, memory: Memory):
        self._memory = memory
        # Cycles a beat takes of the data channel, and of what both directions share.
        bandwidth = memory.bandwidth
        self._pace = 1.0 if bandwidth is None else max(1.0, 1 / bandwidth)
        self._share = 0.0 if bandwidth is None or bandwidth >= 2 else 1 / bandwidth
        self._shared_free = 0.0
        self._read_free = self._write_free = 0  # of the address channels
        self._read_data = self._write_data = 0.0  # of the data channels
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

    def read(self, asked: int, beats: int) -> tuple[int, int, int]:
        """A burst whose request is on offer from cycle ``asked`` on. → the cycle in which it is granted, those in
        which the client has the first and the last beat."""
        granted = max(asked, self._read_free)
        accepted = max(granted + 1, self._reads[0] + 1)
        self._read_free = accepted
        start = accepted + self._memory.read_latency
        first, last, self._read_data = self._spread(start, self._read_data, beats)
        self._reads.append(last)
        self.read_beats += beats
        return granted, first + 1, last + 1

    def write(self, asked: int, beats: int) -> tuple[int, int, int]:
        """A burst of which all beats are there. → the cycle in which it is granted, in which its last beat is given
        away, and in which the client knows that it has been answered."""
        granted = max(asked, self._write_free, self._begun[0])
        accepted = max(granted + 1, self._writes[0] + 1)
        self._write_free = accepted
        first, last, self._write_data = self._spread(granted + 3, self._write_data, beats)
        self._begun.append(first - 1)
        answered = max(max(last, accepted) + self._memory.write_latency, self._writes[-1] + 1)
        self._writes.append(answered)
        self.write_beats += beats
        return granted, last - 1, answered + 1
