"""Every component that can be generated or measured by itself, by the name that users type."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring

from sat_hdl.config import Config, ConfigError

__all__ = ["COMPONENTS", "check_name", "make"]


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """Class ``cls`` of ``module``, built with the arguments that ``arguments`` reads from a configuration."""

    module: str
    cls: str
    arguments: Callable[[Config], Mapping[str, Any]]


def _whole(config: Config) -> Mapping[str, Any]:
    return {"config": config}


def _format(config: Config) -> Mapping[str, Any]:
    return {"format": config.format}


def _format_and_target(config: Config) -> Mapping[str, Any]:
    return {"format": config.format, "target": config.target}


def _control(config: Config) -> Mapping[str, Any]:
    from sat_hdl.stce.stce import Stce

    return {"config": config, "result_latency": Stce(config).result_latency}


def _drain(config: Config) -> Mapping[str, Any]:
    from sat_hdl.stce.stce import Stce

    return {"config": config, "exchange_latency": Stce(config).exchange_latency}


def _stream(config: Config) -> Mapping[str, Any]:
    return {"data_bits": config.memory_bits, "target": config.target}


def _memory_port(config: Config) -> Mapping[str, Any]:
    return {"clients": 4, "data_bits": config.memory_bits}


def _sdram(config: Config) -> Mapping[str, Any]:
    if config.memory_bits not in (32, 64, 128):
        raise ConfigError(
            f"The SDRAM controller has a port of 32, 64 or 128 bits; `memory_bits` is {config.memory_bits}."
        )
    return {"data_bits": config.memory_bits}


#: name → how it is built.
COMPONENTS: dict[str, _Entry] = {
    "top": _Entry(module="sat_hdl.top", cls="SatCore", arguments=_whole),
    "system": _Entry(module="sat_hdl.system", cls="SatTop", arguments=_whole),
    "system-wishbone": _Entry(module="sat_hdl.system_wishbone", cls="SatWishbone", arguments=_whole),
    "datapath": _Entry(module="sat_hdl.datapath", cls="Datapath", arguments=_whole),
    "product": _Entry(module="sat_hdl.top", cls="ProductCore", arguments=_whole),
    "control": _Entry(module="sat_hdl.control.control", cls="Control", arguments=_control),
    "stce": _Entry(module="sat_hdl.stce.stce", cls="Stce", arguments=_whole),
    "uspe": _Entry(module="sat_hdl.stce.uspe", cls="Uspe", arguments=_whole),
    "drain": _Entry(module="sat_hdl.stce.drain", cls="Drain", arguments=_drain),
    "sore": _Entry(module="sat_hdl.sore.sore", cls="Sore", arguments=_whole),
    "wuve": _Entry(
        module="sat_hdl.wuve.wuve",
        cls="Wuve",
        arguments=lambda c: {
            "lanes": c.vector_lanes,
            "data_bits": c.memory_bits,
            "format": c.format,
            "target": c.target,
        },
    ),
    "pregenerate": _Entry(module="sat_hdl.wuve.pregenerate", cls="Pregenerate", arguments=_whole),
    "mac": _Entry(module="sat_hdl.arith.mac", cls="Mac", arguments=_format_and_target),
    "multiply": _Entry(module="sat_hdl.arith.multiply", cls="Multiply", arguments=_format_and_target),
    "add": _Entry(module="sat_hdl.arith.add", cls="Add", arguments=lambda c: {"target": c.target}),
    "multiply32": _Entry(
        module="sat_hdl.arith.multiply32", cls="Multiply32", arguments=lambda c: {"target": c.target}
    ),
    "normalise": _Entry(module="sat_hdl.arith.normalise", cls="Normalise", arguments=_format),
    "narrow": _Entry(module="sat_hdl.arith.convert", cls="Narrow", arguments=_format),
    "widen": _Entry(module="sat_hdl.arith.convert", cls="Widen", arguments=_format),
    "affine-reader": _Entry(module="sat_hdl.memory.reader", cls="AffineReader", arguments=_stream),
    "affine-writer": _Entry(module="sat_hdl.memory.writer", cls="AffineWriter", arguments=_stream),
    "read-port": _Entry(module="sat_hdl.memory.read_port", cls="ReadPort", arguments=_memory_port),
    "write-port": _Entry(module="sat_hdl.memory.write_port", cls="WritePort", arguments=_memory_port),
    "sdram": _Entry(module="sat_hdl.memory.sdram.controller", cls="AxiSdram", arguments=_sdram),
    "board": _Entry(
        module="sat_hdl.fpga.sat_board",
        cls="SatBoard",
        arguments=lambda c: {"config": c, "memory_size": 1 << 25, "clock_hz": 60e6},
    ),
    "memory-link": _Entry(
        module="sat_hdl.link.memory_link",
        cls="MemoryLink",
        arguments=lambda c: {"data_bits": c.memory_bits, "csr_bits": 9},
    ),
    "axi-mux": _Entry(
        module="sat_hdl.memory.axi_mux",
        cls="AxiMux",
        arguments=lambda c: {"managers": 2, "data_bits": c.memory_bits, "id_bits": 4},
    ),
    "axi-ram": _Entry(
        module="sat_hdl.memory.axi_ram",
        cls="AxiRam",
        arguments=lambda c: {"size": 1 << 16, "data_bits": c.memory_bits, "id_bits": 5},
    ),
    "integer-multiply": _Entry(
        module="sat_hdl.arith.integer_multiply",
        cls="IntegerMultiply",
        arguments=lambda c: {"width_a": c.format.sig_bits, "width_b": c.format.sig_bits, "target": c.target},
    ),
}


def check_name(name: str) -> None:
    """Raises :class:`ConfigError` unless there is a component ``name``."""
    if name not in COMPONENTS:
        near = difflib.get_close_matches(name, COMPONENTS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no component {name!r}; choose one of {', '.join(COMPONENTS)}.{hint}")


def make(name: str, config: Config) -> wiring.Component:
    """The component called ``name``, as ``config`` wants it."""
    check_name(name)
    entry = COMPONENTS[name]
    return getattr(importlib.import_module(entry.module), entry.cls)(**entry.arguments(config))
