"""The host's side of the device: programs, tensors, counters, and what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sat_hdl.control.csr import COUNTERS, address_of
from sat_hdl.control.isa import UNITS, disassemble
from sat_hdl.layouts import ErrorCode

__all__ = ["Accelerator", "Counters", "DeviceError", "Transport"]

_START, _RESET, _CLEAR = 1, 2, 4
_BUSY, _DONE, _FAILED, _OVERFLOW = 1, 2, 4, 8


class DeviceError(RuntimeError):
    """A program failed, or the device did not answer as it must. The text is for the user."""


class Transport(Protocol):
    """What connects a host to a device: the simulator, or a board."""

    def read(self, address: int, size: int) -> np.ndarray:
        """``size`` bytes of memory, uint8."""
        ...

    def write(self, address: int, octets: np.ndarray):
        """Writes bytes, uint8, into memory."""
        ...

    def csr_read(self, address: int) -> int: ...

    def csr_write(self, address: int, value: int): ...

    def wait(self, limit: int):
        """Returns when the device interrupts. Raises TimeoutError if it has not within ``limit`` of its cycles."""
        ...


@dataclass(frozen=True)
class Counters:
    """Performance counters of a run by their names in :data:`~sat_hdl.control.csr.COUNTERS`, and whether the
    overflow flag is set."""

    values: dict[str, int]
    overflow: bool

    def __getitem__(self, name: str) -> int:
        return self.values[name]


class Accelerator:
    """A device behind a transport.

    Arguments
    ---------
    transport: see :class:`Transport`.
    limit: cycles after which a program is ended as failed.
    """

    def __init__(self, transport: Transport, *, limit: int = 1 << 31):
        self._transport, self._limit = transport, limit

    def read(self, address: int, size: int) -> np.ndarray:
        """``size`` bytes of memory from ``address``, uint8."""
        return self._transport.read(address, size)

    def write(self, address: int, octets: np.ndarray):
        """Writes ``octets``, any array, to memory at ``address``."""
        self._transport.write(address, np.ascontiguousarray(octets).view(np.uint8).ravel())

    def _read(self, name: str) -> int:
        return self._transport.csr_read(address_of(name))

    def _write(self, name: str, value: int):
        self._transport.csr_write(address_of(name), value)

    def run(self, program: int, parameters: Sequence[int] = ()) -> Counters:
        """Runs the program at address ``program`` to its end.

        Arguments
        ---------
        parameters: 32-bit host parameters, from number 0.

        Raises
        ------
        DeviceError: the program failed; the text says why and at which instruction. :meth:`reset` before the next.
        """
        for i, value in enumerate(parameters):
            self._write(f"PARAM{i}", value)
        self._write("PROGRAM", program)
        self._write("LIMIT", min(self._limit, 0xFFFFFFFF))
        self._write("CONTROL", _CLEAR)
        self._write("INTERRUPT", 1)
        self._write("CONTROL", _START)
        try:
            self._transport.wait(self._limit + 100_000)
        except TimeoutError as error:
            raise DeviceError(f"The device did not end its program: {error}") from None
        status = self._read("STATUS")
        self._write("CONTROL", _CLEAR)
        if status & _FAILED or not status & _DONE:
            raise DeviceError(self._fault())
        names = [name for name, _ in COUNTERS]
        values = {
            name: self._read(f"{name.upper()}_LOW") | self._read(f"{name.upper()}_HIGH") << 32
            for name in names
        }
        return Counters(values, bool(status & _OVERFLOW))

    def _fault(self) -> str:
        fault, address = self._read("FAULT"), self._read("FAULT_ADDRESS")
        try:
            code = ErrorCode(fault & 255).name
        except ValueError:
            code = f"error {fault & 255}"
        numbers = {unit.number: name for name, unit in UNITS.items()}
        unit = numbers.get(fault >> 8, "front end")
        try:
            word = int(self.read(address, 8).view(np.uint64)[0])
            text = next(disassemble([word], address))
        except (ValueError, IndexError):
            text = f"{address:08x}, where there is no memory"
        return f"The program failed with {code} in the {unit}, at {text}"

    def reset(self):
        """Ends whatever runs, and waits until the device is as new."""
        self._write("CONTROL", _RESET)
        for _ in range(10_000):
            if not self._read("STATUS") & (_BUSY | _DONE | _FAILED):
                return
        raise DeviceError("The device did not reset: its memory may have stopped answering.")
