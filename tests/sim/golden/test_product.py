"""The products against a scalar SoftFloat chain, on awkward shapes, with special values throughout."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import product
from sat_hdl.sim.golden.product import matmul, sparse_matmul
from sat_hdl.sim.golden.prune import prune

from . import oracle

SHAPES = [(1, 1, 1), (1, 7, 1), (3, 1, 5), (7, 8, 9), (5, 37, 3), (13, 16, 2), (2, 64, 17)]


def operands(rng, shape, special=0.05):
    """(a, b, acc) as bit patterns."""
    m, k, n = shape
    acc = oracle.random32(rng, m * n).reshape(m, n)
    return oracle.random16(rng, (m, k), special), oracle.random16(rng, (k, n), special), acc


def expected(a, b, acc, mask=None, operand="fp16"):
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    y = np.empty((m, n), np.uint32)
    for i in range(m):
        for j in range(n):
            steps = [(a[i, x], b[x, j]) for x in range(k) if mask is None or mask[x, j]]
            y[i, j] = oracle.chain(0 if acc is None else acc[i, j], steps, operand)
    return y


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("special", [0, 0.02, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_against_softfloat(shape, special, operand):
    seed = 7 * sum(shape)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    a, b, acc = operands(rng, shape, special)
    for start in (None, acc):
        got = matmul(a, b, acc=None if start is None else start.view(np.float32), operand=operand)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got.view(np.uint32), expected(a, b, start, operand=operand))


@pytest.mark.parametrize("ratio", [(1, 2), (2, 4), (1, 4), (2, 8), (5, 8), (2, 16), (8, 8)])
@pytest.mark.parametrize("shape", SHAPES)
def test_sparse_against_softfloat(shape, ratio):
    seed = 11 * sum(shape) + ratio[0]
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    a, b, acc = operands(rng, shape)
    pruned = prune(b, *ratio)
    for start in (None, acc):
        got = sparse_matmul(
            a,
            pruned.values,
            pruned.indices,
            k=shape[1],
            keep=ratio[0],
            group=ratio[1],
            acc=None if start is None else start.view(np.float32),
        )
        np.testing.assert_array_equal(got.view(np.uint32), expected(a, b, start, pruned.mask()))


def test_every_product_and_sum_step_against_softfloat():
    """2 · 10^5 single steps, weighted to ties, cancellation and special values."""
    seed = 5
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    count = 200_000
    a, b, acc = oracle.random16(rng, count), oracle.random16(rng, count), oracle.random32(rng, count)
    # Cancellation: a third of the sums start within a few units of minus the product.
    with np.errstate(all="ignore"):
        exact = -(a.view(np.float16).astype(np.float32) * b.view(np.float16).astype(np.float32))
    near = exact.view(np.uint32) + rng.integers(-4, 5, count).astype(np.uint32)
    acc = np.where(rng.random(count) < 1 / 3, near, acc)
    steps = zip(acc, a, b)
    softfloat = np.array([oracle.chain(start, [(x, y)]) for start, x, y in steps], np.uint32)
    got = np.concatenate(
        [
            matmul(a[i : i + 1, None], b[None, i : i + 1], acc=acc[i : i + 1, None].view(np.float32))[0]
            for i in range(0, 2000)
        ]
    )
    np.testing.assert_array_equal(got.view(np.uint32), softfloat[:2000])
    # The same steps in bulk: a diagonal of a product with k = 1 would waste all else, so use blocks.
    side = 100
    for top in range(0, count, side):
        part = slice(top, top + side)
        y = matmul(a[part, None], b[None, part], acc=np.diag(acc[part].view(np.float32)).copy())
        np.testing.assert_array_equal(np.diag(y).view(np.uint32), softfloat[part])


def test_blocks_do_not_change_a_bit(monkeypatch):
    seed = 6
    print(f"seed {seed}")
    a, b, acc = operands(np.random.default_rng(seed), (23, 19, 11))
    pruned = prune(b, 2, 4)
    kept = dict(values=pruned.values, indices=pruned.indices, k=19, keep=2, group=4)
    whole, sparse = matmul(a, b, acc=acc.view(np.float32)), sparse_matmul(a, **kept)
    for block in (1, 24, 60):
        monkeypatch.setattr(product, "BLOCK", block)
        np.testing.assert_array_equal(
            matmul(a, b, acc=acc.view(np.float32)).view(np.uint32), whole.view(np.uint32)
        )
        np.testing.assert_array_equal(sparse_matmul(a, **kept).view(np.uint32), sparse.view(np.uint32))


def test_dropped_entries_are_not_multiplied():
    """The sparse chain never sees an infinite activation of a dropped weight; a masked dense one does."""
    a = np.array([[np.inf, 1]], np.float16)
    b = np.array([[0], [3]], np.float16)
    pruned = prune(b, 1, 2)
    sparse = sparse_matmul(a, pruned.values, pruned.indices, k=2, keep=1, group=2)
    assert sparse.tolist() == [[3.0]] and np.isnan(matmul(a, pruned.dense())).all()


def test_padding_is_never_visited():
    """Starting at −0 with a product of −0 stays −0; an added padding +0 would make it +0."""
    a, b = np.array([[-0.0]], np.float16), np.array([[1]], np.float16)
    pruned = prune(b, 2, 4)
    acc = np.array([[-0.0]], np.float32)
    y = sparse_matmul(a, pruned.values, pruned.indices, k=1, keep=2, group=4, acc=acc)
    assert y.view(np.uint32).tolist() == [[oracle.chain(0x80000000, [(0x8000, 0x3C00)])]]


def test_without_accumulators_chains_start_at_plus_zero():
    a, b = np.array([[-0.0]], np.float16), np.array([[1]], np.float16)
    expected = [[oracle.chain(0, [(0x8000, 0x3C00)])]]
    assert matmul(a, b).view(np.uint32).tolist() == expected
    pruned = prune(b, 1, 2)
    sparse = sparse_matmul(a, pruned.values, pruned.indices, k=1, keep=1, group=2)
    assert sparse.view(np.uint32).tolist() == expected


def test_initial_accumulators_broadcast_and_stay_untouched():
    a, b = np.ones((3, 2), np.float16), np.ones((2, 4), np.float16)
    bias = np.arange(4, dtype=np.float32)
    y = matmul(a, b, acc=bias)
    np.testing.assert_array_equal(y, np.tile(bias + 2, (3, 1)))
    np.testing.assert_array_equal(bias, np.arange(4, dtype=np.float32))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data())
def test_splitting_k_changes_nothing(data):
    m, k, n = (data.draw(st.integers(1, 6)) for _ in range(3))
    a, b = data.draw(arrays(np.uint16, (m, k))), data.draw(arrays(np.uint16, (k, n)))
    cut = data.draw(st.integers(1, k))
    whole = matmul(a, b)
    parts = matmul(a[:, :cut], b[:cut])
    if cut < k:
        parts = matmul(a[:, cut:], b[cut:], acc=parts)
    np.testing.assert_array_equal(whole.view(np.uint32), parts.view(np.uint32))
    every = prune(b, 4, 4)
    sparse = sparse_matmul(a, every.values, every.indices, k=k, keep=4, group=4)
    np.testing.assert_array_equal(whole.view(np.uint32), sparse.view(np.uint32))


def test_a_process_that_flushes_subnormals_is_refused():
    torch = pytest.importorskip("torch", reason="PyTorch, whose switch sets the flag, is not installed")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor can't flush subnormals")
    try:
        with pytest.raises(RuntimeError, match="flushes subnormal numbers"):
            matmul(np.ones((1, 1), np.float16), np.ones((1, 1), np.float16))
    finally:
        torch.set_flush_denormal(False)


HALF = np.zeros((2, 4), np.float16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matmul(HALF, HALF), "A's columns must be as many as B's rows"),
        (lambda: matmul(HALF.astype(np.float32), HALF.T), "must be float16"),
        (lambda: matmul(HALF[:, :0], HALF[:0]), "two dimensions of at least 1"),
        (lambda: matmul(HALF, HALF.T, acc=np.zeros((2, 2))), "must be float32, not float64"),
        (lambda: matmul(HALF, HALF.T, acc=np.zeros((3, 2), np.float32)), r"must have shape \(2, 2\)"),
        (lambda: matmul(HALF, HALF.T, operand="bf16"), "uint16 bit patterns, not float16"),
        (lambda: kept(k=5), "must be as many as B's rows, 5"),
        (lambda: kept(keep=2), "2:4 of 4 rows keeps 2"),
        (lambda: kept(indices=np.full((1, 2), 4)), "lie in their group of 4"),
        (lambda: kept(indices=np.full((1, 2), -1)), "lie in their group of 4"),
        (lambda: kept(indices=np.zeros((1, 2))), "Indices must be integers, not float64"),
        (lambda: kept(values=HALF[:, :2], indices=np.ones((2, 2), int), keep=2), "ascend within it"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def kept(**changes):
    arguments = dict(values=HALF[:1, :2], indices=np.zeros((1, 2), int), k=4, keep=1, group=4) | changes
    return sparse_matmul(HALF, **arguments)
