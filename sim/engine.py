"""Training's products and selections on the simulated hardware, each compared with the golden model."""

import numpy as np

from sat_hdl.compiler.cycles import expected_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.config import Config
from sat_hdl.sim.device import Device
from sat_hdl.sim.golden.engine import STAGES, GoldenEngine
from sat_hdl.sim.golden.prune import Pruned

__all__ = ["RtlEngine"]


class RtlEngine:
    """:class:`~sat_hdl.sim.golden.engine.Engine` by the RTL of a :class:`~sat_hdl.sim.device.Device`.

    A dense product runs in whichever orientation takes fewer cycles, as A · B or as (Bᵀ · Aᵀ)ᵀ: every chain
    multiplies the same pairs in the same order, so the bits are the same. A sparse one has no choice, for
    the pruned operand goes to the columns.

    Arguments
    ---------
    device: what runs the products and the prunings.
    dataflow: "os", "ws", or "auto", of each product the one that takes fewer cycles.
    check: whether each result is compared with the golden model, bit for bit.

    Members
    -------
    cycles, macs: of the products and prunings done, by stage.
    bit_exact: whether every result so far was the golden model's; None without ``check``. The hardware's
        result is the one that training goes on with.
    mismatch: the first difference, in a sentence, or None.
    """

    def __init__(self, device: Device, check: bool = True, dataflow: str = "os"):
        self.operand = device.config.operand_format
        self.cycles: dict[str, int] = dict.fromkeys(STAGES, 0)
        self.macs: dict[str, int] = dict.fromkeys(STAGES, 0)
        self.mismatch: str | None = None
        self._device, self._dataflow = device, dataflow
        self._golden = GoldenEngine(self.operand) if check else None

    @property
    def bit_exact(self) -> bool | None:
        return None if self._golden is None else self.mismatch is None

    @property
    def config(self) -> Config:
        """Of the hardware."""
        return self._device.config

    def matmul(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        (m, k), n = a.shape, b.shape[1]
        if self._faster_transposed(m, k, n, acc is not None):
            y = self._product(b.T, a.T, None, None, None if acc is None else acc.T, stage).T
        else:
            y = self._product(a, b, None, None, acc, stage)
        if self._golden is not None:
            self._compare(f"dense product {m} × {k} × {n}", stage, y, self._golden.matmul(a, b, acc, stage))
        return y

    def sparse_matmul(
        self, a: np.ndarray, pruned: Pruned, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        if pruned.axis != 0:
            raise ValueError(f"A product's sparse operand must be pruned along axis 0, not {pruned.axis!r}")
        sparsity = pruned.keep, pruned.group
        y = self._product(a, pruned.values, pruned.indices, sparsity, acc, stage)
        if self._golden is not None:
            shape = f"{a.shape[0]} × {a.shape[1]} × {pruned.shape[1]}"
            expected = self._golden.sparse_matmul(a, pruned, acc, stage)
            self._compare(f"{sparsity[0]}:{sparsity[1]} product {shape}", stage, y, expected)
        return y

    def prune(self, w: np.ndarray, keep: int, group: int, axis: int, stage: str = "prune") -> Pruned:
        if axis not in (0, 1):
            raise ValueError(f"The axis to prune along must be 0 or 1, not {axis!r}")
        columns = w if axis == 0 else w.T
        run = self._device.prune(_bits(columns), (keep, group))
        self.cycles[stage] += run.cycles
        pruned = Pruned(run.values.view(w.dtype), run.indices, columns.shape, 0, keep, group)
        if axis == 1:
            pruned = pruned.T
        if self._golden is not None:
            what = f"{keep}:{group} pruning of {w.shape[0]} × {w.shape[1]} along axis {axis}"
            expected = self._golden.prune(w, keep, group, axis, stage)
            self._compare(what + " (values)", stage, pruned.values, expected.values)
            self._compare(what + " (indices)", stage, pruned.indices, expected.indices)
        return pruned

    def _faster_transposed(self, m: int, k: int, n: int, accumulate: bool) -> bool:
        straight, turned = (
            expected_cycles(
                Product(config=self.config, m=rows, k=k, n=cols), self._dataflow, accumulate=accumulate
            )
            for rows, cols in ((m, n), (n, m))
        )
        return turned < straight

    def _product(
        self,
        a: np.ndarray,
        values: np.ndarray,
        indices: np.ndarray | None,
        sparsity: tuple[int, int] | None,
        acc: np.ndarray | None,
        stage: str,
    ) -> np.ndarray:
        bits = None if acc is None else np.ascontiguousarray(acc, np.float32).view(np.uint32)
        run = self._device.product(
            _bits(a), _bits(values), indices, sparsity=sparsity, acc=bits, dataflow=self._dataflow
        )
        self.cycles[stage] += run.cycles
        self.macs[stage] += run.macs
        return run.y.view(np.float32)

    def _compare(self, what: str, stage: str, result: np.ndarray, expected: np.ndarray):
        """Notes the first difference; the arrays have one dtype."""
        if self.mismatch is not None:
            return
        if result.shape != expected.shape or result.dtype != expected.dtype:
            self.mismatch = (
                f"In stage {stage}, a {what} gave {result.dtype} {result.shape} instead of "
                f"{expected.dtype} {expected.shape}."
            )
            return
        unsigned = f"u{result.itemsize}"
        got, want = (np.ascontiguousarray(array).view(unsigned) for array in (result, expected))
        wrong = np.argwhere(got != want)
        if len(wrong):
            at = tuple(wrong[0])
            place = ", ".join(map(str, at))
            self.mismatch = (
                f"In stage {stage}, a {what} gave {got[at]:#x} instead of {want[at]:#x} at ({place}), and "
                f"{len(wrong)} of {got.size} differ."
            )


def _bits(operands: np.ndarray) -> np.ndarray:
    """The bit patterns of float16 or uint16 operands, in C order."""
    return np.ascontiguousarray(operands).view(np.uint16)
