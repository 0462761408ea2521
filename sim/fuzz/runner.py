"""Runs random programs on the simulated device: good ones beside the emulator, damaged ones in between."""

from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random

import numpy as np

from sat_hdl.config import Config
from sat_hdl.control.csr import address_of
from sat_hdl.control.isa import UNITS, disassemble
from sat_hdl.layouts import ErrorCode
from sat_hdl.sim.emulator import Emulator
from sat_hdl.sim.fuzz.damage import Damaged, at_run, damaged, weather
from sat_hdl.sim.fuzz.programs import SIZE, Case, make
from sat_hdl.sim.memory import System
from sat_hdl.sim.memory_config import MemoryConfig
from sat_hdl.sim.run import SimulationError
from sat_hdl.sim.verilog import emit
from sat_hdl.system import SatTop

__all__ = ["BLOCK", "CONFIGS", "TURNS", "FuzzFailure", "run_block", "slack"]

#: Devices that programs run on, in turns.
CONFIGS = {
    "2x2": Config(rows=2, cols=2, west_depth=512, north_depth=1024, result_depth=256),
    "2x8": Config(
        rows=2, cols=8, memory_bits=32, max_m=4, vector_lanes=2, west_depth=64, north_depth=128, result_depth=128
    ),
    "4x4": Config(
        rows=4, cols=4, memory_bits=128, max_m=16, operand_format="bf16", vector_lanes=8, west_depth=128,
        north_depth=256, result_depth=256,
    ),
    "2x4": Config(
        rows=2, cols=4, memory_bits=64, fold=2, west_lanes=2, west_depth=128, north_depth=256, result_depth=128
    ),
    "4x2": Config(
        rows=4, cols=2, memory_bits=32, weight_stationary=False, ring=True, group_ram="block", west_depth=128,
        north_depth=256, result_depth=128
    ),
    "2x16": Config(
        rows=2, cols=16, memory_bits=512, max_m=16, vector_lanes=16, west_depth=64, north_depth=128, result_depth=128
    ),
}  # fmt: skip
#: Which of them each block takes, in turns.
TURNS = ("2x2", "2x8", "2x4", "4x2", "2x2", "2x8", "4x4", "2x16")
#: Programs of a block, half of them damaged: a block begins with a device just made.
BLOCK = 50
#: Cycles after which a good program hangs.
_ENOUGH = 3_000_000
_DONE, _FAILED, _OVERFLOW = 2, 4, 8
_FRONT_END = {
    ErrorCode.ILLEGAL_INSTRUCTION, ErrorCode.BAD_LOOP, ErrorCode.DEADLOCK, ErrorCode.TIMEOUT,
    ErrorCode.SEMAPHORE_OVERFLOW, ErrorCode.FETCH_ERROR, ErrorCode.MISALIGNED,
}  # fmt: skip
_READS = {ErrorCode.MISALIGNED, ErrorCode.READ_ERROR}
_WRITES = {ErrorCode.MISALIGNED, ErrorCode.WRITE_ERROR, ErrorCode.BAD_SHAPE}
#: Codes that each unit may fail with.
_CODES = {
    0: _FRONT_END,
    UNITS["load"].number: _READS | {ErrorCode.OUT_OF_RANGE},
    UNITS["compute"].number: {
        ErrorCode.EMPTY_SHAPE, ErrorCode.BAD_GROUP, ErrorCode.BAD_KEEP, ErrorCode.OUT_OF_RANGE
    },
    UNITS["store"].number: _WRITES | {ErrorCode.OUT_OF_RANGE},
    UNITS["vector"].number: _READS | _WRITES | {ErrorCode.BAD_KEEP},
}  # fmt: skip


class FuzzFailure(AssertionError):
    """The device did what it must not."""


def slack(memory: MemoryConfig) -> int:
    """Cycles that a program may take beyond its limit to end, and a reset to be over: what was asked of memory is
    waited for, at most 48 bursts of 16 beats each way, of which memory serves as many at once as it accepts."""
    latency = max(most for _, most in memory.latencies)
    rounds = -(-48 // memory.outstanding)
    per_beat = 1 / (1 - max(memory.stalls)) / min(memory.bandwidth or 2, 1)
    return int(500 + rounds * latency + 2 * 48 * 16 * per_beat)


@cache
def _design(name: str, broken: tuple[tuple[str, str], ...] = ()) -> str:
    text = emit(SatTop(CONFIGS[name]), "top")
    for old, new in broken:
        assert old in text, f"{old} is not in the design"
        text = text.replace(old, new)
    return text


def _writers(case: Case, at: int) -> list[str]:
    """The runs that may write an address."""
    return [
        f"{work.unit}.{work.action} {dict(work.streams)} {dict(work.registers)} {work.flags}"
        for work in case.works
        if any(start <= at < end for start, end in work.output())
    ]


def _require(condition: bool, text: str):
    if not condition:
        raise FuzzFailure(text)


class _Device:
    """A device just made, and its emulator."""

    def __init__(self, name: str, broken: tuple[tuple[str, str], ...] = ()):
        self.config = CONFIGS[name]
        self.system = System(_design(name, broken), memory=MemoryConfig(size=SIZE))
        self.emulator = Emulator(self.config, SIZE)

    def start(self, case: Case, address: int, memory: MemoryConfig, limit: int):
        system = self.system
        system.configure(memory)
        system.memory[:] = case.image
        for i, value in enumerate(case.parameters):
            system.csr_write(address_of(f"PARAM{i}"), value)
        for name, value in (
            ("PROGRAM", address), ("LIMIT", limit), ("CONTROL", 4), ("INTERRUPT", 1), ("CONTROL", 1)
        ):  # fmt: skip
            system.csr_write(address_of(name), value)

    def read(self, name: str) -> int:
        return self.system.csr_read(address_of(name))

    def emulate(self, case: Case):
        self.emulator.memory[:] = case.image
        self.emulator.run(case.address, [*case.parameters, *[0] * 16])

    def good(self, rng: Random, case: Case):
        """Runs a good program."""
        memory = weather(rng)
        self.start(case, case.address, memory, 0)
        self.system.run_until_irq(_ENOUGH)
        status = self.read("STATUS")
        if status & _FAILED:
            raise FuzzFailure(f"A good program failed: {self._told()}")
        self.emulate(case)
        self._compare(case, status)
        # Instructions that were fetched ahead may still come, to the next program too.
        if rng.random() < 0.2:
            self.system.step(slack(memory))
            self.system.check_idle()

    def _told(self) -> str:
        code = self.read("FAULT")
        return f"{ErrorCode(code & 15).name} of unit {code >> 8} at {self.read('FAULT_ADDRESS'):#x}"

    def _compare(self, case: Case, status: int):
        wrong = np.flatnonzero(self.system.memory != self.emulator.memory)
        if len(wrong):
            at = int(wrong[0])
            raise FuzzFailure(
                f"{len(wrong)} bytes differ, the first at {at:#x}: {self.system.memory[at]:#x} instead of "
                f"{self.emulator.memory[at]:#x}, before the program {case.image[at]:#x}; written by "
                + "; ".join(_writers(case, at))
            )
        _require(bool(status & _OVERFLOW) == self.emulator.overflow, "The overflow flag differs")

    def bad(self, made: Damaged) -> str:
        """Runs a damaged program, then resets the device; returns how it ended."""
        system, case, memory = self.system, made.case, made.memory
        if made.confined:
            memory = replace(memory, writable=tuple((a, b - a) for a, b in case.outputs))
        self.start(case, made.address, memory, made.limit)
        ended = "reset"
        if made.reset is not None:
            system.step(made.reset)
        else:
            system.run_until_irq(made.limit + slack(memory))
            ended = self._ended(made)
        system.csr_write(address_of("CONTROL"), 2)
        system.run_until_csr(address_of("STATUS"), 0, mask=7, limit=slack(memory))
        system.check_idle()
        self.emulator.overflow = False
        return ended

    def _ended(self, made: Damaged) -> str:
        status, case = self.read("STATUS"), made.case
        _require(status & 7 in (_DONE, _FAILED), f"STATUS is {status:#x}")
        if status & _DONE:
            if made.same:
                self.emulate(case)
                self._compare(case, status)
            return "done"
        value, address = self.read("FAULT"), self.read("FAULT_ADDRESS")
        unit = value >> 8
        _require(value & 0xFF in [code.value for code in ErrorCode if code.value], f"FAULT is {value:#x}")
        code = ErrorCode(value & 0xFF)
        _require(code in _CODES.get(unit, ()), f"Unit {unit} failed with {code.name}")
        aligned = (address - made.address) % 8 == 0
        _require(aligned, f"{code.name} of unit {unit} is said to be at {address:#x}")
        if made.confined and unit:
            _require(at_run(case.image, address, unit), f"At {address:#x} is no RUN of unit {unit}")
        if made.confined and made.address == case.address:
            inside = 0 <= address - case.address <= 8 * len(case.words)
            _require(inside, f"The fault's address, {address:#x}, is outside the program")
        return code.name


def run_block(
    seed: int, block: int, *, count: int = BLOCK, broken: tuple[tuple[str, str], ...] = ()
) -> Counter[tuple[str, str]]:
    """Runs ``count`` programs, damaged and good ones in turns, on a device of its own.

    Arguments
    ---------
    seed, block: of what is random. ``broken``: texts of the design, and what is put in their place.

    Returns how many programs of each damage ("good": none) ended in each way.

    Raises
    ------
    FuzzFailure: with all that is needed to run it again.
    """
    name = TURNS[block % len(TURNS)]
    device = _Device(name, broken)
    ended: Counter[tuple[str, str]] = Counter()
    for number in range(count):
        rng = Random(f"{seed}/{block}/{number}")
        case, kind = make(rng, device.config), "good"
        try:
            if number % 2:
                device.good(rng, case)
                ended[kind, "done"] += 1
            else:
                kind, made = damaged(rng, case)
                ended[kind, device.bad(made)] += 1
        except (SimulationError, AssertionError) as error:
            listing = "\n".join(disassemble(case.words, case.address))
            raise FuzzFailure(
                f"{error}\nProgram {number} of block {block} ({name}; {kind}; ordered by {case.how}), "
                f"seed {seed}.\n{listing}"
            ) from error
    return ended
