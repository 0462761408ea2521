"""The adder with a folded multiplexer: both targets, every width, against Python's integers."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import TARGETS, MuxAdder
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5

WIDEST = 40
#: Name of an output → its adder.
ADDERS = {
    f"{target}_{width}{'_carry' if carry else ''}": {"width": width, "carry": carry, "target": target}
    for target in TARGETS
    for width in range(1, WIDEST + 1)
    for carry in (False, True)
}


class AllAdders(wiring.Component):
    """Every adder on the low bits of the same operands."""

    def __init__(self):
        operands = {name: In(WIDEST) for name in ("x", "y0", "y1")} | {"s": In(1), "carry": In(1)}
        super().__init__(operands | {name: Out(arguments["width"]) for name, arguments in ADDERS.items()})

    def elaborate(self, platform):
        m = Module()
        for name, arguments in ADDERS.items():
            m.submodules[name] = adder = MuxAdder(**arguments)
            for port in adder.signature.members:
                inner = getattr(adder, port)
                if port == "o":
                    m.d.comb += getattr(self, name).eq(inner)
                else:
                    m.d.comb += inner.eq(getattr(self, port)[: len(inner)])
        return m


@pytest.fixture(scope="module")
def simulation():
    with Simulation(AllAdders(), extra_sources=[ECP5.read_text()]) as sim:
        yield sim


def check(sim: Simulation, operands: dict[str, np.ndarray], names):
    got = sim.vectors(operands, names, latency=0)
    x, y0, y1 = (operands[name].astype(np.uint64) for name in ("x", "y0", "y1"))
    total = x + np.where(operands["s"] == 1, y1, y0)
    for name in names:
        mask = np.uint64((1 << ADDERS[name]["width"]) - 1)
        want = (total + operands["carry"] * np.uint64(ADDERS[name]["carry"])) & mask
        wrong = np.flatnonzero(got[name] != want)
        assert wrong.size == 0, (name, {key: hex(values[wrong[0]]) for key, values in operands.items()})


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_operand_of_small_widths(simulation, width):
    every = np.arange(1 << (3 * width + 2), dtype=np.uint64)
    mask = np.uint64((1 << width) - 1)
    operands = {name: every >> np.uint64(i * width) & mask for i, name in enumerate(("x", "y0", "y1"))}
    operands |= {
        name: every >> np.uint64(3 * width + i) & np.uint64(1) for i, name in enumerate(("s", "carry"))
    }
    check(simulation, operands, [name for name, a in ADDERS.items() if a["width"] == width])


def test_random_operands_of_every_width(simulation):
    """Uniform ones, and sums all of whose bits propagate, so that carries run the whole length."""
    seed = 20241
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n, mask = 20_000, np.uint64((1 << WIDEST) - 1)
    x, y0, y1 = (rng.integers(0, 1 << WIDEST, n, dtype=np.uint64) for _ in range(3))
    for y in (y0, y1):
        flip = np.uint64(1) << rng.integers(0, WIDEST, n, dtype=np.uint64)
        y[:] = np.choose(rng.integers(0, 3, n), [y, ~x & mask, (~x & mask) ^ flip])
    bits = {name: rng.integers(0, 2, n, dtype=np.uint64) for name in ("s", "carry")}
    check(simulation, {"x": x, "y0": y0, "y1": y1} | bits, list(ADDERS))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"width": 0}, "Width must be a positive integer, not 0"),
        ({"width": "8"}, "Width must be a positive integer, not '8'"),
        ({"width": 8, "target": "ice40"}, "Target must be one of ('portable', 'ecp5'), not 'ice40'"),
    ],
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        MuxAdder(**arguments)
    assert str(raised.value) == sentence
