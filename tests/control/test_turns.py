"""The walk over a weight-stationary product's turns, against going through the rows of the array one by one."""

import itertools
import random

import pytest

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout
from sat_hdl.control.turns import TurnWalk
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation

from .stepping import Part, bits, turns_of, walked

CONFIGS = {
    "r1c1": Config(rows=1, cols=1),
    "r3c5": Config(rows=3, cols=5),
    "r2c1_m2_j11": Config(rows=2, cols=1, max_m=2, interleave=11),
    "r2c2_m16": Config(rows=2, cols=2, max_m=16),
    "r8c8": Config(),
}


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Bundle({name: TurnWalk(config) for name, config in CONFIGS.items()})) as sim:
        yield sim


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_small_shape(simulation, name, stall):
    config = CONFIGS[name]
    part, rng = Part(simulation, name), random.Random(7)
    layout = tile_layout(config)
    for group, slots in itertools.product((1, *config.group_lengths()), range(4)):
        limit, wide = config.rows * group, config.cols << slots
        for k in {1, limit, max(1, limit - 1), rng.randint(1, limit)}:
            keep, n = rng.randint(1, group), rng.choice([1, wide, rng.randint(1, wide)])
            m = rng.choice([1, 7, 8, 9, 16, 17])
            want = [
                bits(layout, **turn)
                for turn in turns_of(config, m, k, n, keep=keep, group=group, slots=slots)
            ]
            part.start(m=m, k=k, n=n, keep=keep, group=group, slots=slots)
            got = walked(part, len(want), rng, stall)
            # What comes in a turn that brings nothing does not matter.
            mask = ~bits(layout, row=2**config.row_bits - 1, keeps=2**config.count_bits - 1)
            assert len(got) == len(want), (m, k, n, keep, group, slots)
            for number, (g, w) in enumerate(zip(got, want)):
                care = -1 if w >> layout["brings"].offset & 1 else mask
                assert g & care == w & care, (m, k, n, keep, group, slots, number)
