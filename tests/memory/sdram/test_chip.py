"""Times of a chip in cycles."""

import dataclasses
from fractions import Fraction

import pytest

from sat_hdl.memory.sdram.chip import ULX3S_CHIP, SdramChip


@pytest.mark.parametrize("mhz", [1, 12.5, 25, 48, 60, 100, 133, 143, 166, 200])
def test_cycles_hold_each_time_and_no_more(mhz):
    cycles = ULX3S_CHIP.cycles(mhz)
    period = 1000 / Fraction(mhz)
    for name in ("rcd", "rp", "ras", "rc", "rfc", "rrd", "start"):
        wanted = Fraction(getattr(ULX3S_CHIP, name))
        assert (getattr(cycles, name) - 1) * period < wanted <= getattr(cycles, name) * period
    assert min(cycles.wr, cycles.mrd) >= 2
    assert cycles.retention * period <= ULX3S_CHIP.retention < (cycles.retention + 1) * period


@pytest.mark.parametrize(
    "wrong",
    [dict(row_bits=14), dict(column_bits=7), dict(rcd=0), dict(rp=-1.0), dict(retention=float("inf"))],
    ids=str,
)
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        dataclasses.replace(ULX3S_CHIP, **wrong)


def test_sizes():
    assert SdramChip(**{**dataclasses.asdict(ULX3S_CHIP), "column_bits": 10}).size == 64 << 20
