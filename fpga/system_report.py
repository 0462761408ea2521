"""Area by block, place and route of the whole device: the report that is kept in ``fpga/reports``."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
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
from sat_hdl.fpga.dense import SETTINGS
from sat_hdl.fpga.ecp5 import Area, parse_target
from sat_hdl.fpga.flow import (
    PLACERS,
    ROUTERS,
    Placed,
    area_of,
    place_and_route,
    synthesise,
)
from sat_hdl.fpga.harness import Harness
from sat_hdl.fpga.toolchain import SeedError, tool_version
from sat_hdl.memory.north_buffer import NorthBuffer
from sat_hdl.memory.read_port import ReadPort
from sat_hdl.memory.result_buffer import ResultBuffer
from sat_hdl.memory.west_buffer import WestBuffer
from sat_hdl.memory.write_port import WritePort
from sat_hdl.memory.writer import AffineWriter
from sat_hdl.sim.build import cached
from sat_hdl.sim.verilog import emit

__all__ = ["block_areas", "netlist_of", "place_system", "system_report"]

#: What place and route is asked for: more than there is, so that it does what it can.
_FREQ_MHZ = 100
_FIELDS = (*Area.__struct_fields__, "lut4_equivalents")


def netlist_of(config: Config, *, target: str, progress: Callable[[str], None] = lambda text: None) -> Path:
    """Folder with ``netlist.json`` of the whole device, its pins behind a :class:`~sat_hdl.fpga.harness.Harness`, and
    ``area.json``, its cells, the wrapper's included. Cached by content."""
    text = emit(Harness(make("system", config)), "top")
    device = parse_target(target)

    def run(folder: Path) -> None:
        progress("system: synthesis")
        area = device.area(synthesise(text, target=device, top="top", cwd=folder, whole=True))
        device.check_fits(area)
        (folder / "area.json").write_bytes(msgspec.json.encode(area))

    parts = [text, device.script("", text, top="top", whole=True), tool_version("yosys")]
    return cached("netlist", parts, run)


def place_system(
    config: Config,
    *,
    target: str = "ecp5-85f-6",
    seed: int = 1,
    placer: str = PLACERS[1],
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[Area, Placed]:
    """The whole device: cells after synthesis, and what place and route made of them. Cached by content.

    Raises :class:`~sat_hdl.fpga.toolchain.SeedError` if this seed found no places or no ways.
    """
    netlist = netlist_of(config, target=target, progress=progress)
    device = parse_target(target)

    def run(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            cwd = Path(scratch)
            shutil.copy(netlist / "netlist.json", cwd)
            progress(f"system: place and route, seed {seed}")
            placed = place_and_route(
                cwd,
                target=device,
                seed=seed,
                freq_mhz=_FREQ_MHZ,
                placer=placer,
                router=ROUTERS[1],
                dense=True,
            )
        (folder / "placed.json").write_bytes(msgspec.json.encode(placed))

    parts = [
        netlist.name,
        *device.options,
        str(_FREQ_MHZ),
        placer,
        ROUTERS[1],
        *SETTINGS,
        str(seed),
    ]
    folder = cached("system", [*parts, tool_version("nextpnr-ecp5")], run)
    return (
        msgspec.json.decode((netlist / "area.json").read_bytes(), type=Area),
        msgspec.json.decode((folder / "placed.json").read_bytes(), type=Placed),
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
    seeds: Sequence[int] = (1, 2, 3),
    placer: str = PLACERS[1],
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Everything worth keeping of builds of the device, for JSON.

    ``area``: cells of the wrapped device after synthesis. ``fmax_mhz``: by seed; None where nextpnr found no places
    or no ways. ``used``: what nextpnr used; ``critical_path``: the best seed's. ``blocks``: area of each block
    synthesised by itself; "rest" is what the whole has beside them: wiring between them, the wrapper, less what
    vanishes where they meet.

    Raises :class:`~sat_hdl.fpga.toolchain.SeedError` if no seed got through.
    """
    found: dict[int, Placed] = {}
    area, error = None, None
    for seed in seeds:
        try:
            area, found[seed] = place_system(
                config, target=target, seed=seed, placer=placer, progress=progress
            )
        except SeedError as reason:
            progress(f"system, seed {seed}: {reason}")
            error = reason
    if area is None:
        raise error or ValueError("seeds must be at least one")
    best = max(found, key=lambda seed: found[seed].slowest_mhz)
    blocks = block_areas(config, target=target, progress=progress)
    whole = {field: getattr(area, field) for field in _FIELDS}
    blocks["rest"] = {
        field: whole[field] - sum(block[field] for block in blocks.values()) for field in _FIELDS
    }
    return {
        "component": "system",
        "config": msgspec.to_builtins(config),
        "target": target,
        "placer": placer,
        "tools": [tool_version(tool) for tool in ("yosys", "nextpnr-ecp5")],
        "area": whole,
        "fmax_mhz": {
            str(seed): round(found[seed].slowest_mhz, 2) if seed in found else None for seed in seeds
        },
        "best_seed": best,
        "used": found[best].used,
        "critical_path": msgspec.to_builtins(found[best].critical_path),
        "blocks": blocks,
    }
