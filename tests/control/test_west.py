"""The feeder of activations: order, places and the two halves of the group memory, under random stalls."""

import itertools
import random

import pytest

from sat_hdl.config import Config
from sat_hdl.control.west import WestFeeder
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.stce.tokens import west_control

from .stepping import Part, Tile, fields

CONFIGS = {
    "m8": Config(rows=1),
    "m2": Config(rows=1, max_m=2),
    "m16_e2": Config(rows=1, max_m=16),
    "m16_e1": Config(rows=1, max_m=16, interleave=16),
    "m4_fold4": Config(rows=1, max_m=4, fold=4),
    "m8_e2_fold2": Config(rows=1, fold=2, west_lanes=2),
}


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Bundle({name: WestFeeder(config) for name, config in CONFIGS.items()})) as sim:
        yield sim


def places(config: Config, k: int, group: int, bands: int) -> list[tuple[int, bool]]:
    """Address of each beat of a tile, and whether it is the last in its half of the memory."""
    found = []
    for start in range(0, k, group):
        elements = range(0, min(group, k - start), config.west_elements)
        beats = [(band * group + i) // config.west_elements for band in range(bands) for i in elements]
        found += [(beat, i == len(beats) - 1) for i, beat in enumerate(beats)]
    return found


@pytest.mark.parametrize("stall", [0, 0.2, 0.7])
@pytest.mark.parametrize("name", CONFIGS)
def test_feeding(simulation, name, stall):
    config = CONFIGS[name]
    rng = random.Random(f"{name} {stall}")
    part = Part(simulation, name)
    bank = 0
    for group in config.group_lengths():
        for k in (1, group - 1, group, group + 1, 3 * group, 4 * group + rng.randint(1, group)):
            counts = [rng.randint(1, config.most_fold(group)) for _ in range(3)]
            tiles = [Tile(1, 8, i == 2, bands=bands).word(config) for i, bands in enumerate(counts)]
            parts = [places(config, k, group, bands) for bands in counts]
            want = list(itertools.chain(*parts))
            ends = set(itertools.accumulate(map(len, parts)))
            elements = [rng.getrandbits(16 * config.west_elements) for _ in want]
            part.start(k=k, group=group)
            taken = tile = held = 0  # held: filled groups not yet released
            for _ in range(100 * len(want) + 100):
                if taken == len(want) and not held:
                    break
                release = held and rng.random() < 0.3
                part.set(release=release)
                offered = part.offer("elements", elements, taken, rng, stall)
                tile_offered = part.offer("tiles", tiles, tile, rng, stall)
                room = tile_offered and held < 2
                assert part.get("elements__ready") == room
                assert part.get("starved") == (room and not offered)
                assert part.get("filled") == (held > 0)
                control = fields(west_control(config), part.get("control"))
                assert control["valid"] == (room and offered)
                filled = False
                if control["valid"]:
                    address, filled = want[taken]
                    assert (control["address"], control["bank"]) == (address, bank)
                    assert part.get("west") == elements[taken]
                    taken += 1
                tile_ends = filled and taken in ends
                assert part.get("tiles__ready") == tile_ends
                tile += tile_ends
                bank ^= filled
                held += filled - bool(release)
                part.step()
            else:
                pytest.fail(f"Stuck at beat {taken} of {len(want)}, k = {k}, group = {group}")
            part.set(release=0)
            assert tile == len(tiles)
