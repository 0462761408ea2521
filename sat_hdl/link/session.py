"""The host's end of the link: requests executed once each and in order, whatever the line does to frames."""

import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from sat_hdl.link.protocol import OVERHEAD, READS, Answer, Deframer, Op, Request, Result, Status, frame

__all__ = ["BusError", "DeviceWasReset", "LinkError", "LinkLost", "Port", "Session"]

#: Requests on the way, at most: few enough that sequences differ, and those of SYNC from all of them.
_WINDOW = 32
#: Bytes of answers on the way, at most: an operating system keeps that many for a serial port.
_ANSWERS = 4096
#: What a device's buffer has at least, before its identity is known.
_LEAST_BUFFER = 64
#: Of a recovery: how often SYNC is sent; seconds after which the first is taken to be lost, and the most.
_ATTEMPTS, _PAUSE, _MOST_PAUSE = 16, 0.2, 2.0


class LinkError(RuntimeError):
    """The device did not do what it was asked for. The text is for the user."""


class BusError(LinkError):
    """Memory or registers answered by an error."""


class DeviceWasReset(LinkError):
    """What was in the device is lost."""


class LinkLost(Exception):
    """A port that can't send or receive any more until it is opened again."""


class Port(Protocol):
    """A byte stream each way. What is sent and received stays in order."""

    def send(self, octets: bytes):
        """Raises LinkLost if it can't."""
        ...

    def receive(self, timeout: float) -> bytes:
        """What has come, at once; waits for the first byte up to ``timeout`` seconds; then b"". Raises LinkLost."""
        ...

    def reopen(self):
        """Opens it again, with nothing of what was on the way. Raises LinkError, with a sentence, if it can't."""
        ...

    def close(self):
        """Allowed twice."""
        ...


class Session:
    """Requests and their answers through ``port``; keeps as many on the way as the device's buffer allows.

    Members
    -------
    status: flags of the last answer. buffer: bytes of requests that the device holds, to be set once they are known.
    recoveries: how often something was lost.
    """

    def __init__(self, port: Port):
        self.status = Status(0)
        self.buffer = _LEAST_BUFFER
        self.recoveries = 0
        self._port = port
        self._deframer = Deframer()
        self._answers: Iterator[bytes | None] = iter(())
        self._next = 0
        self._used = False
        #: Seconds that a byte on the way takes to be answered, as seen.
        self._per_byte = 0.0

    def sync(self, attempts: int = _ATTEMPTS) -> Status:
        """Finds out what the device expects, without any effect on it; returns its flags."""
        self._recover(_Batch([]), attempts)
        return self.status

    def execute(self, requests: Sequence[Request]) -> list[bytes]:
        """Executes requests, each exactly once, and returns the data of each.

        A read may be executed again after later requests if its answer was lost: don't put writes behind reads.

        Raises
        ------
        BusError: one was answered by an error; those behind it may have been executed or not.
        DeviceWasReset: it was, since the last request. LinkError: the device does not answer.
        """
        batch = _Batch(requests)
        while batch.waiting or batch.flight:
            try:
                while batch.failed is None and batch.fits(self.buffer - 1):
                    octets = batch.send(self._next, time.monotonic())
                    self._next = (self._next + 1) % 256
                    self._port.send(octets)
                if not batch.flight:
                    break
                answer = self._receive(self._patience(batch.volume))
                if answer is None or not self._take(batch, answer):
                    self._recover(batch)
            except LinkLost:
                self._recover(batch)
        if batch.failed is not None:
            self._clear(batch, batch.failed)
        return batch.results

    def _clear(self, batch: "_Batch", failed: Result):
        """Ends a batch of which a request failed."""
        clear = Request(Op.CLEAR)
        if batch.requests != [clear]:
            self.execute([clear])
        where = ", ".join(dict.fromkeys(f"{r.op.name} at {r.address:#x}" for r in batch.suspects))
        raise BusError(f"The device answered with {failed.name}: {where}.")

    # --- receiving --------------------------------------------------------------------------------------

    def _patience(self, volume: int) -> float:
        return min(_PAUSE + 4 * self._per_byte * volume, _MOST_PAUSE)

    def _receive(self, timeout: float) -> Answer | None:
        """The next answer; None if it is damaged, or nothing came within ``timeout`` seconds."""
        while True:
            for body in self._answers:
                return None if body is None else Answer.parse(body)
            octets = self._port.receive(timeout)
            if not octets:
                return None
            self._answers = self._deframer.feed(octets)

    def _take(self, batch: "_Batch", answer: Answer) -> bool:
        """Whether ``answer`` is a request's of the batch, which it then ends, and those before it."""
        if answer.result in (Result.BAD_FRAME, Result.OUT_OF_SEQUENCE):
            return False
        sent = batch.find(answer)
        if sent is None:
            return False
        at, volume = sent
        sample = (time.monotonic() - at) / volume
        self._per_byte += (sample - self._per_byte) / (8 if self._per_byte > sample else 2)
        self.status, self._used = answer.status, True
        batch.end(answer)
        return True

    # --- recovering -------------------------------------------------------------------------------------

    def _recover(self, batch: "_Batch", attempts: int = _ATTEMPTS):
        """Finds out which requests on the way were executed; the others go back to those that wait."""
        self.recoveries += bool(batch.flight)
        volume = batch.volume
        for attempt in range(attempts):
            try:
                answer = self._asked(batch, self._patience(volume) * 2**attempt)
            except LinkLost:
                self._port.reopen()
                self._deframer, self._answers = Deframer(), iter(())
                continue
            if answer is None:
                continue
            self.status = answer.status
            if (self._used and Status.FRESH in answer.status) or not batch.settle(answer):
                self._next, self._used = answer.expected, False
                raise DeviceWasReset(
                    "The device was reset, or another program spoke to it: what was in its memory may be lost. "
                    "Begin again."
                )
            self._next = answer.expected
            self._used = Status.FRESH not in answer.status
            return
        raise LinkError("The device does not answer.")

    def _asked(self, batch: "_Batch", timeout: float) -> Answer | None:
        """The answer to a SYNC, or None if it is lost; answers to requests that come before it count."""
        nonce = random.getrandbits(32)
        sequence = (self._next + 128) % 256
        self._port.send(frame(Request(Op.SYNC, nonce).body(sequence)))
        deadline = time.monotonic() + 4 * min(timeout, _MOST_PAUSE) + 1
        while time.monotonic() < deadline:
            for body in self._answers:
                answer = None if body is None else Answer.parse(body)
                if answer is None:
                    continue
                if answer.sequence == sequence and answer.data == nonce.to_bytes(4, "little"):
                    return answer
                self._take(batch, answer)
            octets = self._port.receive(min(timeout, _MOST_PAUSE))
            if not octets:
                return None
            self._answers = self._deframer.feed(octets)
        return None


class _Batch:
    """Requests of which some wait and some are on the way.

    Members
    -------
    failed: what was answered in place of OK, or None. suspects: requests that it may have been.
    """

    def __init__(self, requests: Sequence[Request]):
        self.requests = list(requests)
        self.results = [b""] * len(self.requests)
        self.waiting = deque(range(len(self.requests)))
        #: (sequence, number of the request, when it was sent, bytes then on the way)
        self.flight: deque[tuple[int, int, float, int]] = deque()
        self.failed: Result | None = None
        self.suspects: list[Request] = []

    def _way(self) -> list[Request]:
        return [self.requests[number] for _, number, _, _ in self.flight]

    @property
    def volume(self) -> int:
        """Bytes on the way, there and back."""
        return 16 + sum(r.size + r.answer_size + 2 * OVERHEAD for r in self._way())

    def fits(self, buffer: int) -> bool:
        """Whether the next request that waits can be sent."""
        if not self.waiting or len(self.flight) == _WINDOW:
            return False
        new, way = self.requests[self.waiting[0]], self._way()
        there, back = sum(r.size for r in way) + new.size, sum(r.answer_size for r in way) + new.answer_size
        return not way or (there <= buffer and back <= _ANSWERS)

    def send(self, sequence: int, now: float) -> bytes:
        number = self.waiting.popleft()
        self.flight.append((sequence, number, now, 0))
        self.flight[-1] = (sequence, number, now, self.volume)
        return frame(self.requests[number].body(sequence))

    def find(self, answer: Answer) -> tuple[float, int] | None:
        """When the request was sent that ``answer`` belongs to, and the bytes on the way."""
        for sequence, number, at, volume in self.flight:
            if sequence == answer.sequence:
                request = self.requests[number]
                right = answer.result != Result.OK or len(answer.data) == request.answer_size - 3
                return (at, volume) if right and answer.expected == (sequence + 1) % 256 else None
        return None

    def end(self, answer: Answer):
        """``answer`` is a request's on the way: it is done, and so are those before it, but for reads."""
        before = []
        while True:
            sequence, number, _, _ = self.flight.popleft()
            if sequence == answer.sequence:
                break
            before.append(number)
        self._lost(before, answer.status)
        self.results[number] = answer.data
        if answer.result != Result.OK:
            self._fail(Result(answer.result), [self.requests[number]])

    def settle(self, answer: Answer) -> bool:
        """What is on the way was executed if it is before what ``answer`` expects, else is to be sent again. False if
        that can't be."""
        first = self.flight[0][0] if self.flight else answer.expected
        executed = (answer.expected - first) % 256
        if executed > len(self.flight):
            return False
        numbers = [number for _, number, _, _ in self.flight]
        self.flight.clear()
        self.waiting.extendleft(reversed(numbers[executed:]))
        self._lost(numbers[:executed], answer.status)
        return True

    def _lost(self, numbers: list[int], status: Status):
        """The answers to these were."""
        reads = [number for number in numbers if self.requests[number].op in READS]
        writes = [self.requests[number] for number in numbers if self.requests[number].op not in READS]
        self.waiting.extendleft(reversed(reads))
        if Status.FAILED in status and writes and self.failed is None:
            self._fail(Result.BUS_ERROR, writes)

    def _fail(self, result: Result, suspects: list[Request]):
        self.failed, self.suspects = result, suspects
        self.waiting.clear()
