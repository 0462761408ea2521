"""Proofs of pipelined floating-point units against SMT-LIB's own arithmetic, by Yosys and bitwuzla.

The unit is unrolled for its latency: operands are given in one cycle, the result is looked at ``latency``
cycles later, and everything else, the registers' first contents and all other cycles' operands included,
is free. So a proof covers alignment of the ranks as well as the values. Needs the ``test`` extra.
"""

import tempfile
from pathlib import Path

import bitwuzla
from amaranth.back import rtlil

from sat_hdl.arith.multiply import Multiply
from sat_hdl.formats import BINARY32, FloatFormat
from sat_hdl.fpga.toolchain import run_tool

__all__ = ["multiply_problem", "solve", "transition_system"]


def transition_system(design) -> str:
    """SMT-LIB definitions of ``design`` as Yosys writes them, module ``top``: state sort ``|top_s|``,
    transition ``|top_t|`` and ports ``|top_n port|``."""
    text = rtlil.convert(design, name="top", emit_src=False)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "top.il").write_text(text)
        script = (
            "read_rtlil top.il; hierarchy -top top; proc; flatten; attrmap -remove init; opt -full; dffunmap; "
            "write_smt2 -stbv top.smt2"
        )
        run_tool("yosys", ["-q", "-p", script], cwd=Path(folder), log="yosys.log")
        return (Path(folder) / "top.smt2").read_text()


def _widened(port: str, fmt: FloatFormat) -> str:
    """The port's value, in ``fmt``, as Float32. bitwuzla knows the standard's formats only; any other
    with binary32's exponent is widened by appending zeros."""
    bits = f"(|top_n {port}| s0)"
    if fmt.exp_bits == BINARY32.exp_bits:
        return f"((_ to_fp 8 24) (concat {bits} (_ bv0 {BINARY32.width - fmt.width})))"
    if (fmt.exp_bits, fmt.frac_bits) == (5, 10):
        return f"((_ to_fp 8 24) RNE ((_ to_fp 5 11) {bits}))"
    raise ValueError(f"fmt must be binary16 or have 8 exponent bits, not {fmt!r}")


def multiply_problem(design: Multiply, fmt: FloatFormat) -> str:
    """An SMT-LIB script that is unsatisfiable if, for all operands in ``fmt``, ``design`` gives ``fp.mul``
    of them rounded to nearest even in binary32, every NaN canonical."""
    steps = range(design.latency + 1)
    states = [f"(declare-const s{i} |top_s|)" for i in steps]
    states += [f"(assert (|top_t| s{i} s{i + 1}))" for i in steps[:-1]]
    return "\n".join(
        [
            transition_system(design),
            *states,
            f"(define-fun p () (_ FloatingPoint 8 24) (fp.mul RNE {_widened('a', fmt)} {_widened('b', fmt)}))",
            f"(define-fun got () (_ BitVec 32) (|top_n p| s{design.latency}))",
            f"(assert (not (ite (fp.isNaN p) (= got (_ bv{BINARY32.nan} 32)) (= ((_ to_fp 8 24) got) p))))",
            "(check-sat)",
        ]
    )


def solve(problem: str) -> bool:
    """Whether the script's assertions can be met (for a proof: whether there is a counterexample)."""
    terms = bitwuzla.TermManager()
    parser = bitwuzla.Parser(terms, bitwuzla.Options())
    parser.parse(problem, True, False)
    result = parser.bitwuzla().check_sat()
    if result not in (bitwuzla.Result.SAT, bitwuzla.Result.UNSAT):
        raise RuntimeError(f"bitwuzla gave no answer: {result}")
    return result == bitwuzla.Result.SAT
