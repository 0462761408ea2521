"""Programs: who waits for whom, which registers are set, and what becomes a loop."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sat_hdl.compiler.loops import Run, instructions
from sat_hdl.compiler.program import Operation, OrderError, Parameter, Program
from sat_hdl.control.isa import SEMAPHORES, Instruction, Op, decode

UNITS = {"load": "west_rows", "compute": "from_zero", "store": "rows", "vector": "convert"}
REGISTERS = {"load": "base", "compute": "west", "store": "base", "vector": "x_base"}


def executed(found: list[Instruction]) -> list[tuple]:
    """What each RUN does: instruction, and the registers as they are then."""
    held, done, loops, at = {}, [], [], 0
    while found[at].op is not Op.HALT:
        now = found[at]
        at += 1
        if now.op is Op.SET:
            held[now.unit, now.register] = now.immediate
        elif now.op is Op.PARAM:
            held[now.unit, now.register] = Parameter(now.immediate)
        elif now.op is Op.ADD:
            held[now.unit, now.register] = (held[now.unit, now.register] + now.immediate) % (1 << 32)
        elif now.op is Op.LOOP:
            loops.append([at, now.immediate])
        elif now.op is Op.END:
            loops[-1][1] -= 1
            if loops[-1][1]:
                at = loops[-1][0]
            else:
                loops.pop()
        else:
            done.append((now, {name: value for (unit, name), value in held.items() if unit == now.unit}))
    return done


def run(unit: str, **registers) -> Run:
    return Run(Instruction(Op.RUN, unit, action=UNITS[unit]), registers)


@st.composite
def repeating(draw):
    """Runs of which parts repeat with registers that move, evenly or not."""
    runs = []
    for _ in range(draw(st.integers(1, 4))):
        body = draw(
            st.lists(
                st.tuples(
                    st.sampled_from(list(UNITS)),
                    st.integers(0, 3),
                    st.sampled_from([0, 0, 4, 8]),
                    st.booleans(),
                ),
                min_size=1,
                max_size=5,
            )
        )
        for i in range(draw(st.integers(1, 7))):
            for unit, start, step, also in body:
                registers = {REGISTERS[unit]: (start + i * step - 8) % (1 << 32)}
                if also:
                    registers["run" if unit != "compute" else "m"] = start
                runs.append(run(unit, **registers))
    return runs


@given(repeating())
def test_loops_do_what_the_runs_say(runs):
    done = executed(instructions(runs))
    assert [instruction for instruction, _ in done] == [r.instruction for r in runs]
    for (_, held), wanted in zip(done, runs):
        assert wanted.registers.items() <= held.items()


def test_what_repeats_evenly_is_short():
    runs = [
        r
        for i in range(100)
        for r in (run("load", base=64 * i, to=256 * (i % 2)), run("compute", west=256 * (i % 2), m=8))
    ]
    assert len(instructions(runs)) < 20


def test_a_register_that_does_not_move_evenly_is_no_loop():
    """Two loads that step differently share the register, which ADD can't move back and forth."""
    runs = [r for i in range(10) for r in (run("load", base=64 * i), run("load", base=4096 + 32 * i))]
    found = instructions(runs)
    assert all(instruction.op is not Op.LOOP for instruction in found)
    assert len(executed(found)) == 20


def operations(draw_list) -> Program:
    program = Program()
    for unit, reads, writes in draw_list:
        program.add(Operation(unit, UNITS[unit], {}, reads, writes))
    return program


#: What compilers emit: loads fill a buffer, products go from buffers to results, stores from results to memory.
PIPELINE = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)), max_size=25
)


@given(PIPELINE)
def test_whatever_order_the_tokens_allow_is_right(blocks):
    """Units that run as far ahead as their tokens let them, each in turn the most eager: every operation finds done
    whatever it depends on, and no token is left over."""
    chain = []
    for west, result, source, target in blocks:
        chain += [
            ("load", (f"tensor{source}",), (f"west{west}",)),
            ("compute", (f"west{west}",), (f"result{result}",)),
            ("store", (f"result{result}",), (f"tensor{target}",)),
        ]
        if source == target:
            chain.append(("vector", (f"tensor{source}",), (f"tensor{(target + 1) % 3}",)))
    program = operations(chain)
    tokens = program.tokens()
    before = [_dependencies(program.operations, i) for i in range(len(program.operations))]
    for eager in UNITS:
        order = sorted(UNITS, key=lambda unit: unit != eager)
        queues = {
            unit: [i for i, operation in enumerate(program.operations) if operation.unit == unit]
            for unit in UNITS
        }
        counts, over = [0] * SEMAPHORES, set()
        while any(queues.values()):
            for unit in order:
                if queues[unit] and all(counts[token] for token in tokens[queues[unit][0]][0]):
                    break
            else:
                pytest.fail("Every unit waits")
            number = queues[unit].pop(0)
            assert set(before[number]) <= over, number
            for token in tokens[number][0]:
                counts[token] -= 1
            for token in tokens[number][1]:
                counts[token] += 1
            over.add(number)
        assert not any(counts)


def _dependencies(every: list[Operation], number: int) -> list[int]:
    """Operations before that write what this one reads or writes, or read what it writes."""
    now = every[number]
    return [
        i
        for i, other in enumerate(every[:number])
        if set(other.writes) & {*now.reads, *now.writes} or set(other.reads) & set(now.writes)
    ]


def test_words_decode():
    program = Program()
    program.add(Operation("vector", "sgd", {"x_base": 64, "scalar0": Parameter(3), "copies": 1 << 16}))
    decoded = [decode(word) for word in program.words()]
    assert [i.op for i in decoded] == [Op.SET, Op.PARAM, Op.SET, Op.RUN, Op.HALT]
    assert decoded[1].immediate == 3


@pytest.mark.parametrize("store", [True, False])
def test_units_without_a_semaphore_need_one_between(store):
    """A vector command overwrites what a load reads: only a store of what was made of it can tell."""
    program = Program()
    program.add(Operation("load", UNITS["load"], {}, reads=("x",), writes=("west",)))
    program.add(Operation("compute", UNITS["compute"], {}, reads=("west",), writes=("results",)))
    if store:
        program.add(Operation("store", UNITS["store"], {}, reads=("results",), writes=("y",)))
    program.add(Operation("vector", UNITS["vector"], {}, writes=("x",)))
    if store:
        waits = [wait for wait, _ in program.tokens()]
        assert all(waits[1:]) and not waits[0]
    else:
        with pytest.raises(OrderError, match=r"Operation 2 must wait for operation 0, a load, .* by a store"):
            program.tokens()
