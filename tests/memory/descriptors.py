"""Random descriptors."""

import random

from sat_hdl.memory.descriptor import Descriptor, Loop


def random_descriptor(
    rng: random.Random, data_bits: int, *, beats: int, writes: bool = False, padded: bool | None = None
) -> Descriptor:
    """Of about ``beats`` beats at most: any number of loops, strides of both signs, addresses that wrap around."""
    size = data_bits // 8
    run_beats = rng.choice([1, 2, 3, rng.randint(1, 40), rng.randint(1, max(1, beats))])
    run = run_beats * size
    if writes:
        run = max(2, run - 2 * rng.randrange(size // 2))
    left = max(1, beats // run_beats)
    loops = []
    for _ in range(rng.randint(0, 5)):
        count = rng.randint(1, min(left, rng.choice([1, 2, 3, 7, 1000])))
        left //= count
        stride = rng.choice(
            [run_beats, 1, -1, rng.randint(-600, 600), rng.randrange(-(1 << 31) // size, (1 << 31) // size)]
        )
        loops.append(Loop(count=count, stride=stride * size, dy=rng.randint(-3, 3), dx=rng.randint(-3, 3)))
    rng.shuffle(loops)
    if padded is None:
        padded = not writes and rng.random() < 0.7
    extent = {}
    if padded:
        extent = {name: rng.randint(-5, 5) for name in ("y0", "x0")}
        extent |= {name: rng.randint(1, 12) for name in ("height", "width")}
    base = rng.choice([rng.randrange(1 << 16), rng.randrange(1 << 32), (1 << 32) - rng.randrange(1 << 10)])
    return Descriptor(base=base // size * size, run=run, loops=loops, **extent)
