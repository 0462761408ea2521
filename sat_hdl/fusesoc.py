"""A FuseSoC core description (CAPI2) of generated Verilog, for use in other people's projects."""

import json
import re

from sat_hdl import __version__
from sat_hdl.generate import Generated
from sat_hdl.sim.build import waivers

__all__ = ["core_file", "core_name"]


def core_name(made: Generated) -> str:
    """Vendor, library, name and version, as other cores depend on it."""
    return f"sat_hdl:rtl:{made.module}:{__version__}"


def core_file(made: Generated) -> str:
    """Text of ``<module>.core``, which lies beside the Verilog.

    Targets: ``default`` has the files alone; ``lint`` checks them by Verilator; ``sim`` has Verilator make a C++
    model of them, for a testbench to link. There are no parameters: a configuration is chosen when the Verilog is
    generated.
    """
    component, toplevel = made.manifest["component"], made.module
    # What the project waives, and why, is in that file.
    rules = re.findall(r"^lint_off -rule (\w+)$", waivers().read_text(), re.MULTILINE)
    options = {"tool": "verilator", "verilator_options": [f"-Wno-{rule}" for rule in rules]}
    targets = {
        "default": {"filesets": ["rtl"], "toplevel": toplevel},
        "lint": {"flow": "lint", "flow_options": options},
        "sim": {"flow": "sim", "flow_options": options | {"mode": "cc"}},
    }
    core = {
        "name": core_name(made),
        "description": f"{component} of sat_hdl, an accelerator for N:M sparse training",
        "filesets": {"rtl": {"files": [made.verilog_file], "file_type": "verilogSource"}},
        "targets": {name: targets["default"] | target for name, target in targets.items()},
    }
    # JSON is YAML; this is what it takes to be read by people.
    return "CAPI=2:\n\n" + "\n".join(_yaml(core, "")) + "\n"


def _yaml(value: dict, indent: str) -> list[str]:
    lines = []
    for key, entry in value.items():
        if isinstance(entry, dict):
            lines += [f"{indent}{key}:", *_yaml(entry, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(entry)}")
    return lines
