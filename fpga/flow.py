"""Yosys and nextpnr on one Verilog text: area, maximum frequency, critical path, bitstream input."""

import json
import re
import tempfile
from pathlib import Path

import msgspec

from sat_hdl.fpga.dense import route_dense
from sat_hdl.fpga.target import Cells, Target
from sat_hdl.fpga.toolchain import BuildError, SeedError, run_tool, tool_version
from sat_hdl.sim.build import cached

__all__ = [
    "DENSE_PATIENCE",
    "LAST_PATIENCE",
    "PATIENCE",
    "PLACERS",
    "ROUTERS",
    "Placed",
    "Step",
    "area_of",
    "place_and_route",
    "run_yosys",
    "synthesise",
]

#: nextpnr's placers: "heap" finds faster results, "static" finds them sooner (a 4 × 4 core: 83 against 91 MHz in
#: 6.0 against 7.7 minutes), and for a device that fills four fifths of an FPGA with a fifth less wire.
PLACERS = ("heap", "static")
#: nextpnr's routers: "router1" routes a component as it is measured; "router2" a whole accelerator, sooner.
ROUTERS = ("router1", "router2")
#: Rounds of router2 without an improvement after which a seed is given up: with far more wires taken twice than there
#: were; with a few, which it often tries 50 times, a second or less each; and in any attempt at a dense design.
PATIENCE, LAST_PATIENCE, DENSE_PATIENCE = 40, 500, 20
#: What nextpnr says of a placement that it does not find.
_NO_PLACES = "Unable to find legal placement"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One hop of a critical path: ``delay`` in ns, ``kind`` as nextpnr names it ("logic", "routing" …)."""

    kind: str
    delay: float
    cell: str
    port: str
    place: list[int]


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What place and route made: ``fmax_mhz`` of each clock by its net's name, the worst path, and of each kind of
    cell how many the design ``used`` of how many the device ``has``."""

    fmax_mhz: dict[str, float]
    critical_path: list[Step]
    used: dict[str, int]
    has: dict[str, int] = {}

    @property
    def slowest_mhz(self) -> float:
        if not self.fmax_mhz:
            raise BuildError("nextpnr found no path between two registers, so there is no maximum frequency.")
        return min(self.fmax_mhz.values())


def synthesise(
    verilog: str, *, target: Target, top: str, cwd: Path, buffers: bool = True, whole: bool = False
) -> dict[str, int]:
    """Synthesises ``verilog`` in ``cwd``, which gets ``netlist.json`` and ``yosys.log``. → cells by type."""
    (cwd / "design.v").write_text(verilog)
    script = target.script("read_verilog design.v", verilog, top=top, buffers=buffers, whole=whole)
    return run_yosys(script, cwd=cwd, target=target)


def run_yosys(script: str, *, cwd: Path, target: Target | None = None) -> dict[str, int]:
    """Runs a script that ends by writing ``area.json`` (Yosys' ``stat``) in ``cwd``. → cells by type.

    With a ``target`` ``netlist.json`` is as its place and route wants it.
    """
    (cwd / "yosys.ys").write_text(script)
    run_tool("yosys", ["-s", "yosys.ys"], cwd=cwd, log="yosys.log")
    if target is not None:
        target.mend(cwd / "netlist.json")
    stat = json.loads((cwd / "area.json").read_text())
    return stat["design"]["num_cells_by_type"]


def area_of(verilog: str, *, target: Target, top: str) -> Cells:
    """Area of module ``top`` by itself: its ports are the netlist's, without buffers. Cached by content."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            cells = synthesise(verilog, target=target, top=top, cwd=Path(scratch), buffers=False)
        (folder / "area.json").write_bytes(msgspec.json.encode(target.area(cells)))

    parts = [verilog, target.script("", verilog, top=top, buffers=False), tool_version("yosys")]
    return msgspec.json.decode((cached("area", parts, make) / "area.json").read_bytes(), type=target.cells)


def place_and_route(
    cwd: Path,
    *,
    target: Target,
    seed: int,
    freq_mhz: float,
    pins: str | None = None,
    result: str | None = None,
    placer: str = PLACERS[0],
    router: str = ROUTERS[0],
    dense: bool = False,
) -> Placed:
    """Places and routes ``cwd/netlist.json``. Not meeting ``freq_mhz`` is no error: see ``fmax_mhz``.

    ``pins``: a file in ``cwd``; without it pins are placed anywhere. ``result``: file in ``cwd`` for the target's
    packer. ``placer``, ``router``: see :data:`PLACERS`, :data:`ROUTERS`.

    ``dense``: of a design that fills most of its device, in the way of :func:`~sat_hdl.fpga.dense.route_dense`, which
    takes router2.

    Raises :class:`~sat_hdl.fpga.toolchain.SeedError` if this seed found no places or no ways.
    """

    def run(netlist: str, log: str, *options: str) -> None:
        arguments = [*target.options, "--json", netlist, "--seed", str(seed), "--freq", f"{freq_mhz:g}"]
        arguments += ["--timing-allow-fail", "--placer", placer, "--router", router, *options]
        try:
            watch = _Progress(DENSE_PATIENCE if dense else LAST_PATIENCE)
            run_tool(target.router, arguments, cwd=cwd, log=log, watch=watch)
        except SeedError:
            raise
        except BuildError as error:
            if _NO_PLACES in str(error):
                raise SeedError(str(error)) from None
            raise

    report = f"seed{seed}.json"
    options = target.route_options(pins=pins, placed=result)

    def place(netlist: str, placed: str) -> None:
        options = target.route_options(pins=pins, placed=None)
        run(netlist, f"{placed}.log", "--no-route", "--write", placed, *options)

    def route(netlist: str, heatmaps: str) -> None:
        told = ["--report", report, "--router2-heatmap", heatmaps]
        run(netlist, f"seed{seed}.log", "--no-pack", "--no-place", *told, *options)

    if dense:
        route_dense(cwd, blocks=target.blocks, seed=seed, place=place, route=route)
    else:
        run("netlist.json", f"seed{seed}.log", "--report", report, *options)
    return _read_report(json.loads((cwd / report).read_text()))


class _Progress:
    """Watches router2, which never gives up: some placements it can't route, and then more and more wires are taken
    twice (after 36 rounds 188, after 82 rounds 1,224; another seed of that design took 46 rounds)."""

    def __init__(self, patience: int):
        self._patience = patience
        self._best: tuple[int, int] | None = None

    def __call__(self, line: str) -> str | None:
        if (found := re.search(r"iter=(\d+) .*overused=(\d+)", line)) is None:
            return None
        number, wires = map(int, found.groups())
        if self._best is None or wires < self._best[1]:
            self._best = number, wires
        far = wires > 2 * self._best[1] + 50
        if number - self._best[0] < (min(PATIENCE, self._patience) if far else self._patience):
            return None
        return (
            f"nextpnr's router2 gets nowhere: {self._best[1]} wires were still taken twice after {self._best[0]} "
            f"rounds, and no fewer after {number}. Try another seed, `--router router1`, or a smaller design."
        )


def _clock_of(edge: str) -> str:
    return re.sub(r"^\w+ ", "", edge)


def _read_report(report: dict) -> Placed:
    fmax = {clock: entry["achieved"] for clock, entry in report["fmax"].items()}
    inside = [p for p in report["critical_paths"] if p["from"] == p["to"] and _clock_of(p["from"]) in fmax]
    worst = max(inside, key=lambda p: sum(hop["delay"] for hop in p["path"]), default={"path": []})
    steps = [
        Step(kind=hop["type"], delay=hop["delay"], cell=hop["to"]["cell"], port=hop["to"]["port"],
             place=hop["to"]["loc"])
        for hop in worst["path"]
    ]  # fmt: skip
    used, has = (
        {kind: entry[key] for kind, entry in report["utilization"].items()} for key in ("used", "available")
    )
    return Placed(fmax_mhz=fmax, critical_path=steps, used=used, has=has)
