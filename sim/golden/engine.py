"""What computes the products and selections of training: this model, or hardware behind the same methods."""

from typing import Protocol

import numpy as np

from sat_hdl.sim.golden import convert, product
from sat_hdl.sim.golden.formats import operand_format
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.golden.prune import prune as select

__all__ = ["STAGES", "Engine", "GoldenEngine", "NetworkEngine"]

#: What a product or a selection is for: the three products of a training step, the pruning between them, and
#: the forward passes that measure accuracy after an epoch.
STAGES = ("ff", "bp", "wu", "prune", "eval")


class Engine(Protocol):
    """The operations that training hands over; the host does the rest.

    Operands are float16 (uint16 bit patterns if ``operand`` is "bf16"), in any memory order; accumulators
    (perhaps a read-only broadcast view) and results float32. Results are to be bit-equal to
    :class:`GoldenEngine`'s. ``stage`` is one of :data:`STAGES` and says only where
    to book the cycles.
    """

    #: "fp16" or "bf16".
    operand: str

    def matmul(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        """(m, k) · (k, n) → float32 (m, n), the chains starting at ``acc``, float32 (m, n), or +0."""
        ...

    def sparse_matmul(
        self, a: np.ndarray, pruned: Pruned, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        """The same with a (k, n) matrix pruned along k (``pruned.axis`` is 0)."""
        ...

    def prune(self, w: np.ndarray, keep: int, group: int, axis: int, stage: str = "prune") -> Pruned:
        """N:M selection along ``axis`` of a matrix of operands."""
        ...


class NetworkEngine(Engine, Protocol):
    """An engine that also converts, and takes many small products at once, such as attention's."""

    def narrow(self, x: np.ndarray) -> np.ndarray:
        """float32 → operands, as :func:`~sat_hdl.sim.golden.convert.narrow`."""
        ...

    def widen(self, x: np.ndarray) -> np.ndarray:
        """Operands → float32, as :func:`~sat_hdl.sim.golden.convert.widen`."""
        ...

    def products(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        """:meth:`matmul` of each of a batch: (batch, m, k) · (batch, k, n) → float32 (batch, m, n)."""
        ...


class GoldenEngine:
    """:class:`Engine` by the golden model.

    Arguments
    ---------
    operand: "fp16" or "bf16".

    Members
    -------
    macs: multiply-accumulates done, by stage.
    """

    def __init__(self, operand: str = "fp16"):
        self.operand = operand_format(operand).name
        self.macs: dict[str, int] = dict.fromkeys(STAGES, 0)

    def narrow(self, x: np.ndarray) -> np.ndarray:
        return convert.narrow(x, self.operand)

    def widen(self, x: np.ndarray) -> np.ndarray:
        return convert.widen(x, self.operand)

    def matmul(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        y = product.matmul(a, b, acc=acc, operand=self.operand)
        self.macs[stage] += a.shape[0] * b.size
        return y

    def sparse_matmul(
        self, a: np.ndarray, pruned: Pruned, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        if pruned.axis != 0:
            raise ValueError(f"A product's sparse operand must be pruned along axis 0, not {pruned.axis!r}")
        y = product.sparse_matmul(
            a,
            pruned.values,
            pruned.indices,
            k=pruned.shape[0],
            keep=pruned.keep,
            group=pruned.group,
            acc=acc,
            operand=self.operand,
        )
        self.macs[stage] += a.shape[0] * pruned.values.size
        return y

    def products(
        self, a: np.ndarray, b: np.ndarray, acc: np.ndarray | None = None, stage: str = "ff"
    ) -> np.ndarray:
        y = product.products(a, b, acc=acc, operand=self.operand)
        self.macs[stage] += a.shape[1] * b.size
        return y

    def prune(self, w: np.ndarray, keep: int, group: int, axis: int, stage: str = "prune") -> Pruned:
        return select(w, keep, group, axis)
