"""The device's end of the link in Python, by the protocol's page alone, and a line to it."""

import random

from sat_hdl.link.protocol import Answer, Deframer, Op, Result, Status, frame
from sat_hdl.link.session import LinkError, LinkLost
from sat_hdl.sim.damage import Damage

__all__ = ["LinePort", "ModelDevice"]


class ModelDevice:
    """Memory of ``size`` bytes and registers; register 0 counts how often it is written.

    Members
    -------
    executed: requests so far, SYNC left out.
    """

    def __init__(self, size: int = 4096, registers: int = 16, buffer: int = 1024):
        self.memory, self.registers = bytearray(size), [0] * registers
        self.buffer, self.executed, self.irq = buffer, 0, False
        self.restart()

    def restart(self):
        """A reset. Memory stays."""
        self.expected, self.synced, self.fresh, self.failed = 0, False, True, False
        self._deframer = Deframer()

    def feed(self, octets: bytes) -> bytes:
        """What it answers."""
        return b"".join(self._frame(body) for body in self._deframer.feed(octets))

    def _frame(self, body: bytes | None) -> bytes:
        if body is None:
            return self._answer(0, b"", Result.BAD_FRAME)
        assert len(body) < self.buffer, "more is on the way than the buffer holds"
        sequence, op, address = body[0], body[1], int.from_bytes(body[2:6], "little")
        if op == Op.SYNC:
            self.synced = True
            return self._answer(sequence, body[2:6], Result.OK)
        if sequence != self.expected or not self.synced:
            return self._answer(sequence, b"", Result.OUT_OF_SEQUENCE)
        self.expected, self.fresh = (self.expected + 1) % 256, False
        self.executed += 1
        data, result = self._execute(Op(op), address, body[6:])
        if result is not Result.OK:
            self.failed = True
        return self._answer(sequence, data, result)

    def _answer(self, sequence: int, data: bytes, result: Result) -> bytes:
        flags = Status.IRQ * self.irq | Status.FAILED * self.failed | Status.FRESH * self.fresh
        return frame(Answer(self.expected, sequence, data, result, Status(flags)).body())

    def _execute(self, op: Op, address: int, rest: bytes) -> tuple[bytes, Result]:
        count = int.from_bytes(rest, "little")
        match op:
            case Op.CLEAR:
                self.failed = False
            case Op.WRITE_MEMORY | Op.FILL_MEMORY:
                data = rest if op is Op.WRITE_MEMORY else bytes(count)
                if address + len(data) > len(self.memory):
                    return b"", Result.BUS_ERROR
                self.memory[address : address + len(data)] = data
            case Op.READ_MEMORY:
                found = bytes(self.memory[address : address + count])
                return found.ljust(count), Result.OK if len(found) == count else Result.BUS_ERROR
            case Op.WRITE_CSR:
                for at in range(0, len(rest), 4):
                    number = (address + at) // 4
                    value = int.from_bytes(rest[at : at + 4], "little")
                    self.registers[number] = self.registers[0] + 1 if number == 0 else value
            case Op.READ_CSR:
                words = self.registers[address // 4 : (address + count) // 4]
                return b"".join(word.to_bytes(4, "little") for word in words), Result.OK
        return b"", Result.OK


class LinePort:
    """A port to a :class:`ModelDevice` that damages frames, keeps bytes for a while, and may go away.

    Members
    -------
    reopened: how often it was.
    """

    def __init__(self, device: ModelDevice, *, rate: float, loss: float = 0.0, seed: int = 0):
        self.device, self.reopened = device, 0
        self._there, self._back = Damage(rate, f"{seed} there"), Damage(rate, f"{seed} back")
        self._loss, self._random = loss, random.Random(seed)
        self._line = bytearray()  # towards the device
        self._waiting = bytearray()  # for the host
        self.comes_back = True

    def _maybe_lost(self):
        if self._random.random() < self._loss:
            # Of what is on the way the device may get the beginning.
            self._move(self._random.randrange(len(self._line) + 1))
            self._line.clear()
            self._waiting.clear()
            raise LinkLost("pulled")

    def _move(self, count: int):
        octets, self._line = bytes(self._line[:count]), self._line[count:]
        self._waiting += self._back.feed(self.device.feed(octets))

    def send(self, octets: bytes):
        self._maybe_lost()
        self._line += self._there.feed(octets)

    def receive(self, timeout: float) -> bytes:
        self._maybe_lost()
        if not self._waiting:
            self._move(self._random.randrange(1, 64))
            while self._line and not self._waiting:
                self._move(64)
        size = self._random.randrange(1, 100)
        found, self._waiting = bytes(self._waiting[:size]), self._waiting[size:]
        return found

    def reopen(self):
        if not self.comes_back:
            raise LinkError("It did not come back.")
        self.reopened += 1
        self._line.clear()
        self._waiting.clear()

    def close(self):
        pass
