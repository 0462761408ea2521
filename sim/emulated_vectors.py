"""The vector unit of :mod:`~sat_hdl.sim.emulator`."""

from collections.abc import Mapping

import numpy as np

from sat_hdl.config import Config
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.sim.golden.convert import narrow, widen
from sat_hdl.sim.golden.elementwise import relu, sgd_momentum
from sat_hdl.sim.golden.formats import canonicalize
from sat_hdl.sim.golden.prune import prune
from sat_hdl.wuve.layouts import ENTRIES

__all__ = ["EmulatedVectors"]

Registers = Mapping[str, int]


class EmulatedVectors:
    """What the vector unit does, for a host that has the members below."""

    config: Config
    memory: np.ndarray
    overflow: bool

    def _descriptor(
        self, unit: str, registers: Registers, prefix: str = "", *, writes: bool = False
    ) -> Descriptor:
        raise NotImplementedError

    def _write(self, descriptor: Descriptor, values: np.ndarray):
        raise NotImplementedError

    def _vector(self, action: str, registers: Registers):
        flags = registers["flags"]
        wide_x, wide_y, wide_out, has_relu, scales = (flags >> i & 1 for i in range(5))
        if action == "maxpool":
            wide_x = 0
        windowed = action in ("maxpool", "sum", "select_sum")
        count = registers["count"]
        run = registers["run"] or registers["chunk" if windowed else "count"]
        bits = np.array([registers[f"scalar{i}"] for i in range(8)], np.uint32)
        scalars = bits.view(np.float32)
        name = self.config.operand_format

        def read(prefix: str, wide: int) -> tuple[np.ndarray, np.ndarray]:
            """Elements, as they are, and whether they are padding."""
            descriptor = self._descriptor("vector", registers, prefix)
            fill = registers["x_fill"] if prefix == "x_" else 0
            rows = descriptor.read(self.memory, fill=fill).view(np.uint32 if wide else np.uint16)
            assert len(rows) * run == count and rows.shape[1] >= run, (
                f"{descriptor} is not {count} in runs of {run}"
            )
            return rows[:, :run].ravel(), np.repeat(descriptor.runs()[1], run)

        def floats(elements: np.ndarray, wide: int) -> np.ndarray:
            operands = elements.view(np.float16) if name == "fp16" and not wide else elements
            return elements.view(np.float32) if wide else widen(operands, name)

        def write(prefix: str, values: np.ndarray, wide: int):
            values = canonicalize(np.ascontiguousarray(values))
            out = values if wide else narrow(values, name)
            self._write(self._descriptor("vector", registers, prefix, writes=True), out)

        if action == "sgd":
            x, padding = read("x_", 1)
            gradient, w, v = floats(x, 1), *(floats(read(prefix, 1)[0], 1) for prefix in ("y_", "z_"))
            self._check(flags, gradient, padding)
            new, momentum = sgd_momentum(
                w, v, gradient, inv_scale=float(scalars[0]), weight_decay=float(scalars[1]),
                momentum=float(scalars[2]), lr=float(scalars[3]), nesterov=bool(flags >> 8 & 1),
            )  # fmt: skip
            write("out0_", new, 1)
            write("out1_", momentum, 1)
            self._copies(registers, narrow(new, name))
            return
        x, padding = read("x_", wide_x)
        x = floats(x, wide_x)
        self._check(flags, x, padding)
        scalar = scalars[flags >> 5 & 7]
        with np.errstate(all="ignore"):
            match action:
                case "convert" | "add":
                    x = x * scalar if scales else x
                    if action == "add":
                        x = x + floats(read("y_", wide_y)[0], wide_y)
                    write("out0_", relu(x) if has_relu else x, wide_out)
                case "mask":
                    y = floats(read("y_", wide_y)[0], wide_y)
                    write("out0_", np.where(y > 0, x, np.float32(0)), wide_out)
                case "maxpool":
                    best, where = self._largest(registers, x, padding)
                    write("out0_", best, 0)
                    self._write(self._descriptor("vector", registers, "out1_", writes=True), where)
                case "sum":
                    total = _chain(self._chunks(registers, x))
                    write("out0_", total * scalar if scales else total, wide_out)
                case "select_sum":
                    y = self._chunks(registers, read("y_", 0)[0])
                    base, inner = registers["want"] & 0xFFFF, registers["want"] >> 16
                    step, outer = registers["want_step"] & 0xFFFF, registers["want_step"] >> 16
                    i = np.arange(y.shape[1])
                    inner = inner or 1 << 16
                    want = (base + i // inner * outer + i % inner * step) % (1 << 16)
                    chosen = np.where(y == want[:, None], self._chunks(registers, x), np.float32(0))
                    write("out0_", _chain(chosen), wide_out)

    def _check(self, flags: int, x: np.ndarray, padding: np.ndarray):
        """Raises the flag, if the command looks for what raises it."""
        if flags >> 9 & 1:
            self.overflow |= not np.isfinite(x[~padding]).all()

    def _chunks(self, registers: Registers, x: np.ndarray) -> np.ndarray:
        """(windows, chunks of a window, elements of a chunk)."""
        chunk, window = registers["chunk"], registers["window"]
        assert chunk <= ENTRIES * self.config.vector_lanes, f"A chunk of {chunk} is too long"
        return x.reshape(-1, window, chunk)

    def _largest(
        self, registers: Registers, x: np.ndarray, padding: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of a window of nothing but padding: what the first chunk is padded with, and its number."""
        x, padding = self._chunks(registers, x), self._chunks(registers, padding)
        best, where = x[:, 0], np.full(x[:, 0].shape, -1)
        for i in range(x.shape[1]):
            better = (where < 0) | (x[:, i] > best) | (np.isnan(x[:, i]) & ~np.isnan(best))
            better &= ~padding[:, i]
            best, where = np.where(better, x[:, i], best), np.where(better, i, where)
        return best, np.maximum(where, 0).astype(np.uint16)

    def _copies(self, registers: Registers, weights: np.ndarray):
        """The copies of new weights, block by block."""
        edge, plan = self.config.panel, registers["copies"]
        if not plan >> 16:
            return
        blocks = weights.reshape(-1, edge, edge)
        for bit, name, copies in ((16, "ff", blocks), (18, "bp", blocks.transpose(0, 2, 1))):
            if not plan >> bit & 1:
                continue
            if not plan >> (bit + 1) & 1:
                self._write_blocks(registers, f"{name}_values_", copies)
                continue
            pruned = [prune(block, plan & 255, plan >> 8 & 255, 0) for block in copies]
            nibbles = np.stack([p.indices for p in pruned]).reshape(len(blocks), -1)
            self._write_blocks(registers, f"{name}_values_", np.stack([p.values for p in pruned]))
            self._write_blocks(registers, f"{name}_indices_", nibbles[:, ::2] | nibbles[:, 1::2] << 4)

    def _write_blocks(self, registers: Registers, prefix: str, copies: np.ndarray):
        descriptor = self._descriptor("vector", registers, prefix, writes=True)
        assert len(descriptor.runs()[0]) == len(copies), (
            f"{descriptor} has another number of runs than blocks"
        )
        self._write(descriptor, copies)


def _chain(x: np.ndarray) -> np.ndarray:
    """The sum over axis 1, from +0, in order."""
    total = np.zeros_like(x[:, 0])
    for i in range(x.shape[1]):
        total = total + x[:, i]
    return total
