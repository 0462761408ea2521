"""The device on Wishbone: whole training steps, faults, and the rules of the bus."""

import functools
import random

import numpy as np
import pytest

from sat_hdl.control.csr import address_of
from sat_hdl.driver import Accelerator
from sat_hdl.layouts import ErrorCode
from sat_hdl.sim.memory import MemoryConfig, SimulationError, System
from sat_hdl.sim.transport import SimTransport
from sat_hdl.sim.verilog import emit

from .compiler.training import Training, compiled, settings
from .device import CONFIG, PROGRAM, SIZE, A, B, Y, fault, product, run, soft_reset
from .memory.wishbone_designs import WishboneSystem
from .test_driver import TINY


@functools.cache
def design() -> str:
    return emit(WishboneSystem(CONFIG), "top")


@functools.cache
def device() -> System:
    return System(design(), memory=MemoryConfig(size=SIZE))


@pytest.mark.parametrize("latency, stall", [(1, 0.0), ((1, 60), 0.4)])
def test_training(latency, stall):
    given = settings("bdwp", 2, 4, batch=2)
    step = compiled(TINY, CONFIG, given)
    memory = MemoryConfig(size=-(-step.size // 64) * 64, read_latency=latency, stall=stall, seed=3)
    accelerator = Accelerator(SimTransport(CONFIG, memory, design=design()), limit=5_000_000)
    steps = Training(TINY, accelerator, step, given, seed=2)
    steps.run()
    steps.run()


def test_errors_of_memory_end_the_program_and_a_good_one_runs_after_a_reset():
    system, chance = device(), random.Random(7)
    m, k, n = 3, 8, 4
    rng = np.random.default_rng(1)
    a = rng.integers(-4, 5, (m, k)).astype(np.float16)
    b = rng.integers(-4, 5, (k, n)).astype(np.float16)
    system.memory[A : A + 2 * m * k] = a.view(np.uint8).ravel()
    system.memory[B : B + 2 * k * n] = b.view(np.uint8).ravel()
    words = product(m, k, n).words
    for at, unit in ((A, "load"), (B, "load"), (Y, "store"), (PROGRAM, "front end")):
        answer = "slverr" if chance.random() < 0.5 else "decerr"
        system.configure(MemoryConfig(size=SIZE, **{answer: ((at, 64),)}))
        system.memory[Y : Y + 4 * m * n] = 0
        status = run(system, words)
        assert status & 4, f"{answer} at {at:#x} went unnoticed"
        code, _, _ = fault(system)
        assert code in (ErrorCode.READ_ERROR, ErrorCode.WRITE_ERROR, ErrorCode.FETCH_ERROR), unit
        system.configure(MemoryConfig(size=SIZE))
        soft_reset(system)
        assert not run(system, words) & 4
        found = system.memory[Y : Y + 4 * m * n].view(np.float32).reshape(m, n)
        assert np.array_equal(found, a.astype(np.float32) @ b.astype(np.float32))


def test_registers_read_back():
    system = device()
    for value in (0x100, 0xFFFFFFF8):
        system.csr_write(address_of("PROGRAM"), value)
        assert system.csr_read(address_of("PROGRAM")) == value


def test_a_broken_rule_is_found():
    """The checks of the bus can fail: a bridge that forgets to announce the end of a burst."""
    text = design()
    broken = text.replace("3'h7 : 3'h2", "3'h2 : 3'h2")
    assert broken != text
    with System(broken, memory=MemoryConfig(size=SIZE)) as system, pytest.raises(SimulationError):
        run(system, product(3, 8, 4).words)
