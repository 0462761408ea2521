"""Memory as the scheduler sees it: how many bytes a cycle, and after how many cycles."""

from dataclasses import dataclass
from functools import lru_cache

from sat_hdl.compiler.cycle_model.units import run_costs
from sat_hdl.config import PRESETS, Config, require

__all__ = ["PAPER_GBPS", "MemoryPort", "default_port"]

#: DDR4 of the paper's board, a VCU1525: 4 channels of 64 bits at 2400 MT/s, 19.2 GB/s each.
PAPER_GBPS = 4 * 64 / 8 * 2.4


@dataclass(frozen=True, kw_only=True)
class MemoryPort:
    """What units of a device share to reach memory.

    Arguments
    ---------
    bytes_per_cycle: over 0. latency: cycles from a request to its first data, 0 or more.
    duplex: whether reads and writes have ``bytes_per_cycle`` each, as an AXI port has; else they share them.
    intake: 16-bit elements that a buffer takes in a cycle, at most; None if as many as memory delivers. Where a run
        ends in a word, the next one comes one element a cycle up to its end.
    """

    bytes_per_cycle: float
    latency: int = 40
    duplex: bool = False
    intake: int | None = None

    def __post_init__(self):
        require(self.bytes_per_cycle > 0, f"`bytes_per_cycle` must be over 0, not {self.bytes_per_cycle!r}.")
        require(self.latency >= 0, f"`latency` must be 0 or more, not {self.latency!r}.")
        require(self.intake is None or self.intake >= 1, f"`intake` must be at least 1, not {self.intake!r}.")

    @classmethod
    def of_device(cls, config: Config, latency: int = 40) -> "MemoryPort":
        """The port that ``config`` has: AXI, ``memory_bits`` a cycle each way, and its buffers' own intake."""
        return cls(bytes_per_cycle=config.memory_bits / 8, latency=latency, duplex=True, intake=config.ingest)

    @classmethod
    def of_bandwidth(cls, gbps: float, mhz: float, latency: int = 40) -> "MemoryPort":
        """Memory of so many GB/s (10⁹ bytes) beside a device of ``mhz`` whose port and buffers keep up with it."""
        return cls(bytes_per_cycle=gbps * 1e3 / mhz, latency=latency)

    def cycles(self, read: float, written: float) -> float:
        """For so many bytes, without latency."""
        most = max(read, written) if self.duplex else read + written
        return most / self.bytes_per_cycle

    def load_cycles(self, elements: float, run: int) -> float:
        """For a load of 16-bit elements in runs of ``run``, as fast as a buffer takes them."""
        if self.intake is None:
            return 0.0
        return elements * _load_rate(max(1, int(self.bytes_per_cycle / 2)), self.intake, max(1, run))


@lru_cache(maxsize=1024)
def _load_rate(per_beat: int, intake: int, run: int) -> float:
    """Cycles an element, by the rule of the load unit: runs follow one another in a buffer's words."""
    return run_costs(per_beat, intake, run, -(-run // per_beat), intake)[-1] / (run * intake)


def default_port(config: Config, mhz: float, latency: int = 40) -> MemoryPort:
    """The paper's memory for an array of the paper's size, else the configuration's own port."""
    paper = PRESETS["paper-32x32"]
    if (config.rows, config.cols) == (paper.rows, paper.cols):
        return MemoryPort.of_bandwidth(PAPER_GBPS, mhz, latency)
    return MemoryPort.of_device(config, latency)
