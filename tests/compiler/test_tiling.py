"""How products are cut: everything once, in order, and within the buffers."""

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from sat_hdl.compiler.product import kept_length
from sat_hdl.compiler.tiling import Shape, boxes, plan
from sat_hdl.config import Config, ConfigError

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


@settings(deadline=None)
@given(
    m=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    k=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 100)),
    n=st.integers(1, 300),
    sparsity=st.sampled_from([(8, 8), (2, 8), (1, 4)]),
    bias=st.booleans(),
    alone=st.booleans(),
    config=st.sampled_from(
        [
            Config(rows=2, cols=2, west_depth=64, north_depth=128, result_depth=256),
            Config(rows=4, cols=8, memory_bits=128, west_depth=128, north_depth=256, result_depth=512),
            Config(),
        ]
    ),
)
def test_plans_fit_and_cover(m, k, n, sparsity, bias, alone, config):
    keep, group = sparsity
    step = max(config.panel, config.memory_bits // 16)
    shape = Shape(
        m=m, k=k, n=n, k_step=step, m_step=step if alone else 1, m_alone=alone, keep=keep, group=group,
        channels=k[2], bias=bias,
    )  # fmt: skip
    try:
        cut = plan(config, shape)
    except ConfigError:
        # Only where the innermost of m has to be cut at steps that no longer fit.
        assert alone and step > config.rows
        return
    assert elements(m, cut.m) == list(itertools.product(*map(range, m)))
    assert elements(k, cut.k) == list(itertools.product(*map(range, k)))
    columns = [column for block in cut.n for band in block for column in band]
    assert columns == list(range(n))
    for block in cut.n:
        slots = sum(-(-len(band) // config.cols) for band in block)
        panels = -(-(block[-1].stop - block[0].start) // config.panel)
        assert block[0].start % config.panel == 0
        for rows in cut.m:
            assert 2 * (rows.size + bias) * slots <= config.result_depth
        for deep in cut.k:
            tiles = -(-max(box.size for box in cut.m) // config.rows)
            assert tiles * -(-deep.size // config.ingest) <= config.west_depth // 2
            assert panels * kept_length(deep.size, keep, group) <= config.north_depth // 2


def test_a_buffer_that_is_too_small():
    shape = Shape(m=(1, 1, 9), k=(1, 1, 9), n=64, keep=8, group=8, channels=9)
    with pytest.raises(ConfigError, match="9 × 9 × 64 can't be cut"):
        plan(Config(result_depth=64), shape)
