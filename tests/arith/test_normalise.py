"""Every 16-bit word through the normaliser; its layout is decoded here by the words of its description."""

import numpy as np
import pytest

from sat_hdl.arith.normalise import Normalise
from sat_hdl.formats import BFLOAT16, BINARY16
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation

EVERY = np.arange(1 << 16, dtype=np.uint16)


@pytest.fixture(scope="module")
def simulation():
    parts = {fmt.name: Normalise(format=fmt) for fmt in (BINARY16, BFLOAT16)}
    with Simulation(Bundle(parts)) as sim:
        yield sim


def test_every_binary16(simulation):
    latency = Normalise(format=BINARY16).latency
    assert latency == 2
    word = simulation.vectors({"fp16__i": EVERY}, ["fp16__o"], latency=latency)["fp16__o"].astype(np.int64)
    sig, exp, sign, special = word & 0x7FF, word >> 11 & 0x3F, word >> 17 & 1, word >> 18
    value = EVERY.view(np.float16).astype(np.float64)
    finite, nan = np.isfinite(value), np.isnan(value)
    leading = sig >> 10 == 1
    np.testing.assert_array_equal(special == 0, finite)
    np.testing.assert_array_equal(leading, ~nan & (value != 0))
    decoded = np.where(sign == 1, -1.0, 1.0) * np.ldexp(sig.astype(float), exp - (15 + 17) - 10)
    # As bits, for +0 equals −0.
    np.testing.assert_array_equal(decoded[finite].view(np.int64), value[finite].view(np.int64))
    np.testing.assert_array_equal(sign[~nan], EVERY[~nan] >> 15)


def test_other_formats_stay_as_they_are(simulation):
    assert Normalise(format=BFLOAT16).latency == 0
    word = simulation.vectors({"bf16__i": EVERY}, ["bf16__o"], latency=0)["bf16__o"]
    np.testing.assert_array_equal(word, EVERY)
