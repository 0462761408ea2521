"""Ways to spoil a program, or the memory that it runs in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from sat_hdl.control.isa import UNITS, Instruction, Op, encode
from sat_hdl.sim.fuzz.programs import SIZE, Case
from sat_hdl.sim.memory_config import MemoryConfig

__all__ = ["DAMAGES", "Damaged", "at_run", "damaged", "weather"]


@dataclass
class Damaged:
    """A spoilt program.

    Attributes
    ----------
    case: with the words and the image as they are now. address: where it is started.
    memory: as it behaves.
    confined: whether it writes nothing but what the good program writes; its RUNs are where they are then.
    same: whether it does what the good program does, if it ends well.
    limit: cycles.
    reset: cycles after which it is reset; None: it runs to its end.
    """

    case: Case
    address: int
    memory: MemoryConfig
    confined: bool = False
    same: bool = False
    limit: int = 8_000
    reset: int | None = None


def weather(rng: Random) -> MemoryConfig:
    """Memory as it may be."""
    latency = rng.choice([1, 5, 10, 30, (1, 20), (1, 60), (1, 150)])
    if rng.random() < 0.08:
        latency = rng.choice([(1, 500), (1, 500), 500])
    return MemoryConfig(
        size=SIZE, read_latency=latency, write_latency=latency if rng.random() < 0.5 else (1, 30),
        stall=rng.choice([0, 0, 0.1, 0.3, 0.3, 0.6]), outstanding=rng.choice([1, 2, 4, 16, 16, 16, 16, 16]),
        order=rng.choice(["fifo", "reorder", "interleave"]), bandwidth=rng.choice([None, None, None, 0.5]),
        ready_after_valid=rng.random() < 0.3, seed=rng.getrandbits(32),
    )  # fmt: skip


def _runs(case: Case) -> list[int]:
    return [i for i, word in enumerate(case.words) if word >> 28 & 15 == Op.RUN]


def _settings(case: Case, units: tuple[str, ...], *, writers: bool = True) -> list[int]:
    """Numbers of instructions that put a value into a register; without ``writers``: into none that says where the
    vector unit writes, or what."""
    found = []
    for i, word in enumerate(case.words):
        if word >> 28 & 15 not in (Op.SET, Op.ADD, Op.PARAM):
            continue
        name = next(name for name, unit in UNITS.items() if unit.number == word >> 24 & 15)
        register = UNITS[name].registers[word >> 16 & 255].name
        if name in units and (writers or name != "vector" or register[:2] in ("x_", "y_", "z_")):
            found.append(i)
    return found


def _bits(rng: Random, made: Damaged):
    words = made.case.words
    for _ in range(rng.randint(1, 3)):
        words[rng.randrange(len(words))] ^= 1 << rng.randrange(64)


def _swapped(rng: Random, made: Damaged):
    words = made.case.words
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(words))
        j = min(i + 1, len(words) - 1) if rng.random() < 0.5 else rng.randrange(len(words))
        words[i], words[j] = words[j], words[i]


def _dropped(rng: Random, made: Damaged):
    for _ in range(rng.randint(1, 3)):
        if len(made.case.words) > 1:
            del made.case.words[rng.randrange(len(made.case.words) - 1)]


def _doubled(rng: Random, made: Damaged):
    words = made.case.words
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(words) - 1) if len(words) > 1 else 0
        words.insert(i, words[i])


def _word(rng: Random, made: Damaged):
    """Any word, or one that looks like an instruction."""
    words = made.case.words
    word = rng.getrandbits(64)
    if rng.random() < 0.7:
        op, unit = rng.choice(list(Op)), rng.choice(list(UNITS.values()))
        register = rng.randrange(len(unit.registers) + 1)
        small = rng.choice([rng.randrange(9), rng.getrandbits(32), 0xFFFFFFFF])
        tokens = rng.getrandbits(16) & rng.getrandbits(16)
        word = small << 32 | op << 28 | unit.number << 24 | register << 16 | tokens
    words[rng.randrange(len(words))] = word


def _illegal(rng: Random, made: Damaged):
    made.case.words[rng.randrange(len(made.case.words))] = rng.choice([0, 8, 15]) << 28 | rng.getrandbits(28)
    made.confined = True


def _loops(rng: Random, made: Damaged):
    """A LOOP or an END too much or too few, or rounds without end."""
    words = made.case.words
    there = [i for i, word in enumerate(words) if word >> 28 & 15 in (Op.LOOP, Op.END)]
    if there and rng.random() < 0.5:
        i = rng.choice(there)
        words[i] = encode(
            Instruction(rng.choice([Op.LOOP, Op.END]), immediate=rng.choice([0, 1, 0xFFFFFFFF]))
        )
    else:
        for _ in range(rng.randint(1, 5)):
            count = rng.choice([0, 1, 2, 0xFFFFFFFF])
            words.insert(
                rng.randrange(len(words)),
                encode(Instruction(rng.choice([Op.LOOP, Op.LOOP, Op.END]), immediate=count)),
            )


def _semaphores(rng: Random, made: Damaged):
    for i in rng.choices(_runs(made.case), k=rng.randint(1, 3)):
        made.case.words[i] ^= 1 << rng.randrange(16)
    made.confined = True


def _register(rng: Random, made: Damaged):
    """A value that is none: too large, odd, 0."""
    confined = rng.random() < 0.6
    units = ("load", "compute", "vector") if confined else tuple(UNITS)
    places = _settings(made.case, units, writers=not confined)
    for i in rng.choices(places, k=rng.randint(1, 2)) if places else []:
        word = made.case.words[i]
        value = word >> 32
        value = rng.choice(
            [0, 1, 2, 0xFFFF, 0x10000, 0xFFFFFFFF, SIZE, SIZE - 64, value + 1, value + 4,
             value ^ 1 << rng.randrange(32), rng.getrandbits(16), rng.getrandbits(32)]
        )  # fmt: skip
        made.case.words[i] = (value & 0xFFFFFFFF) << 32 | Op.SET << 28 | word & 0x0FFFFFFF
    made.confined = confined and bool(places)


def _start(rng: Random, made: Damaged):
    """PROGRAM is odd, beyond memory, or anywhere."""
    kind = rng.randrange(3)
    if kind == 0:
        made.address += rng.randint(1, 7)
    elif kind == 1:
        made.address = rng.choice([SIZE, SIZE + 8, 0xFFFFFFF8, 1 << 31, rng.randrange(SIZE, 1 << 32, 8)])
    else:
        made.address = rng.randrange(0, SIZE, 8)
    made.confined = kind < 2


def _no_halt(rng: Random, made: Damaged):
    """Nothing follows but zeros; or the end of memory."""
    case = made.case
    del case.words[-1]
    if rng.random() < 0.5:
        del case.words[rng.randrange(len(case.words)) :]
    if rng.random() < 0.5:
        case.words += [0] * 4
    else:
        made.address = case.address = SIZE - 8 * len(case.words)
    made.confined = all(end <= case.address for _, end in case.outputs)


def _errors(rng: Random, made: Damaged):
    """Memory that answers with errors here and there."""
    where = made.case.outputs if made.case.outputs and rng.random() < 0.4 else [(0, SIZE - 64)]
    ranges = []
    for _ in range(rng.randint(1, 3)):
        start = rng.randint(*rng.choice(where))
        ranges.append((start & ~63, rng.choice([64, 64, 512, 4096])))
    kind = rng.choice(["slverr", "decerr"])
    made.memory = replace(made.memory, **{kind: tuple(ranges)})
    made.confined = made.same = True


def _slow(rng: Random, made: Damaged):
    """Memory that rests for long, and a limit that may be too short."""
    made.memory = replace(made.memory, stall=rng.choice([0.9, 0.97]), read_latency=(1, 2000))
    made.limit = rng.choice([2_000, 10_000])
    made.confined = made.same = True


def _limit(rng: Random, made: Damaged):
    made.limit = rng.randint(1, 2_000)
    made.confined = made.same = True


def _reset(rng: Random, made: Damaged):
    made.reset = rng.randrange(3_000)
    made.confined = True


DAMAGES: dict[str, Callable[[Random, Damaged], None]] = {
    "bits": _bits, "swapped": _swapped, "dropped": _dropped, "doubled": _doubled, "word": _word, "illegal": _illegal,
    "loops": _loops, "semaphores": _semaphores, "register": _register, "start": _start, "no halt": _no_halt,
    "errors": _errors, "slow": _slow, "limit": _limit, "reset": _reset,
}  # fmt: skip


def damaged(rng: Random, case: Case) -> tuple[str, Damaged]:
    """The name of a damage, and what it did."""
    made = Damaged(case, case.address, weather(rng))
    name = rng.choice(list(DAMAGES))
    before = 8 * len(case.words)
    DAMAGES[name](rng, made)
    case.image[case.address : case.address + before] = 0
    case.put()
    return name, made


def at_run(image: np.ndarray, address: int, unit: int) -> bool:
    """Whether there is a RUN of that unit."""
    if address % 8 or address + 8 > len(image):
        return False
    word = int(image[address : address + 8].view(np.uint64)[0])
    return word >> 28 & 15 == Op.RUN and word >> 24 & 15 == unit
