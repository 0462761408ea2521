"""What a bench plays and expects, as a file between the test, which computes it, and the simulator's process."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["LockstepPlan", "StreamPlan"]


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """Beats as integers, by stream.

    Arguments
    ---------
    inputs: beats to offer.
    outputs: beats to expect, as (value, mask): only the bits of the mask count.
    constants: ports to hold.
    seed: of the back-pressure.
    """

    inputs: Mapping[str, Sequence[int]]
    outputs: Mapping[str, Sequence[tuple[int, int]]]
    constants: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def write(self, path: Path):
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: str | Path) -> "StreamPlan":
        return cls(**json.loads(Path(path).read_text()))


@dataclass(frozen=True, kw_only=True)
class LockstepPlan:
    """Values of ports, cycle by cycle.

    Arguments
    ---------
    inputs: port → its value in each cycle, all of one length.
    outputs: port → (cycle, value) to expect, in ascending order. The value is seen before the clock edge that
        ends the cycle.
    """

    inputs: Mapping[str, Sequence[int]]
    outputs: Mapping[str, Sequence[tuple[int, int]]]

    def write(self, path: Path):
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: str | Path) -> "LockstepPlan":
        return cls(**json.loads(Path(path).read_text()))
