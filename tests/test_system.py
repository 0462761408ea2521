"""The device as a whole: programs from memory, and everything that can be wrong with them."""

import numpy as np
import pytest

from sat_hdl.control.csr import address_of
from sat_hdl.control.isa import UNITS, Op
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.sim.memory import MemoryConfig

from .device import (
    FAILED,
    GOOD,
    PROGRAM,
    SIZE,
    A,
    B,
    Code,
    K,
    M,
    N,
    Y,
    check_good,
    expect,
    fault,
    operands,
    product,
    read,
    run,
    soft_reset,
)


@pytest.mark.parametrize("latency", [1, (1, 60), 500])
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_product_under_any_weather(system, latency, stall):
    system.configure(
        MemoryConfig(size=SIZE, read_latency=latency, write_latency=latency, stall=stall, order="interleave")
    )
    check_good(system, seed=1)


def test_only_the_output_is_written(system):
    want = operands(system)
    before = system.memory.copy()
    code = product(M, K, N)
    image = np.array(code.words, np.uint64).view(np.uint8)
    before[PROGRAM : PROGRAM + len(image)] = image
    before[Y : Y + want.nbytes] = want.view(np.uint8).ravel()
    run(system, code.words)
    assert (system.memory == before).all()


def test_loops_and_add(system):
    """Nested loops copy 2 × 3 pieces by a vector command whose bases move."""
    rng = np.random.default_rng(2)
    system.memory[0x5000:0x5600] = rng.integers(0, 256, 0x600)
    pieces, size = 6, 64
    code = Code()
    code.descriptor("vector", Descriptor(base=0x5000, run=size), "x_")
    code.descriptor("vector", Descriptor(base=0x6000, run=size), "out0_")
    code.set("vector", flags=0b101, count=size // 4, run=0)
    code.add(Op.LOOP, immediate=2)
    code.add(Op.LOOP, immediate=3)
    code.add(Op.RUN, "vector", action="convert")
    code.add(Op.ADD, "vector", "x_base", size)
    code.add(Op.ADD, "vector", "out0_base", size)
    code.add(Op.END)
    code.add(Op.END)
    code.add(Op.HALT)
    words = system.memory[0x5000 : 0x5000 + pieces * size].view(np.float32)
    words[np.isnan(words)] = 0
    assert run(system, code.words) & 0b1111 == GOOD
    assert (system.memory[0x6000 : 0x6000 + pieces * size] == words.view(np.uint8)).all()
    assert (system.memory[0x6000 + pieces * size : 0x6400] == 0).all()


def test_parameters_reach_registers(system):
    """PARAM puts a host parameter into a register: here the base of a copy."""
    system.memory[0x5000:0x5020] = 7
    code = Code()
    code.descriptor("vector", Descriptor(base=0, run=32), "x_")
    code.descriptor("vector", Descriptor(base=0x6000, run=32), "out0_")
    code.add(Op.PARAM, "vector", "x_base", 3)
    code.set("vector", flags=0b101, count=8, run=0)
    code.add(Op.RUN, "vector", action="convert")
    code.add(Op.HALT)
    system.csr_write(address_of("PARAM3"), 0x5000)
    assert run(system, code.words) & 0b1111 == GOOD
    assert (system.memory[0x6000:0x6020] == 7).all()


# --- what is wrong, how it is told, and that a reset mends it -------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        0,
        0xF << 28,
        Op.SET << 28 | 9 << 24,  # no such unit
        Op.SET << 28 | 1 << 24 | 200 << 16,  # no such register
        99 << 32 | Op.RUN << 28 | 2 << 24,  # no such action
        16 << 32 | Op.PARAM << 28 | 1 << 24,  # no such parameter
    ],
)
def test_illegal_instructions(system, word):
    words = product(M, K, N).words
    words[20] = word
    expect(system, words, ErrorCode.ILLEGAL_INSTRUCTION, None, 20)


def test_a_loop_that_is_none(system):
    for build in (
        lambda code: code.add(Op.END),
        lambda code: code.add(Op.LOOP, immediate=0),
        lambda code: [code.add(Op.LOOP, immediate=2) for _ in range(5)],
    ):
        code = Code()
        build(code)
        code.add(Op.HALT)
        expect(system, code.words, ErrorCode.BAD_LOOP, None, len(code.words) - 2)


def test_a_program_without_end(system):
    code = Code()
    code.add(Op.LOOP, immediate=0xFFFFFFFF)
    code.add(Op.SET, "load", "take", 1)
    code.add(Op.END)
    expect(system, code.words, ErrorCode.TIMEOUT, None, None, limit=3000)


def test_running_off_the_end_of_memory(system):
    code = Code()
    code.set("load", take=1)
    at = SIZE - 8
    system.memory[at:] = np.array(code.words, np.uint64).view(np.uint8)
    assert run(system, code.words, at=at) & 0b1111 == FAILED
    assert ErrorCode(read(system, "FAULT") & 255) == ErrorCode.FETCH_ERROR
    assert read(system, "FAULT_ADDRESS") == SIZE
    soft_reset(system)
    check_good(system)


def test_deadlock(system):
    words = product(M, K, N).words
    # The load's signal goes elsewhere, so the product waits forever.
    number = next(i for i, w in enumerate(words) if w >> 28 & 15 == Op.RUN and w & 255)
    words[number] = words[number] & ~0xFF | 0x80
    expect(system, words, ErrorCode.DEADLOCK, None, None)


def test_too_many_signals(system):
    code = product(M, K, N)
    code.words.pop()
    code.add(Op.LOOP, immediate=300)
    code.set("vector", count=0, run=0, flags=0)
    code.descriptor("vector", Descriptor(base=A, run=8), "x_")
    code.set("vector", count=4)
    code.add(Op.RUN, "vector", action="check", signal=(5,))
    code.add(Op.END)
    code.add(Op.HALT)
    expect(system, code.words, ErrorCode.SEMAPHORE_OVERFLOW, None, None, cycles=300_000)


def changed(name: str, **registers: int) -> tuple[list[int], int]:
    """The product's program with registers of a unit set otherwise before its last RUN; and that RUN's number."""
    words = product(M, K, N).words
    last = max(
        i for i, w in enumerate(words) if w >> 28 & 15 == Op.RUN and w >> 24 & 15 == UNITS[name].number
    )
    code = Code()
    code.set(name, **registers)
    return words[:last] + code.words + words[last:], last + len(code.words)


@pytest.mark.parametrize(
    "unit, registers, code",
    [
        ("load", {"base": B + 2}, ErrorCode.MISALIGNED),
        ("load", {"stride4": 36}, ErrorCode.MISALIGNED),
        ("load", {"run": 0}, ErrorCode.MISALIGNED),
        ("load", {"count2": 0}, ErrorCode.MISALIGNED),
        ("load", {"base": SIZE}, ErrorCode.READ_ERROR),
        ("load", {"to": 1020}, ErrorCode.OUT_OF_RANGE),
        ("store", {"base": Y + 4}, ErrorCode.MISALIGNED),
        ("store", {"from_": 250}, ErrorCode.OUT_OF_RANGE),
        ("store", {"m": M - 1}, ErrorCode.BAD_SHAPE),
        ("store", {"m": M + 1}, ErrorCode.BAD_SHAPE),
        ("compute", {"m": 0}, ErrorCode.EMPTY_SHAPE),
        ("compute", {"sparsity": 0x1008}, ErrorCode.BAD_GROUP),
        ("compute", {"sparsity": 0x0800}, ErrorCode.BAD_KEEP),
        ("compute", {"sparsity": 0x080802}, ErrorCode.BAD_KEEP),  # folded, which this device can't
        ("compute", {"result": 250}, ErrorCode.OUT_OF_RANGE),
        ("compute", {"north": 1020}, ErrorCode.OUT_OF_RANGE),
        ("compute", {"west": 508}, ErrorCode.OUT_OF_RANGE),
    ],
)
def test_bad_descriptors(system, unit, registers, code):
    words, number = changed(unit, **registers)
    expect(system, words, code, unit, number)


def test_a_store_past_the_end_of_memory(system):
    words, number = changed("store", base=SIZE - 64)
    operands(system)
    assert run(system, words) & 0b1111 == FAILED
    assert fault(system) == (ErrorCode.WRITE_ERROR, UNITS["store"].number, number)
    soft_reset(system)
    check_good(system)


@pytest.mark.parametrize("kind", ["slverr", "decerr"])
def test_error_answers(system, kind):
    """Reads of B, then writes of Y, are answered by errors."""
    for where, unit, code in ((B, "load", ErrorCode.READ_ERROR), (Y, "store", ErrorCode.WRITE_ERROR)):
        system.configure(MemoryConfig(size=SIZE, **{kind: ((where + 64, 32),)}))
        operands(system)
        assert run(system, product(M, K, N).words) & 0b1111 == FAILED
        assert fault(system)[:2] == (code, UNITS[unit].number)
        system.configure(MemoryConfig(size=SIZE))
        soft_reset(system)
        check_good(system)


@pytest.mark.parametrize("after", [1, 40, 150, 260, 400, 700, 900])
def test_a_reset_at_any_time(system, after):
    """A soft reset waits for what is on its way to or from memory, and leaves nothing behind."""
    system.configure(MemoryConfig(size=SIZE, read_latency=(5, 80), write_latency=(5, 80), stall=0.2))
    operands(system)
    words = product(M, K, N).words
    system.memory[PROGRAM : PROGRAM + 8 * len(words)] = np.array(words, np.uint64).view(np.uint8)
    system.csr_write(address_of("PROGRAM"), PROGRAM)
    system.csr_write(address_of("CONTROL"), 1)
    system.step(after)
    soft_reset(system)
    system.check_idle()
    check_good(system, seed=4)


@pytest.mark.parametrize("by", range(1, 8))
def test_a_misaligned_program(system, by):
    words = product(M, K, N).words
    image = np.array(words, np.uint64).view(np.uint8)
    system.memory[PROGRAM : PROGRAM + len(image)] = image
    for name, value in (("PROGRAM", PROGRAM + by), ("CONTROL", 1)):
        system.csr_write(address_of(name), value)
    system.run_until_csr(address_of("STATUS"), FAILED, mask=7, limit=1_000)
    assert read(system, "FAULT") == ErrorCode.MISALIGNED.value
    assert read(system, "FAULT_ADDRESS") == PROGRAM + by
    soft_reset(system)
    check_good(system)


def test_counters(system):
    check_good(system)
    assert read(system, "ARRAY_BUSY_LOW") == 3 * K * 8  # three tiles of rows, eight slots each
    assert read(system, "WRITE_BEATS_LOW") == M * N * 4 // 8
    assert read(system, "COMPUTE_BUSY_LOW") < read(system, "CYCLES_LOW")
    assert read(system, "ID") == 0x31544153


def test_a_strided_store(system):
    """Rows that lie apart: what is between stays."""
    want = operands(system)
    words, _ = changed("store", stride4=128)
    system.memory[Y : Y + 0x800] = 0xEE
    assert run(system, words) & 0b1111 == GOOD
    rows = system.memory[Y : Y + 128 * M].reshape(M, 128)
    assert (rows[:, : 4 * N].copy().view(np.uint32) == want).all() and (rows[:, 4 * N :] == 0xEE).all()
