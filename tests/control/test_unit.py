"""A unit's queue: what its registers hold when a run is taken, and what they cost to set."""

from random import Random

import pytest

from sat_hdl.control.isa import Op
from sat_hdl.control.unit import UnitQueue, entry_layout
from sat_hdl.sim.model import Model

#: Streams, how many in turn, registers.
QUEUES = {
    "lock-step": ((14, 12), 0, 45),
    "in turn": ((15, 12, 12, 12, 12, 12), 4, 100),
    "two in turn": ((14, 12, 12), 2, 40),
}


@pytest.fixture(scope="module", params=QUEUES)
def queue(request):
    streams, in_turn, registers = QUEUES[request.param]
    with Model(UnitQueue(registers=registers, streams=streams, in_turn=in_turn)) as model:
        yield model, streams, in_turn, registers


def entries(model: Model, items: list[tuple[Op, int, int]]) -> int:
    """Gives them, one a cycle if it can; → cycles until all are gone."""
    cycles, left = 0, list(items)
    while left or not model.get("idle"):
        model.set("entries__valid", bool(left))
        if left:
            op, register, value = left[0]
            raw = (
                entry_layout()
                .const({"op": op.value, "register": register, "immediate": value})
                .as_value()
                .value
            )
            model.set("entries__payload", raw)
            if model.get("entries__ready"):
                left.pop(0)
        model.step()
        cycles += 1
        assert cycles < 20 * len(items) + 100
    model.set("entries__valid", 0)
    return cycles


def copied(model: Model, streams: tuple[int, ...], in_turn: int) -> list[int]:
    """The words of all streams, as a unit copies them."""
    alike = len(streams) - in_turn
    words: list[list[int]] = [[] for _ in streams]
    model.set("copying", 1)
    for number in range(max(streams[:alike], default=0)):
        model.set("number", number)
        row = model.get("words")
        for i in range(alike):
            if number < streams[i]:
                words[i].append(row >> 32 * i & 0xFFFFFFFF)
        model.step()
    asked = [(which, number) for which in range(in_turn) for number in range(streams[alike + which])]
    for cycle in range(len(asked) + 2 if asked else 0):
        if cycle >= 2:
            words[alike + asked[cycle - 2][0]].append(model.get("word"))
        if cycle < len(asked):
            model.set("which", asked[cycle][0])
            model.set("number", asked[cycle][1])
        model.set("copying", cycle <= len(asked))
        model.step()
    model.set("copying", 0)
    return [word for stream in words for word in stream]


def test_registers_hold_what_was_set_and_added(queue):
    """Again after a run, during which they are set anew."""
    model, streams, in_turn, registers = queue
    rng = Random(f"{streams} {in_turn}")
    model.reset()
    held = [rng.getrandbits(32) for _ in range(registers)]
    entries(model, [(Op.SET, i, value) for i, value in enumerate(held)])
    for _ in range(4):
        items = []
        for _ in range(150):
            # One after another of the same register, often.
            register = items[-1][1] if items and rng.random() < 0.4 else rng.randrange(registers)
            op, value = rng.choice([Op.SET, Op.ADD, Op.ADD]), rng.getrandbits(32)
            items.append((op, register, value))
            held[register] = value if op is Op.SET else (held[register] + value) & 0xFFFFFFFF
        entries(model, items)
        plain = model.get("values")
        first = sum(streams)
        assert [plain >> 32 * i & 0xFFFFFFFF for i in range(registers - first)] == held[first:]
        assert copied(model, streams, in_turn) == held[:first]


def test_cycles_of_a_set_and_an_add(queue):
    model, streams, in_turn, registers = queue
    model.reset()
    alike = sum(streams[: len(streams) - in_turn])
    for register in {0, alike, sum(streams), registers - 1}:
        add = 3 if alike <= register < sum(streams) else 2
        for op, cycles in ((Op.SET, 1), (Op.ADD, add)):
            spent = [entries(model, [(op, register, 1)] * count) for count in (5, 25)]
            assert spent[1] - spent[0] == 20 * cycles
