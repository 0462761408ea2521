"""The instruction set, once: encoder, decoder, disassembler, C header and documentation all come from here.

A program is a sequence of 64-bit words, fetched in order:

| bits | 63:32 | 31:28 | 27:24 | 23:16 | 15:8 | 7:0 |
|---|---|---|---|---|---|---|
| field | immediate | opcode | unit | register | wait | signal |

The front end obeys LOOP, END and HALT itself and queues everything else at the unit that it names. Units run
at the same
time, each through its own queue in order; what must wait for another unit says so with semaphores.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS

__all__ = [
    "LOOP_DEPTH", "SEMAPHORES", "UNITS", "Instruction", "IsaError", "Op", "Register", "RunFlag", "Unit", "decode",
    "disassemble", "encode",
]  # fmt: skip

#: Counting semaphores, 0 to 7, each from 0 to :data:`SEMAPHORE_MAX`.
SEMAPHORES = 8
SEMAPHORE_MAX = 255
#: Loops inside loops.
LOOP_DEPTH = 4


class IsaError(ValueError):
    """An instruction that can't be encoded or is none. The text is for the user."""


class Op(IntEnum):
    """What an instruction does. 0 is none, so that empty memory is refused."""

    #: Ends the program once every unit is idle.
    HALT = 1
    #: register ← immediate.
    SET = 2
    #: register ← register + immediate, modulo 2^32.
    ADD = 3
    #: register ← host parameter number `immediate` (CSRs PARAM0 …).
    PARAM = 4
    #: Takes 1 from each semaphore in `wait` once all are above 0, runs the unit, then adds 1 to each in `signal`.
    #: `register` holds :class:`RunFlag` bits, `immediate` what the unit is to do.
    RUN = 5
    #: Repeats what follows up to its END `immediate` times, at least once.
    LOOP = 6
    END = 7


class RunFlag(IntEnum):
    """Bits of RUN's register field."""

    #: Does nothing (but take and give semaphores) if the overflow flag is set.
    UNLESS_OVERFLOW = 1
    #: Clears the overflow flag before the run, and before the flag above is looked at.
    CLEAR_OVERFLOW = 2


@dataclass(frozen=True)
class Register:
    """A 32-bit register of a unit. ``doc`` says what it holds, with its bits."""

    name: str
    doc: str


def _reader(prefix: str = "") -> tuple[Register, ...]:
    """Of an affine reader: see ``sat_hdl.memory.descriptor``."""
    return (*_writer(prefix), Register(f"{prefix}origin", "y0 (15:0), x0 (31:16), both signed"),
            Register(f"{prefix}extent", "height (15:0), width (31:16); 0: nothing is padding"))  # fmt: skip


def _writer(prefix: str = "") -> tuple[Register, ...]:
    """Of an affine writer."""
    strides = (Register(f"{prefix}stride{i}", f"bytes from step to step of loop {i}") for i in range(5))
    counts = (
        Register(f"{prefix}count{i}", f"loop {i}: count (15:0), dy (23:16), dx (31:24)") for i in range(5)
    )
    return (Register(f"{prefix}base", "byte address of the first run"), *strides, *counts,
            Register(f"{prefix}run", "bytes of a run"))  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """A unit with its registers, in the order of their numbers, and what RUN's immediate may be.

    ``streams``: those registers that are words of affine streams come first; so many for each stream.
    """

    number: int
    doc: str
    registers: tuple[Register, ...]
    actions: dict[str, int]
    streams: tuple[int, ...] = ()

    @property
    def plain(self) -> tuple[Register, ...]:
        """Registers that are no stream's."""
        return self.registers[sum(self.streams) :]

    def index(self, register: str) -> int:
        for number, entry in enumerate(self.registers):
            if entry.name == register:
                return number
        raise IsaError(f"There is no register {register!r}; it must be one of "
                       f"{', '.join(entry.name for entry in self.registers)}.")  # fmt: skip


UNITS: dict[str, Unit] = {
    "load": Unit(
        1,
        "Memory → on-chip buffers.",
        (
            *_reader(),
            Register("take", "elements taken of each run"),
            Register("inner", "runs of a row: those of its last loops, one after another"),
            Register("to", "first word of the buffer"),
            Register("pitch", "words from tile to tile (west), from panel to panel (north)"),
        ),
        {
            "west_rows": 0,
            "west_columns": 1,
            "north_rows": 2,
            "north_values": 3,
            "north_indices": 4,
            "results": 5,
        },
        streams=(READ_WORDS,),
    ),
    "compute": Unit(
        2,
        "A product from the buffers into the result buffer.",
        (
            Register("m", "rows"),
            Register("k", "length of the sums, before pruning"),
            Register("n", "columns"),
            Register(
                "sparsity",
                "N (7:0), M (15:8); N = M is dense; 16: weight-stationary, with 2**(18:17) slots of columns; "
                "folded, 2**(20:19) rows of A in an element",
            ),
            Register("west", "first word of A in the west buffer"),
            Register("west_pitch", "words from tile to tile of R rows"),
            Register("north", "first word of B in the north buffer"),
            Register("north_pitch", "words from panel to panel"),
            Register("initial", "first word of the initial accumulators in the result buffer"),
            Register("result", "first word of the results in the result buffer"),
        ),
        {"from_zero": 0, "from_bias": 1, "from_results": 2},
    ),
    "store": Unit(
        3,
        "Result buffer → conversion → memory.",
        (
            *_writer(),
            Register("from", "first word in the result buffer"),
            Register("m", "rows"),
            Register("n", "columns, of one band"),
        ),
        {"rows": 0, "rows_relu": 1, "wide_rows": 2, "wide_columns": 3, "wide_columns_checked": 4},
        streams=(WRITE_WORDS,),
    ),
    "vector": Unit(
        4,
        "Memory → vector lanes → memory: WUVE, and the pruned copies of updated weights.",
        (
            *_reader("x_"),
            Register("x_fill", "what padding of x is made of, 16 bits over and over"),
            *_reader("y_"),
            *_reader("z_"),
            *_writer("out0_"),
            *_writer("out1_"),
            *_writer("ff_values_"),
            *_writer("ff_indices_"),
            *_writer("bp_values_"),
            *_writer("bp_indices_"),
            Register(
                "flags",
                "0: x, 1: y, 2: out0 is binary32; 3: ReLU; 4: scale, by scalar number (7:5); 8: Nesterov; "
                "9: an overflow raises the flag",
            ),
            Register("count", "elements"),
            Register("run", "elements of a run; 0: all in one"),
            Register("chunk", "elements of a chunk"),
            Register("window", "chunks of a window"),
            Register("want", "of SELECT_SUM: base (15:0), chunks of an inner loop (31:16)"),
            Register("want_step", "of SELECT_SUM: step of the inner (15:0) and the outer loop (31:16)"),
            Register(
                "copies",
                "of SGD: N (7:0), M (15:8); 16: W_FF is written, 17: and sparse; 18: W_BP is written, 19: and "
                "sparse; their streams have a run for each block of weights, of the bytes that it makes",
            ),
            *(
                Register(f"scalar{i}", f"binary32; SGD: {what}")
                for i, what in enumerate(
                    ("inv_scale", "weight decay", "momentum", "learning rate", "-", "-", "-", "-")
                )
            ),
        ),
        {"sgd": 1, "convert": 2, "add": 3, "mask": 4, "maxpool": 5, "sum": 6, "select_sum": 7, "check": 8},
        streams=(READ_WORDS + 1, READ_WORDS, READ_WORDS, *[WRITE_WORDS] * 6),
    ),
}


@dataclass(frozen=True)
class Instruction:
    """``unit`` and ``register`` by name. ``action``: of RUN. ``wait`` and ``signal``: semaphores, by number."""

    op: Op
    unit: str | None = None
    register: str | None = None
    immediate: int = 0
    action: str | None = None
    wait: tuple[int, ...] = ()
    signal: tuple[int, ...] = ()
    flags: tuple[RunFlag, ...] = ()


def _mask(numbers: Iterable[int]) -> int:
    mask = 0
    for number in numbers:
        if not 0 <= number < SEMAPHORES:
            raise IsaError(f"A semaphore must be from 0 to {SEMAPHORES - 1}, not {number!r}.")
        mask |= 1 << number
    return mask


def encode(instruction: Instruction) -> int:
    """The 64-bit word. Raises :class:`IsaError` on what can't be said."""
    op, unit, register, immediate = instruction.op, 0, 0, instruction.immediate
    if op in (Op.SET, Op.ADD, Op.PARAM, Op.RUN):
        if instruction.unit not in UNITS:
            raise IsaError(f"{op.name} needs a unit, one of {', '.join(UNITS)}, not {instruction.unit!r}.")
        target = UNITS[instruction.unit]
        unit = target.number
        if op is Op.RUN:
            if instruction.action not in target.actions:
                raise IsaError(
                    f"RUN {instruction.unit} must do one of {', '.join(target.actions)}, not {instruction.action!r}."
                )
            immediate, register = target.actions[instruction.action], sum(instruction.flags)
        else:
            register = target.index(instruction.register or "")
    if not -(1 << 31) <= immediate < 1 << 32:
        raise IsaError(f"An immediate must fit 32 bits, not {immediate!r}.")
    low = op << 28 | unit << 24 | register << 16 | _mask(instruction.wait) << 8 | _mask(instruction.signal)
    return (immediate & 0xFFFFFFFF) << 32 | low


def decode(word: int) -> Instruction:
    """The instruction that a 64-bit word holds. Raises :class:`IsaError` if it holds none."""
    immediate, code, number = word >> 32 & 0xFFFFFFFF, word >> 28 & 15, word >> 24 & 15
    register, wait, signal = word >> 16 & 255, word >> 8 & 255, word & 255
    if code not in list(Op):
        raise IsaError(f"{word:#018x} is no instruction: there is no opcode {code}.")
    op = Op(code)
    if op in (Op.HALT, Op.LOOP, Op.END):
        return Instruction(op, immediate=immediate)
    units = {unit.number: name for name, unit in UNITS.items()}
    if number not in units:
        raise IsaError(f"{word:#018x} is no instruction: there is no unit {number}.")
    name = units[number]
    unit = UNITS[name]
    if op is Op.RUN:
        actions = {value: action for action, value in unit.actions.items()}
        if immediate not in actions:
            raise IsaError(f"{word:#018x} is no instruction: unit {name} has no action {immediate}.")
        return Instruction(op, name, action=actions[immediate], wait=_numbers(wait), signal=_numbers(signal),
                           flags=tuple(flag for flag in RunFlag if register & flag))  # fmt: skip
    if register >= len(unit.registers):
        raise IsaError(f"{word:#018x} is no instruction: unit {name} has no register {register}.")
    return Instruction(op, name, unit.registers[register].name, immediate)


def _numbers(mask: int) -> tuple[int, ...]:
    return tuple(number for number in range(SEMAPHORES) if mask >> number & 1)


def disassemble(words: Iterable[int], start: int = 0) -> Iterator[str]:
    """A line an instruction, with its byte address from ``start``; words that are none say so."""
    depth = 0
    for number, word in enumerate(words):
        try:
            instruction = decode(word)
        except IsaError as error:
            text = f".word {word:#018x}  ; {error}"
        else:
            depth -= instruction.op is Op.END and depth > 0
            text = "  " * depth + _text(instruction)
            depth += instruction.op is Op.LOOP
        yield f"{start + 8 * number:08x}  {text}"


def _text(instruction: Instruction) -> str:
    op, name = instruction.op, instruction.op.name
    if op in (Op.HALT, Op.END):
        return name
    if op is Op.LOOP:
        return f"{name} {instruction.immediate}"
    if op is Op.RUN:
        parts = [f"{name} {instruction.unit}.{instruction.action}"]
        for word, numbers in (("wait", instruction.wait), ("signal", instruction.signal)):
            if numbers:
                parts.append(f"{word} {','.join(map(str, numbers))}")
        return "  ".join([*parts, *(flag.name.lower() for flag in instruction.flags)])
    return f"{name} {instruction.unit}.{instruction.register}, {instruction.immediate:#x}"
