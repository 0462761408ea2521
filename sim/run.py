"""What every run of a simulation shares: back-pressure, results, errors."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = [
    "HEAVY",
    "LIGHT",
    "NONE",
    "ProtocolError",
    "RunResult",
    "SimulationError",
    "SimulationTimeout",
    "Stall",
]


class SimulationError(RuntimeError):
    """The simulated design misbehaved. The text says how, in which cycle, under which seed."""


class SimulationTimeout(SimulationError):
    """The design did not finish in time. The text says which streams waited."""


class ProtocolError(SimulationError):
    """A stream of the design broke the handshake rules."""


@dataclass(frozen=True, kw_only=True)
class Stall:
    """Back-pressure: probabilities per cycle that a source offers nothing and that a sink is not ready."""

    input: float = 0.0
    output: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name, value in (("input", self.input), ("output", self.output)):
            if not 0 <= value < 1:
                raise ValueError(f"A stall's {name} must be a probability from 0 to below 1, not {value!r}")

    def with_seed(self, seed: int) -> "Stall":
        return replace(self, seed=seed)


NONE = Stall()
LIGHT = Stall(input=0.1, output=0.1)
HEAVY = Stall(input=0.6, output=0.6)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did. Cycles count from 0 at its start; keys are names of streams.

    Attributes
    ----------
    outputs: beats that arrived, uint32 (n, words).
    cycles: length of the run.
    first, last: cycles of a stream's first and last handshake, -1 if it had none.
    beats: handshakes of each stream.
    waited: cycles in which the harness was willing and the design was not.
    """

    outputs: dict[str, np.ndarray]
    cycles: int
    first: dict[str, int]
    last: dict[str, int]
    beats: dict[str, int]
    waited: dict[str, int]
