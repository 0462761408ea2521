"""How products are cut: everything once, in order, and within the buffers."""

import itertools
from math import lcm

import hypothesis.strategies as st
from hypothesis import given, settings

from sat_hdl.compiler.product import kept_length
from sat_hdl.compiler.tiling import Shape, boxes, candidates
from sat_hdl.config import Config

SIZES = st.tuples(*[st.integers(1, 12)] * 3)


def elements(sizes, cut) -> list[tuple[int, ...]]:
    return [element for box in cut for element in itertools.product(*box.ranges)]


@given(SIZES, st.integers(1, 200), st.sampled_from([1, 2, 4, 8]))
def test_boxes_follow_one_another(sizes, most, step):
    cut = boxes(sizes, most, step)
    if cut is None:
        assert most < min(step, sizes[2])
        return
    assert all(box.size <= most for box in cut)
    assert elements(sizes, cut) == list(itertools.product(*map(range, sizes)))
    assert all(box.starts[2] % step == 0 for box in cut)


@given(SIZES, st.integers(1, 200), st.sampled_from([1, 2, 4, 8]))
def test_boxes_of_whole_tiles(sizes, most, tile):
    """All but the last along an axis are multiples of a tile, where some number of steps of that axis is."""
    cut = boxes(sizes, most, 1, tile)
    assert cut is not None
    assert elements(sizes, cut) == list(itertools.product(*map(range, sizes)))
    assert all(box.size <= most for box in cut)
    inside = [1, sizes[2], sizes[1] * sizes[2]]
    step = max(size for size in inside if size <= most)
    if lcm(step, tile) <= most:
        axis = 2 - inside.index(step)
        assert all(box.size % tile == 0 for box in cut if box.ranges[axis].stop < sizes[axis])


CONFIGS = [
    Config(rows=2, cols=2, west_depth=64, north_depth=128, result_depth=256),
    Config(rows=4, cols=8, memory_bits=128, west_depth=128, north_depth=256, result_depth=512),
    Config(rows=4, cols=4, interleave=16, west_depth=64, north_depth=64, result_depth=64),
    Config(rows=1, cols=32, memory_bits=512, west_depth=64, north_depth=64, result_depth=64),
    Config(),
]


@settings(deadline=None)
@given(
    m=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    k=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 100)),
    n=st.integers(1, 300),
    sparsity=st.sampled_from([(8, 8), (2, 8), (1, 4)]),
    bias=st.booleans(),
    alone=st.booleans(),
    config=st.sampled_from(CONFIGS),
    dataflow=st.sampled_from(["os", "ws", "auto"]),
    number=st.integers(0),
)
def test_candidates_fit_and_cover(m, k, n, sparsity, bias, alone, config, dataflow, number):
    keep, group = sparsity
    step = max(config.panel, config.memory_bits // 16)
    shape = Shape(
        m=m, k=k, n=n, k_step=step, m_step=max(step, config.rows) if alone else 1, m_alone=alone, keep=keep,
        group=group, bias=bias,
    )  # fmt: skip
    found = list(candidates(config, shape, dataflow))
    assert len(set(found)) == len(found)
    held = keep == group
    flows = {"os": {False}, "ws": {held}, "auto": {False, held}}[dataflow]
    assert {cut.stationary for cut in found} == flows
    cut = found[number % len(found)]
    assert elements(m, cut.m) == list(itertools.product(*map(range, m)))
    assert elements(k, cut.k) == list(itertools.product(*map(range, k)))
    columns = [column for block in cut.n for band in block for column in band]
    assert columns == list(range(n))
    for block in cut.n:
        slots = sum(-(-len(band) // config.cols) for band in block)
        panels = -(-(block[-1].stop - block[0].start) // config.panel)
        assert block[0].start % step == 0
        assert not cut.stationary or slots <= 8
        for rows in cut.m:
            assert 2 * (rows.size + bias) * slots <= config.result_depth
        for deep in cut.k:
            words = -(-max(box.size for box in cut.m) // config.rows) * -(-deep.size // config.ingest)
            if cut.stationary:
                words = -(-deep.size // config.rows) * -(-max(box.size for box in cut.m) // config.ingest)
            assert words <= config.west_depth // 2
            assert panels * kept_length(deep.size, keep, group) <= config.north_depth // 2


def test_some_are_among_all():
    for config in CONFIGS:
        shape = Shape(m=(2, 5, 7), k=(3, 2, 24), n=70, k_step=32, keep=8, group=8)
        few, all_of_them = (set(candidates(config, shape, every=every)) for every in (False, True))
        assert few < all_of_them
