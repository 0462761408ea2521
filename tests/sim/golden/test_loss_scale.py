"""Loss scaling: backoff, growth, bounds."""

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.loss_scale import LossScaler


def scales(scaler, overflows):
    seen = []
    for overflow in overflows:
        scaler.update(overflow)
        seen.append(scaler.scale)
    return seen


def test_static_never_moves():
    scaler = LossScaler(1024, dynamic=False, growth_interval=1)
    assert set(scales(scaler, [True, False] * 5)) == {1024}


def test_dynamic_halves_on_overflow_and_grows_after_good_steps_in_a_row():
    scaler = LossScaler(1024, dynamic=True, growth_interval=3)
    overflows = [False, False, True, False, False, False, False, True]
    assert scales(scaler, overflows) == [1024, 1024, 512, 512, 512, 1024, 1024, 512]


def test_growth_counts_anew_after_each_doubling():
    assert scales(LossScaler(1, dynamic=True, growth_interval=2), [False] * 5) == [1, 2, 2, 4, 4]


def test_bounds():
    assert set(scales(LossScaler(1, dynamic=True, growth_interval=1), [True] * 3)) == {1}
    assert set(scales(LossScaler(2**24, dynamic=True, growth_interval=1), [False] * 3)) == {2**24}


@pytest.mark.parametrize("scale", [0, 3, -2, 0.5, float("nan"), float("inf"), 2**25, "big"])
def test_only_powers_of_two(scale):
    with pytest.raises(ConfigError, match="power of two"):
        LossScaler(scale, dynamic=True, growth_interval=1)


@pytest.mark.parametrize("interval", [0, 1.5, -1])
def test_only_whole_intervals(interval):
    with pytest.raises(ConfigError, match="growth interval"):
        LossScaler(2, dynamic=True, growth_interval=interval)
