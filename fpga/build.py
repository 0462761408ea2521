"""A bitstream for a board, with the best of several seeds."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from amaranth.lib import wiring

from sat_hdl.config import ConfigError
from sat_hdl.fpga.board_system import BoardSystem
from sat_hdl.fpga.board_top import DESIGN_MODULE, CoreTop, SystemTop
from sat_hdl.fpga.boards import Board
from sat_hdl.fpga.dense import SETTINGS
from sat_hdl.fpga.flow import PLACERS, ROUTERS, Placed, place_and_route, run_yosys
from sat_hdl.fpga.target import Cells
from sat_hdl.fpga.toolchain import SeedError, run_tool, tool_pool, tool_version
from sat_hdl.sim.build import cached
from sat_hdl.sim.verilog import emit

__all__ = ["Bitstream", "build"]


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """What was built: bitstream, area with the board's wrapping after synthesis, what of the device it takes (of each
    kind of cell how many, and how many there are), maximum frequency by seed, and why others of the seeds failed."""

    data: bytes
    area: Cells
    used: dict[str, tuple[int, int]]
    clock_mhz: float
    fmax_mhz: float
    fmax_by_seed: dict[int, float]
    failed: dict[int, str]
    best_seed: int
    log: str

    @property
    def meets_clock(self) -> bool:
        return self.fmax_mhz >= self.clock_mhz

    def report(self) -> dict[str, Any]:
        """For people and for JSON."""
        return {
            "clock_mhz": round(self.clock_mhz, 3),
            "fmax_mhz": round(self.fmax_mhz, 2),
            "meets_clock": self.meets_clock,
            **msgspec.to_builtins(self.area),
            "lut4_equivalents": self.area.lut4_equivalents,
            "used": {kind: list(counts) for kind, counts in self.used.items()},
            "seeds": [
                {"seed": seed, "fmax_mhz": round(self.fmax_by_seed[seed], 2)}
                if seed in self.fmax_by_seed
                else {"seed": seed, "fmax_mhz": None, "failed": self.failed[seed]}
                for seed in sorted({*self.fmax_by_seed, *self.failed})
            ],
            "best_seed": self.best_seed,
        }


def build(
    design: wiring.Component,
    board: Board,
    *,
    seeds: int = 2,
    clock_mhz: float | None = None,
    jobs: int = 2,
    placer: str = PLACERS[0],
    router: str = ROUTERS[1],
    dense: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Bitstream:
    """Builds ``design`` for ``board`` with each seed from 1 to ``seeds`` and keeps the fastest result.

    ``design``: a BoardSystem, or a component of streams alone. ``clock_mhz`` is its clock, else the board's own
    choice (a BoardSystem's must be the one that it was made for). A result slower than it is returned
    all the same: see ``meets_clock``. Every seed's result is cached by content, also that it found no places or ways.
    ``placer``, ``router``: of nextpnr. ``dense``: place it again with room where wires are short, in the way of
    :func:`~sat_hdl.fpga.dense.route_dense`; of an ECP5, by router2.

    Raises :class:`~sat_hdl.fpga.toolchain.SeedError` if that is so of all of them.
    """
    if placer not in PLACERS:
        raise ConfigError(f"The placer must be one of {', '.join(PLACERS)}, not {placer!r}.")
    if router not in ROUTERS:
        raise ConfigError(f"The router must be one of {', '.join(ROUTERS)}, not {router!r}.")
    if dense and (router != ROUTERS[1] or not board.target.blocks):
        raise ConfigError(
            f"A dense design is placed again by {ROUTERS[1]} for an ECP5 alone, not by {router} for {board.name}: "
            "leave out --dense."
        )
    if not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(f"The number of seeds must be at least 1, not {seeds!r}.")
    clock_mhz = board.clock_mhz if clock_mhz is None else clock_mhz
    top = (
        SystemTop(board=board, system=design, clock_mhz=clock_mhz)
        if isinstance(design, BoardSystem)
        else CoreTop(board=board, core=design, clock_mhz=clock_mhz)
    )
    progress("generating")
    target = board.target
    files = {f"{DESIGN_MODULE}.v": emit(design, DESIGN_MODULE)}
    plan = board.platform().build(top, do_build=False, emit_src=False)
    files |= {name: str(plan.files[name]) for name in ("top.il", target.pins)}
    read = f"read_rtlil top.il\nread_verilog {DESIGN_MODULE}.v"
    whole = isinstance(design, BoardSystem)
    script = target.script(read, files[f"{DESIGN_MODULE}.v"], top="top", whole=whole)
    packing = target.pack_options(placed="placed", bitstream="bitstream")
    parts = [*files.values(), script, *target.options, *packing]
    parts += [tool_version(name) for name in ("yosys", target.router, target.packer)]

    with tempfile.TemporaryDirectory() as scratch, tool_pool(jobs) as pool:
        cwd = Path(scratch)
        synthesis = threading.Lock()

        def synthesise() -> None:
            with synthesis:
                if not (cwd / "cells.json").exists():
                    progress("synthesis")
                    for name, text in files.items():
                        (cwd / name).write_text(text)
                    area = target.area(run_yosys(script, cwd=cwd, target=target))
                    target.check_fits(area)
                    (cwd / "cells.json").write_bytes(msgspec.json.encode(area))

        def one(seed: int) -> Path:
            def make(folder: Path) -> None:
                synthesise()
                progress(f"place and route, seed {seed} of {seeds}")
                result, bitstream = f"seed{seed}.placed", f"seed{seed}{target.suffix}"
                try:
                    placed = place_and_route(
                        cwd, target=target, seed=seed, freq_mhz=top.clock_mhz, pins=target.pins, result=result,
                        placer=placer, router=router, dense=dense,
                    )  # fmt: skip
                except SeedError as error:
                    progress(f"seed {seed}: {error}")
                    (folder / "failed").write_text(str(error))
                    return
                options = target.pack_options(placed=result, bitstream=bitstream)
                run_tool(target.packer, options, cwd=cwd, log=f"pack{seed}.log")
                (folder / "bitstream").write_bytes((cwd / bitstream).read_bytes())
                (folder / "nextpnr.log").write_bytes((cwd / f"seed{seed}.log").read_bytes())
                (folder / "area.json").write_bytes((cwd / "cells.json").read_bytes())
                (folder / "placed.json").write_bytes(msgspec.json.encode(placed))

            return cached(
                "bitstream", [*parts, placer, router, *(SETTINGS if dense else ()), str(seed)], make
            )

        folders = dict(zip(range(1, seeds + 1), pool.map(one, range(1, seeds + 1))))

    failed = {seed: _failure(folder) for seed, folder in folders.items() if _failure(folder)}
    placed = {seed: _placed(folder) for seed, folder in folders.items() if seed not in failed}
    if not placed:
        raise SeedError(f"None of {seeds} seeds will do; the first: {failed[1]}")
    # There is one clock but the board's own, which drives nothing but the PLL.
    fmax = {seed: found.slowest_mhz for seed, found in placed.items()}
    best = max(fmax, key=fmax.__getitem__)
    return Bitstream(
        data=(folders[best] / "bitstream").read_bytes(),
        area=msgspec.json.decode((folders[best] / "area.json").read_bytes(), type=target.cells),
        used={kind: (count, placed[best].has[kind]) for kind, count in placed[best].used.items()},
        clock_mhz=top.clock_mhz,
        fmax_mhz=fmax[best],
        fmax_by_seed=fmax,
        failed=failed,
        best_seed=best,
        log=(folders[best] / "nextpnr.log").read_text(),
    )


def _failure(folder: Path) -> str:
    """Why there is nothing else in a seed's folder; "" if there is."""
    note = folder / "failed"
    return note.read_text() if note.exists() else ""


def _placed(folder: Path) -> Placed:
    return msgspec.json.decode((folder / "placed.json").read_bytes(), type=Placed)
