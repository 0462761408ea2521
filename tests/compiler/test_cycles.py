"""The closed form against what the hardware counts."""

import numpy as np
import pytest

from sat_hdl.compiler.cycles import fastest, product_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.config import Config, preset
from sat_hdl.sim.device import Device
from sat_hdl.sim.golden import prune

#: Long chains, as in training; and short ones, where the exchange of results sets the pace.
LONG = [(1, 8, 1), (7, 13, 33), (8, 64, 16), (5, 40, 3), (40, 17, 64), (2, 128, 31)]
SHORT = [(1, 1, 1), (4, 1, 16), (8, 1, 64), (8, 2, 64), (8, 3, 5)]


#: A west edge of one element a cycle, and of two.
FOLDING = [Config(rows=2, cols=2, fold=2), Config(rows=2, cols=2, max_m=16, fold=2)]


@pytest.fixture(scope="module")
def device():
    return Device(preset("tiny"))


def measured(device, m, k, n, sparsity, accumulate):
    rng = np.random.default_rng(m * k * n)
    a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((m, k), (k, n)))
    values, indices = b, None
    if sparsity is not None:
        pruned = prune(b, *sparsity, 0)
        values, indices = pruned.values, pruned.indices
    acc = np.zeros((m, n), np.uint32) if accumulate else None
    run = device.product(a.view(np.uint16), values.view(np.uint16), indices, sparsity=sparsity, acc=acc)
    return run.cycles


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("sparsity", [None, (2, 8), (2, 4)])
def test_long_chains(device, sparsity, accumulate):
    keep, group = sparsity or (None, None)
    for m, k, n in LONG:
        k *= 1 if sparsity is None else 4
        product = Product(config=device.config, m=m, k=k, n=n, keep=keep, group=group)
        cycles = measured(device, m, k, n, sparsity, accumulate)
        assert product_cycles(product, accumulate=accumulate) == pytest.approx(cycles, rel=0.01, abs=4)


@pytest.mark.parametrize("accumulate", [False, True])
def test_short_chains(device, accumulate):
    for m, k, n in SHORT:
        cycles = measured(device, m, k, n, None, accumulate)
        product = Product(config=device.config, m=m, k=k, n=n)
        assert product_cycles(product, accumulate=accumulate) == pytest.approx(cycles, rel=0.15, abs=12)


@pytest.mark.parametrize("config", FOLDING, ids=["max_m 8", "max_m 16"])
def test_folded(config):
    """The device takes the fold that takes the fewest cycles by the closed form."""
    folding = Device(config)
    for m, k, n in [(32, 256, 2), (17, 96, 6), (40, 200, 13), (16, 64, 16)]:
        product = Product(config=config, m=m, k=k, n=n, keep=2, group=8)
        folded = fastest(product)
        assert product_cycles(folded) == pytest.approx(
            measured(folding, m, k, n, (2, 8), False), rel=0.01, abs=8
        )
        assert folded.fold == {2: config.most_fold(8), 6: config.most_fold(8), 13: 2, 16: 1}[n]
        assert product_cycles(folded) <= product_cycles(product)


def test_shape_decides_the_orientation():
    config = Config()
    narrow = product_cycles(Product(config=config, m=64, k=64, n=10))
    turned = product_cycles(Product(config=config, m=10, k=64, n=64))
    assert turned < narrow / 3
