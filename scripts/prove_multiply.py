"""Proves the floating-point multiplier for all operands (fp16: all 2^32 pairs) with an SMT solver."""

import time
from typing import Annotated

import typer

from sat_hdl.arith.multiply import Multiply
from sat_hdl.formats import OPERAND_FORMATS
from sat_hdl.sim.smt import multiply_problem, solve


def main(format: Annotated[str, typer.Option(help="Operand format: fp16 or bf16.")] = "fp16"):
    """Proves sat_hdl.arith.multiply against SMT-LIB's fp.mul in binary32; minutes for each format."""
    if format not in OPERAND_FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(OPERAND_FORMATS)}, not {format!r}")
    fmt = OPERAND_FORMATS[format]
    problem = multiply_problem(Multiply(format=fmt), fmt)
    started = time.monotonic()
    refuted = solve(problem)
    seconds = time.monotonic() - started
    print(f"multiply {format}: {'REFUTED' if refuted else 'proved for all operands'} in {seconds:.0f} s")
    raise typer.Exit(int(refuted))


if __name__ == "__main__":
    typer.run(main)
