"""Several descriptors in turns: the walk over their loops, and a writer that does it."""

import random
from itertools import chain, pairwise

import numpy as np
import pytest

from sat_hdl.memory.descriptor import Descriptor, Loop, StreamError
from sat_hdl.memory.interleaved_walk import InterleavedWalk
from sat_hdl.sim.model import Model

from .axi_memory import AxiMemory, Pins, Weather
from .rig import Job, Rig, beats_of, play

TURNS = 4
#: data bits, depth, burst beats.
RIGS = {"d32": (32, 32, 8), "d64": (64, 128, 16), "d512": (512, 256, 64)}
WEATHERS = {
    "fair": Weather(),
    "slow": Weather(latency=(1, 300), mixed=True),
    "rough": Weather(latency=(1, 40), stall=0.5, mixed=True),
    "jammed": Weather(latency=(1, 10), stall=0.9, mixed=True),
}
MEMORY = 1 << 16


def factors(rng: random.Random, count: int, most: int) -> list[int]:
    """Up to ``most`` factors of ``count``, in any order, some of them 1."""
    found = [1] * rng.randint(1, most)
    for prime in (2, 3, 5, 7):
        while count % prime == 0:
            count //= prime
            found[rng.randrange(len(found))] *= prime
    assert count == 1
    return found


def alike(rng: random.Random, bits: int, runs: int, *, part: int | None = None) -> list[Descriptor]:
    """Four of ``runs`` runs each, anywhere; or each in its quarter of ``part`` bytes, where its runs may overlap."""
    size = bits // 8
    made = []
    for turn in range(TURNS):
        run = rng.choice([1, 2, 3, rng.randint(1, 9), rng.randint(1, 50)])
        octets = max(2, run * size - 2 * rng.randrange(size // 2))
        loops, reach = [], 0
        for count in factors(rng, runs, 5):
            most = (part // TURNS // size - run) // 6 // count if part else (1 << 31) // size
            stride = rng.randint(0 if part else -most, max(0, most - 1))
            reach += stride * (count - 1)
            loops.append(Loop(count=count, stride=stride * size))
        if part:
            base = turn * (part // TURNS) // size + rng.randint(0, part // TURNS // size - run - reach)
        else:
            base = rng.randrange((1 << 32) // size)
        made.append(Descriptor(base=base * size, run=octets, loops=loops))
    return made


def used(descriptors: list[Descriptor], uses: int) -> list[Descriptor]:
    return [descriptor for i, descriptor in enumerate(descriptors) if uses >> i & 1]


# --- the walk -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walk():
    with Model(InterleavedWalk(descriptors=TURNS)) as model:
        yield model


def start(model: Model, descriptors: list[Descriptor], uses: int):
    """Words come, and the turns begin."""
    model.set("uses", uses)
    model.set("write", 1)
    for which, descriptor in enumerate(descriptors):
        for number, word in enumerate(descriptor.words()[:12]):
            last = which == TURNS - 1 and number == 11
            for name, value in (("which", which), ("number", number), ("word", word), ("start", last)):
                model.set(name, value)
            model.step()
    for name in ("write", "start"):
        model.set(name, 0)


def walked(
    model: Model, rng: random.Random, stall: float, most: int
) -> tuple[list[tuple[int, int]], list[int]]:
    """Address and bytes of what comes until it has ended, or for ``most`` cycles without a run; and when."""
    found, when, quiet, cycle, before = [], [], 0, 0, None
    while quiet < most:
        model.set("runs__ready", rng.random() >= stall)
        if model.get("runs__valid"):
            address = model.get("runs__payload") & 0xFFFFFFFF
            assert model.get("bytes") == before, "bytes are there a cycle before"
            if model.get("runs__ready"):
                found.append((address, model.get("bytes")))
                when.append(cycle)
                quiet = 0
        elif model.get("ended"):
            break
        before = model.get("bytes")
        quiet += 1
        cycle += 1
        model.step()
    return found, when


def in_turns(descriptors: list[Descriptor]) -> list[tuple[int, int]]:
    each = [[(int(a), d.run) for a in d.runs()[0]] for d in descriptors]
    return [run for turn in zip(*each) for run in turn]


@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_runs_come_in_turns(walk, stall):
    seed = 1
    print(f"seed {seed}")
    rng = random.Random(f"{seed} {stall}")
    walk.reset()
    for _ in range(40):
        descriptors = alike(rng, 64, rng.choice([1, 2, 3, 24, 210]))
        uses = rng.randint(1, 15)
        start(walk, descriptors, uses)
        found, _ = walked(walk, rng, stall, 200)
        assert walk.get("ended")
        assert found == in_turns(used(descriptors, uses))


def test_a_loop_of_many_steps(walk):
    """Counts up to what their register holds."""
    rng = random.Random(2)
    walk.reset()
    loops = ([Loop(count=65535, stride=8)], [Loop(count=255, stride=1 << 20), Loop(count=257, stride=-16)])
    descriptors = [Descriptor(base=64 * i, run=8 + i, loops=loops[i % 2]) for i in range(TURNS)]
    start(walk, descriptors, 0b0110)
    found, _ = walked(walk, rng, 0, 200)
    assert found == in_turns(used(descriptors, 0b0110)) and len(found) == 2 * 65535


@pytest.mark.parametrize("uses", [0b0100, 0b1011, 0b1111])
def test_cycles_of_a_run(walk, uses):
    """As the docstring says."""
    walk.reset()
    counts = (2, 3, 2, 2, 3)
    descriptor = Descriptor(base=0, run=8, loops=[Loop(count=count, stride=8) for count in counts])
    start(walk, [descriptor] * TURNS, uses)
    _, when = walked(walk, random.Random(0), 0, 200)
    steps = list(np.ndindex(*counts))
    # Loops that a step looks at, and moves: from the innermost to the one that steps; and where the first run is.
    loops = [6] + [5 - next(k for k in range(5) if a[k] != b[k]) for a, b in pairwise(steps)]
    loops = [count for count in loops for _ in range(uses.bit_count())]
    want = [InterleavedWalk.latency - 2 + after + before for before, after in pairwise(loops)]
    assert np.diff(when).tolist() == want


@pytest.mark.parametrize("uses", [0b0011, 0b1111, 0b1010])
@pytest.mark.parametrize("odd", range(TURNS))
@pytest.mark.parametrize("more", [-1, 1])
def test_unequal_descriptors_never_end(walk, uses, odd, more):
    if not uses >> odd & 1:
        odd = uses.bit_length() - 1
    walk.reset()
    descriptors = [
        Descriptor(base=1 << 16 + i, run=8, loops=[Loop(count=7 + more * (i == odd), stride=8)])
        for i in range(TURNS)
    ]
    start(walk, descriptors, uses)
    found, _ = walked(walk, random.Random(0), 0, 200)
    assert not walk.get("ended")
    own = {i: [int(a) for a in d.runs()[0]] for i, d in enumerate(descriptors) if uses >> i & 1}
    for addresses in own.values():  # whole turns, then nothing but some of one
        mine = [address for address, _ in found if address in addresses]
        assert mine == addresses[: len(mine)] and len(mine) - min(7, 7 + more) in (0, 1)


# --- a writer -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    models: dict[str, Model] = {}
    yield models
    for model in models.values():
        model.close()


@pytest.fixture
def rig() -> str:
    return "d64"


@pytest.fixture
def pins(built, rig):
    if rig not in built:
        bits, depth, burst = RIGS[rig]
        built[rig] = Model(
            Rig(readers=1, writers=2, data_bits=bits, depth=depth, burst_beats=burst, descriptors=TURNS)
        )
    built[rig].reset()
    return Pins(built[rig])


def memory_of(pins, rig: str, *, weather: Weather, seed: int, **options) -> AxiMemory:
    bits, _, burst = RIGS[rig]
    image = np.random.default_rng(seed).integers(0, 256, MEMORY, dtype=np.uint8)
    return AxiMemory(
        pins, "m_axi", image, data_bits=bits, burst_beats=burst, weather=weather, seed=seed, **options
    )


def turns_job(
    descriptors: list[Descriptor], uses: int, bits: int, rng: np.random.Generator, **options
) -> tuple[Job, list[np.ndarray]]:
    """The job, and the rows of each descriptor that is used."""
    rows = [rng.integers(0, 256, (len(d.runs()[0]), d.run), dtype=np.uint8) for d in used(descriptors, uses)]
    beats = [beats_of(row[None], bits) for turn in zip(*rows) for row in turn]
    return Job(descriptors, uses=uses, beats=[*chain(*beats)], **options), rows


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("rig", RIGS)
def test_writes_the_runs_and_nothing_else(pins, rig, weather):
    """Each writer has its half of memory, each descriptor its quarter of that."""
    seed = 30
    print(f"seed {seed}")
    bits = RIGS[rig][0]
    rng, values = random.Random(f"{seed} {rig} {weather}"), np.random.default_rng(seed)
    memory = memory_of(pins, rig, weather=WEATHERS[weather], seed=seed)
    want = memory.memory.copy()
    jobs: dict[str, list[Job]] = {}
    for i in range(2):
        for stall in (0, 0.3, 0.8, 0, 0.3):
            half = alike(rng, bits, rng.choice([1, 2, 6, 12]), part=MEMORY // 2)
            half = [Descriptor(base=d.base + i * MEMORY // 2, run=d.run, loops=d.loops) for d in half]
            uses = rng.randint(1, 15)
            job, rows = turns_job(half, uses, bits, values, stall=stall)
            jobs.setdefault(f"w{i}", []).append(job)
            for descriptor, row in zip(used(half, uses), rows):
                descriptor.write(want, row)
    play(pins, memory, jobs, seed=seed)
    for job in chain(*jobs.values()):
        assert job.error == StreamError.NONE
        assert job.taken == len(job.beats)
    np.testing.assert_array_equal(memory.memory, want)


@pytest.mark.parametrize("beats", [1, 2, 3, 20])
def test_cycles_between_runs(pins, beats):
    memory = memory_of(pins, "d64", weather=Weather(latency=(30, 30)), seed=1)
    descriptor = Descriptor(base=0, run=8 * beats, loops=[Loop(count=40, stride=8 * beats)])
    job, _ = turns_job([descriptor] * TURNS, 15, 64, np.random.default_rng(1))
    play(pins, memory, {"w0": [job]}, seed=1)
    # The first turn is slower, and may be waited for.
    assert job.last - job.first + 1 <= 160 * max(4, beats + 2) + 4 * 14
    assert job.cycles <= job.last + 16 + 30 + 10


def test_a_bus_error_is_reported_and_the_stream_goes_on(pins):
    memory = memory_of(pins, "d64", weather=WEATHERS["rough"], seed=5, faulty=lambda a: a >> 12 == 2)
    bad, good = (
        [Descriptor(base=page + 512 * i, run=256, loops=[Loop(count=5, stride=2048)]) for i in range(TURNS)]
        for page in (0x0, 0x8000)
    )
    first, _ = turns_job(bad, 15, 64, np.random.default_rng(5))
    again, rows = turns_job(good, 15, 64, np.random.default_rng(6))
    play(pins, memory, {"w0": [first, again]}, seed=5)
    assert [first.error, again.error] == [StreamError.BUS_ERROR, StreamError.NONE]
    assert first.taken == len(first.beats)
    for descriptor, row in zip(good, rows):
        np.testing.assert_array_equal(descriptor.read(memory.memory), row)


WRONG = [
    {"base": 4},
    {"loops": [Loop(count=3, stride=12)]},
    {"run": 31},
    {"run": 0},
    {"loops": [Loop(count=0, stride=8)]},
]


@pytest.mark.parametrize("place", range(TURNS))
@pytest.mark.parametrize("wrong", WRONG)
def test_one_bad_descriptor_is_an_error_if_it_is_used(pins, wrong, place):
    good = Descriptor(base=1 << 12, run=32, loops=[Loop(count=3, stride=64)])
    bad = Descriptor(**{"base": 0, "run": 32, "loops": [Loop(count=3, stride=64)], **wrong})
    descriptors = [
        bad if i == place else Descriptor(base=good.base << i, run=32, loops=good.loops) for i in range(TURNS)
    ]
    values = np.random.default_rng(7)
    memory = memory_of(pins, "d64", weather=Weather(), seed=7)
    before = memory.memory.copy()
    refused, _ = turns_job(descriptors, 15, 64, values)
    after, rows = turns_job(descriptors, 15 ^ 1 << place, 64, values)
    play(pins, memory, {"w0": [refused]}, seed=7)
    assert refused.error == bad.error(64, writes=True) != StreamError.NONE
    assert refused.taken == (0 if refused.error == StreamError.EMPTY else len(refused.beats))
    np.testing.assert_array_equal(memory.memory, before)
    play(pins, memory, {"w0": [after]}, seed=7)
    assert after.error == StreamError.NONE
    for descriptor, row in zip(used(descriptors, 15 ^ 1 << place), rows):
        descriptor.write(before, row)
    np.testing.assert_array_equal(memory.memory, before)


@pytest.mark.parametrize("weather", ["fair", "slow", "jammed"])
def test_halt_ends_at_any_time(pins, weather):
    """Unequal descriptors wait for good; halted, too, they leave a writer that can go on."""
    seed = 50
    values = np.random.default_rng(seed)
    for halt_at in (0, 1, 9, *range(46, 76, 3), 90, 200):
        memory = memory_of(pins, "d64", weather=WEATHERS[weather], seed=seed)
        before = memory.memory.copy()
        loops = [Loop(count=6, stride=8 * 30)]
        target = [Descriptor(base=0x800 * i, run=8 * 20, loops=loops) for i in range(TURNS)]
        halted, rows = turns_job(target, 15, 64, values, halt_at=halt_at)
        if halt_at == 200:
            short = Descriptor(base=0x800, run=8 * 20, loops=[Loop(count=1)])
            halted.descriptor = [target[0], short, *target[2:]]
        final = [Descriptor(base=0xA000 + 0x400 * i, run=8 * 20) for i in range(TURNS)]
        written, last_rows = turns_job(final, 0b1101, 64, values)
        play(pins, memory, {"w0": [halted, written]}, seed=seed)
        whole, partial = before.copy(), memory.memory
        for descriptor, row in chain(zip(target, rows), zip(used(final, 0b1101), last_rows)):
            descriptor.write(whole, row)
        changed = partial != before
        np.testing.assert_array_equal(partial[changed], whole[changed])
        for descriptor in used(final, 0b1101):
            np.testing.assert_array_equal(descriptor.read(partial), descriptor.read(whole))
