"""Multiplication: 10^6 hard pairs against SoftFloat and numpy, small formats exhaustively."""

import numpy as np
import pytest

from sat_hdl.arith.multiply import Multiply
from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.oracle import exact_multiply, numpy_multiply, softfloat_multiply
from sat_hdl.sim.vectors import operand_pairs, specials

FORMATS = [BINARY16, BFLOAT16]
TARGETS = ["portable", "ecp5"]
#: (exponent, fraction) bits of operands and products that can be run exhaustively.
SMALL = [
    ((3, 2), (3, 5)),  # the same range: overflow, subnormals, rounding, as bfloat16 in binary32
    ((3, 3), (3, 8)),
    ((3, 3), (4, 7)),  # a range in between: some products are subnormal
    ((3, 3), (5, 7)),  # exact, as binary16 in binary32
    ((2, 2), (8, 23)),
]


def small(bits: tuple[int, int]) -> FloatFormat:
    return FloatFormat(name=f"e{bits[0]}m{bits[1]}", exp_bits=bits[0], frac_bits=bits[1])


@pytest.fixture(scope="module")
def multiply():
    """multiply(part's name, a, b) → products."""
    parts = {
        f"{fmt.name}_{target}": Multiply(format=fmt, target=target) for fmt in FORMATS for target in TARGETS
    }
    for operand, product in SMALL:
        operand, product = small(operand), small(product)
        parts[f"{operand.name}_{product.name}"] = Multiply(format=operand, product=product)
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:

        def results(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            inputs = {f"{name}__a": a, f"{name}__b": b}
            return sim.vectors(inputs, [f"{name}__p"], latency=parts[name].latency)[f"{name}__p"]

        yield results


def mismatches(a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray) -> list[tuple[str, ...]]:
    """The first few (a, b, product, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [(f"{a[i]:#x}", f"{b[i]:#x}", f"{got[i]:#x}", f"{want[i]:#x}") for i in wrong]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_hard_pairs(multiply, fmt, target):
    seed = 20230913
    print(f"seed {seed}")
    a, b = operand_pairs(fmt, 1_000_000, np.random.default_rng(seed))
    special = specials(fmt)
    a = np.concatenate([a, np.repeat(special, len(special))])
    b = np.concatenate([b, np.tile(special, len(special))])
    got = multiply(f"{fmt.name}_{target}", a, b)
    assert mismatches(a, b, got, numpy_multiply(a, b, fmt)) == []
    some = slice(900_000, None)
    assert mismatches(a[some], b[some], got[some], softfloat_multiply(a[some], b[some], fmt)) == []


@pytest.mark.parametrize("operand, product", SMALL, ids=str)
def test_every_pair_of_small_formats(multiply, operand, product):
    fmt, wide = small(operand), small(product)
    every = np.arange(1 << fmt.width, dtype=np.uint16)
    a, b = np.repeat(every, len(every)), np.tile(every, len(every))
    got = multiply(f"{fmt.name}_{wide.name}", a, b)
    want = np.array([exact_multiply(int(x), int(y), fmt, wide) for x, y in zip(a, b)])
    assert mismatches(a, b, got, want) == []


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"format": "fp16"}, "format must be a FloatFormat, not 'fp16'"),
        ({"format": BINARY16, "product": 32}, "product must be a FloatFormat, not 32"),
        (
            {"format": BINARY16, "product": BINARY16},
            "product must have at least 5 exponent and 21 fraction bits",
        ),
        ({"format": BINARY32}, "product must have at least 8 exponent and 47 fraction bits"),
        ({"format": BINARY16, "target": "asic"}, "target must be"),
    ],
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        Multiply(**arguments)
    assert str(raised.value).startswith(sentence)
