"""Yosys and nextpnr on one Verilog text: area, maximum frequency, critical path, bitstream input."""

import itertools
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sat_hdl.config import ConfigError
from sat_hdl.fpga.toolchain import BuildError, run_tool, tool_version
from sat_hdl.sim.build import cached

__all__ = [
    "PLACERS",
    "Area",
    "Placed",
    "Step",
    "Target",
    "area_from",
    "area_of",
    "open_idle_carries",
    "parse_target",
    "place_and_route",
    "run_yosys",
    "synthesis_script",
    "synthesise",
]

#: Device sizes that nextpnr-ecp5 knows, and speed grades (8 is the fastest).
_SIZES = ("12f", "25f", "45f", "85f")
_SPEEDS = ("6", "7", "8")
#: nextpnr's placers: "heap" finds faster results, "static" finds them sooner (a 4 × 4 core: 83 against 91 MHz in
#: 6.0 against 7.7 minutes).
PLACERS = ("heap", "static")

#: Picoseconds between registers, by ABC's estimate, that a whole device's logic may take.
_WHOLE_DELAY_PS = 8000


@dataclass(frozen=True, kw_only=True)
class Target:
    """An ECP5 device: ``size`` in thousands of LUTs as in its name, speed grade, package; ``variant``: "" or, of one
    with fast serial ports, "um-" or "um5g-"."""

    size: str
    speed: str
    package: str = "CABGA381"
    variant: str = ""

    @property
    def name(self) -> str:
        return f"ecp5-{self.size}-{self.speed}"

    @property
    def options(self) -> list[str]:
        """nextpnr's options for it."""
        return [f"--{self.variant}{self.size[:-1]}k", "--package", self.package, "--speed", self.speed]


def parse_target(text: str) -> Target:
    """``"ecp5-85f-6"`` → a :class:`Target`."""
    family, _, rest = text.partition("-")
    size, _, speed = rest.partition("-")
    if family != "ecp5" or size not in _SIZES or speed not in _SPEEDS:
        raise ConfigError(
            f"The target must be ecp5-SIZE-GRADE with SIZE one of {', '.join(_SIZES)} and GRADE one of "
            f"{', '.join(_SPEEDS)} (such as ecp5-85f-6), not {text!r}."
        )
    return Target(size=size, speed=speed)


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """Cells after synthesis. ``lutram`` counts TRELLIS_DPR16X4 blocks, 4 LUTs each."""

    lut4: int
    ccu2c: int
    lutram: int
    ff: int
    dsp: int
    bram: int

    @property
    def lut4_equivalents(self) -> int:
        """LUT4 + 2 per CCU2C + 4 per LUT RAM block. PFUMX and L6MUX21 come with the slice: free."""
        return self.lut4 + 2 * self.ccu2c + 4 * self.lutram


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One hop of a critical path: ``delay`` in ns, ``kind`` as nextpnr names it ("logic", "routing" …)."""

    kind: str
    delay: float
    cell: str
    port: str
    place: list[int]


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What place and route made: ``fmax_mhz`` of each clock by its net's name, and the worst path."""

    fmax_mhz: dict[str, float]
    critical_path: list[Step]
    used: dict[str, int]

    @property
    def slowest_mhz(self) -> float:
        if not self.fmax_mhz:
            raise BuildError("nextpnr found no path between two registers, so there is no maximum frequency.")
        return min(self.fmax_mhz.values())


def synthesis_script(read: str, verilog: str, *, top: str, buffers: bool = True, whole: bool = False) -> str:
    """Yosys' script; part of the key of every cached result.

    ``read`` loads the design, of which ``verilog`` is the text. Its shared modules are synthesised once each
    and flattened afterwards: a 4 × 4 core takes 20 s of processor time instead of 51 s (without -dff; with it
    more than 200 s), and as many cells within 1 %.

    ``-dff`` lets ABC see through registers. That saves a few per cent at best, but without it the ABC of
    YoWASP 0.70 fails on modules that are kept apart. ``whole``: without it, and flattened before ABC: for the
    whole device, whose logic beside the array is as large and takes ABC too long with it. ABC is then told a delay
    that is fast enough, for it maps for the least, and pays for that with LUTs: WUVE takes 5 % less with it, a
    multiplexer behind a wide gate a quarter.
    """
    shared = " ".join(_shared_modules(verilog, top))
    lines = [read]
    if whole:
        lines.append(f"scratchpad -set abc9.D {_WHOLE_DELAY_PS}")
    if shared:
        lines.append(f"setattr -mod -set keep_hierarchy 1 {shared}")
    pads = "" if buffers else " -noiopad"
    apart = [f"setattr -mod -unset keep_hierarchy {shared}", "flatten", "opt_clean -purge"] if shared else []
    if whole:
        lines += [
            f"synth_ecp5 -top {top}{pads} -run :map_luts",
            *apart,
            f"synth_ecp5 -top {top}{pads} -run map_luts:",
        ]
    else:
        lines += [f"synth_ecp5 -top {top} -dff{pads}", *apart]
    return "\n".join([*lines, "tee -q -o area.json stat -json", "write_json netlist.json", ""])


def _shared_modules(verilog: str, top: str) -> list[str]:
    """Modules with a name of their own; Amaranth calls all others by their path, with dots."""
    return [name for name in re.findall(r"^module (\w+)\(", verilog, re.M) if name != top]


def synthesise(
    verilog: str, *, top: str, cwd: Path, buffers: bool = True, whole: bool = False
) -> dict[str, int]:
    """Runs ``synth_ecp5`` in ``cwd``, which gets ``netlist.json`` and ``yosys.log``. → cells by type."""
    (cwd / "design.v").write_text(verilog)
    script = synthesis_script("read_verilog design.v", verilog, top=top, buffers=buffers, whole=whole)
    return run_yosys(script, cwd=cwd)


def run_yosys(script: str, *, cwd: Path) -> dict[str, int]:
    """Runs a script that ends by writing ``area.json`` (Yosys' ``stat``) in ``cwd``. → cells by type."""
    (cwd / "yosys.ys").write_text(script)
    run_tool("yosys", ["-s", "yosys.ys"], cwd=cwd, log="yosys.log")
    open_idle_carries(cwd / "netlist.json")
    stat = json.loads((cwd / "area.json").read_text())
    return stat["design"]["num_cells_by_type"]


def open_idle_carries(netlist: Path) -> None:
    """Opens the carry pins of CCU2C that are of no matter: outputs that nobody reads, which Yosys leaves connected,
    and constant inputs that the first half does not look at. At every other end of a chain nextpnr spends a CCU2C to
    bring the carry in or out: 1,500 LUTs of an 8 × 8 device.

    ``netlist``: Yosys' JSON, written anew. An open pin is "x" there; one without a net makes nextpnr fail.
    """
    design = msgspec.json.decode(netlist.read_bytes())
    for module in design["modules"].values():
        read = {bit for port in module["ports"].values() for bit in port["bits"]}
        for cell in module["cells"].values():
            for pin, bits in cell["connections"].items():
                if cell["port_directions"].get(pin) != "output":
                    read.update(bits)
        for cell in module["cells"].values():
            if cell["type"] == "CCU2C":
                pins = cell["connections"]
                if read.isdisjoint(pins["COUT"]):
                    pins["COUT"] = ["x"]
                if isinstance(pins["CIN"][0], str) and read.isdisjoint(pins["S0"]) and _stops_carry(cell):
                    pins["CIN"] = ["x"]
    netlist.write_bytes(msgspec.json.encode(design))


def _stops_carry(cell: dict) -> bool:
    """Whether the first half of a CCU2C never passes its carry on: its table is 0 whatever its operands are."""
    table = int(cell["parameters"]["INIT0"], 2)
    operands = [cell["connections"][pin][0] for pin in ("A0", "B0", "C0", "D0")]
    nets = sorted({bit for bit in operands if isinstance(bit, int)})
    for values in itertools.product("01", repeat=len(nets)):
        known = dict(zip(nets, values, strict=True))
        at = sum((known.get(bit, bit) == "1") << i for i, bit in enumerate(operands))
        if table >> at & 1:
            return False
    return True


def area_from(cells: Mapping[str, int]) -> Area:
    """Area from Yosys' count of cells by type."""

    def count(*types: str) -> int:
        return sum(cells.get(kind, 0) for kind in types)

    return Area(
        lut4=count("LUT4"),
        ccu2c=count("CCU2C"),
        lutram=count("TRELLIS_DPR16X4"),
        ff=count("TRELLIS_FF"),
        dsp=count("MULT18X18D"),
        bram=count("DP16KD", "PDPW16KD"),
    )


def area_of(verilog: str, *, top: str) -> Area:
    """Area of module ``top`` by itself: its ports are the netlist's, without buffers. Cached by content."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            cells = synthesise(verilog, top=top, cwd=Path(scratch), buffers=False)
        (folder / "area.json").write_bytes(msgspec.json.encode(area_from(cells)))

    parts = [verilog, synthesis_script("", verilog, top=top, buffers=False), tool_version("yosys")]
    return msgspec.json.decode((cached("area", parts, make) / "area.json").read_bytes(), type=Area)


def place_and_route(
    cwd: Path,
    *,
    target: Target,
    seed: int,
    freq_mhz: float,
    lpf: str | None = None,
    textcfg: bool = False,
    placer: str = "heap",
) -> Placed:
    """Places and routes ``cwd/netlist.json``. Not meeting ``freq_mhz`` is no error: see ``fmax_mhz``.

    With ``textcfg`` the configuration is left in ``cwd/seed<seed>.config`` for ecppack. ``lpf``: a pin
    constraint file in ``cwd``; without it pins are placed anywhere. ``placer``: see :data:`PLACERS`.
    """
    report = f"seed{seed}.json"
    arguments = [*target.options, "--json", "netlist.json", "--seed", str(seed), "--freq", f"{freq_mhz:g}"]
    arguments += ["--timing-allow-fail", "--report", report, "--quiet", "--placer", placer]
    arguments += ["--lpf", lpf] if lpf else ["--lpf-allow-unconstrained"]
    if textcfg:
        arguments += ["--textcfg", f"seed{seed}.config"]
    run_tool("nextpnr-ecp5", arguments, cwd=cwd, log=f"seed{seed}.log")
    return _read_report(json.loads((cwd / report).read_text()))


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
    used = {kind: entry["used"] for kind, entry in report["utilization"].items()}
    return Placed(fmax_mhz=fmax, critical_path=steps, used=used)
