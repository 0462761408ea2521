"""Operations of the units → a program: what must wait for what, and registers that change."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sat_hdl.compiler.loops import Parameter, Run, instructions
from sat_hdl.control.isa import UNITS, Instruction, Op, RunFlag, encode
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor

__all__ = [
    "OVERFLOW", "SEMAPHORE", "Label", "Operation", "OrderError", "Parameter", "Program", "descriptor_registers",
]  # fmt: skip

#: What an operation reads that may raise the overflow flag, and one writes that depends on it.
OVERFLOW = "overflow flag"
#: The semaphore by which one unit tells another. Who waits for a load waits for a product or a store that came after.
SEMAPHORE = {
    pair: number
    for number, pair in enumerate(
        [
            ("load", "compute"), ("compute", "load"), ("compute", "store"), ("store", "compute"),
            ("store", "load"), ("store", "vector"), ("vector", "load"), ("vector", "store"),
        ]
    )
}  # fmt: skip
#: Whom to ask instead where there is no semaphore.
_PROXY = {("load", "store"): "compute", ("load", "vector"): "store", ("compute", "vector"): "store"}


class OrderError(ValueError):
    """Operations that no semaphore can order."""


@dataclass(frozen=True)
class Label:
    """What an operation is for: a layer by name, and a stage: FF (forward), BP (gradient of the input), WU (gradient
    of the parameters) or update."""

    layer: str
    stage: str


@dataclass(frozen=True)
class Operation:
    """A RUN.

    Arguments
    ---------
    unit, action, flags: of the instruction.
    registers: that matter to it.
    reads, writes: what it takes and what it changes, by any names: tensors, and halves of buffers.
    """

    unit: str
    action: str
    registers: Mapping[str, int | Parameter]
    reads: tuple[Hashable, ...] = ()
    writes: tuple[Hashable, ...] = ()
    flags: tuple[RunFlag, ...] = ()


def descriptor_registers(descriptor: Descriptor, prefix: str = "", *, writes: bool = False) -> dict[str, int]:
    """The registers of an affine reader (or writer) by name."""
    names = [r.name.removeprefix("x_") for r in UNITS["vector"].registers[:READ_WORDS]]
    words = descriptor.words()[: WRITE_WORDS if writes else READ_WORDS]
    # What a loop of one step strides and moves is of no effect: leaving it out saves instructions.
    registers = {f"{prefix}{name}": word for name, word in zip(names, words)}
    for i, loop in enumerate(descriptor.all_loops):
        if loop.count == 1:
            del registers[f"{prefix}stride{i}"]
            registers[f"{prefix}count{i}"] = 1
    return registers


@dataclass
class _Region:
    """Who wrote a region last, and who read it since: each unit's last operation."""

    written: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)


class Program:
    """Operations in an order in which they could run one after the other; the units run as far ahead of it as what
    they read and write lets them.

    Members
    -------
    operations: in that order. labels: what each is for.
    label: what those that are added from now on are for.
    """

    def __init__(self):
        self.operations: list[Operation] = []
        self.labels: list[Label] = []
        self.label = Label("", "")

    def add(self, operation: Operation):
        self.operations.append(operation)
        self.labels.append(self.label)

    def tokens(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each operation, the semaphores it waits for and those it signals.

        A unit works in order, so one that waits for an operation knows of all before it, and of all that
        those waited for; what is known is not waited for again.

        Raises
        ------
        OrderError: two units that have no semaphore, and the one between them has had nothing to do since: a vector
            command that overwrites what a load reads, say, without a store of what was made of it.
        """
        waits: list[list[int]] = [[] for _ in self.operations]
        signals: list[list[int]] = [[] for _ in self.operations]
        regions: dict[Hashable, _Region] = {}
        last: dict[str, int] = {}
        #: For each operation: of each unit the last operation that is over when this one is.
        known: list[dict[str, int]] = []
        for number, operation in enumerate(self.operations):
            unit = operation.unit
            knows = dict(known[last[unit]]) if unit in last else {}
            needs: dict[str, int] = {}
            for name in operation.reads:
                _latest(needs, regions.setdefault(name, _Region()).written)
            for name in operation.writes:
                region = regions.setdefault(name, _Region())
                _latest(needs, region.written)
                _latest(needs, region.read)
            for other, at in list(needs.items()):
                while other != unit and (other, unit) not in SEMAPHORE and at > knows.get(other, -1):
                    proxy = _PROXY[other, unit]
                    at = self._after(proxy, other, at, known)
                    other = proxy
                _latest(needs, {other: at})
            for other, at in sorted(needs.items(), key=lambda pair: -pair[1]):
                if at > knows.get(other, -1):
                    token = SEMAPHORE[other, unit]
                    signals[at].append(token)
                    waits[number].append(token)
                    _latest(knows, known[at])
            knows[unit] = number
            known.append(knows)
            last[unit] = number
            for name in operation.reads:
                regions[name].read[unit] = number
            for name in operation.writes:
                regions[name] = _Region({unit: number})
        return [(tuple(w), tuple(s)) for w, s in zip(waits, signals)]

    def _after(self, unit: str, other: str, at: int, known: list[dict[str, int]]) -> int:
        """The first operation of ``unit`` that is over only when operation ``at``, of the unit ``other``, is."""
        for i, knows in enumerate(known):
            if self.operations[i].unit == unit and knows.get(other, -1) >= at:
                return i
        raise OrderError(
            f"Operation {len(known)} must wait for operation {at}, a {other}, and can only do so by a {unit} that "
            "waits for it; there is none before it: add one, or choose another order."
        )

    def words(self) -> list[int]:
        """The program, HALT at its end."""
        runs = [
            Run(
                Instruction(
                    Op.RUN, operation.unit, action=operation.action, wait=tuple(sorted(wait)),
                    signal=tuple(sorted(signal)), flags=operation.flags,
                ),
                dict(operation.registers),
            )
            for operation, (wait, signal) in zip(self.operations, self.tokens())
        ]  # fmt: skip
        return [encode(instruction) for instruction in instructions(runs)]

    def image(self) -> np.ndarray:
        """The program as bytes."""
        return np.array(self.words(), np.uint64).view(np.uint8)


def _latest(into: dict[str, int], other: dict[str, int]):
    for unit, number in other.items():
        into[unit] = max(into.get(unit, -1), number)
