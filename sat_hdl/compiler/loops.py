"""Operations that repeat, as loops: so that a program's length is that of its pattern, not of its work."""

from collections.abc import Sequence
from dataclasses import dataclass

from sat_hdl.control.isa import Instruction, Op

__all__ = ["Parameter", "Repeat", "Run", "instructions"]

_WORD = 1 << 32
#: Operations of a loop's body, at most: of a product's block they are some 3 to 10, and two blocks take turns.
_LONGEST = 24
#: Rounds that make a loop worth its while.
_TIMES = 3


@dataclass(frozen=True)
class Parameter:
    """A register's value that the host sets before each run: its parameter ``number``."""

    number: int


Value = int | Parameter
Held = dict[tuple[str, str], Value]


@dataclass(frozen=True)
class Run:
    """A RUN, and the registers that matter to it."""

    instruction: Instruction
    registers: dict[str, Value]

    @property
    def key(self) -> tuple:
        """What must be equal for two to be one in a loop."""
        return self.instruction, tuple(self.registers)


@dataclass(frozen=True)
class Repeat:
    """``times`` repetitions of ``period`` runs; ``steps``: how far each register of each run moves from one to the
    next."""

    period: int
    times: int
    steps: list[dict[str, int]]


def _steps(now: Run, later: Run) -> dict[str, int] | None:
    """How far the registers move; None if one is a parameter that is not the same."""
    steps = {}
    for name, value in now.registers.items():
        other = later.registers[name]
        if isinstance(value, int) and isinstance(other, int):
            steps[name] = (other - value) % _WORD
        elif value == other:
            steps[name] = 0
        else:
            return None
    return steps


def _find(runs: Sequence[Run], keys: Sequence[int], start: int) -> Repeat | None:
    """The loop that saves most from run ``start`` on."""
    best = None
    for period in range(1, min(_LONGEST, (len(runs) - start) // _TIMES) + 1):
        if keys[start] != keys[start + period] or keys[start + period - 1] != keys[start + 2 * period - 1]:
            continue
        if keys[start : start + (_TIMES - 1) * period] != keys[start + period : start + _TIMES * period]:
            continue
        # Shorter loops that go round more often are tried first; what they cover, a longer one need not.
        if best is not None and period % best.period == 0:
            continue
        steps: list[dict[str, int]] = []
        for j in range(period):
            now, after, later = (runs[start + i * period + j] for i in range(_TIMES))
            step = _steps(now, after)
            if step is None or step != _steps(after, later):
                break
            steps.append(step)
        if len(steps) < period or not _possible(runs, start, steps):
            continue
        end = start + _TIMES * period
        while (
            end < len(runs)
            and keys[end] == keys[end - period]
            and _steps(runs[end - period], runs[end]) == steps[(end - start) % period]
        ):
            end += 1
        times = (end - start) // period
        if best is None or period * (times - 1) > best.period * (best.times - 1):
            best = Repeat(period, times, steps)
    return best


def _users(runs: Sequence[Run], start: int, period: int) -> dict[tuple[str, str], list[int]]:
    """Which runs of a body each register matters to, by unit and name."""
    users: dict[tuple[str, str], list[int]] = {}
    for j in range(period):
        run = runs[start + j]
        for name in run.registers:
            users.setdefault((str(run.instruction.unit), name), []).append(j)
    return users


def _possible(runs: Sequence[Run], start: int, steps: list[dict[str, int]]) -> bool:
    """A register moves by ADD, so what it held before must have moved as far; or it is SET."""
    for (_, name), users in _users(runs, start, len(steps)).items():
        moves = [steps[j][name] for j in users]
        if any(move and move != before for before, move in zip([moves[-1], *moves], moves)):
            return False
    return True


def _change(unit: str, name: str, value: Value, *, add: bool = False) -> Instruction:
    if isinstance(value, Parameter):
        return Instruction(Op.PARAM, unit, name, value.number)
    return Instruction(Op.ADD if add else Op.SET, unit, name, value % _WORD)


def _loop(runs: Sequence[Run], start: int, repeat: Repeat, held: Held) -> list[Instruction]:
    """The instructions of a loop. ``held``: what registers hold before, and then after it."""
    prologue: list[Instruction] = []
    changes: list[list[Instruction]] = [[] for _ in range(repeat.period)]
    for key, users in _users(runs, start, repeat.period).items():
        unit, name = key
        values = [runs[start + j].registers[name] for j in users]
        moves = [repeat.steps[j][name] for j in users]
        last = values[-1]
        # What the register holds when the body begins, in the first round: the last round's last value.
        before = last if isinstance(last, Parameter) else (last - moves[-1]) % _WORD
        first = True
        for j, value, move in zip(users, values, moves):
            if move and isinstance(value, int) and isinstance(before, int):
                if (value - before) % _WORD:
                    changes[j].append(_change(unit, name, value - before, add=True))
            elif value != before:
                changes[j].append(_change(unit, name, value))
            if first and (move or value == before) and held.get(key) != before:
                prologue.append(_change(unit, name, before))
            before, first = value, False
        held[key] = last if isinstance(last, Parameter) else (last + (repeat.times - 1) * moves[-1]) % _WORD
    body = [
        instruction
        for j in range(repeat.period)
        for instruction in (*changes[j], runs[start + j].instruction)
    ]
    return [*prologue, Instruction(Op.LOOP, immediate=repeat.times), *body, Instruction(Op.END)]


def instructions(runs: Sequence[Run]) -> list[Instruction]:
    """The instructions of ``runs``, HALT at the end: registers are set only where they change, and what repeats, its
    registers moving evenly, is a loop."""
    numbers: dict[tuple, int] = {}
    keys = [numbers.setdefault(run.key, len(numbers)) for run in runs]
    held: Held = {}
    found: list[Instruction] = []
    at = 0
    while at < len(runs):
        repeat = _find(runs, keys, at)
        if repeat is not None:
            found += _loop(runs, at, repeat, held)
            at += repeat.period * repeat.times
            continue
        run = runs[at]
        unit = str(run.instruction.unit)
        for name, value in run.registers.items():
            if held.get((unit, name)) != value:
                held[unit, name] = value
                found.append(_change(unit, name, value))
        found.append(run.instruction)
        at += 1
    return [*found, Instruction(Op.HALT)]
