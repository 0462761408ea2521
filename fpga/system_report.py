"""Area by block, place and route of the whole device: the report that is kept in ``fpga/reports``."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from amaranth.lib import wiring

from sat_hdl.components import make
from sat_hdl.config import Config
from sat_hdl.control.csr import PARAMETERS, CsrBlock
from sat_hdl.control.fetch import Fetch
from sat_hdl.control.frontend import Frontend
from sat_hdl.control.gather import Gather
from sat_hdl.control.isa import UNITS
from sat_hdl.control.load import Scatter
from sat_hdl.control.product_unit import ProductUnit
from sat_hdl.control.unit import UnitQueue
from sat_hdl.control.vector_unit import COPIES, READERS, WRITERS
from sat_hdl.fpga.ecp5 import Area, parse_target
from sat_hdl.fpga.flow import ROUTERS, Placed, area_of, place_and_route, synthesise
from sat_hdl.fpga.harness import Harness
from sat_hdl.fpga.toolchain import tool_version
from sat_hdl.memory.north_buffer import NorthBuffer
from sat_hdl.memory.read_port import ReadPort
from sat_hdl.memory.result_buffer import ResultBuffer
from sat_hdl.memory.west_buffer import WestBuffer
from sat_hdl.memory.write_port import WritePort
from sat_hdl.memory.writer import AffineWriter
from sat_hdl.sim.build import cached
from sat_hdl.sim.verilog import emit

__all__ = ["block_areas", "place_system", "system_report"]

_FIELDS = (*Area.__struct_fields__, "lut4_equivalents")


def place_system(
    config: Config,
    *,
    target: str = "ecp5-85f-6",
    seed: int = 1,
    placer: str = "static",
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[Area, Placed]:
    """The whole device, its pins behind a :class:`~sat_hdl.fpga.harness.Harness`: cells after synthesis, the
    wrapper's included, and what place and route made of them. Cached by content."""
    text = emit(Harness(make("system", config)), "top")
    device = parse_target(target)
    script = device.script("", text, top="top", whole=True)
    parts = [text, script, *device.options, placer, ROUTERS[1], str(seed)]
    parts += [tool_version(tool) for tool in ("yosys", "nextpnr-ecp5")]

    def run(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            cwd = Path(scratch)
            progress("system: synthesis")
            area = device.area(synthesise(text, target=device, top="top", cwd=cwd, whole=True))
            device.check_fits(area)
            progress("system: place and route")
            placed = place_and_route(
                cwd, target=device, seed=seed, freq_mhz=100, placer=placer, router=ROUTERS[1]
            )
        (folder / "area.json").write_bytes(msgspec.json.encode(area))
        (folder / "placed.json").write_bytes(msgspec.json.encode(placed))

    folder = cached("system", parts, run)
    return tuple(  # type: ignore[return-value]
        msgspec.json.decode((folder / name).read_bytes(), type=kind)
        for name, kind in (("area.json", Area), ("placed.json", Placed))
    )


def _blocks(config: Config) -> dict[str, list[tuple[int, Callable[[], wiring.Component]]]]:
    """Block → how many of which components it consists of."""
    bits = config.memory_bits

    def one(name: str) -> Callable[[], wiring.Component]:
        return lambda: make(name, config)

    queues = [
        (
            1,
            lambda unit=unit, copies=copies: UnitQueue(
                registers=len(unit.registers), streams=unit.streams, in_turn=copies, target=config.target
            ),
        )
        for unit, copies in ((unit, len(COPIES) * (name == "vector")) for name, unit in UNITS.items())
    ]
    return {
        "array and its edges": [(1, one("stce"))],
        "drain of the array": [(1, one("drain"))],
        "control of products": [(1, one("control")), (1, lambda: ProductUnit(config))],
        "buffers, scatter, gather": [
            (1, lambda cls=cls: cls(config))
            for cls in (WestBuffer, NorthBuffer, ResultBuffer, Scatter, Gather)
        ],
        "vector lanes (WUVE)": [(1, one("wuve"))],
        "pre-generation": [(1, one("pregenerate"))],
        "affine readers": [(1 + len(READERS), one("affine-reader"))],
        "affine writers": [
            (len(WRITERS), one("affine-writer")),
            (1, lambda: AffineWriter(data_bits=bits, descriptors=len(COPIES), target=config.target)),
        ],
        "memory ports": [
            (1, lambda: ReadPort(clients=2 + len(READERS), data_bits=bits)),
            (1, lambda: WritePort(clients=1 + len(WRITERS), data_bits=bits)),
        ],
        "queues and registers": queues,
        "front end, fetch, CSRs": [
            (1, lambda: Frontend(units=list(UNITS), parameters=PARAMETERS)),
            (1, lambda: Fetch(data_bits=bits)),
            (1, lambda: CsrBlock(config)),
        ],
    }


def block_areas(
    config: Config, *, target: str = "ecp5-85f-6", progress: Callable[[str], None] = lambda text: None
) -> dict[str, dict[str, int]]:
    """Cells of each block of the device, synthesised by itself. Cached by content."""
    blocks: dict[str, dict[str, int]] = {}
    device = parse_target(target)
    for name, parts in _blocks(config).items():
        progress(f"{name}: area")
        sums = dict.fromkeys(_FIELDS, 0)
        for count, build in parts:
            found = area_of(emit(build(), "top"), target=device, top="top")
            for field in _FIELDS:
                sums[field] += count * getattr(found, field)
        blocks[name] = sums
    return blocks


def system_report(
    config: Config,
    *,
    target: str = "ecp5-85f-6",
    seed: int = 1,
    placer: str = "static",
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Everything worth keeping of a build of the device, for JSON.

    ``area``: cells of the wrapped device after synthesis. ``used``: what nextpnr used; ``fmax_mhz`` and the
    ``critical_path``. ``blocks``: area of each block synthesised by itself; "rest" is what the whole has beside
    them: wiring between them, the wrapper, less what vanishes where they meet.
    """
    area, placed = place_system(config, target=target, seed=seed, placer=placer, progress=progress)
    blocks = block_areas(config, target=target, progress=progress)
    whole = {field: getattr(area, field) for field in _FIELDS}
    blocks["rest"] = {
        field: whole[field] - sum(block[field] for block in blocks.values()) for field in _FIELDS
    }
    return {
        "component": "system",
        "config": msgspec.to_builtins(config),
        "target": target,
        "seed": seed,
        "placer": placer,
        "tools": [tool_version(tool) for tool in ("yosys", "nextpnr-ecp5")],
        "area": whole,
        "used": placed.used,
        "fmax_mhz": round(placed.slowest_mhz, 2),
        "critical_path": msgspec.to_builtins(placed.critical_path),
        "blocks": blocks,
    }
