"""Turns: nobody who wants is passed over twice for the same other."""

import random

import pytest

from sat_hdl.memory.round_robin import RoundRobin
from sat_hdl.sim.model import Model


def test_turns():
    seed = 70
    print(f"seed {seed}")
    rng = random.Random(seed)
    count, last = 5, -1
    with Model(RoundRobin(count=count)) as model:
        for _ in range(3000):
            wanted, take = rng.choice([0, rng.randrange(1 << count), (1 << count) - 1]), rng.randrange(2)
            model.set("wanted", wanted)
            model.set("take", take)
            order = [(last + 1 + i) % count for i in range(count)]
            chosen = next((i for i in order if wanted >> i & 1), None)
            assert model.get("grant") == (0 if chosen is None else 1 << chosen)
            if take and chosen is not None:
                last = chosen
            model.step()


def test_one_is_enough():
    with pytest.raises(ValueError, match=r"^count must be"):
        RoundRobin(count=0)
