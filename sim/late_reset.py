"""A register before a design's reset, for the sake of the simulation's speed."""

import re

__all__ = ["CYCLES", "late_reset"]

#: By which the reset comes later.
CYCLES = 1

_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\\\S+ |\w+);$", re.MULTILINE)


def late_reset(verilog: str, top: str) -> str:
    """``verilog`` with a module around ``top``, of its name and ports, in which the input ``rst`` is registered.

    Every register's next value hangs on the reset, so Verilator takes all of a design's logic for a function of its
    inputs and evaluates it anew before each edge and after: half a device's cycle. Behind a register none of it
    is. A design that has no clock or no ``rst``, or was not written by Yosys, is left as it is.

    Arguments
    ---------
    verilog: as Yosys writes it: a line a port. top: name of the outermost module, the first in the text.
    """
    start = re.search(rf"^module {re.escape(top)}\(.*?^endmodule$", verilog, re.MULTILINE | re.DOTALL)
    ports = _PORT.findall(start.group()) if start else []
    names = [name for _, _, name in ports]
    if start is None or not {"clk", "rst"} <= set(names):
        return verilog
    inner = f"{top}_reset_late"
    declared = [f"  {kind} wire {f'[{msb}:0] ' if msb else ''}{name}" for kind, msb, name in ports]
    joined = [f"    .{name}({'late' if name == 'rst' else name})" for name in names]
    shell = (
        f"module {top}(\n" + ",\n".join(declared) + "\n);\n"
        "  reg late;\n  always @(posedge clk) late <= rst;\n"
        f"  {inner} inner (\n" + ",\n".join(joined) + "\n  );\nendmodule\n"
    )
    at = start.start() + len("module ")
    return shell + verilog[:at] + inner + verilog[at + len(top) :]
