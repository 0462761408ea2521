"""AXI ports of a compiled design, found by their signals' names."""

import ctypes
from collections.abc import Mapping

from sat_hdl.sim import _library as lib

__all__ = ["csr_table", "has_port", "memory_table"]

#: Signals of the two ports in the order of burst.hpp and csr.hpp; a port may lack those in the second sets.
_MEMORY_SIGNALS = (
    "awid", "awaddr", "awlen", "awsize", "awburst", "awvalid", "awready", "wdata", "wstrb", "wlast", "wvalid",
    "wready", "bid", "bresp", "bvalid", "bready", "arid", "araddr", "arlen", "arsize", "arburst", "arvalid",
    "arready", "rid", "rdata", "rresp", "rlast", "rvalid", "rready",
)  # fmt: skip
_MEMORY_OPTIONAL = {"awid", "awlen", "awsize", "awburst", "wstrb", "wlast", "bid", "bresp", "arid", "arlen",
                    "arsize", "arburst", "rid", "rresp", "rlast"}  # fmt: skip
_CSR_SIGNALS = (
    "awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready",
    "araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready",
)  # fmt: skip
_CSR_OPTIONAL = {"awprot", "wstrb", "bresp", "arprot", "rresp"}
#: What a master drives, by the channel; the rest comes from the slave.
_MASTER = ("aw", "w", "ar")


def has_port(ports: Mapping[str, lib.Port], prefix: str) -> bool:
    """Whether there is an AXI port ``prefix``."""
    return any(_find(list(ports), prefix, signal) >= 0 for signal in ("awvalid", "arvalid"))


def memory_table(ports: Mapping[str, lib.Port], prefix: str) -> ctypes.Array:
    """Port numbers of an AXI4 master's signals, as burst.hpp orders them; -1 for what it lacks."""
    return _table(
        ports, prefix, _MEMORY_SIGNALS, _MEMORY_OPTIONAL, side="master", widths=(32, 64, 128, 256, 512)
    )


def csr_table(ports: Mapping[str, lib.Port], prefix: str) -> ctypes.Array:
    """Port numbers of an AXI4-Lite slave's signals, as csr.hpp orders them; -1 for what it lacks."""
    return _table(ports, prefix, _CSR_SIGNALS, _CSR_OPTIONAL, side="slave", widths=(32,))


def _find(names: list[str], prefix: str, signal: str) -> int:
    return next((names.index(n) for n in (f"{prefix}__{signal}", f"{prefix}_{signal}") if n in names), -1)


def _table(
    ports: Mapping[str, lib.Port], prefix: str, signals: tuple[str, ...], optional: set[str], *, side: str,
    widths: tuple[int, ...],
) -> ctypes.Array:  # fmt: skip
    names, rows = list(ports), list(ports.values())
    numbers = {signal: _find(names, prefix, signal) for signal in signals}
    if not has_port(ports, prefix):
        raise ValueError(
            f"The design has no AXI port {prefix!r}: its signals would be {prefix}_awvalid and so on"
        )
    for signal, number in numbers.items():
        channel = next(c for c in ("aw", "ar", "w", "b", "r") if signal.startswith(c))
        valid = "arvalid" if channel in ("ar", "r") else "awvalid"
        if number < 0:
            if numbers[valid] >= 0 and signal not in optional:
                raise ValueError(f"The AXI port {prefix!r} must have the signal {signal}")
            continue
        by_master = (channel in _MASTER) != signal.endswith("ready")
        if bool(rows[number].is_input) != (by_master != (side == "master")):
            raise ValueError(
                f"The signal {signal} of {prefix!r} must have the direction that it has at an AXI {side}"
            )
    found = {s: rows[numbers[s]].width for s in ("wdata", "rdata", "wstrb") if numbers[s] >= 0}
    strobe = found.pop("wstrb", None)
    width = max(found.values())
    if set(found.values()) != {width} or width not in widths:
        raise ValueError(
            f"The data of {prefix!r} must be {', '.join(map(str, widths))} bits wide, not {found}"
        )
    if strobe not in (None, width // 8):
        raise ValueError(f"The AXI port {prefix!r} must have {width // 8} bits of strobe, not {strobe}")
    return (ctypes.c_int32 * len(signals))(*numbers.values())
