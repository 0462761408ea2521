"""How a simulated memory behaves, and what it counts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sat_hdl.compiler.cycle_model import Memory

__all__ = ["CHANGE", "CHANNELS", "EVENT", "ORDERS", "MemoryConfig", "MemoryCounters"]

#: Channels of an AXI port, by their numbers in the log of events.
CHANNELS = ("aw", "w", "b", "ar", "r")
#: An event: an address was accepted (aw, ar), the last beat of data was (w, r), or the answer was (b).
#: ``address`` and ``beats`` are the burst's.
EVENT = np.dtype([("cycle", "u8"), ("address", "u8"), ("channel", "u4"), ("beats", "u4")])
#: A change of a port that is recorded: the bits watched have ``value`` from ``cycle`` on; a counted bit was high in
#: ``counted`` cycles since the change before. ``port``: its number among those recorded.
CHANGE = np.dtype([("cycle", "u8"), ("value", "u8"), ("counted", "u8"), ("port", "u4")], align=True)
#: Of answers; see MemoryConfig.
ORDERS = ("fifo", "reorder", "interleave")


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """How a simulated memory behaves.

    Attributes
    ----------
    size: bytes, a multiple of 64; base: address of the first. Accesses outside are answered by DECERR.
    read_latency, write_latency: cycles from a burst's address (read) or last data (write) to its answer, at
        least 1; a pair is drawn from, least to most, for each burst.
    stall: probability per cycle that a channel rests, for all or by the names in CHANNELS.
    outstanding: bursts of each direction that are accepted before the first is answered.
    order: of the answers to different ids: as asked ("fifo"), burst by burst at random ("reorder"), or beat
        by beat at random ("interleave"). Answers to one id always come as asked.
    bandwidth: most beats per cycle, reads and writes together (over a dozen cycles); None: 2.
    slverr, decerr: ranges (start, size) whose accesses are answered so and change nothing.
    writable: ranges that the design may change; a write elsewhere in the memory is a violation. None: all.
    ready_after_valid: no channel is ready before it was offered something, no data are taken before their
        address; a design that waits for `ready` to raise `valid` then hangs, as it may anywhere.
    log: most events to keep.
    """

    size: int
    base: int = 0
    read_latency: int | tuple[int, int] = 10
    write_latency: int | tuple[int, int] = 5
    stall: float | Mapping[str, float] = 0.0
    outstanding: int = 16
    order: str = "fifo"
    bandwidth: float | None = None
    slverr: tuple[tuple[int, int], ...] = ()
    decerr: tuple[tuple[int, int], ...] = ()
    writable: tuple[tuple[int, int], ...] | None = None
    ready_after_valid: bool = False
    log: int = 0
    seed: int = 0

    @property
    def latencies(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(least, most) of reads, and of writes."""
        pairs = [(x, x) if isinstance(x, int) else x for x in (self.read_latency, self.write_latency)]
        return pairs[0], pairs[1]

    @property
    def expected(self) -> Memory:
        """What the cycle model takes it for: with the mean of its latencies, and nothing that rests."""
        read, write = (sum(pair) // 2 for pair in self.latencies)
        return Memory(
            read_latency=read, write_latency=write, outstanding=self.outstanding, bandwidth=self.bandwidth
        )

    @property
    def stalls(self) -> tuple[float, ...]:
        """Of each of CHANNELS."""
        if isinstance(self.stall, Mapping):
            return tuple(self.stall.get(channel, 0.0) for channel in CHANNELS)
        return (self.stall,) * len(CHANNELS)

    def __post_init__(self):
        if self.size < 64 or self.size % 64:
            raise ValueError(f"A memory's size must be a positive multiple of 64 bytes, not {self.size!r}")
        if not 0 <= self.base <= 2**64 - self.size:
            raise ValueError(f"A memory's base must be an address of at most 64 bits, not {self.base!r}")
        for least, most in self.latencies:
            if not 1 <= least <= most < 2**32:
                raise ValueError(f"A memory's latency must be 1 or more cycles, not {(least, most)!r}")
        if isinstance(self.stall, Mapping) and (unknown := set(self.stall) - set(CHANNELS)):
            raise ValueError(f"A channel that stalls must be one of {', '.join(CHANNELS)}, not {unknown}")
        for stall in self.stalls:
            if not 0 <= stall < 1:
                raise ValueError(f"A stall must be a probability from 0 to below 1, not {stall!r}")
        if not 1 <= self.outstanding <= 1024:
            raise ValueError(f"Outstanding bursts must be 1 to 1024, not {self.outstanding!r}")
        if self.order not in ORDERS:
            raise ValueError(f"An order of answers must be one of {', '.join(ORDERS)}, not {self.order!r}")
        if self.bandwidth is not None and not 0 < self.bandwidth <= 2:
            raise ValueError(f"A bandwidth must be up to 2 beats per cycle, not {self.bandwidth!r}")


@dataclass(frozen=True, kw_only=True)
class MemoryCounters:
    """Of what a memory served since the reset: bursts whose address it accepted, beats, bytes that writes
    changed, beats (read) and bursts (write) answered by an error, and most bursts outstanding at once."""

    reads: int
    writes: int
    read_beats: int
    write_beats: int
    bytes_written: int
    read_errors: int
    write_errors: int
    most_reads: int
    most_writes: int
