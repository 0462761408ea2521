"""What a program does, without time: units one after the other in the order of the program, in golden arithmetic.

The compiler's programs run here in seconds where the simulated device takes minutes to be built; and what the two
differ in is the device's fault. Semaphores must be there when they are waited for; a read or a write beyond a
buffer, a misaligned or an unequal stream is an error.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sat_hdl.compiler.product import Product
from sat_hdl.config import Config
from sat_hdl.control.csr import address_of
from sat_hdl.control.isa import SEMAPHORES, UNITS, Instruction, Op, RunFlag, decode
from sat_hdl.driver import Transport
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor, StreamError
from sat_hdl.sim.emulated_vectors import EmulatedVectors
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.product import matmul, sparse_matmul

__all__ = ["EmulatedTransport", "Emulator"]

Registers = Mapping[str, int]


class Emulator(EmulatedVectors):
    """A device of ``config`` with ``size`` bytes of memory.

    Members
    -------
    memory: uint8. overflow: the flag.
    """

    def __init__(self, config: Config, size: int):
        self.config, self.memory, self.overflow = config, np.zeros(size, np.uint8), False
        nan = config.format.nan
        # What nothing was loaded into must not matter: it is NaN.
        self._west = np.full((config.rows, config.west_depth * config.ingest), nan, np.uint16)
        self._values = np.full((config.north_depth, config.panel), nan, np.uint16)
        self._indices = np.zeros((config.north_depth, config.panel), np.uint8)
        self._results = np.full((config.result_depth, config.cols), np.nan, np.float32)

    def run(self, address: int, parameters: Sequence[int] = ()):
        """Runs the program at ``address``. Raises AssertionError if it does what no program may."""
        registers = {name: {r.name: 0 for r in unit.registers} for name, unit in UNITS.items()}
        semaphores = [0] * SEMAPHORES
        loops: list[list[int]] = []
        while True:
            instruction = decode(int(self.memory[address : address + 8].view(np.uint64)[0]))
            address += 8
            unit, register = instruction.unit or "", instruction.register or ""
            value = instruction.immediate
            match instruction.op:
                case Op.HALT:
                    assert not any(semaphores), f"Tokens are left over: {semaphores}"
                    return
                case Op.LOOP:
                    loops.append([address, value])
                case Op.END:
                    loops[-1][1] -= 1
                    if loops[-1][1]:
                        address = loops[-1][0]
                    else:
                        loops.pop()
                case Op.SET:
                    registers[unit][register] = value & 0xFFFFFFFF
                case Op.ADD:
                    registers[unit][register] = (registers[unit][register] + value) & 0xFFFFFFFF
                case Op.PARAM:
                    registers[unit][register] = int(parameters[value])
                case Op.RUN:
                    self._run(instruction, registers[unit], semaphores)

    def _run(self, instruction: Instruction, registers: Registers, semaphores: list[int]):
        for number in instruction.wait:
            assert semaphores[number] > 0, f"{instruction} waits for a token that comes later"
            semaphores[number] -= 1
        if RunFlag.CLEAR_OVERFLOW in instruction.flags:
            self.overflow = False
        if not (RunFlag.UNLESS_OVERFLOW in instruction.flags and self.overflow):
            getattr(self, f"_{instruction.unit}")(instruction.action, registers)
        for number in instruction.signal:
            semaphores[number] += 1

    def _descriptor(
        self, unit: str, registers: Registers, prefix: str = "", *, writes: bool = False
    ) -> Descriptor:
        first = UNITS[unit].index(f"{prefix}base")
        words = WRITE_WORDS if writes else READ_WORDS
        names = [r.name for r in UNITS[unit].registers[first : first + words]]
        descriptor = Descriptor.from_words([registers[name] for name in names])
        assert descriptor.error(self.config.memory_bits, writes=writes) == StreamError.NONE, descriptor
        starts, padding = descriptor.runs()
        ends = starts.astype(np.int64)[~padding] + descriptor.run
        assert (ends <= len(self.memory)).all(), f"{descriptor} leaves memory"
        return descriptor

    def _write(self, descriptor: Descriptor, values: np.ndarray):
        octets = np.ascontiguousarray(values).view(np.uint8)
        assert octets.size == len(descriptor.runs()[0]) * descriptor.run, f"{descriptor} has another size"
        descriptor.write(self.memory, octets.reshape(-1, descriptor.run))

    # --- load -------------------------------------------------------------------------------------------

    def _load(self, action: str, registers: Registers):
        config = self.config
        descriptor = self._descriptor("load", registers)
        take, to, pitch = (registers[name] for name in ("take", "to", "pitch"))
        assert take <= descriptor.run // 2
        taken = descriptor.read(self.memory).view(np.uint16)[:, :take]
        rows = taken.reshape(-1, registers["inner"] * take)
        edge, lanes = config.panel, config.ingest
        count, length = rows.shape
        match action:
            case "west_rows":
                for o, row in enumerate(rows):
                    start = (to + o // config.rows * pitch) * lanes
                    _put(self._west[o % config.rows], start, row)
            case "west_columns":
                for tile in range(-(-length // config.rows)):
                    part = rows[:, tile * config.rows : (tile + 1) * config.rows].T
                    start = (to + tile * pitch) * lanes
                    for r, row in enumerate(part):
                        _put(self._west[r], start, row)
            case "north_rows":
                for panel in range(-(-length // edge)):
                    part = rows[:, panel * edge : (panel + 1) * edge]
                    _put(self._values[:, : part.shape[1]], to + panel * pitch, part)
            case "north_values":
                for o, row in enumerate(rows):
                    _put(self._values, to + o * pitch, row.reshape(-1, edge))
            case "north_indices":
                for o, row in enumerate(rows):
                    nibbles = np.stack([row >> 4 * i & 15 for i in range(4)], -1)
                    _put(self._indices, to + o * pitch, nibbles.reshape(-1, edge))
            case "results":
                words = np.zeros(-(-count * length // (2 * config.cols)) * 2 * config.cols, np.uint16)
                words[: count * length] = rows.ravel()
                _put(self._results, to, words.view(np.float32).reshape(-1, config.cols))

    # --- compute ----------------------------------------------------------------------------------------

    def _compute(self, action: str, registers: Registers):
        config = self.config
        m, k, n = (registers[name] for name in "mkn")
        keep, group = registers["sparsity"] & 255, registers["sparsity"] >> 8 & 255
        dense = keep == group
        product = Product(
            config=config, m=m, k=k, n=n, keep=None if dense else keep, group=None if dense else group
        )
        fold = 1 << (registers["sparsity"] >> 19 & 3)
        assert fold in Product.folds(config, n, group), f"Rows of A can't be folded {fold} times"
        if registers["sparsity"] >> 16 & 1:
            a = self._held_operand(registers, group)
        else:
            starts = [
                (registers["west"] + i // config.rows * registers["west_pitch"]) * config.ingest
                for i in range(m)
            ]
            a = np.stack([_get(self._west[i % config.rows], start, k) for i, start in enumerate(starts)])
        panels = [registers["north"] + i * registers["north_pitch"] for i in range(-(-n // config.panel))]
        values, indices = (
            np.concatenate([_get(part, start, product.kept) for start in panels], axis=1)[:, :n]
            for part in (self._values, self._indices)
        )
        start = registers["initial"]
        acc = None
        if action == "from_bias":
            slots = [-(-(band.stop - band.start) // config.cols) for band in product.bands()]
            words = _get(self._results, start, sum(slots))
            ends = np.cumsum(slots)
            rows = [
                words[end - count : end].ravel()[: band.stop - band.start]
                for band, count, end in zip(product.bands(), slots, ends)
            ]
            acc = np.broadcast_to(np.concatenate(rows), (m, n))
        elif action == "from_results":
            acc = product.collect(_get(self._results, start, product.results))
        operands = np.float16 if config.operand_format == "fp16" else np.uint16
        a, values = a.view(operands), np.ascontiguousarray(values).view(operands)
        name = config.operand_format
        if dense:
            y = matmul(a, values, acc=acc, operand=name)
        else:
            y = sparse_matmul(
                a, values, indices, k=k, keep=keep, group=group, acc=acc, operand=name
            )  # fmt: skip
        _put(self._results, registers["result"], product.initial(y))

    def _held_operand(self, registers: Registers, group: int) -> np.ndarray:
        """A of a weight-stationary product: each bank has a group of k, of row after row of A."""
        config = self.config
        m, k, n = (registers[name] for name in "mkn")
        slots = 1 << (registers["sparsity"] >> 17 & 3)
        assert config.weight_stationary and k <= config.rows * group and n <= config.cols * slots
        start = registers["west"] * config.ingest
        used = -(-k // group)
        groups = [_get(bank, start, m * group).reshape(m, group) for bank in self._west[:used]]
        return np.ascontiguousarray(np.concatenate(groups, axis=1)[:, :k])

    # --- store ------------------------------------------------------------------------------------------

    def _store(self, action: str, registers: Registers):
        config = self.config
        descriptor = self._descriptor("store", registers, writes=True)
        m, n = registers["m"], registers["n"]
        product = Product(config=config, m=m, k=1, n=n)
        assert len(list(product.bands())) == 1, "A store takes one band"
        y = product.collect(_get(self._results, registers["from"], product.results))
        if action in ("rows", "rows_relu"):
            bits = narrow(y, config.operand_format).view(np.uint16)
            self._write(descriptor, np.where(bits >> 15, 0, bits).astype(np.uint16) if action[4:] else bits)
        elif action == "wide_rows":
            self._write(descriptor, y)
        else:
            if action == "wide_columns_checked":
                self.overflow |= not np.isfinite(y).all()
            padded = np.zeros((m, -(-n // config.cols) * config.cols), np.float32)
            padded[:, :n] = y
            pieces = [
                padded[row : row + config.rows, left : left + config.cols].ravel()
                for row in range(0, m, config.rows)
                for left in range(0, n, config.cols)
            ]
            run = descriptor.run // 4
            # A run is the rows of a tile, or where a panel is wider than the array a row of it.
            wanted = config.cols if config.panel > config.cols else len(pieces[0])
            assert run == wanted and all(len(piece) % run == 0 for piece in pieces), (
                f"{descriptor} has other runs"
            )
            self._write(descriptor, np.concatenate(pieces))


def _put(buffer: np.ndarray, start: int, values: np.ndarray):
    assert start + len(values) <= len(buffer), f"{start} + {len(values)} is beyond {len(buffer)}"
    buffer[start : start + len(values)] = values


def _get(buffer: np.ndarray, start: int, count: int) -> np.ndarray:
    assert start + count <= len(buffer), f"{start} + {count} is beyond {len(buffer)}"
    return buffer[start : start + count]


class EmulatedTransport(Transport):
    """An :class:`Emulator` as a transport of :class:`~sat_hdl.driver.Accelerator`. Its counters are 0."""

    def __init__(self, config: Config, size: int):
        self.emulator = Emulator(config, size)
        self._config = config
        self._registers: dict[int, int] = {}

    @property
    def config(self) -> Config:
        return self._config

    @property
    def memory_size(self) -> int:
        return len(self.emulator.memory)

    def read(self, address: int, size: int) -> np.ndarray:
        return self.emulator.memory[address : address + size].copy()

    def write(self, address: int, octets: np.ndarray):
        self.emulator.memory[address : address + len(octets)] = octets

    def csr_read(self, address: int) -> int:
        if address == address_of("STATUS"):
            return 2 | self.emulator.overflow << 3
        return 0

    def csr_write(self, address: int, value: int):
        self._registers[address] = value

    def wait(self, limit: int):
        parameters = [self._registers.get(address_of(f"PARAM{i}"), 0) for i in range(16)]
        self.emulator.run(self._registers[address_of("PROGRAM")], parameters)
