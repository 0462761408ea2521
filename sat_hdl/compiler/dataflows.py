"""The ways in which an array can do a product: what of it fits the buffers, and the cycles of a block.

A product is one of A, m × k, by B, k × n. Buffers hold two of everything; a block has one half of each.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from sat_hdl.compiler.cycles import fastest, product_cycles, stationary_cycles
from sat_hdl.compiler.networks.table import Gemm
from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config, ConfigError

__all__ = ["DATAFLOWS", "JOB_CYCLES", "Dataflow", "device_dataflows", "find_dataflows", "kept_of"]

#: From the end of a job to the first operand of the next: the compute unit runs one at a time.
JOB_CYCLES = 25


def _up(value: int, step: int) -> int:
    return -(-value // step)


@dataclass(frozen=True)
class Dataflow:
    """A dataflow.

    Arguments
    ---------
    name: "os", output-stationary: a tile of results stays in the array. "os-t": the same of the transposed product,
        Yᵀ = Bᵀ · Aᵀ, which a sparse B does not allow, as only B's side selects. "ws", weight-stationary:
        B stays, a row of the array having one element of k, as the device runs it: dense products alone. "os-fold":
        as "os", of few columns, with several rows of A in an element, as many as serve best.
    title: for people.
    """

    name: str
    title: str

    def turned(self, gemm: Gemm) -> Gemm | None:
        """The product that the array does, or None if it can't do this one."""
        if self.name == "os-t":
            if gemm.keep is not None:
                return None
            return replace(gemm, m=gemm.n, n=gemm.m)
        if self.name == "ws" and gemm.keep is not None:
            return None
        return gemm

    def widest(self, config: Config, n: int) -> int:
        """The most columns of a block."""
        if self.name == "os-fold":
            return min(n, (config.interleave + config.least_span - 1) // 2 * config.cols)
        return min(n, 8 * config.cols) if self.name == "ws" else n

    def most_rows(self, config: Config, k: int, kept: int, n: int) -> int:
        """The most rows of A of which a block of so much of k and n can have; 0 if it fits in no case."""
        slots = _up(n, config.cols)
        if _up(n, config.panel) * kept > config.north_depth // 2:
            return 0
        west, results = config.west_depth // 2, config.result_depth // 2
        if self.name == "ws":
            return min(west // _up(k, config.rows) * config.ingest, results // slots)
        return min(west // _up(k, config.ingest) * config.rows, results // slots)

    def tile(self, config: Config, n: int, group: int | None) -> int:
        """Rows of A of a tile of ``n`` columns, at most."""
        return config.rows * (max(Product.folds(config, n, group)) if self.name == "os-fold" else 1)

    def cycles(
        self, config: Config, m: int, k: int, n: int, pattern: tuple[int, int] | None, more: bool
    ) -> int:
        """Of a block on the array. ``more``: it goes on with the sums of the block before."""
        return _cycles(self.name, config, m, k, n, pattern, more)


@lru_cache(maxsize=1 << 17)
def _cycles(
    name: str, config: Config, m: int, k: int, n: int, pattern: tuple[int, int] | None, more: bool
) -> int:
    if name == "ws":
        full, rest = divmod(k, config.rows)
        return sum(
            count * (stationary_cycles(_stationary(config, m, length, n)) + JOB_CYCLES)
            for count, length in ((full, config.rows), (1, rest))
            if count and length
        )
    keep, group = pattern or (None, None)
    product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group)
    if name == "os-fold":
        product = fastest(product, accumulate=more)
    return product_cycles(product, accumulate=more) + JOB_CYCLES


def _stationary(config: Config, m: int, rows: int, n: int) -> StationaryJob:
    """A job with a weight, or up to 8 slots of them, in each element of ``rows`` rows of the array."""
    slots = (_up(n, config.cols) - 1).bit_length()
    return StationaryJob(config=config, m=m, k=rows, n=n, keep=1, group=1, slots=slots)


#: By name.
DATAFLOWS = {
    each.name: each
    for each in (
        Dataflow("os", "output-stationary"),
        Dataflow("os-t", "output-stationary, transposed"),
        Dataflow("ws", "weight-stationary"),
        Dataflow("os-fold", "output-stationary, several rows of A an element"),
    )
}


def device_dataflows(config: Config) -> tuple[Dataflow, ...]:
    """Those that a device of ``config`` has. Transposed products are those of the host's (``sat-hdl train``); for
    compiled steps they need but stores in another order."""
    names = ["os", "os-t"]
    if config.weight_stationary:
        names.append("ws")
    if config.fold > 1:
        names.append("os-fold")
    return tuple(DATAFLOWS[name] for name in names)


def find_dataflows(names: str) -> tuple[Dataflow, ...]:
    """``"os,ws"`` → those. Raises :class:`ConfigError` for one that there is not."""
    found = []
    for name in names.split(","):
        if name not in DATAFLOWS:
            raise ConfigError(f"There is no dataflow {name!r}; choose of {', '.join(DATAFLOWS)}, or `auto`.")
        found.append(DATAFLOWS[name])
    return tuple(dict.fromkeys(found))


def kept_of(gemm: Gemm, k: int) -> int:
    """Length of a chain over ``k`` of a product's k."""
    return k if gemm.keep is None or gemm.group is None else kept_length(k, gemm.keep, gemm.group)
