"""A unit's queue against a dictionary of registers: SET and ADD in any order, runs taken late, words copied."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from sat_hdl.control.isa import Op
from sat_hdl.control.unit import UnitQueue
from sat_hdl.memory.fifo import BlockFifo

#: Registers, streams, and how many of these in turn, of some units; "rows": plain ones in more than one row of 16.
UNITS = {
    "plain": (10, (), 0),
    "one": (18, (14,), 0),
    "many": (83, (15, 14, 12, 12, 12), 0),
    "rows": (60, (5, 16), 0),
    "in turn": (100, (15, 12, 12, 12, 12, 12), 4),
    "two in turn": (40, (14, 12, 12), 2),
    "all in turn": (31, (4, 9, 16), 3),
}


def program(registers: int, count: int, rng: np.random.Generator) -> list[tuple[Op, int, int]]:
    """SETs of all registers, then SETs, ADDs (of the same register, of another) and RUNs as they come."""
    found = [(Op.SET, int(number), int(rng.integers(1 << 32))) for number in rng.permutation(registers)]
    for _ in range(count):
        op = rng.choice([Op.SET, Op.ADD, Op.ADD, Op.RUN], p=[0.3, 0.3, 0.3, 0.1])
        number = found[-1][1] if rng.random() < 0.3 else int(rng.integers(registers))
        found.append((Op(op), number % registers, int(rng.integers(1 << 32))))
    return [*found, (Op.RUN, 0, 0)]


def run(queue: UnitQueue, words, streams, stall: float, seed: int, in_turn: int = 0):
    """→ of every run the plain registers and the words of the streams, as the unit saw them; cycles of the whole."""
    rng = np.random.default_rng(seed)
    runs = sum(op is Op.RUN for op, _, _ in words)
    seen, cycles = [], 0
    module = Module()
    module.submodules.dut = queue

    async def feed(ctx):
        for op, number, value in words:
            while rng.random() < stall:
                await ctx.tick()
            entry = queue.entries.payload
            ctx.set(entry.op, op.value)
            ctx.set(entry.register, 0 if op is Op.RUN else number)
            ctx.set(entry.immediate, value)
            ctx.set(queue.entries.valid, 1)
            await ctx.tick().until(queue.entries.ready)
            ctx.set(queue.entries.valid, 0)

    async def unit(ctx):
        nonlocal cycles
        while len(seen) < runs:
            while not ctx.get(queue.run.valid) or rng.random() < stall:
                cycles += 1
                await ctx.tick()
            ctx.set(queue.run.ready, 1)
            plain = [ctx.get(value) for value in queue.values]
            await ctx.tick()
            ctx.set(queue.run.ready, 0)
            copied = [[] for _ in streams]
            ctx.set(queue.copying, 1)
            alike = streams[: len(streams) - in_turn]
            for number in range(max(alike, default=0)):
                ctx.set(queue.number, number)
                for i, length in enumerate(alike):
                    if number < length:
                        copied[i].append(ctx.get(queue.words[i]))
                await ctx.tick()
            turns = [(i, number) for i in range(len(alike), len(streams)) for number in range(streams[i])]
            for asked, answered in zip([*turns, None, None], [None, None, *turns]):
                if asked and turns:
                    ctx.set(queue.which, asked[0] - len(alike))
                    ctx.set(queue.number, asked[1])
                if answered:
                    copied[answered[0]].append(ctx.get(queue.word))
                if turns:
                    await ctx.tick()
            ctx.set(queue.copying, 0)
            ctx.set(queue.number, 0)
            seen.append((copied, plain))
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(queue.done, 1)
            await ctx.tick()
            ctx.set(queue.done, 0)

    simulator = Simulator(module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed, background=True)
    simulator.add_testbench(unit)
    simulator.run_until(1e-6 * 100 * (len(words) + 100))
    return seen, cycles


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("stall", [0, 0.7])
def test_a_run_sees_what_was_set_and_added_before_it(name, stall):
    registers, streams, in_turn = UNITS[name]
    words = program(registers, 400, np.random.default_rng(3))
    queue = UnitQueue(registers=registers, streams=streams, in_turn=in_turn, depth=16)
    seen, _ = run(queue, words, streams, stall, 4, in_turn)
    held, want = [0] * registers, []
    for op, number, value in words:
        if op is Op.RUN:
            starts = np.cumsum([0, *streams])
            copied = [held[start : start + length] for start, length in zip(starts, streams)]
            want.append((copied, held[sum(streams) :]))
        else:
            held[number] = value if op is Op.SET else (held[number] + value) % (1 << 32)
    assert len(want) > 20
    assert seen == want


@pytest.mark.parametrize("op, each", [(Op.SET, 1), (Op.ADD, UnitQueue.adding)])
def test_the_pace_of_instructions(op, each):
    """From the last entry of the first to the last entry of as many more: SETs a cycle each, ADDs three."""
    found = []
    for count in (10, 30):
        queue = UnitQueue(registers=18, streams=(14,), depth=64)
        words = [*[(op, i % 18, 5) for i in range(count)], (Op.RUN, 0, 0)]
        found.append(run(queue, words, (14,), 0, seed=0)[1])
    assert found[1] - found[0] == 20 * each
    assert found[0] >= 10 * each + BlockFifo.latency


@pytest.mark.parametrize("in_turn", [-1, 1, 3, 5])
def test_illegal_turns_are_refused(in_turn):
    with pytest.raises(ValueError) as raised:
        UnitQueue(registers=40, streams=(14, 12), in_turn=in_turn)
    assert str(raised.value) == f"in_turn must be 0 or from 2 to 2, not {in_turn!r}"
