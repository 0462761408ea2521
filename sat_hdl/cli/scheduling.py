"""What `schedule` and `compare` share: options, and what they choose."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from sat_hdl.compiler.blocks import PRUNING
from sat_hdl.compiler.dataflows import DATAFLOWS, Dataflow, device_dataflows, find_dataflows
from sat_hdl.compiler.memory_port import MemoryPort, default_port
from sat_hdl.compiler.models import MODELS
from sat_hdl.compiler.networks import NETWORKS
from sat_hdl.config import Config, require

__all__ = [
    "NETWORK_HELP", "BatchOption", "DataflowOption", "LatencyOption", "MemoryOption", "MhzOption", "Moment",
    "MomentOption", "PartsOption", "chosen_dataflows", "chosen_moments", "chosen_port", "port_told",
]  # fmt: skip

NETWORK_HELP = (
    f"Of {', '.join([*NETWORKS, *MODELS])}; a TOML file of layers; or a model or PyTorch module in a Python file, "
    "FILE.py:NAME."
)


class Moment(StrEnum):
    """When weights are pruned."""

    auto = "auto"
    pregenerated = "pregenerated"
    fly = "on-the-fly"


MemoryOption = Annotated[
    float | None,
    typer.Option(
        help="Memory's bandwidth in 10⁹ bytes a second, which the port is taken to keep up with. Else the paper's "
        "76.8 (4 × DDR4-2400) for a 32 × 32 array, and the configuration's own port for others.",
        metavar="G",
    ),
]
MhzOption = Annotated[float, typer.Option(help="Frequency of the device.", metavar="F")]
LatencyOption = Annotated[int, typer.Option(help="Cycles to memory's first data.", metavar="CYCLES")]
DataflowOption = Annotated[
    str,
    typer.Option(
        help=f"To choose from: {', '.join(DATAFLOWS)}, with commas; `auto` is what the device has.",
        metavar="NAMES",
    ),
]
MomentOption = Annotated[Moment, typer.Option(help="When weights are pruned; `auto` chooses by product.")]
BatchOption = Annotated[int | None, typer.Option(help="Samples a step; else as is usual for the network.")]
PartsOption = Annotated[
    str,
    typer.Option(
        help="How many parts the batch is cut into, so that vector work runs beside products; `auto` chooses for "
        "each pass.",
        metavar="NUMBER",
    ),
]


def chosen_port(config: Config, gbps: float | None, mhz: float, latency: int) -> MemoryPort:
    """Memory as the options describe it."""
    require(0 < mhz < 1e5, f"`--mhz` must be over 0 and below 100000, not {mhz:g}.")
    require(0 <= latency <= 100_000, f"`--latency` must be from 0 to 100000 cycles, not {latency}.")
    if gbps is None:
        return default_port(config, mhz, latency)
    require(0 < gbps < 1e6, f"`--memory-gbps` must be over 0 and below 1000000, not {gbps:g}.")
    return MemoryPort.of_bandwidth(gbps, mhz, latency)


def chosen_dataflows(config: Config, names: str) -> tuple[Dataflow, ...]:
    if names == "auto":
        return device_dataflows(config)
    found = find_dataflows(names)
    folds = config.fold > 1 or all(each.name != "os-fold" for each in found)
    require(
        folds,
        "This configuration does not fold products; set `fold` to 2 or more in it, or leave out os-fold.",
    )
    return found


def chosen_moments(moment: Moment) -> tuple[str, ...]:
    return {Moment.auto: PRUNING, Moment.pregenerated: PRUNING[:1], Moment.fly: PRUNING[1:]}[moment]


def port_told(port: MemoryPort, mhz: float) -> dict[str, Any]:
    """For JSON."""
    return {
        "gbps": port.bytes_per_cycle * mhz / 1e3,
        "bytes_per_cycle": port.bytes_per_cycle,
        "each_way": port.duplex,
        "latency": port.latency,
        "intake": port.intake,
    }
