"""Random programs: works of all units, ordered by the compiler, by semaphores of each pair of units, or by chains
of tokens through loops."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from sat_hdl.compiler.program import OrderError, Parameter, Program
from sat_hdl.config import Config
from sat_hdl.control.csr import PARAMETERS
from sat_hdl.control.isa import SEMAPHORES, UNITS, Instruction, Op, encode
from sat_hdl.sim.fuzz.products import Products
from sat_hdl.sim.fuzz.vectors import Vectors, glance
from sat_hdl.sim.fuzz.work import Arena, Nest, NoRoom, Span, Work, contents

__all__ = ["SIZE", "Case", "make"]

#: Bytes of memory; programs lie before, tensors from TENSORS on.
SIZE, TENSORS = 1 << 16, 0x4000
Item = Work | Nest


@dataclass
class Case:
    """A program, where it lies, and what it works on.

    Attributes
    ----------
    words: the program, HALT at its end. address: of its first instruction.
    image: memory before it, uint8 (SIZE,), the program included.
    parameters: of the host. outputs: all that it may write.
    how: which way the units are held in order.
    """

    words: list[int]
    address: int
    image: np.ndarray
    parameters: list[int]
    works: list[Work]
    outputs: list[Span]
    how: str

    def put(self):
        """Puts ``words`` into the image, as far as they fit."""
        octets = np.array(self.words, np.uint64).view(np.uint8)[: SIZE - self.address]
        self.image[self.address : self.address + len(octets)] = octets


@dataclass
class _Writer:
    """Instructions: registers are set where they change, mostly."""

    rng: Random
    words: list[Instruction] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    held: dict[tuple[str, str], int] = field(default_factory=dict)

    def set(self, work: Work):
        rng, unit = self.rng, work.unit
        wanted = list(work.all_registers().items())
        if rng.random() < 0.2:
            rng.shuffle(wanted)
        for name, value in wanted:
            before = self.held.get((unit, name))
            if before == value and rng.random() < 0.95:
                continue
            self.held[unit, name] = value
            dice = rng.random()
            if before is not None and dice < 0.2:
                self.words.append(Instruction(Op.ADD, unit, name, (value - before) % (1 << 32)))
            elif dice < 0.25 and (value in self.parameters or len(self.parameters) < PARAMETERS):
                self.words.append(Instruction(Op.PARAM, unit, name, self.parameter(value)))
            else:
                self.words.append(Instruction(Op.SET, unit, name, value))
        others = [r.name for r in UNITS[unit].registers if r.name not in dict(wanted)]
        if others and rng.random() < 0.3:  # what must not matter
            name, value = rng.choice(others), rng.getrandbits(32)
            self.held[unit, name] = value
            self.words.append(Instruction(Op.SET, unit, name, value))

    def parameter(self, value: int) -> int:
        if value not in self.parameters:
            self.parameters.append(value)
        return self.parameters.index(value)

    def run(self, work: Work, wait: Sequence[int], signal: Sequence[int]):
        self.words.append(
            Instruction(
                Op.RUN, work.unit, action=work.action, wait=tuple(sorted(wait)), signal=tuple(sorted(signal)),
                flags=work.flags,
            )
        )  # fmt: skip

    def encoded(self) -> list[int]:
        return [encode(instruction) for instruction in [*self.words, Instruction(Op.HALT)]]


def _flat(items: Sequence[Item]) -> Iterator[Work]:
    for item in items:
        yield from item.unrolled() if isinstance(item, Nest) else [item]


def _by_compiler(rng: Random, works: list[Work], writer: _Writer) -> list[int]:
    program = Program()
    passed = rng.random() < 0.3
    for work in works:
        operation = work.operation()
        if passed and len(writer.parameters) < PARAMETERS - 1 and rng.random() < 0.3:
            name, value = rng.choice(list(operation.registers.items()))
            assert isinstance(value, int)
            registers = dict(operation.registers) | {name: Parameter(writer.parameter(value))}
            operation = type(operation)(
                operation.unit,
                operation.action,
                registers,
                operation.reads,
                operation.writes,
                operation.flags,
            )
        program.add(operation)
    return program.words()


def _by_pairs(rng: Random, works: list[Work], writer: _Writer) -> list[int]:
    """Each pair of units has a semaphore, and who needs anything of a unit waits for the last run that it needs.

    Raises NoRoom if there are more pairs than semaphores.
    """
    numbers = rng.sample(range(SEMAPHORES), SEMAPHORES)
    pairs: dict[tuple[str, str], int] = {}
    reached: dict[tuple[str, str], int] = {}
    waits: list[list[int]] = [[] for _ in works]
    signals: list[list[int]] = [[] for _ in works]
    operations = [work.operation() for work in works]
    for number, now in enumerate(operations):
        for at in reversed(range(number)):
            before, pair = operations[at], (operations[at].unit, now.unit)
            if before.unit == now.unit or at <= reached.get(pair, -1):
                continue
            changed = set(before.writes) & {*now.reads, *now.writes} or set(before.reads) & set(now.writes)
            if changed:
                if pair not in pairs and len(pairs) == SEMAPHORES:
                    raise NoRoom
                reached[pair] = at
                token = pairs.setdefault(pair, numbers[len(pairs) % SEMAPHORES])
                waits[number].append(token)
                signals[at].append(token)
    for work, wait, signal in zip(works, waits, signals):
        writer.set(work)
        writer.run(work, wait, signal)
    return writer.encoded()


def _by_chains(rng: Random, chains: list[list[Item]], arenas: list[Arena], writer: _Writer) -> list[int]:
    """Each run of a chain waits for tokens of the one before; chains, of different units, go side by side. Loops stay
    loops: a token goes round."""
    # A token goes to whichever unit asks first, so each unit waits for semaphores of its own.
    numbers = rng.sample(range(SEMAPHORES), SEMAPHORES)
    share = SEMAPHORES // len(UNITS)
    pools = {unit: numbers[i * share : (i + 1) * share] for i, unit in enumerate(UNITS)}

    def link(unit: str) -> list[int]:
        return rng.sample(pools[unit], rng.randint(1, share))

    links: list[list[int]] = [[] for _ in chains]
    left = [list(_with_ends(chain, arena)) for chain, arena in zip(chains, arenas)]
    while any(left):
        number = rng.choice([i for i, items in enumerate(left) if items])
        item = left[number].pop(0)
        wait = links[number]
        if isinstance(item, Work):
            links[number] = link(_first(left[number][0]).unit) if left[number] else []
            writer.set(item)
            writer.run(item, wait, links[number])
        else:
            _nest(writer, item, wait, link)
    return writer.encoded()


def _first(item: Item) -> Work:
    return item.body[0] if isinstance(item, Nest) else item


def _with_ends(chain: list[Item], arena: Arena) -> Iterator[Item]:
    """Before and after a nest a run of the unit that it begins with: it takes the token of the last round."""
    for before, item in zip([None, *chain], chain):
        if isinstance(item, Work):
            yield item
            continue
        if before is None:
            yield glance(arena, item.body[0].unit)
        yield item
        yield glance(arena, item.body[0].unit)


def _nest(writer: _Writer, nest: Nest, around: list[int], link: Callable[[str], list[int]]):
    """A loop's first run waits for what the last of the round before signals."""
    for work in nest.body:
        writer.set(work)
    writer.words += [Instruction(Op.LOOP, immediate=count) for count in nest.counts]
    tokens = [around, *(link(work.unit) for work in nest.body[1:]), around]
    for i, work in enumerate(nest.body):
        if writer.rng.random() < 0.3:
            name, value = writer.rng.choice(list(work.registers.items()))
            writer.words.append(Instruction(Op.SET, work.unit, name, value))
        writer.run(work, tokens[i], tokens[i + 1])
    inner = len(nest.counts) - 1
    for level in reversed(range(len(nest.counts))):
        for work, strides in zip(nest.body, nest.strides):
            for prefix, moves in strides.items():
                # The loop inside has moved it as well.
                step = moves[level] - (nest.counts[level + 1] * moves[level + 1] if level < inner else 0)
                key = work.unit, f"{prefix}base"
                if level == 0:
                    writer.held[key] = (writer.held[key] + nest.counts[0] * moves[0]) % (1 << 32)
                if step:
                    writer.words.append(Instruction(Op.ADD, *key, step % (1 << 32)))
        writer.words.append(Instruction(Op.END))


def _chain(rng: Random, arena: Arena, kinds: str, *, overflow: bool) -> list[Item]:
    makers = {"p": Products(arena, overflow=overflow), "v": Vectors(arena, overflow=overflow)}
    items: list[Item] = []
    wanted = rng.randint(1, 4)
    for _ in range(20):
        try:
            items += makers[rng.choice(kinds)].make()
        except NoRoom:
            continue
        wanted -= 1
        if wanted <= 0:
            break
    return items or [glance(arena, "vector" if "v" in kinds else "load")]


def make(rng: Random, config: Config) -> Case:
    """A program that the device must run as the emulator does."""
    image = contents(rng, config, SIZE)
    middle = rng.randrange(TENSORS + 0x4000, SIZE - 0x3000, 64)
    how = rng.choice(["compiler", "pairs", "chains"])
    bounds, kinds = [(TENSORS, SIZE)], [rng.choice(["p", "v", "pv", "pv"])]
    if rng.random() < 0.4:
        bounds, kinds = [(TENSORS, middle), (middle, SIZE)], ["p", "v"]
    arenas = [Arena(rng, config, image, *bound) for bound in bounds]
    # The overflow flag is one for all: of chains side by side one alone may use it.
    user = rng.choice([None, *range(len(kinds))])
    chains = [
        _chain(rng, arena, kind, overflow=number == user)
        for number, (arena, kind) in enumerate(zip(arenas, kinds))
    ]
    left, mixed = [list(chain) for chain in chains], []
    while any(left):
        mixed.append(rng.choice([items for items in left if items]).pop(0))
    works = list(_flat(mixed))
    words, writer = [], _Writer(rng)
    if how == "pairs":
        try:
            words = _by_pairs(rng, works, writer)
        except NoRoom:
            how, writer = "compiler", _Writer(rng)
    if how == "compiler":
        try:
            words = _by_compiler(rng, works, writer)
        except OrderError:
            return make(rng, config)
    elif how == "chains":
        words = _by_chains(rng, chains, arenas, writer)
    length = 8 * len(words)
    if length > TENSORS - 8:
        return make(rng, config)
    address = rng.randrange(0, TENSORS - length, 8)
    outputs = sorted({span for work in works for span in work.output()})
    return _merged(Case(words, address, image, writer.parameters, works, outputs, how))


def _merged(case: Case) -> Case:
    spans: list[Span] = []
    for start, end in case.outputs:
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    case.outputs = spans
    case.put()
    return case
