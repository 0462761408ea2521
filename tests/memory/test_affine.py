"""The walk over the loops, against the model: which runs, and one a cycle."""

import random

import numpy as np
import pytest

from sat_hdl.memory.affine import AffineWalk
from sat_hdl.memory.descriptor import READ_WORDS, WRITE_WORDS, Descriptor, Loop
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation

from .descriptors import random_descriptor

STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}


@pytest.fixture(scope="module")
def simulation():
    walks = {"reads": AffineWalk(padding=True), "writes": AffineWalk(padding=False)}
    with Simulation(Bundle(walks)) as sim:
        yield sim


def walked(simulation, name: str, descriptors: list[Descriptor], stall=NONE):
    words = READ_WORDS if name == "reads" else WRITE_WORDS
    starts = np.array([descriptor.words()[:words] for descriptor in descriptors], np.uint32)
    runs = [descriptor.runs() for descriptor in descriptors]
    total = sum(len(address) for address, _ in runs)
    result = simulation.run(
        {f"{name}__words": starts.reshape(-1, 1)},
        {f"{name}__runs": total},
        stall=stall,
        idle_timeout=1000,
        quiet=50,
    )
    beats = result.outputs[f"{name}__runs"].astype(np.uint64)
    address = np.concatenate([address for address, _ in runs])
    padding = np.concatenate([padding for _, padding in runs])
    last = np.concatenate([np.arange(len(address)) == len(address) - 1 for address, _ in runs])
    np.testing.assert_array_equal(beats[:, 0], address)
    if name == "reads":
        np.testing.assert_array_equal(beats[:, 1] & 1, padding)
    np.testing.assert_array_equal(beats[:, 1] >> 1, last)
    return result


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", ["reads", "writes"])
def test_random_descriptors(simulation, name, stall):
    seed = 10
    print(f"seed {seed}")
    rng = random.Random(seed)
    descriptors = [random_descriptor(rng, 64, beats=500, writes=name == "writes") for _ in range(300)]
    walked(simulation, name, descriptors, STALLS[stall].with_seed(seed))


def test_coordinates_reach_their_limits(simulation):
    """The largest extents, counts and moves."""
    loop = Loop(count=600, stride=8, dy=127, dx=-128)
    descriptors = [
        Descriptor(base=0, run=8, loops=[loop], y0=-32768, x0=32767, height=65535, width=65535),
        Descriptor(base=0, run=8, loops=[Loop(count=65535, dy=1)], y0=-3, x0=2, height=65535, width=3),
        Descriptor(base=0, run=8, loops=[Loop(count=65535, dx=1)], y0=5, x0=-3, height=6, width=65535),
        Descriptor(base=0, run=8, loops=[Loop(count=3000, dx=127, dy=127)], height=65535, width=65535),
        Descriptor(base=0, run=8, loops=[Loop(count=9, dx=1)], x0=-4, height=1, width=0),
    ]
    walked(simulation, "reads", descriptors)


@pytest.mark.parametrize("name", ["reads", "writes"])
def test_one_run_a_cycle(simulation, name):
    loops = [Loop(count=2, stride=1 << 16), Loop(count=1), Loop(count=2, stride=-64), Loop(count=3, stride=512),
             Loop(count=2, stride=8)]  # fmt: skip
    descriptor = Descriptor(base=1 << 20, run=8, loops=loops)
    result = walked(simulation, name, [descriptor])
    start, runs = f"{name}__words", f"{name}__runs"
    assert result.last[runs] - result.first[runs] == 23
    walk = AffineWalk(padding=name == "reads")
    assert result.first[runs] - result.first[start] == walk.latency


def test_clear_forgets_the_rest(simulation):
    long, short = (Descriptor(base=8 * n, run=8, loops=[Loop(count=n, stride=8)]) for n in (1000, 3))
    for name, words in (("reads", READ_WORDS), ("writes", WRITE_WORDS)):
        for waited in (1, 2, 3, 4, 5, 20):
            simulation.reset()
            for word in long.words()[:words]:
                simulation.set(f"{name}__words__payload", word)
                simulation.set(f"{name}__words__valid", 1)
                simulation.step()
            simulation.set(f"{name}__words__valid", 0)
            simulation.set(f"{name}__runs__ready", 1)
            simulation.step(waited)
            simulation.set(f"{name}__clear", 1)
            simulation.step()
            simulation.set(f"{name}__clear", 0)
            assert simulation.get(f"{name}__runs__valid") == 0
            assert simulation.get(f"{name}__words__ready") == 1
            walked(simulation, name, [short])
