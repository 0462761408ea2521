"""Programs as the front end obeys them."""

from itertools import islice

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.lower import compile_step
from sat_hdl.control.isa import LOOP_DEPTH, UNITS, Instruction, Op, decode, encode
from sat_hdl.control.walk import walk

from ..compiler.training import NETWORKS
from ..device import CONFIG

ACTIONS = [(unit, action) for unit in UNITS for action in UNITS[unit].actions]


def nested(rng: np.random.Generator, depth: int = 0) -> tuple[list[Instruction], list[Instruction]]:
    """A random program, and its RUNs as Python repeats them."""
    code, runs = [], []
    for _ in range(rng.integers(0, 5)):
        if depth < LOOP_DEPTH and rng.random() < 0.4:
            body, inner = nested(rng, depth + 1)
            times = int(rng.integers(1, 4))
            code += [Instruction(Op.LOOP, immediate=times), *body, Instruction(Op.END)]
            runs += inner * times
        elif rng.random() < 0.5:
            unit, action = ACTIONS[rng.integers(len(ACTIONS))]
            run = Instruction(Op.RUN, unit, action=action, wait=(int(rng.integers(8)),))
            code.append(run)
            runs.append(run)
        else:
            code.append(Instruction(Op.SET, "load", "take", int(rng.integers(100))))
    return code, runs


@pytest.mark.parametrize("seed", range(20))
def test_random_loops(seed):
    code, runs = nested(np.random.default_rng(seed))
    unreached = Instruction(Op.RUN, "vector", action="add")
    words = [encode(each) for each in (*code, Instruction(Op.HALT), unreached)]
    found = list(walk(words, 0x400))
    assert [instruction for _, instruction in found] == runs
    assert all(decode(words[(address - 0x400) // 8]) == instruction for address, instruction in found)


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_of_networks(name):
    """As many runs as the compiler has labels, in its order: an update's are the vector unit's, and the last."""
    step = compile_step(build(NETWORKS[name]), CONFIG, batch=3, method="bdwp")
    for program, labels in ((step.forward, step.forward_labels), (step.backward, step.backward_labels)):
        runs = [instruction for _, instruction in walk(program.view(np.uint64).tolist())]
        assert len(runs) == len(labels) > 0
        assert all(label.layer and label.stage in ("FF", "BP", "WU", "update") for label in labels)
        for run, label in zip(runs, labels):
            assert (label.stage == "update") == (run.action == "sgd")
            assert run.unit == "vector" or label.layer.startswith(("conv2d", "linear", "part"))


RUN = Instruction(Op.RUN, "load", action="results")
FAULTY = {
    "no instruction": [encode(RUN), 0, encode(RUN)],
    "the end": [encode(RUN)],
    "an END alone": [encode(each) for each in (RUN, Instruction(Op.END), RUN)],
    "no rounds": [encode(each) for each in (RUN, Instruction(Op.LOOP), RUN)],
    "too deep": [encode(RUN), *[encode(Instruction(Op.LOOP, immediate=2))] * (LOOP_DEPTH + 1), encode(RUN)],
}


@pytest.mark.parametrize("words", FAULTY.values(), ids=FAULTY)
def test_what_ends_a_bad_program(words):
    assert list(walk(words, 8)) == [(8, RUN)]


def test_a_program_without_end():
    words = [
        encode(each) for each in (Instruction(Op.LOOP, immediate=(1 << 32) - 1), RUN, Instruction(Op.END))
    ]
    assert list(islice(walk(words), 1000)) == [(8, RUN)] * 1000
