"""An interpreter with a made-up `scalesim`, which writes the report of SCALE-Sim 3.0.0 with figures of its own."""

import sys
from pathlib import Path

#: Of 3.0.0 as on PyPI.
HEADER = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, Mapping Efficiency %,"
    " Compute Util %,\n"
)
_TOOL = """
import configparser, os, sys, time
class scalesim:
    def __init__(self, save_disk_space, verbose, config, topology, layout, input_type_gemm):
        assert save_disk_space and input_type_gemm and not verbose and os.path.exists(layout)
        self.config = configparser.ConfigParser()
        self.config.read(config)
        (self.layer,) = [line.split(",") for line in open(topology).read().splitlines()[1:]]
    def run_scale(self, top_path):
        print("noise on stdout")
        m, n, k = map(int, self.layer[1:4])
        with open({calls!r}, "a") as calls:
            print(m, k, n, self.layer[4].strip(), self.config["sparsity"]["SparsitySupport"], file=calls)
        rows = int(self.config["architecture_presets"]["ArrayHeight"])
        cycles = 100 * m + 10 * k + n + rows
        folder = os.path.join(top_path, self.config["general"]["run_name"])
        os.mkdir(folder)
        {body}
        with open(os.path.join(folder, "COMPUTE_REPORT.csv"), "w") as file:
            file.write({header!r})
            file.write({row!r}.format(cycles=cycles))
"""
ROW = "0, 0, {cycles}, 0, 95.54, 100.0, 95.54,\n"


def cycles_of(m: int, k: int, n: int, rows: int) -> int:
    """What the made-up tool says."""
    return 100 * m + 10 * k + n + rows


def write_tool(
    folder: Path, *, version="3.0.0", numpy="2.3.5", body="pass", header=HEADER, row=ROW
) -> tuple[str, Path]:
    """(its interpreter, the file with a line for each product it was run for)."""
    packages, calls = folder / "packages", folder / "calls"
    calls.write_text("")
    (packages / "scalesim").mkdir(parents=True)
    (packages / "scalesim" / "__init__.py").touch()
    text = _TOOL.format(calls=str(calls), body=body, header=header, row=row)
    (packages / "scalesim" / "scale_sim.py").write_text(text)
    for name, of in (("scalesim", version), ("numpy", numpy)):
        about = packages / f"{name}-{of}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {of}\n")
    program = folder / "python"
    program.write_text(f"#!/bin/sh\nPYTHONPATH='{packages}' exec '{sys.executable}' \"$@\"\n")
    program.chmod(0o755)
    return str(program), calls
