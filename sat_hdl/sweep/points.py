"""A sweep's file, and the points that it stands for."""

import hashlib
import itertools
import re
from pathlib import Path
from typing import Any

import msgspec

from sat_hdl.compiler.networks import NETWORKS, network
from sat_hdl.compiler.networks.table import METHODS
from sat_hdl.config import Config, ConfigError, parse_sparsity, preset, read_toml, require

__all__ = ["Point", "Sweep", "content", "load_sweep"]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction to make: a training step of ``network`` on ``config``.

    ``gbps``: of memory, 10⁹ bytes a second; None: the configuration's own port. ``latency``: cycles.
    ``batch``: None: as is usual for the network.
    """

    network: str
    method: str
    sparsity: str
    batch: int | None
    mhz: float
    gbps: float | None
    latency: int
    config: Config

    def columns(self) -> dict[str, str]:
        """What tells it from other points, as text; in this order the first columns of a table."""
        plain = {
            "network": self.network + content(self.network),
            "method": self.method,
            "sparsity": self.sparsity,
            "batch": "usual" if self.batch is None else str(self.batch),
            "mhz": f"{self.mhz:g}",
            "gbps": "port" if self.gbps is None else f"{self.gbps:g}",
            "latency": str(self.latency),
        }
        return plain | {name: str(value) for name, value in msgspec.to_builtins(self.config).items()}


def content(network: str) -> str:
    """What tells a network's file from what it was before: nothing, if it is none."""
    path = Path(re.sub(r"(\.py):\w+$", r"\1", network))
    if path.suffix not in (".py", ".toml"):
        return ""
    return f"@{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sweep's TOML file. Every list's values are combined with those of every other.

    Arguments
    ---------
    networks: names, or files, as of `sat-hdl schedule`; files are told apart by what is in them.
    methods: dense, bdwp, sdwp, srste. sparsities: N:M, of no effect for dense.
    batches: samples a step; without them, as is usual for each network.
    mhz: of the device. gbps: of memory; without it, the configuration's own port. latency: cycles.
    preset: what ``config`` is based on.
    config: keys of a configuration, each with a value or a list of them.
    """

    networks: list[str]
    methods: list[str] = msgspec.field(default_factory=lambda: ["bdwp"])
    sparsities: list[str] = msgspec.field(default_factory=lambda: ["2:8"])
    batches: list[int] = []
    mhz: list[float] = msgspec.field(default_factory=lambda: [200.0])
    gbps: list[float] = []
    latency: list[int] = msgspec.field(default_factory=lambda: [40])
    preset: str = "default"
    config: dict[str, Any] = {}

    def points(self) -> list[Point]:
        """All combinations, in the order of the file; each once.

        Raises
        ------
        ConfigError: a value that no command would take, or nothing to do.
        """
        for name in self.networks:
            network(name)
        for method in self.methods:
            require(method in METHODS, f"`methods` may hold {', '.join(METHODS)}, not {method!r}.")
        for text in self.sparsities:
            require(parse_sparsity(text) is not None, "`sparsities` hold N:M; dense is a method.")
        for name, values, low, high in (
            ("batches", self.batches, 1, 1 << 20), ("mhz", self.mhz, 1e-3, 1e5), ("gbps", self.gbps, 1e-3, 1e6),
            ("latency", self.latency, 0, 100_000),
        ):  # fmt: skip
            for value in values:
                require(low <= value <= high, f"`{name}` may hold {low:g} to {high:g}, not {value:g}.")
        base = preset(self.preset)
        unknown = sorted(set(self.config) - set(Config.__struct_fields__))
        require(
            not unknown,
            f"`config` has no key {', '.join(map(repr, unknown))}; it has {', '.join(Config.__struct_fields__)}.",
        )
        lists = {key: value if isinstance(value, list) else [value] for key, value in self.config.items()}
        configs = [
            self._config(base, dict(zip(lists, values))) for values in itertools.product(*lists.values())
        ]
        found: dict[Point, None] = {}
        for config, name, method, mhz, gbps, latency, batch in itertools.product(
            configs, self.networks, self.methods, self.mhz, self.gbps or [None], self.latency, self.batches or [None]
        ):  # fmt: skip
            for sparsity in ["dense"] if method == "dense" else self.sparsities:
                point = Point(
                    network=name, method=method, sparsity=sparsity, batch=batch, mhz=mhz, gbps=gbps, latency=latency,
                    config=config,
                )  # fmt: skip
                found[point] = None
        require(bool(found), f"The sweep has no points: `networks` must name some of {', '.join(NETWORKS)}.")
        return list(found)

    @staticmethod
    def _config(base: Config, keys: dict[str, Any]) -> Config:
        try:
            return msgspec.convert(msgspec.to_builtins(base) | keys, type=Config)
        except msgspec.ValidationError as error:
            raise ConfigError(f"`config`: {str(error).removesuffix('.')}.") from None


def load_sweep(path: Path) -> Sweep:
    """Reads a sweep's file. Raises ConfigError."""
    return read_toml(path, Sweep, "sweep")
