"""Multiply-accumulate from raw operands: 10^6 hard triples against numpy and SoftFloat; its latencies."""

import itertools

import numpy as np
import pytest

from sat_hdl.arith.ecp5 import TARGETS
from sat_hdl.arith.mac import Mac
from sat_hdl.arith.normalise import Normalise, operand_layout
from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat
from sat_hdl.sim.aligned_mac import AlignedMac
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.oracle import numpy_mac, softfloat_mac
from sat_hdl.sim.vectors import mac_triples, specials

FORMATS = [BINARY16, BFLOAT16]


def name_of(fmt: FloatFormat, target: str) -> str:
    return f"{fmt.name}_{target}"


PARTS = list(itertools.product(FORMATS, TARGETS))


@pytest.fixture(scope="module")
def simulation():
    parts = {name_of(fmt, target): AlignedMac(format=fmt, target=target) for fmt, target in PARTS}
    parts |= {f"bare_{name_of(fmt, target)}": Mac(format=fmt, target=target) for fmt, target in PARTS}
    parts |= {
        f"idle_{name_of(fmt, target)}": Mac(format=fmt, target=target, idles=True) for fmt, target in PARTS
    }
    with Simulation(Bundle(parts), extra_sources=[ECP5.read_text()]) as sim:
        yield sim


def run(sim: Simulation, fmt: FloatFormat, target: str, a, b, acc) -> np.ndarray:
    name = name_of(fmt, target)
    inputs = {f"{name}__{port}": values for port, values in (("a", a), ("b", b), ("acc", acc))}
    latency = Normalise.latency_of(fmt) + Mac(format=fmt, target=target).latency
    return sim.vectors(inputs, [f"{name}__o"], latency=latency)[f"{name}__o"]


def quiet(acc: np.ndarray) -> np.ndarray:
    """The precondition of ``acc``."""
    nan = (acc & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    return np.where(nan, acc | np.uint32(1 << 22), acc)


def mismatches(a, b, acc, got, want) -> list[tuple[str, ...]]:
    """The first few (a, b, acc, result, expected) that differ."""
    wrong = np.flatnonzero(got != want)[:5]
    return [tuple(f"{x[i]:#x}" for x in (a, b, acc, got, want)) for i in wrong]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_hard_triples(simulation, fmt, target):
    seed = 20230916
    print(f"seed {seed}")
    a, b, acc = mac_triples(fmt, 1_000_000, np.random.default_rng(seed))
    acc = quiet(acc)
    got = run(simulation, fmt, target, a, b, acc)
    assert mismatches(a, b, acc, got, numpy_mac(a, b, acc, fmt)) == []
    some = slice(950_000, None)
    want = softfloat_mac(a[some], b[some], acc[some], fmt)
    assert mismatches(a[some], b[some], acc[some], got[some], want) == []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_triple_of_specials(simulation, fmt, target):
    operand, word = specials(fmt), quiet(specials(BINARY32))
    a, b, acc = (x.ravel() for x in np.meshgrid(operand, operand, word, indexing="ij"))
    got = run(simulation, fmt, target, a, b, acc)
    assert mismatches(a, b, acc, got, numpy_mac(a, b, acc, fmt)) == []


@pytest.mark.parametrize("fmt, target", PARTS, ids=lambda x: getattr(x, "name", x))
def test_without_operands_every_word_comes_out_again(simulation, fmt, target):
    """Whatever the other operand is, beside a 0: zeros of both signs, subnormals, infinities; NaN gets canonical."""
    rng = np.random.default_rng(20230918)
    acc = quiet(
        np.concatenate([np.tile(specials(BINARY32), 50), rng.integers(0, 1 << 32, 300_000, dtype=np.uint32)])
    )
    name, width = f"idle_{name_of(fmt, target)}", operand_layout(fmt).size
    others = rng.integers(0, 1 << width, len(acc), dtype=np.uint32)
    inputs = {"a": others, "b": np.zeros_like(acc), "acc": acc, "feeds": np.zeros_like(acc)}
    got = simulation.vectors(
        {f"{name}__{port}": values for port, values in inputs.items()},
        [f"{name}__o"],
        latency=Mac.loop_latency,
    )[f"{name}__o"]
    nan = (acc & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    want = np.where(nan, np.uint32(BINARY32.nan), acc)
    # The first words meet products of operands before the first.
    assert np.array_equal(got[8:], want[8:])


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_products_beside_equal_exponents(simulation, fmt):
    """Products in both leading positions, sums that cancel down to every bit."""
    seed = 20230917
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 300_000
    one = fmt.bias << fmt.frac_bits
    a, b = (
        (one + rng.integers(-2 << fmt.frac_bits, 2 << fmt.frac_bits, n)).astype(np.uint16) for _ in range(2)
    )
    product = numpy_mac(a, b, np.zeros(n, np.uint32), fmt)
    acc = (product ^ (1 << 31) ^ (rng.integers(0, 1 << 24, n) >> rng.integers(0, 25, n))).astype(np.uint32)
    got = run(simulation, fmt, "portable", a, b, acc)
    assert mismatches(a, b, acc, got, numpy_mac(a, b, acc, fmt)) == []


@pytest.mark.parametrize("fmt, target", PARTS, ids=lambda x: getattr(x, "name", x))
def test_latencies(simulation, fmt, target):
    """An impulse at each input shows at the output after exactly the cycles that the properties tell."""
    mac = Mac(format=fmt, target=target)
    assert mac.loop_latency == 7
    assert mac.latency == mac.acc_delay + mac.loop_latency
    assert fmt != BINARY16 or mac.latency == 9
    name = f"bare_{name_of(fmt, target)}"
    one = fmt.bias << fmt.frac_bits
    # A normalised 1, as a constant of the layout.
    operand = (1 << 10) | (15 + 17) << 11 if fmt == BINARY16 else one
    n, at = 40, 20
    still = {
        "a": np.full(n, operand, np.uint32),
        "b": np.full(n, operand, np.uint32),
        "acc": np.zeros(n, np.uint32),
    }
    for port, expected in (("a", mac.latency), ("b", mac.latency), ("acc", mac.loop_latency)):
        inputs = {key: values.copy() for key, values in still.items()}
        inputs[port][at] = 1 << 23 if port == "acc" else 0
        if port == "acc":
            inputs[port][at] = 0x3F800000
        got = simulation.vectors(
            {f"{name}__{key}": values for key, values in inputs.items()}, [f"{name}__o"], latency=0
        )[f"{name}__o"]
        assert list(np.flatnonzero(got[at:] != got[at])) == [expected], port


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_illegal_target_is_refused(fmt):
    with pytest.raises(ValueError, match=r"arget must be .*portable.*ecp5.*, not 'asic'$"):
        Mac(format=fmt, target="asic")
