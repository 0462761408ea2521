"""Runs the arithmetic units on many hard operands, every result compared with SoftFloat and numpy."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from amaranth.lib import wiring

from sat_hdl.arith.add import Add
from sat_hdl.arith.convert import Narrow
from sat_hdl.arith.multiply import Multiply
from sat_hdl.arith.multiply32 import Multiply32
from sat_hdl.formats import BINARY32, OPERAND_FORMATS, FloatFormat
from sat_hdl.sim import oracle, vectors
from sat_hdl.sim.aligned_mac import AlignedMac
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5

#: Operands of one round, made, run and compared together.
ROUND = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Component:
    """A unit, and who says what it must give.

    ``make(format, target)``; ``operands(format, n, rng)`` → arrays for ``inputs``; ``numpy`` and
    ``softfloat`` take those arrays and the format.
    """

    make: Callable[[FloatFormat, str], wiring.Component]
    operands: Callable[[FloatFormat, int, np.random.Generator], tuple[np.ndarray, ...]]
    inputs: tuple[str, ...]
    numpy: Callable[..., np.ndarray]
    softfloat: Callable[..., np.ndarray]
    output: str = "o"


def _quiet_triples(fmt: FloatFormat, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The multiply-accumulate is never given a signalling NaN to accumulate."""
    a, b, acc = vectors.mac_triples(fmt, n, rng)
    nan = (acc & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    return a, b, np.where(nan, acc | np.uint32(1 << (BINARY32.frac_bits - 1)), acc)


COMPONENTS = {
    "narrow": Component(
        make=lambda fmt, target: Narrow(format=fmt),
        operands=lambda fmt, n, rng: (vectors.fp32_for_narrow(fmt, n, rng),),
        inputs=("i",),
        numpy=oracle.numpy_narrow,
        softfloat=oracle.softfloat_narrow,
    ),
    "multiply": Component(
        make=lambda fmt, target: Multiply(format=fmt, target=target),
        operands=vectors.operand_pairs,
        inputs=("a", "b"),
        numpy=oracle.numpy_multiply,
        softfloat=oracle.softfloat_multiply,
        output="p",
    ),
    "multiply32": Component(
        make=lambda fmt, target: Multiply32(target=target),
        operands=lambda fmt, n, rng: vectors.operand_pairs(BINARY32, n, rng),
        inputs=("a", "b"),
        numpy=lambda a, b, fmt: oracle.numpy_multiply(a, b, BINARY32),
        softfloat=lambda a, b, fmt: oracle.softfloat_multiply(a, b, BINARY32),
    ),
    "mac": Component(
        make=lambda fmt, target: AlignedMac(format=fmt, target=target),
        operands=_quiet_triples,
        inputs=("a", "b", "acc"),
        numpy=oracle.numpy_mac,
        softfloat=oracle.softfloat_mac,
    ),
    "add": Component(
        make=lambda fmt, target: Add(target=target),
        operands=lambda fmt, n, rng: vectors.fp32_pairs(n, rng),
        inputs=("a", "b"),
        numpy=lambda a, b, fmt: oracle.numpy_add(a, b),
        softfloat=lambda a, b, fmt: oracle.softfloat_add(a, b),
    ),
}


def main(
    component: Annotated[str, typer.Option(help=f"One of {', '.join(COMPONENTS)}.")],
    count: Annotated[int, typer.Option(help="Operand sets to run.", min=1)] = 100_000_000,
    format: Annotated[
        str, typer.Option(help="Operand format, fp16 or bf16; `add` and `multiply32` have none.")
    ] = "fp16",
    target: Annotated[str, typer.Option(help="portable or ecp5.")] = "portable",
    against: Annotated[
        str, typer.Option(help="softfloat (1M/s at best), numpy (10x that), or both.")
    ] = "both",
    seed: Annotated[int, typer.Option(help="Of the operands; round r uses (seed, r).")] = 1,
):
    """Ends with status 1, and the operands, at the first difference."""
    choices = (("component", component, COMPONENTS), ("format", format, OPERAND_FORMATS))
    choices += (
        ("target", target, ("portable", "ecp5")),
        ("against", against, ("softfloat", "numpy", "both")),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            raise typer.BadParameter(f"--{name} must be one of {', '.join(allowed)}, not {value!r}")
    unit, fmt = COMPONENTS[component], OPERAND_FORMATS[format]
    design = unit.make(fmt, target)
    print(f"{component} {format} {target}, seed {seed}, against {against}")
    started, done = time.monotonic(), 0
    with Simulation(design, extra_sources=[ECP5.read_text()] if target == "ecp5" else []) as sim:
        while done < count:
            n = min(ROUND, count - done)
            operands = unit.operands(fmt, n, np.random.default_rng((seed, done // ROUND)))
            got = sim.vectors(dict(zip(unit.inputs, operands)), [unit.output], latency=design.latency)[
                unit.output
            ]
            for name in ("numpy", "softfloat"):
                if against in (name, "both"):
                    _compare(name, unit, operands, got, getattr(unit, name)(*operands, fmt))
            done += n
            rate = done / (time.monotonic() - started)
            print(f"\r{done:,} of {count:,} equal, {rate / 1e6:.2f} M/s", end="", flush=True)
    print()


def _compare(name: str, unit: Component, operands: tuple[np.ndarray, ...], got: np.ndarray, want: np.ndarray):
    wrong = np.flatnonzero(got != want)
    if len(wrong):
        i = wrong[0]
        given = ", ".join(f"{port} = {values[i]:#x}" for port, values in zip(unit.inputs, operands))
        print(
            f"\n{given}: the hardware gives {got[i]:#x}, {name} {want[i]:#x} ({len(wrong)} differ in this round)"
        )
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
