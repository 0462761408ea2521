"""Area and maximum frequency of one component on an ECP5."""

import statistics
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from amaranth.lib import wiring

from sat_hdl.config import ConfigError
from sat_hdl.fpga.ecp5 import Ecp5, parse_target
from sat_hdl.fpga.flow import Placed, area_of, place_and_route, synthesise
from sat_hdl.fpga.harness import Harness
from sat_hdl.fpga.toolchain import tool_pool, tool_version
from sat_hdl.sim.build import cached
from sat_hdl.sim.verilog import emit

__all__ = ["synthesize"]


def synthesize(
    make: Callable[[], wiring.Component],
    *,
    name: str,
    target: Ecp5 | str = "ecp5-85f-6",
    seeds: int = 3,
    jobs: int = 2,
    progress: Callable[[str], None] = lambda text: None,
) -> dict:
    """Area and Fmax of the component that ``make()`` returns (called twice: a component elaborates once).

    Area is the component's alone; Fmax comes from placing and routing it inside a
    :class:`~sat_hdl.fpga.harness.Harness`, once with each seed from 1 to ``seeds``. Results are cached by
    content. → ``component``, ``target``, ``lut4``, ``ccu2c``, ``lutram``, ``lut4_equivalents``, ``ff``,
    ``dsp``, ``bram``, ``fmax_mhz`` (by seed), ``fmax_median``, ``critical_path`` (of the median seed).
    """
    if isinstance(target, str):
        target = parse_target(target)
    if not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(f"The number of seeds must be at least 1, not {seeds!r}.")
    progress(f"{name}: area")
    area = area_of(emit(make(), "top"), target=target, top="top")
    placed = _place_all(emit(Harness(make()), "top"), target, seeds, jobs, progress)
    fmax = [round(p.slowest_mhz, 2) for p in placed]
    middle = placed[sorted(range(seeds), key=lambda i: fmax[i])[(seeds - 1) // 2]]
    return {
        "component": name,
        "target": target.name,
        **msgspec.to_builtins(area),
        "lut4_equivalents": area.lut4_equivalents,
        "fmax_mhz": fmax,
        "fmax_median": round(statistics.median(fmax), 2),
        "critical_path": msgspec.to_builtins(middle.critical_path),
    }


def _place_all(
    text: str, target: Ecp5, seeds: int, jobs: int, progress: Callable[[str], None]
) -> list[Placed]:
    """Place and route of ``text`` for each seed, from the cache where it can be."""
    script = target.script("", text, top="top")
    parts = [text, script, *target.options, tool_version("yosys"), tool_version("nextpnr-ecp5")]

    with tempfile.TemporaryDirectory() as scratch, tool_pool(jobs) as pool:
        cwd = Path(scratch)
        netlist = threading.Lock()

        def place(seed: int) -> Placed:
            def make(folder: Path) -> None:
                with netlist:
                    if not (cwd / "netlist.json").exists():
                        progress("wrapped: synthesis")
                        synthesise(text, target=target, top="top", cwd=cwd)
                progress(f"wrapped: place and route, seed {seed}")
                placed = place_and_route(cwd, target=target, seed=seed, freq_mhz=200)
                (folder / "placed.json").write_bytes(msgspec.json.encode(placed))

            folder = cached("place", [*parts, str(seed)], make)
            return msgspec.json.decode((folder / "placed.json").read_bytes(), type=Placed)

        return list(pool.map(place, range(1, seeds + 1)))
