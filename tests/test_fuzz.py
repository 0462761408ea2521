"""Random programs on the simulated device. ``scripts/fuzz_programs.py`` runs any number of them."""

from random import Random

import numpy as np
import pytest

from sat_hdl.sim.emulator import Emulator
from sat_hdl.sim.fuzz import runner
from sat_hdl.sim.fuzz.damage import DAMAGES, damaged
from sat_hdl.sim.fuzz.programs import SIZE, make
from sat_hdl.sim.fuzz.work import Nest


@pytest.mark.parametrize("block", [0, 1, 2])
def test_random_programs(block):
    """On three devices. They end as they must, and good ones leave the memory that the emulator leaves."""
    ended = runner.run_block(2, block, count=40)
    assert ended["good", "done"] == 20 and ended.total() == 40


def test_a_wrong_byte_is_found(monkeypatch):
    """And the message says where, and which program it was."""
    emulate = runner._Device.emulate

    def wrong(device, case):
        emulate(device, case)
        device.emulator.memory[0x4321] ^= 0x10

    monkeypatch.setattr(runner._Device, "emulate", wrong)
    with pytest.raises(
        runner.FuzzFailure, match=r"1 bytes differ, the first at 0x4321.*\n.*Program 1 of block 0"
    ):
        runner.run_block(3, 0, count=2)


def test_a_wrong_flag_is_found(monkeypatch):
    emulate = runner._Device.emulate

    def wrong(device, case):
        emulate(device, case)
        device.emulator.overflow ^= True

    monkeypatch.setattr(runner._Device, "emulate", wrong)
    with pytest.raises(runner.FuzzFailure, match="The overflow flag differs"):
        runner.run_block(3, 0, count=2)


@pytest.mark.parametrize("name", runner.CONFIGS)
def test_programs_are_good_and_manifold(name):
    """The emulator runs each without a complaint; every action and every way to order them comes up."""
    config = runner.CONFIGS[name]
    seen, lengths = set(), []
    for number in range(60):
        case = make(Random(f"manifold {name} {number}"), config)
        emulator = Emulator(config, SIZE)
        emulator.memory[:] = case.image
        emulator.run(case.address, [*case.parameters, *[0] * 16])
        changed = np.flatnonzero(emulator.memory != case.image)
        inside = np.zeros(SIZE, bool)
        for start, end in case.outputs:
            inside[start:end] = True
        assert inside[changed].all()
        seen |= {case.how, *(work.action for work in case.works)}
        lengths.append(len(case.works))
    actions = {action for unit in runner.UNITS.values() for action in unit.actions}
    assert seen == actions | {"compiler", "pairs", "chains"}
    assert max(lengths) > 12


def test_every_damage_comes_up_and_changes_something():
    config = runner.CONFIGS["2x2"]
    seen = set()
    for number in range(150):
        rng = Random(f"damage {number}")
        case = make(rng, config)
        before = case.words.copy()
        name, made = damaged(rng, case)
        seen.add(name)
        if name in ("illegal", "no halt", "semaphores"):
            assert case.words != before or made.address != case.address
    assert seen == set(DAMAGES)


def test_nests_unroll_in_order():
    """The last loop is the innermost."""
    rng = Random(1)
    arena_cases = (make(rng, runner.CONFIGS["2x2"]) for _ in range(5))
    work = next(work for case in arena_cases for work in case.works if work.streams)
    prefix = next(iter(work.streams))
    base = work.streams[prefix].base
    nest = Nest((2, 3), [work], [{prefix: (64, 8)}])
    bases = [w.streams[prefix].base - base for w in nest.unrolled()]
    assert bases == [0, 8, 16, 64, 72, 80]
