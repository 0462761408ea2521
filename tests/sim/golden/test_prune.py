"""N:M selection against a naive oracle, group by group, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.prune import kept_rows, prune

from . import oracle

RATIOS = [(n, m) for m in (2, 4, 8, 16) for n in range(1, m + 1)]


def naive(column, keep, group):
    """(values, indices) of one vector of bit patterns."""
    values, indices = [], []
    for start in range(0, len(column), group):
        chunk = [int(x) for x in column[start : start + group]]
        ranked = sorted(range(len(chunk)), key=lambda i: (-(chunk[i] % 0x8000), i))
        for i in sorted(ranked[:keep]):
            values.append(chunk[i])
            indices.append(i)
    return values, indices


@pytest.mark.parametrize(("keep", "group"), RATIOS)
@pytest.mark.parametrize("axis", [0, 1])
def test_against_naive(keep, group, axis):
    seed = keep * 100 + group
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for length in (1, group - 1, group, group + 1, 3 * group, 37):
        length = max(1, length)
        for bits in (
            oracle.random16(rng, (length, 7), special=0.3),
            rng.choice(np.array([0, 0x8000, 0x3C00, 0xBC00], np.uint16), (length, 7)),  # ties everywhere
        ):
            matrix = bits if axis == 0 else np.ascontiguousarray(bits.T)
            got = prune(matrix.view(np.float16), keep, group, axis)
            assert got.values.dtype == np.float16 and got.indices.dtype == np.uint8
            values, indices = (got.values, got.indices) if axis == 0 else (got.values.T, got.indices.T)
            assert values.shape == indices.shape == (kept_rows(length, keep, group), 7)
            for c in range(7):
                expected = naive(bits[:, c], keep, group)
                assert np.ascontiguousarray(values[:, c]).view(np.uint16).tolist() == expected[0]
                assert indices[:, c].tolist() == expected[1]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 4))),
    st.sampled_from(RATIOS),
    st.integers(0, 1),
)
def test_properties(w, ratio, axis):
    keep, group = ratio
    pruned = prune(w, keep, group, axis)
    mask, dense = pruned.mask(), pruned.dense()
    assert (dense[mask] == w[mask]).all() and (dense[~mask] == 0).all()
    assert mask.sum() == pruned.values.size
    transposed = prune(w.T, keep, group, 1 - axis)
    for name in ("values", "indices", "shape", "axis"):
        assert np.array_equal(getattr(transposed.T, name), getattr(pruned, name))
    along = mask if axis == 0 else mask.T
    magnitude = (w if axis == 0 else w.T) & 0x7FFF
    for start in range(0, len(along), group):
        kept, mag = along[start : start + group], magnitude[start : start + group]
        assert (kept.sum(axis=0) == min(keep, len(kept))).all()
        for c in range(kept.shape[1]):
            if not kept[:, c].all():
                assert mag[kept[:, c], c].min() >= mag[~kept[:, c], c].max()


def test_keep_all_is_the_identity():
    w = np.arange(22, dtype=np.uint16).reshape(11, 2)
    np.testing.assert_array_equal(prune(w, 4, 4).values, w)


@pytest.mark.parametrize(
    ("w", "keep", "group", "axis", "message"),
    [
        (np.zeros((4, 4), np.float32), 1, 2, 0, "not float32"),
        (np.zeros(4, np.float16), 1, 2, 0, "two dimensions"),
        (np.zeros((0, 4), np.float16), 1, 2, 0, "two dimensions"),
        (np.zeros((4, 4), np.float16), 3, 2, 0, "3:2 sparsity is not possible"),
        (np.zeros((4, 4), np.float16), 0, 2, 0, "0:2 sparsity is not possible"),
        (np.zeros((4, 4), np.float16), 1, 2, 2, "must be 0 or 1, not 2"),
    ],
)
def test_refusals(w, keep, group, axis, message):
    with pytest.raises(ConfigError, match=message):
        prune(w, keep, group, axis)
