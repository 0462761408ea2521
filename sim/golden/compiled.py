"""The golden products and conversions, compiled: what :mod:`~sat_hdl.sim.golden.product` and
:mod:`~sat_hdl.sim.golden.convert` compute, many times as fast, for trainings that numpy alone would make wait. g++
compiles it on the first use; the tests hold it to the exact model bit for bit.
"""

import ctypes
import os
from functools import cache
from pathlib import Path

import numpy as np

from sat_hdl.sim.build import cached, identity, require_tool, run_tool
from sat_hdl.sim.golden import product
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.formats import from_bits, to_bits
from sat_hdl.sim.golden.prune import Pruned

__all__ = ["CompiledEngine"]

_SOURCE = Path(__file__).with_name("chains.cpp")
#: No contraction into fused multiply-adds, and nothing else that changes what is rounded when.
_FLAGS = (
    "-std=c++20", "-O3", "-march=native", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden",
    "-Wno-psabi",
)  # fmt: skip


@cache
def _library() -> ctypes.CDLL:
    compiler = require_tool(os.environ.get("CXX", "g++"))
    source = _SOURCE.read_text()

    def make(folder: Path):
        (folder / "chains.cpp").write_text(source)
        run_tool(
            [compiler, *_FLAGS, "chains.cpp", "-o", "chains.so"], "Compiling the golden products", folder
        )

    folder = cached("chains", [source, identity(compiler), *_FLAGS], make)
    library = ctypes.CDLL(str(folder / "chains.so"))
    pointer, integer, count = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    library.sat_chains.argtypes = [pointer, integer, pointer, pointer, pointer, *[count] * 5, integer]
    for function in (library.sat_narrow, library.sat_widen):
        function.argtypes = [pointer, pointer, count, integer]
    for function in (library.sat_chains, library.sat_narrow, library.sat_widen):
        function.restype = None
    return library


class CompiledEngine(GoldenEngine):
    """:class:`~sat_hdl.sim.golden.engine.GoldenEngine`, compiled: one core, every bit the same.

    Operands of the right shapes are its caller's duty: it is for trainings, whose products always fit.

    Arguments and members: as of :class:`~sat_hdl.sim.golden.engine.GoldenEngine`.

    Raises :class:`~sat_hdl.sim.build.ToolError` without g++.
    """

    def __init__(self, operand: str = "fp16"):
        super().__init__(operand)
        product.require_subnormals()
        self._library = _library()

    def narrow(self, x: np.ndarray) -> np.ndarray:
        if x.dtype != np.float32:
            raise ValueError(f"Only float32 arrays can be rounded, not {x.dtype}")
        x = np.ascontiguousarray(x)
        y = np.empty(x.shape, np.uint16)
        self._library.sat_narrow(x.ctypes.data, y.ctypes.data, x.size, self.operand == "bf16")
        return from_bits(y, self.operand)

    def widen(self, x: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(to_bits(x, self.operand))
        y = np.empty(bits.shape, np.float32)
        self._library.sat_widen(bits.ctypes.data, y.ctypes.data, bits.size, self.operand == "bf16")
        return y

    def matmul(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        return self.products(a[None], b[None], None if acc is None else acc[None], stage)[0]

    def sparse_matmul(
        self, a: np.ndarray, pruned: Pruned, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        if pruned.axis != 0 or pruned.shape[0] != a.shape[1]:
            raise ValueError(
                f"A pruned matrix of {pruned.shape}, along {pruned.axis}, does not fit {a.shape}"
            )
        places = np.ascontiguousarray(pruned.positions(), np.int32)
        y = self._run(a[None], pruned.values[None], places, None if acc is None else acc[None])[0]
        self.macs[stage] += a.shape[0] * pruned.values.size
        return y

    def products(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        if a.shape[2] != b.shape[1] or len(a) != len(b):
            raise ValueError(f"Products of {a.shape} and {b.shape} are not possible")
        y = self._run(a, b, None, acc)
        self.macs[stage] += a.shape[1] * b.size
        return y

    def _run(self, a: np.ndarray, b: np.ndarray, places: np.ndarray | None, acc: np.ndarray | None):
        (batch, m, k), (_, steps, n) = a.shape, b.shape
        a, b = to_bits(a, self.operand), np.ascontiguousarray(to_bits(b, self.operand))
        transposed = a.strides[1] == a.itemsize and m > 1
        a = np.ascontiguousarray(a.transpose(0, 2, 1) if transposed else a)
        y = np.zeros((batch, m, n), np.float32)
        if acc is not None:
            y[...] = acc
        where = None if places is None else places.ctypes.data
        self._library.sat_chains(
            a.ctypes.data, transposed, b.ctypes.data, where, y.ctypes.data, batch, m, k, n, steps,
            self.operand == "bf16",
        )  # fmt: skip
        return y
