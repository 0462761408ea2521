"""The walk over the tiles: every small shape, against counting columns and slots one by one."""

import random

import pytest

from sat_hdl.config import Config
from sat_hdl.control.tiles import TileWalk
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation

from .stepping import Part, folded_tiles, tiles_of, walked

CONFIGS = {
    "r1c1": Config(rows=1, cols=1),
    "r2c1_j9": Config(rows=2, cols=1, interleave=9),
    "r3c5": Config(rows=3, cols=5),
    "r2c3_j16": Config(rows=2, cols=3, interleave=16),
    "r8c8": Config(),
    "r2c3_fold2": Config(rows=2, cols=3, fold=2),
    "r3c1_m16_j13_fold4": Config(rows=3, cols=1, max_m=16, interleave=13, fold=4),
}


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Bundle({name: TileWalk(config) for name, config in CONFIGS.items()})) as sim:
        yield sim


def walk(part: Part, m: int, n: int, count: int, rng: random.Random, stall: float) -> list[int]:
    """The first ``count`` tiles of a walk, and one more if it wrongly comes."""
    part.start(m=m, n=n)
    return walked(part, count, rng, stall)


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_small_shape(simulation, name, stall):
    config = CONFIGS[name]
    part, rng = Part(simulation, name), random.Random(5)
    tile = config.cols * config.interleave
    ns = (
        range(1, 3 * tile + 2)
        if tile <= 16
        else [*range(1, 3 * tile, config.cols), *range(tile - 2, tile + 3)]
    )
    for m in {1, 2, config.rows, config.rows + 1, 2 * config.rows, 3 * config.rows + 1}:
        for n in {*ns, tile + 7 * config.cols, tile + 7 * config.cols + 1, 2 * tile + 1}:
            want = [tile.word(config) for tile in tiles_of(config, m, n)]
            assert walk(part, m, n, len(want), rng, stall) == want, (m, n)


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.fold > 1])
def test_every_fold(simulation, name, stall):
    config = CONFIGS[name]
    part, rng = Part(simulation, name), random.Random(6)
    for fold in (2, 4, 8):
        for slots in range(1, (config.interleave + 7) // fold + 1):
            n, rows = rng.randint((slots - 1) * config.cols + 1, slots * config.cols), config.rows
            for m in {1, rows, rows + 1, fold * rows, fold * rows + 1, rng.randint(1, 5 * fold * rows)}:
                want = [tile.word(config) for tile in folded_tiles(config, m, n, fold)]
                part.start(m=m, n=n, fold=fold.bit_length() - 1)
                assert walked(part, len(want), rng, stall) == want, (m, n, fold)
            plain = [tile.word(config) for tile in tiles_of(config, 5, n)]
            assert walk(part, 5, n, len(plain), rng, stall) == plain


def test_the_largest_shape_begins(simulation):
    """Counts of 24 bits: tiles of 2**24 - 1 rows and columns are cut without overflow."""
    config, part = CONFIGS["r8c8"], Part(simulation, "r8c8")
    limit = (1 << config.dim_bits) - 1
    part.start(m=limit, n=limit)
    part.set(tiles__ready=1)
    first, second = (tile.word(config) for tile in tiles_of(config, 17, 1000)[:2])
    seen = 0
    for _ in range(9 + 200):
        if part.get("tiles__valid"):
            assert part.get("tiles__payload") == (second if seen else first)
            seen += 1
        part.step()
