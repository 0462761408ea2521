"""Affine readers and writers of the cycle model, burst by burst."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable

import numpy as np

from sat_hdl.compiler.cycle_model.clock import Clock
from sat_hdl.compiler.cycle_model.ports import Ports
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.memory.fifo import BlockFifo
from sat_hdl.memory.register_slice import RegisterSlice

__all__ = ["BURST", "DEPTH", "FIRST_BURST", "Reader", "Writer", "bursts", "in_turns"]

#: Beats of the longest burst, and of room in a stream: what the units build their streams with.
BURST, DEPTH = 16, 256
#: From a descriptor's last word to the cycle in which its first burst can be asked for: the walk's two ranks, then
#: the split's two; one more for the word itself.
FIRST_BURST = 5
#: Writer: bursts that may wait to be asked for.
_WAITING = 16


def bursts(descriptor: Descriptor, beat_bytes: int) -> tuple[list[int], list[bool] | None, int]:
    """Beats of the bursts of a stream; which of them are padding, None if none is; and beats of a run."""
    starts, padding = descriptor.runs()
    beats = -(-descriptor.run // beat_bytes)
    offset = (starts.astype(np.int64) // beat_bytes) % BURST
    if beats <= BURST and not (offset + beats > BURST).any():
        lengths = [beats] * len(starts)
        return lengths, padding.tolist() if padding.any() else None, beats
    counts = (offset + beats + BURST - 1) // BURST
    run = np.repeat(np.arange(len(starts)), counts)
    place = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    low = np.maximum(place * BURST, offset[run])
    high = np.minimum((place + 1) * BURST, offset[run] + beats)
    return (high - low).tolist(), padding[run].tolist() if padding.any() else None, beats


def in_turns(descriptors: list[Descriptor], beat_bytes: int) -> list[int]:
    """Beats of the bursts of writers' streams that take turns, run by run."""
    if len(descriptors) == 1:
        return bursts(descriptors[0], beat_bytes)[0]
    turns: list[list[list[int]]] = []
    for descriptor in descriptors:
        lengths, _, beats = bursts(descriptor, beat_bytes)
        runs: list[list[int]] = [[]]
        for length in lengths:
            if sum(runs[-1]) == beats:
                runs.append([])
            runs[-1].append(length)
        turns.append(runs)
    return [length for turn in zip(*turns, strict=True) for run in turn for length in run]


class Reader:
    """A stream's beats on their way to who takes them.

    Arguments
    ---------
    client: its number at the read port.
    arrived: called for every burst with its beats and the cycles in which the first and last are offered, if all
        before have been taken.
    """

    #: From a beat's being at the reader to its being offered.
    _through = BlockFifo.latency + RegisterSlice.latency
    #: Beats that may be on offer or nearly, out of the buffer's way, and a cycle for each register that counts them.
    _ahead, _counted = 3, 2

    def __init__(self, clock: Clock, ports: Ports, client: int, arrived: Callable[[int, int, int], None]):
        self._clock, self._ports, self._client, self._arrived = clock, ports, client, arrived
        self._lengths: list[int] = []
        self._padding: list[bool] | None = None
        self._next = self._asked = 0
        self._move = self._moved = self._offered = 0
        self._taken: deque[tuple[int, int, int]] = deque()
        self._passed = 0
        self._waiting = False

    def start(self, at: int, lengths: list[int], padding: list[bool] | None):
        """Begins a stream whose first burst can be asked for in cycle ``at``."""
        self._lengths, self._padding = lengths, padding
        self._next = self._asked = 0
        self._move, self._moved, self._offered = at, -1, at
        self._taken.clear()
        self._passed = 0
        self._waiting = False
        self._go()

    def take(self, beats: int, first: int, last: int):
        """So many more have been taken, in cycles ``first`` to ``last``."""
        self._taken.append((beats, first, last))
        if self._waiting:
            self._go()

    def _taken_by(self, beats: int) -> int | None:
        """When so many beats have left the buffer, as the reader counts them; None if that is not known yet."""
        wanted = beats - self._ahead
        if wanted <= 0:
            return 0
        while self._taken:
            number, first, last = self._taken[0]
            place = wanted - self._passed
            if number >= place:
                return first + (last - first) * (place - 1) // max(1, number - 1) + self._counted
            self._passed += number
            self._taken.popleft()
        return None

    def _room(self) -> int | None:
        """When there is room for another burst; None if that is not known yet."""
        # Two bursts' places are looked for, since one that was asked for in the cycle before is not counted yet.
        most = DEPTH - 2 * BURST
        if self._move == self._moved + 1:
            room = self._taken_by(self._asked - self._lengths[self._next - 1] - most)
            if room is not None and room <= self._move:
                return room
        return self._taken_by(self._asked - most)

    def _go(self):
        self._waiting = False
        lengths, padding = self._lengths, self._padding
        while self._next < len(lengths):
            if padding is not None and padding[self._next]:
                beats = lengths[self._next]
                first = max(self._move + self._through, self._offered)
                self._offered = first + beats
                self._move += 1
                self._asked += beats
                self._next += 1
                self._arrived(beats, first, first + beats - 1)
                continue
            room = self._room()
            if room is None:
                self._waiting = True
                return
            self._move = max(self._move, room)
            self._clock.at(self._move + 1, self._request)
            return

    def _request(self):
        self._ports.read.ask(self._client, self._lengths[self._next], self._answered)

    def _answered(self, granted: int, first: int, last: int):
        beats = self._lengths[self._next]
        self._moved, self._move = self._move, granted
        first = max(first + self._through, self._offered)
        last = max(last + self._through, first + beats - 1)
        self._offered = last + 1
        self._asked += beats
        self._next += 1
        self._arrived(beats, first, last)
        self._go()


class Writer:
    """A stream's beats on their way to memory.

    Arguments
    ---------
    client: its number at the write port.
    done: called with the cycle in which the writer says that everything has been answered.
    """

    #: From the last answer's being known to ``done``.
    _end = 2

    def __init__(self, clock: Clock, ports: Ports, client: int, done: Callable[[int], None]):
        self._clock, self._ports, self._client, self._done = clock, ports, client, done
        self._lengths: list[int] = []
        self._given: Callable[[], None] | None = None

    def start(self, lengths: list[int], given: Callable[[], None]):
        """Begins a stream. ``given``: called when there is more room than before."""
        self._lengths, self._given = lengths, given
        self._ends = np.cumsum(lengths).tolist()
        self._made = self._ready = 0
        self._made_at: deque[tuple[int, int, float]] = deque()
        self._grants: list[int] = []
        self._gone: list[int] = []
        self._asking = False

    def burst(self, beats: int) -> int:
        """Number of the burst that beat number ``beats``, from 1, is in."""
        return bisect_left(self._ends, beats)

    def room(self, beats: int) -> int | None:
        """When so many beats can have been taken, for want of room; None if that is not known yet. Of more beats at
        once than there is room for, only those that are here by now count."""
        ready = 0
        unknown = None if self._asking else 0
        if beats > DEPTH:
            burst = self.burst(beats - DEPTH)
            if burst >= len(self._gone):
                return unknown
            ready = self._gone[burst] + 1
        # A burst whose last beat is taken needs a place among those that wait to be asked for.
        burst = self.burst(beats) - (self._ends[self.burst(beats)] != beats) - _WAITING
        if burst >= 0:
            if burst >= len(self._grants):
                return unknown
            ready = max(ready, self._grants[burst] + 1)
        return ready

    def make(self, beats: int, at: int, pace: float = 1):
        """So many beats altogether have been taken, the last in cycle ``at``, those just before it every ``pace``
        cycles."""
        self._made_at.append((beats, at, pace))
        if not self._asking:
            self._go()

    def _go(self):
        number = len(self._grants)
        if number >= len(self._lengths):
            return
        end = self._ends[number]
        while self._made_at and self._made_at[0][0] < end:
            self._made_at.popleft()
        if self._made_at:
            self._asking = True
            beats, at, pace = self._made_at[0]
            self._ready = max(self._ready, at - int((beats - end) * pace) + 1)
            self._clock.at(self._ready, self._request)

    def _request(self):
        self._ports.write.ask(self._client, self._lengths[len(self._grants)], self._answered)

    def _answered(self, granted: int, last: int, answered: int):
        self._ready = granted + 1
        self._grants.append(granted)
        self._gone.append(last)
        self._asking = False
        if len(self._grants) == len(self._lengths):
            self._done(answered + self._end)
            return
        self._go()
        assert self._given is not None
        self._given()
