"""Comparison by magnitude against numpy, over every pair of special values and random ones."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.compare import magnitude, magnitude_less
from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.vectors import specials, words


class Compare(wiring.Component):
    def __init__(self, width: int):
        super().__init__({"a": In(width), "b": In(width), "less": Out(1)})

    def elaborate(self, platform):
        m = Module()
        # The harness wants a clock.
        m.d.sync += self.less.eq(magnitude_less(self.a, self.b))
        return m


@pytest.mark.parametrize("fmt", [BINARY16, BFLOAT16, BINARY32], ids=lambda fmt: fmt.name)
def test_order(fmt):
    rng = np.random.default_rng(7)
    special = specials(fmt)
    a = np.concatenate([np.repeat(special, len(special)), words(fmt, 100_000, rng)])
    b = np.concatenate([np.tile(special, len(special)), words(fmt, 100_000, rng)])
    with Simulation(Compare(fmt.width)) as sim:
        less = sim.vectors({"a": a, "b": b}, ["less"], latency=1)["less"]
    dtype = {BINARY16: np.float16, BINARY32: np.float32}.get(fmt)
    if dtype is not None:
        # Where IEEE orders magnitudes, the patterns' order is the same.
        x, y = np.abs(a.view(dtype)), np.abs(b.view(dtype))
        ordered = ~(np.isnan(x) | np.isnan(y))
        assert np.array_equal(less[ordered].astype(bool), (x < y)[ordered])
        # Any NaN is above anything that is not.
        assert less[np.isnan(y) & ~np.isnan(x)].all()
        assert not less[np.isnan(x) & ~np.isnan(y)].any()
    assert [bool(x) for x in less] == [fmt_key(x, fmt) < fmt_key(y, fmt) for x, y in zip(a, b)]


def fmt_key(bits: int, fmt) -> int:
    return int(bits) % (1 << (fmt.width - 1))


def test_illegal_operands_are_refused():
    with pytest.raises(ValueError, match="of one format, not 16 and 32 bits wide"):
        magnitude_less(Signal(16), Signal(32))
    with pytest.raises(ValueError, match="of at least 2 bits, not 1 bit"):
        magnitude(Signal(1))
