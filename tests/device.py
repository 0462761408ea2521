"""A small device with a memory, and programs for it, for tests."""

import functools

import numpy as np

from sat_hdl.config import Config
from sat_hdl.control.csr import address_of
from sat_hdl.control.isa import UNITS, Instruction, Op, encode
from sat_hdl.layouts import ErrorCode
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor, Loop
from sat_hdl.sim.golden.product import matmul
from sat_hdl.sim.memory import MemoryConfig, System
from sat_hdl.system import SatTop

SIZE = 1 << 16
CONFIG = Config(rows=2, cols=2, west_depth=512, north_depth=1024, result_depth=256)
#: Where the product's tensors and program lie.
A, B, Y, PROGRAM = 0x1000, 0x2000, 0x4000, 0x100
#: Of `product` in `check_good`.
M, K, N = 5, 24, 16
#: STATUS after a program: done, the interrupt aside; or not.
GOOD, FAILED = 0b00010, 0b00100


@functools.cache
def device() -> System:
    """Compiled once; its memory stays from test to test."""
    return System(SatTop(CONFIG), memory=MemoryConfig(size=SIZE))


class Code:
    """A program under construction."""

    def __init__(self):
        self.words: list[int] = []

    def add(self, op: Op, *args, **fields) -> int:
        """Appends an instruction; returns its number."""
        self.words.append(encode(Instruction(op, *args, **fields)))
        return len(self.words) - 1

    def set(self, unit: str, **registers: int):
        for name, value in registers.items():
            self.add(Op.SET, unit, name.removesuffix("_"), value)

    def descriptor(self, unit: str, descriptor: Descriptor, prefix: str = ""):
        registers = UNITS[unit].registers
        first = UNITS[unit].index(f"{prefix}base")
        words = READ_WORDS if any(r.name == f"{prefix}origin" for r in registers) else WRITE_WORDS
        for register, word in zip(registers[first : first + words], descriptor.words()):
            self.add(Op.SET, unit, register.name, word)


def product(m: int, k: int, n: int) -> Code:
    """A dense product A · B from memory to memory, binary32 out. ``k`` and ``n`` fill whole beats."""
    code, g = Code(), CONFIG.ingest
    code.descriptor("load", Descriptor(base=A, run=2 * k, loops=[Loop(count=m, stride=2 * k)]))
    code.set("load", take=k, inner=1, to=0, pitch=-(-k // g))
    code.add(Op.RUN, "load", action="west_rows")
    code.descriptor("load", Descriptor(base=B, run=2 * n, loops=[Loop(count=k, stride=2 * n)]))
    code.set("load", take=n, inner=1, to=0, pitch=k)
    code.add(Op.RUN, "load", action="north_rows", signal=(0,))
    code.set("compute", m=m, k=k, n=n, sparsity=0x808, west=0, west_pitch=-(-k // g), north=0, north_pitch=k)
    code.set("compute", initial=0, result=0)
    code.add(Op.RUN, "compute", action="from_zero", wait=(0,), signal=(1,))
    code.descriptor("store", Descriptor(base=Y, run=4 * n, loops=[Loop(count=m, stride=4 * n)]))
    code.set("store", from_=0, m=m, n=n)
    code.add(Op.RUN, "store", action="wide_rows", wait=(1,))
    code.add(Op.HALT)
    return code


def run(system: System, words: list[int], *, limit: int = 0, at: int = PROGRAM, cycles: int = 100_000) -> int:
    """Runs a program to its end, good or bad; returns STATUS."""
    image = np.array(words, np.uint64).view(np.uint8)
    system.memory[at : at + len(image)] = image
    for name, value in (("PROGRAM", at), ("LIMIT", limit), ("CONTROL", 4), ("INTERRUPT", 1), ("CONTROL", 1)):
        system.csr_write(address_of(name), value)
    system.run_until_irq(cycles)
    return system.csr_read(address_of("STATUS"))


def read(system: System, name: str) -> int:
    return system.csr_read(address_of(name))


def fault(system: System) -> tuple[ErrorCode, int, int]:
    """Code, unit, and number of the instruction in the program."""
    code = read(system, "FAULT")
    return ErrorCode(code & 255), code >> 8, (read(system, "FAULT_ADDRESS") - PROGRAM) // 8


def soft_reset(system: System):
    """Resets the device and waits until it is done."""
    system.csr_write(address_of("CONTROL"), 2)
    system.run_until_csr(address_of("STATUS"), 0, mask=7, limit=10_000)


def operands(system, seed: int = 0) -> np.ndarray:
    """Puts random operands into memory; returns the bits of their product."""
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((M, K), (K, N)))
    for at, x in ((A, a), (B, b)):
        system.memory[at : at + x.nbytes] = x.view(np.uint8).ravel()
    return matmul(a, b).view(np.uint32)


def result(system) -> np.ndarray:
    return system.memory[Y : Y + 4 * M * N].view(np.uint32).reshape(M, N)


def check_good(system, seed: int = 0):
    want = operands(system, seed)
    assert run(system, product(M, K, N).words) & 0b1111 == GOOD
    assert (result(system) == want).all()
    system.check_idle()


def expect(system, words: list[int], code: ErrorCode, unit: str | None, number: int | None, **options):
    """The program fails as said, touches nothing outside its output, and a good one runs after a reset."""
    operands(system)
    outside = np.ones(SIZE, bool)
    outside[Y : Y + 0x1000] = outside[PROGRAM : PROGRAM + 8 * len(words)] = False
    before = system.memory[outside].copy()
    assert run(system, words, **options) & 0b1111 == FAILED
    found = fault(system)
    assert found[:2] == (code, UNITS[unit].number if unit else 0), found
    assert number is None or found[2] == number, found
    assert (system.memory[outside] == before).all()
    # Only a reset brings it back.
    system.csr_write(address_of("CONTROL"), 1)
    system.step(200)
    assert read(system, "STATUS") & 0b111 == FAILED
    soft_reset(system)
    check_good(system, seed=3)
