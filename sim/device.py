"""The simulated device: whole products and prunings on generated RTL, from arrays to arrays."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sat_hdl.compiler.cycles import best_dataflow, fastest, pieces
from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config, ConfigError
from sat_hdl.layouts import ErrorCode, job_layout, prune_job_layout, report_layout
from sat_hdl.sim.fast import NONE, Simulation, SimulationError, Stall
from sat_hdl.sim.kept import kept_verilog
from sat_hdl.sim.packing import pack_lanes, unpack_lanes, words_of
from sat_hdl.sore.sore import Sore
from sat_hdl.top import ProductCore

__all__ = ["Device", "ProductResult", "PruneResult"]

#: Bytes of beats that one product may take in memory.
_MEMORY_LIMIT = 8 << 30


@dataclass(frozen=True, kw_only=True)
class ProductResult:
    """Y and what the hardware counted.

    Attributes
    ----------
    y: bits of binary32, uint32 (m, n).
    dataflow: "os" or "ws".
    cycles: from the first operand in to the last result out; if the product was cut into jobs, the sum of theirs.
    busy, input_stalls, output_stalls: see ``sat_hdl.layouts.report_layout``.
    macs: multiply-accumulates of the product's chains.
    seconds: that the simulation took.
    """

    y: np.ndarray
    dataflow: str
    cycles: int
    busy: int
    input_stalls: int
    output_stalls: int
    macs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PruneResult:
    """Kept entries, (kept, vectors) each: ``values`` as bits of the operand format (uint16), ``indices`` in
    their group (uint8). ``cycles``: from the first element in to the last pair out."""

    values: np.ndarray
    indices: np.ndarray
    cycles: int


class Device:
    """Runs products and prunings on the RTL of ``config``, simulated by Verilator at full speed.

    The array and the pruner are compiled when they are first used, and kept in the build cache.

    Arguments
    ---------
    config: of the hardware.
    stall: back-pressure on every stream.
    """

    def __init__(self, config: Config, *, stall: Stall = NONE):
        self.config = config
        self.stall = stall

    @cached_property
    def _core(self) -> Simulation:
        return Simulation(kept_verilog(lambda: ProductCore(self.config), "ProductCore", self.config))

    @cached_property
    def _sore(self) -> Simulation:
        return Simulation(kept_verilog(lambda: Sore(self.config), "Sore", self.config))

    def product(
        self,
        a: np.ndarray,
        values: np.ndarray,
        indices: np.ndarray | None = None,
        *,
        sparsity: tuple[int, int] | None = None,
        acc: np.ndarray | None = None,
        dataflow: str = "os",
        fold: int | None = None,
    ) -> ProductResult:
        """Y = acc + A · B.

        Arguments
        ---------
        a: bits of the operands, uint16 (m, k).
        values: B (k, n) or, with ``sparsity`` (N, M), its kept entries (kept, n); uint16.
        indices: of the kept entries in their groups, (kept, n).
        acc: bits of the initial accumulators, uint32 (m, n); else +0.
        dataflow: "os", "ws" or "auto", the one that takes fewer cycles.
        fold: of an output-stationary product; if None the one that takes the fewest cycles.

        Raises
        ------
        ConfigError: on a product that this hardware can't run, or too large to simulate.
        SimulationError: if the hardware did not answer as it must.
        """
        if dataflow not in ("os", "ws", "auto"):
            raise ValueError(f"The dataflow must be 'os', 'ws' or 'auto', not {dataflow!r}")
        config = self.config
        (m, k), n = a.shape, values.shape[1]
        keep, group = sparsity or (None, None)
        product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group)
        if values.shape[0] != product.kept:
            raise ValueError(f"B must have {product.kept} kept rows, not {values.shape[0]}")
        width = config.format.width + config.index_bits
        lanes = values.astype(np.uint32)
        if indices is not None:
            lanes |= indices.astype(np.uint32) << config.format.width
        self._check_memory(product, width)
        if dataflow == "auto":
            dataflow = best_dataflow(product, accumulate=acc is not None)
        if dataflow == "os":
            product = replace(product, fold=fold) if fold else fastest(product, accumulate=acc is not None)
            y, counts = self._run(product, a, lanes, acc)
            return ProductResult(y=y, dataflow=dataflow, macs=product.macs, **counts)
        y = np.empty((m, n), np.uint32)
        total: Counter[str] = Counter()
        for piece in pieces(product):
            if piece.k.start > 0:
                start = y[:, piece.columns]
            else:
                start = None if acc is None else acc[:, piece.columns]
            part = lanes[piece.kept, piece.columns]
            y[:, piece.columns], counts = self._run(piece.job, a[:, piece.k], part, start)
            total.update(counts)
        return ProductResult(y=y, dataflow=dataflow, macs=product.macs, **total)

    def _run(
        self, product: Product | StationaryJob, a: np.ndarray, lanes: np.ndarray, acc: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Y of one job, and the counts of its report and ``seconds``."""
        config = self.config
        inputs = {
            "job": _fields(job_layout(config), accumulate=acc is not None, **product.job),
            "west": pack_lanes(product.west(a), config.format.width),
            "north": pack_lanes(product.north(lanes), config.format.width + config.index_bits),
        }
        if acc is not None:
            inputs["initial"] = pack_lanes(product.initial(acc), 32)
        core = self._core  # compiled before the clock runs
        started = time.perf_counter()
        run = core.run(inputs, {"result": product.results, "report": 1}, stall=self.stall, timeout=1 << 62)
        seconds = time.perf_counter() - started
        report = _report(run.outputs["report"][0])
        if report.pop("error") != ErrorCode.NONE.value:
            raise SimulationError(f"The hardware refused a legal job: {product.job}.")
        y = product.collect(unpack_lanes(run.outputs["result"], config.cols, 32).astype(np.uint32))
        return y, report | {"seconds": seconds}

    def prune(self, w: np.ndarray, sparsity: tuple[int, int]) -> PruneResult:
        """Prunes the columns of ``w``, bits uint16 (length, vectors), to ``sparsity`` (N, M) along axis 0.

        Raises
        ------
        ConfigError: on an N:M that this hardware can't run.
        """
        config, (keep, group) = self.config, sparsity
        config.check_sparsity(keep, group)
        length, vectors = w.shape
        lanes = config.sore_lanes
        rounds = -(-vectors // lanes)
        padded = np.zeros((length, rounds * lanes), np.uint16)
        padded[:, :vectors] = w
        dense = padded.reshape(length, rounds, lanes).swapaxes(0, 1).reshape(-1, lanes)
        kept = kept_length(length, keep, group)
        width = config.format.width + config.index_bits
        job = _fields(prune_job_layout(config), length=length, vectors=rounds, keep=keep, group=group)
        run = self._sore.run(
            {"job": job, "dense": pack_lanes(dense, config.format.width)},
            {"pairs": rounds * kept, "status": 1},
            stall=self.stall,
            timeout=1 << 62,
        )
        if run.outputs["status"][0, 0] != ErrorCode.NONE.value:
            raise SimulationError(f"The hardware refused a legal pruning: {keep}:{group} of {w.shape}.")
        pairs = unpack_lanes(run.outputs["pairs"], lanes, width).reshape(rounds, kept, lanes)
        pairs = pairs.swapaxes(0, 1).reshape(kept, -1)[:, :vectors]
        return PruneResult(
            values=(pairs & 0xFFFF).astype(np.uint16),
            indices=(pairs >> 16).astype(np.uint8),
            cycles=run.last["pairs"] - run.first["dense"] + 1,
        )

    def _check_memory(self, product: Product, width: int):
        config = self.config
        beats = product.macs / (config.rows * config.cols) * words_of(width * config.cols) * 4 * 3
        if beats > _MEMORY_LIMIT:
            raise ConfigError(
                f"A product of {product.m} × {product.k} × {product.n} is too large to simulate in one piece "
                f"on {config.rows} × {config.cols}; cut it along m or n, or use `--backend golden`."
            )


def _fields(layout, **values: int) -> np.ndarray:
    """One beat of a struct: uint32 (1, words)."""
    bits = sum(int(value) << layout[name].offset for name, value in values.items())
    words = words_of(layout.size)
    return np.array([[(bits >> (32 * i)) & 0xFFFFFFFF for i in range(words)]], np.uint32)


def _report(words: np.ndarray) -> dict[str, int]:
    layout = report_layout()
    bits = sum(int(word) << (32 * i) for i, word in enumerate(words))
    return {name: bits >> field.offset & ((1 << field.width) - 1) for name, field in layout}
