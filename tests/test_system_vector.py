"""Vector commands of the device, good and wrong: the overflow flag, slow memory, updates and their copies."""

import numpy as np
import pytest

from sat_hdl.control.isa import Op, RunFlag
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import Descriptor, Loop
from sat_hdl.sim.memory import MemoryConfig

from .device import CONFIG, GOOD, SIZE, Code, Y, expect, run


def test_the_overflow_flag_skips_a_run(system):
    """CHECK raises the flag; a run that says `unless overflow` then does nothing, and another clears it."""
    for value, copied in ((1.0, True), (np.inf, False), (np.nan, False)):
        system.memory[0x5000:0x5040] = np.full(16, value, np.float32).view(np.uint8)
        system.memory[0x6000:0x6040] = 0
        code = Code()
        code.descriptor("vector", Descriptor(base=0x5000, run=64), "x_")
        code.descriptor("vector", Descriptor(base=0x6000, run=64), "out0_")
        code.set("vector", flags=0b101 | 1 << 9, count=16, run=0)
        code.add(Op.RUN, "vector", action="check", flags=(RunFlag.CLEAR_OVERFLOW,))
        code.set("vector", flags=0b101)
        code.add(Op.RUN, "vector", action="convert", flags=(RunFlag.UNLESS_OVERFLOW,))
        code.add(Op.HALT)
        status = run(system, code.words)
        assert status & 0b1111 == GOOD | (0 if copied else 0b1000)
        assert system.memory[0x6000:0x6040].any() == copied


def test_a_run_that_clears_the_flag_is_not_skipped_by_it(system):
    """Both flags on one run: the overflow flag is cleared first."""
    system.memory[0x5000:0x5040] = np.full(16, np.inf, np.float32).view(np.uint8)
    system.memory[0x6000:0x6040] = 0
    code = Code()
    code.descriptor("vector", Descriptor(base=0x5000, run=64), "x_")
    code.descriptor("vector", Descriptor(base=0x6000, run=64), "out0_")
    code.set("vector", flags=0b101 | 1 << 9, count=16, run=0)
    code.add(Op.RUN, "vector", action="check")
    code.set("vector", flags=0b101)
    code.add(Op.RUN, "vector", action="convert", flags=(RunFlag.UNLESS_OVERFLOW, RunFlag.CLEAR_OVERFLOW))
    code.add(Op.HALT)
    assert run(system, code.words) & 0b1111 == GOOD
    assert (system.memory[0x6000:0x6040] == system.memory[0x5000:0x5040]).all()


def test_a_vector_command_waits_for_memory_however_long(system):
    """Answers to many short writes, one after another, come long after the lanes are done: that is no bad shape."""
    system.configure(MemoryConfig(size=SIZE, write_latency=500, outstanding=1))
    system.memory[0x5000 : 0x5000 + 8 * 60] = 7
    code = Code()
    code.descriptor("vector", Descriptor(base=0x5000, run=8, loops=[Loop(count=60, stride=8)]), "x_")
    code.descriptor("vector", Descriptor(base=0x6000, run=8, loops=[Loop(count=60, stride=16)]), "out0_")
    code.set("vector", flags=0b101, count=120, run=2)
    code.add(Op.RUN, "vector", action="convert")
    code.add(Op.HALT)
    assert run(system, code.words) & 0b1111 == GOOD
    assert (system.memory[0x6000 : 0x6000 + 16 * 60].reshape(-1, 16)[:, :8] == 7).all()


def test_a_vector_command_with_too_few_elements_in_slow_memory(system):
    """Nothing more is to come from memory: it ends, though memory is slow."""
    system.configure(MemoryConfig(size=SIZE, read_latency=500, write_latency=500))
    code = Code()
    code.descriptor("vector", Descriptor(base=0x5000, run=64), "x_")
    code.descriptor("vector", Descriptor(base=0x6000, run=128), "out0_")
    code.set("vector", flags=0b101, count=32, run=0)
    number = code.add(Op.RUN, "vector", action="convert")
    code.add(Op.HALT)
    expect(system, code.words, ErrorCode.BAD_SHAPE, "vector", number)


@pytest.mark.parametrize("vectors", [0, 1, 2])
def test_an_update_of_more_than_its_blocks(system, vectors):
    """Vectors that belong to no block of weights reach no later command, however few they are."""
    edge, lanes = CONFIG.panel, CONFIG.vector_lanes
    count = edge * edge + vectors * lanes
    code = Code()
    for name, base in (("x", 0x5000), ("y", 0x5400), ("z", 0x5800), ("out0", Y), ("out1", Y + 0x400)):
        code.descriptor("vector", Descriptor(base=base, run=4 * count), f"{name}_")
    code.descriptor("vector", Descriptor(base=Y + 0x800, run=2 * edge * edge), "ff_values_")
    code.set("vector", flags=0, count=count, run=0, copies=1 << 16 | 0x808)
    number = code.add(Op.RUN, "vector", action="sgd")
    code.add(Op.HALT)
    if vectors:
        expect(system, code.words, ErrorCode.BAD_SHAPE, "vector", number)
    else:
        assert run(system, code.words) & 0b1111 == GOOD


COPIES = ("ff_values_", "ff_indices_", "bp_values_", "bp_indices_")


def update(copies: int, blocks: int = 3, **spoilt: Descriptor) -> tuple[Code, int]:
    """SGD of some blocks, with copies of 2:4 or dense ones. Everything is written from Y on; and its RUN's number."""
    code, edge = Code(), 8
    size = 4 * edge * edge * blocks
    streams = {f"{name}_": Descriptor(base=0x5000, run=size) for name in "xyz"}
    streams |= {f"out{i}_": Descriptor(base=Y + 0x400 * i, run=size) for i in (0, 1)}
    for i, name in enumerate(COPIES):
        run = edge * edge * 2 // (2 if copies >> (i | 1) & 1 else 1) // (4 if i % 2 else 1)
        loops = [Loop(count=blocks, stride=run)]
        streams[name] = Descriptor(base=Y + 0x800 + 0x200 * i, run=run, loops=loops)
    for name, descriptor in (streams | spoilt).items():
        code.descriptor("vector", descriptor, name)
    scalars = {f"scalar{i}": 0 for i in range(8)}
    code.set(
        "vector",
        flags=0,
        count=edge * edge * blocks,
        run=0,
        x_fill=0,
        copies=2 | 4 << 8 | copies << 16,
        **scalars,
    )
    number = code.add(Op.RUN, "vector", action="sgd")
    code.add(Op.HALT)
    return code, number


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_that_is_not_written_may_be_anything(system, name):
    used = 15 & ~(3 << (COPIES.index(name) & 2))
    code, _ = update(used, **{name: Descriptor(base=3, run=0)})
    assert run(system, code.words) & 0b1111 == GOOD


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("wrong", ["base", "empty", "more", "fewer"])
def test_a_copy_that_cannot_be(system, name, wrong):
    """A run for each block, no more and no fewer."""
    spoilt = {
        "base": Descriptor(base=Y + 0x802, run=16, loops=[Loop(count=3)]),
        "empty": Descriptor(base=Y + 0x800, run=16, loops=[Loop(count=0)]),
        "more": Descriptor(base=Y + 0x800, run=64 if "values" in name else 16, loops=[Loop(count=4)]),
        "fewer": Descriptor(base=Y + 0x800, run=64 if "values" in name else 16, loops=[Loop(count=2)]),
    }[wrong]
    code, number = update(15, **{name: spoilt})
    told = ErrorCode.MISALIGNED if wrong in ("base", "empty") else ErrorCode.BAD_SHAPE
    expect(system, code.words, told, "vector", number)


def test_an_update_that_has_read_everything_before_its_copies_words_came(system):
    """All operands are padding, so they are there at once: the streams' next words are the next command's."""
    size = 4 * 8 * 8
    padding = {f"{name}_": Descriptor(base=0x5000, run=size, x0=1, height=1, width=1) for name in "xyz"}
    code, _ = update(15, blocks=1, **padding)
    code.words.pop()  # its HALT
    system.memory[0x6000:0x6040] = 7
    code.descriptor("vector", Descriptor(base=0x6000, run=64), "x_")
    code.descriptor("vector", Descriptor(base=Y + 0x1000, run=64), "out0_")
    code.set("vector", flags=0b101, count=16, copies=0)
    code.add(Op.RUN, "vector", action="convert")
    code.add(Op.HALT)
    system.memory[Y : Y + 0x1040] = 9
    assert run(system, code.words) & 0b1111 == GOOD
    for start in (0, 0x400, 0x800):
        assert not system.memory[Y + start : Y + start + 16].any()
    assert (system.memory[Y + 0x1000 : Y + 0x1040] == 7).all()
