"""One point of a sweep: cycles of a training step, and what the device costs."""

from functools import cache
from typing import Any

from sat_hdl.compiler.compare import compare
from sat_hdl.compiler.memory_port import MemoryPort, default_port
from sat_hdl.compiler.networks import network
from sat_hdl.compiler.networks.table import Network
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import Config, ConfigError, parse_sparsity
from sat_hdl.sweep.points import Point, content

__all__ = ["AREA", "FIGURES", "area", "evaluate", "multipliers"]

#: Columns that a point gets.
FIGURES = (
    "samples", "cycles", "seconds", "dense_cycles", "speedup", "product_speedup", "ideal_speedup", "utilisation",
    "bytes", "bound", "multipliers", "buffer_kib", "error",
)  # fmt: skip
#: Columns that synthesis gives.
AREA = ("lut4_equivalents", "lut4", "ccu2c", "lutram", "ff", "dsp", "bram")
#: Of 18 bits, in each of the vector lanes' multipliers for binary32.
_LANE_MULTIPLIERS = 4


def multipliers(config: Config) -> int:
    """Hardware multipliers of at most 18 bits: one an element, and those of the vector lanes."""
    return config.rows * config.cols + _LANE_MULTIPLIERS * config.vector_lanes


def _buffer_kib(config: Config) -> float:
    """Of the three buffers: activations, weights with their indices, results."""
    bits = config.rows * config.west_depth * config.ingest * 16
    bits += config.north_depth * config.panel * (16 + 4)
    bits += config.result_depth * config.cols * 32
    return bits / 8192


@cache
def _table(name: str, _content: str) -> Network:
    """Each file of a sweep is read once, as long as it is the same."""
    return network(name)


def evaluate(point: Point) -> dict[str, Any]:
    """The figures of a point: ``error`` instead of most, if the configuration can't run it."""
    config = point.config
    found: dict[str, Any] = dict.fromkeys(FIGURES, "")
    found |= {"multipliers": multipliers(config), "buffer_kib": _buffer_kib(config)}
    if point.gbps is None:
        port = default_port(config, point.mhz, point.latency)
    else:
        port = MemoryPort.of_bandwidth(point.gbps, point.mhz, point.latency)
    table = _table(point.network, content(point.network))
    try:
        if point.method == "dense":
            best = schedule(table, config, port, method="dense", sparsity=None, batch=point.batch)
        else:
            sparsity = parse_sparsity(point.sparsity)
            assert sparsity is not None
            config.check_sparsity(*sparsity)
            done = compare(table, config, port, sparsity, method=point.method, batch=point.batch)
            best = done.sparse
            found |= {
                "dense_cycles": done.dense.cycles,
                "speedup": done.speedup,
                "product_speedup": done.product_speedup,
                "ideal_speedup": done.ideal_speedup,
            }
    except ConfigError as error:
        return found | {"error": str(error)}
    return found | {
        "samples": best.batch,
        "cycles": best.cycles,
        "seconds": best.cycles / (point.mhz * 1e6),
        "utilisation": best.utilisation(),
        "bytes": round(best.bytes),
        "bound": best.bound,
    }


def area(config: Config) -> dict[str, int]:
    """Cells on an ECP5 of the device's blocks, each synthesised by itself, and summed. Cached by content."""
    import msgspec

    from sat_hdl.fpga.system_report import block_areas

    blocks = block_areas(msgspec.structs.replace(config, target="ecp5"))
    return {name: sum(block[name] for block in blocks.values()) for name in AREA}
