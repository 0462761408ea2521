"""The reader's promise to its port: there is always room for what was asked for. Proved by induction.

What it delivers: test_streams.py.
"""

import pytest

from sat_hdl.memory.reader import AffineReader
from sat_hdl.sim.smt import solve

from .bounded import definitions

DEPTH, BURST = 8, 2


@pytest.fixture(scope="module")
def reader() -> str:
    return definitions(AffineReader(data_bits=16, depth=DEPTH, burst_beats=BURST))


def _number(name: str, state: str) -> str:
    """A counter of 4 bits (``counted`` has 2), widened so that sums don't wrap."""
    return f"((_ zero_extend {6 if name == 'counted' else 4}) (|top_n {name}| {state}))"


def invariant(state: str, *, spare: int = BURST) -> str:
    """Places free, beats held and beats to come are no more than there are places, also once those that were asked
    for in the cycle before are counted; ``fits`` says what it should."""
    free, held, coming = (_number(name, state) for name in ("places", "beats.count", "outstanding"))
    counted = _number("counted", state)
    return (
        f"(and (bvuge {free} {counted}) (bvule (bvadd {free} {held} {coming}) (_ bv{DEPTH} 8))"
        f" (= (|top_n beats.some| {state}) (distinct {held} (_ bv0 8)))"
        f" (=> (|top_n fits| {state}) (bvuge {free} (bvadd {counted} (_ bv{spare} 8)))))"
    )


def step(reader: str, *claims: str, honest: bool = True) -> bool:
    """Whether one step from a state of the invariant can meet ``claims``, where a start finds nothing held,
    outstanding or running, which the simulations check. ``honest``: memory gives only what was asked for."""
    coming, held, counted = (_number(name, "s0") for name in ("outstanding", "beats.count", "counted"))
    return solve(
        "\n".join(
            [
                reader,
                "(declare-const s0 |top_s|)",
                "(declare-const s1 |top_s|)",
                "(assert (|top_t| s0 s1))",
                "(assert (not (|top_n rst| s0)))",
                f"(assert {invariant('s0')})",
                f"(assert (=> (|top_n port__valid| s0) (distinct {coming} (_ bv0 8))))" if honest else "",
                f"(assert (=> (|top_n frame.starts| s0) (and (not (|top_n frame.running| s0))"
                f" (= {coming} (_ bv0 8)) (= {held} (_ bv0 8)) (= {counted} (_ bv0 8)))))",
                *(f"(assert {claim})" for claim in claims),
                "(check-sat)",
            ]
        )
    )


FULL = f"(and (|top_n port__valid| s0) (= {_number('beats.count', 's0')} (_ bv{DEPTH} 8)))"


def test_the_invariant_is_kept(reader):
    assert not step(reader, f"(not {invariant('s1')})")
    # Not for want of cases: with one more beat of room behind `fits` it would not be.
    assert step(reader, f"(not {invariant('s1', spare=BURST + 1)})")
    assert step(reader, f"(not {invariant('s1')})", honest=False)


def test_no_beat_comes_when_the_queue_is_full(reader):
    assert not step(reader, FULL)
    assert step(reader, FULL, honest=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"data_bits": 48},
        {"data_bits": 8},
        {"burst_beats": 1},
        {"burst_beats": 128},
        {"depth": 32},
        {"depth": 100},
    ],
)
def test_arguments_are_checked(wrong):
    arguments = {"data_bits": 512, "burst_beats": 16, "depth": 256, **wrong}
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        AffineReader(**arguments)
