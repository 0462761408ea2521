"""The host's side of the device: programs, tensors, counters, and what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sat_hdl.compiler.formats import Copy
from sat_hdl.compiler.lower import Step
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.vectors import scalar_parameters
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.csr import COUNTERS, address_of
from sat_hdl.control.isa import UNITS, disassemble
from sat_hdl.layouts import ErrorCode
from sat_hdl.sim.golden.prune import Pruned

__all__ = ["Accelerator", "Counters", "DeviceError", "Fault", "Transport"]

_START, _RESET, _CLEAR = 1, 2, 4
_BUSY, _DONE, _FAILED, _OVERFLOW = 1, 2, 4, 8


class Transport(Protocol):
    """What connects a host to a device: the simulator, or a board."""

    @property
    def config(self) -> Config:
        """What the device was built with."""
        ...

    @property
    def memory_size(self) -> int:
        """Bytes of its memory, from address 0."""
        ...

    def read(self, address: int, size: int) -> np.ndarray:
        """``size`` bytes of memory, uint8."""
        ...

    def write(self, address: int, octets: np.ndarray):
        """Writes bytes, uint8, into memory."""
        ...

    def csr_read(self, address: int) -> int: ...

    def csr_write(self, address: int, value: int): ...

    def csr_reads(self, addresses: Sequence[int]) -> list[int]:
        """Registers, read in this order."""
        return [self.csr_read(address) for address in addresses]

    def csr_writes(self, values: Sequence[tuple[int, int]]):
        """Writes registers, (address, value), in this order and once each."""
        for address, value in values:
            self.csr_write(address, value)

    def wait(self, limit: int):
        """Returns when the device interrupts. Raises TimeoutError if it has not within ``limit`` of its cycles."""
        ...

    def close(self):
        """Gives back what it holds, such as a port. Allowed twice."""


@dataclass(frozen=True)
class Counters:
    """Performance counters of a run by their names in :data:`~sat_hdl.control.csr.COUNTERS`, and whether the
    overflow flag is set."""

    values: dict[str, int]
    overflow: bool

    def __getitem__(self, name: str) -> int:
        return self.values[name]


@dataclass(frozen=True)
class Fault:
    """Why a program failed.

    Arguments
    ---------
    code: name of the :class:`~sat_hdl.layouts.ErrorCode`.
    unit: that found it, or "front end".
    address: of the instruction. instruction: what it says, or None if there is no memory at ``address``.
    """

    code: str
    unit: str
    address: int
    instruction: str | None

    def __str__(self) -> str:
        where = "where there is no memory" if self.instruction is None else self.instruction
        return f"The program failed with {self.code} in the {self.unit}, at {self.address:08x}: {where}"


class DeviceError(RuntimeError):
    """A program failed, or the device did not answer as it must. The text is for the user.

    Members
    -------
    fault, counters: of a program that failed, else None.
    """

    def __init__(self, text: str, *, fault: Fault | None = None, counters: Counters | None = None):
        super().__init__(text)
        self.fault, self.counters = fault, counters


class Accelerator:
    """A device behind a transport.

    Arguments
    ---------
    transport: see :class:`Transport`.
    limit: cycles after which a program is ended as failed.
    """

    def __init__(self, transport: Transport, *, limit: int = 1 << 31):
        self._transport, self._limit = transport, limit
        self._step: Step | None = None

    # --- memory -----------------------------------------------------------------------------------------

    def read_bytes(self, address: int, size: int) -> np.ndarray:
        """``size`` bytes of memory from ``address``, uint8."""
        return self._transport.read(address, size)

    def write_bytes(self, address: int, octets: np.ndarray):
        """Writes ``octets``, any array, to memory at ``address``."""
        self._transport.write(address, np.ascontiguousarray(octets).view(np.uint8).ravel())

    def load(self, step: Step, *, keep_parameters: bool = False):
        """Puts the programs of ``step`` into memory, all else to 0; then its tensors can be read and written by name.

        Arguments
        ---------
        keep_parameters: weights, momentum and copies stay as the last step's program left them. It must have been of
            the same network, of whatever batch.

        Raises
        ------
        ConfigError: the device has too little memory.
        """
        if step.size > self._transport.memory_size:
            raise ConfigError(
                f"This step needs {step.size:,} bytes of memory; the device has {self._transport.memory_size:,}. "
                "Take a smaller batch or model."
            )
        self._step = step
        start = step.parameters_end if keep_parameters else 0
        self.write_bytes(start, np.zeros(step.size - start, np.uint8))
        self.write_bytes(step.forward_address, step.forward)
        self.write_bytes(step.backward_address, step.backward)

    def _tensor(self, name: str) -> Tensor:
        tensors = {} if self._step is None else self._step.tensors
        if name not in tensors:
            raise ValueError(f"A tensor's name must be one of {', '.join(tensors)}, not {name!r}")
        return tensors[name]

    def write(self, name: str, x: np.ndarray | Pruned):
        """Writes the tensor called ``name`` of the step that is loaded, in its shape (see
        :mod:`~sat_hdl.compiler.formats`); a sparse copy, "L.ff" or "L.bp", by its values and indices at once."""
        tensor = self._tensor(name)
        if isinstance(tensor.form, Copy):
            values, indices = tensor.form.pack(x)
            self.write_bytes(tensor.place.address, values)
            if tensor.form.sparse:
                self.write_bytes(self._tensor(f"{name}_indices").place.address, indices)
        elif isinstance(x, Pruned):
            raise ValueError(f"Tensor {name!r} must be an array, not a pruned one")
        else:
            self.write_bytes(tensor.place.address, tensor.form.pack(x))

    def read(self, name: str) -> np.ndarray:
        """The tensor called ``name``; of a copy in full or the values of a sparse one, the operands' bits."""
        tensor = self._tensor(name)
        octets = self.read_bytes(tensor.place.address, tensor.size)
        if not isinstance(tensor.form, Copy):
            return tensor.form.unpack(octets)
        if tensor.part == "indices":
            return tensor.form.unpack_indices(octets)
        return tensor.form.unpack_values(octets)

    # --- programs ---------------------------------------------------------------------------------------

    def forward(self) -> Counters:
        """Runs the forward program of the step: from "input" to "logits"."""
        return self.run(self._loaded().forward_address)

    def backward(
        self,
        *,
        inv_scale: float,
        learning_rate: float,
        momentum: float,
        weight_decay: float = 0.0,
        bias_decay: float = 0.0,
    ) -> Counters:
        """Runs the backward program: from "logits_gradient" to new parameters, unless a gradient overflowed: then the
        counters say so, and the parameters stay."""
        scalars = scalar_parameters(
            inv_scale=inv_scale, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay,
            bias_decay=bias_decay,
        )  # fmt: skip
        return self.run(self._loaded().backward_address, scalars)

    def _loaded(self) -> Step:
        if self._step is None:
            raise ValueError("A step must be loaded before it is run")
        return self._step

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
        self._transport.csr_writes(
            [
                *((address_of(f"PARAM{i}"), value) for i, value in enumerate(parameters)),
                (address_of("PROGRAM"), program),
                (address_of("LIMIT"), min(self._limit, 0xFFFFFFFF)),
                (address_of("INTERRUPT"), 1),
                (address_of("CONTROL"), _CLEAR),
                (address_of("CONTROL"), _START),
            ]
        )
        try:
            self._transport.wait(self._limit + 100_000)
        except TimeoutError as error:
            raise DeviceError(f"The device did not end its program: {error}") from None
        status = self._read("STATUS")
        self._write("CONTROL", _CLEAR)
        halves = self._transport.csr_reads(
            [address_of(f"{name.upper()}_{half}") for name, _ in COUNTERS for half in ("LOW", "HIGH")]
        )
        pairs = zip(halves[::2], halves[1::2])
        values = {name: low | high << 32 for (name, _), (low, high) in zip(COUNTERS, pairs)}
        counters = Counters(values, bool(status & _OVERFLOW))
        if status & _FAILED or not status & _DONE:
            fault = self._fault()
            raise DeviceError(str(fault), fault=fault, counters=counters)
        return counters

    def _fault(self) -> Fault:
        fault, address = self._read("FAULT"), self._read("FAULT_ADDRESS")
        try:
            code = ErrorCode(fault & 255).name
        except ValueError:
            code = f"error {fault & 255}"
        numbers = {unit.number: name for name, unit in UNITS.items()}
        try:
            word = int(self.read_bytes(address, 8).view(np.uint64)[0])
            text = next(disassemble([word])).partition("  ")[2]
        except (ValueError, IndexError):
            text = None
        return Fault(code, numbers.get(fault >> 8, "front end"), address, text)

    def reset(self):
        """Ends whatever runs, and waits until the device is as new."""
        self._write("CONTROL", _RESET)
        for _ in range(10_000):
            if not self._read("STATUS") & (_BUSY | _DONE | _FAILED):
                return
        raise DeviceError("The device did not reset: its memory may have stopped answering.")
