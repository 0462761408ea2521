"""Proves the floating-point multiplier for all operands: by an SMT solver, or by running all 2^32 pairs."""

import time
from typing import Annotated

import numpy as np
import typer

from sat_hdl.arith.multiply import Multiply
from sat_hdl.formats import OPERAND_FORMATS, FloatFormat
from sat_hdl.sim.fast import Count, Simulation
from sat_hdl.sim.oracle import numpy_multiply
from sat_hdl.sim.smt import multiply_problem, solve


def main(
    format: Annotated[str, typer.Option(help="Operand format: fp16 or bf16.")] = "fp16",
    exhaustive: Annotated[
        bool, typer.Option(help="Run every pair against numpy instead of solving.")
    ] = False,
    first: Annotated[int, typer.Option(help="Exhaustive: the first a, to go on from.", min=0, max=65535)] = 0,
):
    """Ends with status 1 if the multiplier differs from IEEE 754 for any operands. Takes minutes to an hour."""
    if format not in OPERAND_FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(OPERAND_FORMATS)}, not {format!r}")
    fmt = OPERAND_FORMATS[format]
    started = time.monotonic()
    refuted = _run_all(fmt, first) if exhaustive else solve(multiply_problem(Multiply(format=fmt), fmt))
    seconds = time.monotonic() - started
    print(f"multiply {format}: {'REFUTED' if refuted else 'right for all operands'} ({seconds:.0f} s)")
    raise typer.Exit(int(refuted))


def _run_all(fmt: FloatFormat, first: int) -> bool:
    """Whether any pair gives another product than numpy."""
    design = Multiply(format=fmt)
    rows = 64  # values of a at a time, each with every b
    every = np.arange(1 << 16, dtype=np.uint16)
    with Simulation(design) as sim:
        for start in range(first, 1 << 16, rows):
            n = min(rows, (1 << 16) - start) << 16
            inputs = {"a": Count(start=start << 16, shift=16), "b": Count()}
            got = sim.vectors(inputs, ["p"], latency=design.latency, n=n)["p"]
            a = np.repeat(np.arange(start, start + (n >> 16), dtype=np.uint16), 1 << 16)
            b = np.tile(every, n >> 16)
            wrong = np.flatnonzero(got != numpy_multiply(a, b, fmt))
            if len(wrong):
                i = wrong[0]
                print(f"\na = {a[i]:#06x}, b = {b[i]:#06x} gives {got[i]:#010x}")
                return True
            print(f"\ra below {start + (n >> 16):#07x}: all equal", end="", flush=True)
    print()
    return False


if __name__ == "__main__":
    typer.run(main)
