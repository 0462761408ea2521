"""Verilog of components, kept in the build cache: elaborating a device takes many seconds."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from amaranth.lib import wiring

from sat_hdl.config import Config
from sat_hdl.sim.build import cached
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.verilog import emit, source_digest

__all__ = ["kept_verilog"]


def kept_verilog(make: Callable[[], wiring.Component], what: str, config: Config) -> str:
    """Verilog of the component that ``make()`` returns as module ``top``, with models of a vendor's primitives where
    ``config`` has them.

    ``what`` and ``config`` must determine the component.
    """
    sources = [ECP5.read_text()] if config.target == "ecp5" else []

    def fill(folder: Path):
        (folder / "top.v").write_text(emit(make(), "top", extra_sources=sources))

    key = [what, msgspec.json.encode(config).decode(), *sources, source_digest()]
    return (cached("verilog", key, fill) / "top.v").read_text()
