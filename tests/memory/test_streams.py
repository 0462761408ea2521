"""Readers and writers on one port, against numpy and a memory as bad as AXI allows."""

import random
from itertools import chain

import numpy as np
import pytest

from sat_hdl.memory.descriptor import Descriptor, Loop, StreamError
from sat_hdl.sim.model import Model

from .axi_memory import AxiMemory, Pins, Weather
from .descriptors import random_descriptor
from .rig import Job, Rig, beats_of, play

#: name → readers, writers, data bits, depth, burst beats.
RIGS = {"d32": (1, 1, 32, 32, 8), "d64": (3, 2, 64, 128, 16), "d512": (1, 1, 512, 256, 64)}
WEATHERS = {
    "fair": Weather(),
    "slow": Weather(latency=(1, 500), mixed=True),
    "rough": Weather(latency=(1, 40), stall=0.5, mixed=True),
    "jammed": Weather(latency=(1, 10), stall=0.9, mixed=True),
}
MEMORY = 1 << 16


@pytest.fixture(scope="module")
def built():
    models: dict[str, Model] = {}
    yield models
    for model in models.values():
        model.close()


@pytest.fixture
def rig() -> str:
    """Overridden by those tests that run on several."""
    return "d64"


@pytest.fixture
def pins(built, rig):
    if rig not in built:
        readers, writers, bits, depth, burst = RIGS[rig]
        built[rig] = Model(
            Rig(readers=readers, writers=writers, data_bits=bits, depth=depth, burst_beats=burst)
        )
    built[rig].reset()
    return Pins(built[rig])


def memory_of(pins, rig: str, *, weather: Weather, seed: int, **options) -> AxiMemory:
    """Filled with random bytes."""
    _, _, bits, _, burst = RIGS[rig]
    image = np.random.default_rng(seed).integers(0, 256, MEMORY, dtype=np.uint8)
    return AxiMemory(
        pins, "m_axi", image, data_bits=bits, burst_beats=burst, weather=weather, seed=seed, **options
    )


def check_read(job: Job, image: np.ndarray, bits: int):
    rows = job.descriptor.read(image, fill=job.fill)
    assert [value for value, _ in job.beats] == beats_of(rows, bits)
    per_run = job.descriptor.run // (bits // 8)
    assert [last for _, last in job.beats] == [i % per_run == per_run - 1 for i in range(len(job.beats))]


def write_job(
    descriptor: Descriptor, bits: int, rng: np.random.Generator, **options
) -> tuple[Job, np.ndarray]:
    rows = rng.integers(0, 256, (len(descriptor.runs()[0]), descriptor.run), dtype=np.uint8)
    return Job(descriptor, beats=beats_of(rows, bits), **options), rows


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("rig", RIGS)
def test_readers_deliver_what_memory_holds(pins, rig, weather):
    seed = 20
    print(f"seed {seed}")
    clients, _, bits, _, _ = RIGS[rig]
    rng = random.Random(f"{seed} {rig} {weather}")
    memory = memory_of(pins, rig, weather=WEATHERS[weather], seed=seed)
    jobs = {
        f"r{i}": [
            Job(random_descriptor(rng, bits, beats=200), fill=rng.choice([0, 0xFC00, 0x1234]), stall=stall)
            for stall in (0, 0.3, 0.8, 0, 0.3)
        ]
        for i in range(clients)
    }
    play(pins, memory, jobs, seed=seed)
    for job in chain(*jobs.values()):
        assert job.error == StreamError.NONE
        check_read(job, memory.memory, bits)
    wanted = sum(len(job.beats) for job in chain(*jobs.values()))
    padded = sum(
        int(job.descriptor.runs()[1].sum()) * job.descriptor.run // (bits // 8)
        for job in chain(*jobs.values())
    )
    assert memory.reads == wanted - padded  # padding is not read


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("rig", RIGS)
def test_writers_write_their_runs_and_nothing_else(pins, rig, weather):
    """Each writer has its own part of memory, within which runs may overlap."""
    seed = 30
    print(f"seed {seed}")
    _, clients, bits, _, _ = RIGS[rig]
    rng, values = random.Random(f"{seed} {rig} {weather}"), np.random.default_rng(seed)
    memory = memory_of(pins, rig, weather=WEATHERS[weather], seed=seed)
    want = memory.memory.copy()
    part = MEMORY // clients // 4096 * 4096
    jobs: dict[str, list[Job]] = {}
    for i in range(clients):
        for stall in (0, 0.3, 0.8, 0, 0.3):
            descriptor = _within(random_descriptor(rng, bits, beats=200, writes=True), i * part, part, bits)
            job, rows = write_job(descriptor, bits, values, stall=stall)
            jobs.setdefault(f"w{i}", []).append(job)
            descriptor.write(want, rows)
    play(pins, memory, jobs, seed=seed)
    for job in chain(*jobs.values()):
        assert job.error == StreamError.NONE
        assert job.taken == len(job.beats)
    np.testing.assert_array_equal(memory.memory, want)


def _within(descriptor: Descriptor, start: int, size: int, bits: int) -> Descriptor:
    """The same shape, its strides cut so that it stays in [start, start + size); whole 64 KiB otherwise."""
    if size == MEMORY:
        return descriptor
    beat = bits // 8
    room = (size - descriptor.run) // beat
    loops, reach = [], 0
    for loop in descriptor.all_loops:
        stride = loop.stride // beat % (room // 5 // loop.count + 1)
        reach += stride * (loop.count - 1)
        loops.append(Loop(count=loop.count, stride=stride * beat))
    base = start + descriptor.base // beat % (room - reach + 1) * beat
    return Descriptor(base=base, run=descriptor.run, loops=loops)


@pytest.mark.parametrize("weather", ["rough", "slow"])
def test_all_clients_at_once(pins, weather):
    """Readers of one half of memory beside writers of the other."""
    seed = 40
    print(f"seed {seed}")
    readers, writers, bits, _, _ = RIGS["d64"]
    rng, values = random.Random(f"{seed} {weather}"), np.random.default_rng(seed)
    memory = memory_of(pins, "d64", weather=WEATHERS[weather], seed=seed)
    want = memory.memory.copy()
    half = MEMORY // 2
    jobs: dict[str, list[Job]] = {}
    part = half // writers // 4096 * 4096
    for stall in (0, 0.3, 0.6):
        for i in range(readers):
            descriptor = _within(random_descriptor(rng, bits, beats=200, padded=False), half, half, bits)
            jobs.setdefault(f"r{i}", []).append(Job(descriptor, stall=stall))
        for i in range(writers):
            descriptor = _within(random_descriptor(rng, bits, beats=200, writes=True), i * part, part, bits)
            job, rows = write_job(descriptor, bits, values, stall=stall)
            jobs.setdefault(f"w{i}", []).append(job)
            descriptor.write(want, rows)
    play(pins, memory, jobs, seed=seed)
    for i in range(readers):
        for job in jobs[f"r{i}"]:
            check_read(job, want, bits)
    np.testing.assert_array_equal(memory.memory, want)


#: Runs of these many beats, 1920 in all.
RUNS = (1, 2, 3, 5, 16, 40, 1920)


@pytest.mark.parametrize("beats", RUNS)
def test_a_reader_takes_a_beat_a_cycle(pins, beats):
    """At a latency of 30 cycles, with runs anywhere, every second of them read."""
    memory = memory_of(pins, "d64", weather=Weather(latency=(30, 30)), seed=1)
    descriptor = Descriptor(
        base=0, run=8 * beats, loops=[Loop(count=1920 // beats, stride=8 * beats + 8 * 5)]
    )
    job = Job(descriptor)
    play(pins, memory, {"r0": [job]}, seed=1)
    check_read(job, memory.memory, 64)
    cycles = job.last - job.first + 1
    assert len(job.beats) / cycles >= 0.97
    assert job.first <= 30 + 15 + 10  # memory's latency, the words
    assert job.cycles <= job.last + 1


@pytest.mark.parametrize("beats", RUNS)
def test_padding_takes_a_beat_a_cycle(pins, beats):
    memory = memory_of(pins, "d64", weather=Weather(latency=(30, 30)), seed=1)
    loop = Loop(count=1920 // beats, stride=8 * beats, dx=1)
    job = Job(Descriptor(base=0, run=8 * beats, loops=[loop], x0=-900 // beats, height=1, width=300), fill=7)
    play(pins, memory, {"r0": [job]}, seed=1)
    check_read(job, memory.memory, 64)
    # Where the first run after padding is read, its latency has passed meanwhile if there was enough of it.
    assert len(job.beats) / (job.last - job.first + 1) >= 0.97


@pytest.mark.parametrize("beats", RUNS)
def test_a_writer_gives_a_beat_a_cycle(pins, beats):
    memory = memory_of(pins, "d64", weather=Weather(latency=(30, 30)), seed=1)
    want = memory.memory.copy()
    descriptor = Descriptor(
        base=0, run=8 * beats, loops=[Loop(count=1920 // beats, stride=8 * beats + 8 * 5)]
    )
    job, rows = write_job(descriptor, 64, np.random.default_rng(1))
    descriptor.write(want, rows)
    play(pins, memory, {"w0": [job]}, seed=1)
    np.testing.assert_array_equal(memory.memory, want)
    assert len(job.beats) / (job.last - job.first + 1) >= 0.97
    assert job.cycles <= job.last + 16 + 30 + 10


def test_three_clients_share_the_port_fairly(pins):
    memory = memory_of(pins, "d64", weather=Weather(latency=(30, 30)), seed=1)
    descriptor = Descriptor(base=0, run=8 * 1200)
    jobs = {f"r{i}": [Job(descriptor)] for i in range(3)}
    play(pins, memory, jobs, seed=1)
    ends = [job.last for (job,) in jobs.values()]
    assert max(ends) - min(ends) <= 0.02 * max(ends)
    assert max(ends) <= 3 * 1200 / 0.97 + 44


def test_a_bus_error_is_reported_and_the_stream_goes_on(pins):
    bits = 64
    for faulty in (lambda address: address == 0x2000, lambda address: True):
        memory = memory_of(pins, "d64", weather=WEATHERS["rough"], seed=5, faulty=faulty)
        want = memory.memory.copy()
        good, bad = (
            Descriptor(base=base, run=256, loops=[Loop(count=5, stride=512)]) for base in (0x4000, 0x1C00)
        )
        write, _ = write_job(bad, bits, np.random.default_rng(5))
        again, _ = write_job(good, bits, np.random.default_rng(6))
        jobs = {"r0": [Job(bad), Job(good)], "w0": [write, again], "r1": [Job(good)]}
        play(pins, memory, jobs, seed=5)
        everywhere = faulty(0)
        other = StreamError.BUS_ERROR if everywhere else StreamError.NONE
        assert [job.error for job in jobs["r0"]] == [StreamError.BUS_ERROR, other]
        assert [job.error for job in jobs["w0"]] == [StreamError.BUS_ERROR, other]
        assert jobs["r1"][0].error == other
        assert [len(job.beats) for job in jobs["r0"]] == [160, 160]
        assert [job.taken for job in jobs["w0"]] == [160, 160]
        if everywhere:
            np.testing.assert_array_equal(memory.memory, want)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": 4},
        {"base": 0x102},
        {"loops": [Loop(count=3, stride=12)]},
        {"run": 36, "loops": [Loop(count=3, stride=64)]},
        {"run": 31, "loops": [Loop(count=3, stride=64)]},
        {"run": 0},
        {"loops": [Loop(count=2, stride=64), Loop(count=0, stride=8)]},
        {"run": 0, "base": 1},
    ],
)
def test_a_bad_descriptor_accesses_nothing(pins, wrong):
    descriptor = Descriptor(**{"base": 0, "run": 32, **wrong})
    good = Descriptor(base=64, run=64)
    memory = memory_of(pins, "d64", weather=Weather(), seed=7)
    want = memory.memory.copy()
    runs = len(descriptor.runs()[0])
    read = Job(descriptor, fill=0xABCD)
    write = Job(descriptor, beats=[1] * (runs * -(-descriptor.run // 8)))
    writes = descriptor.error(64, writes=True) == StreamError.NONE
    after, rows = write_job(good, 64, np.random.default_rng(7))
    jobs = {"r0": [read, Job(good)], "w0": [] if writes else [write, after]}
    play(pins, memory, jobs, seed=7)
    assert read.error == descriptor.error(64) != StreamError.NONE
    assert [value for value, _ in read.beats] == [0xABCDABCDABCDABCD] * len(write.beats)
    check_read(jobs["r0"][1], memory.memory if writes else want, 64)
    if not writes:
        good.write(want, rows)
        assert write.error == descriptor.error(64, writes=True)
        assert write.taken == len(write.beats)
        assert after.error == StreamError.NONE
    np.testing.assert_array_equal(memory.memory, want)
    assert memory.reads == 8


@pytest.mark.parametrize("weather", ["fair", "slow", "jammed"])
def test_halt_ends_at_any_time(pins, weather):
    """Halted streams end within the time of what is under way; the next ones are whole."""
    seed = 50
    print(f"seed {seed}")
    rng, values = random.Random(f"{seed} {weather}"), np.random.default_rng(seed)
    for halt_at in (0, 1, 9, *range(14, 26), 33, 60, 200):
        memory = memory_of(pins, "d64", weather=WEATHERS[weather], seed=seed)
        before = memory.memory.copy()
        read, good = (random_descriptor(rng, 64, beats=400) for _ in range(2))
        target = Descriptor(base=0x800, run=8 * 50, loops=[Loop(count=8, stride=8 * 60)])
        halted, rows = write_job(target, 64, values, halt_at=halt_at)
        final = Descriptor(base=0xA000, run=8 * 20)
        written, last_rows = write_job(final, 64, values)
        jobs = {"r0": [Job(read, halt_at=halt_at), Job(good)], "w0": [halted, written]}
        jobs["r1"] = [Job(good)]  # is not disturbed
        play(pins, memory, jobs, seed=seed)
        whole, partial = before.copy(), memory.memory
        target.write(whole, rows)
        final.write(whole, last_rows)
        changed = partial != before
        np.testing.assert_array_equal(partial[changed], whole[changed])
        np.testing.assert_array_equal(partial[0xA000 : 0xA000 + 160], whole[0xA000 : 0xA000 + 160])
        # Whole bursts have been written, in order.
        ends = [address + 8 * beats for address, beats, _ in memory.write_bursts[:-2]]
        assert all(np.array_equal(partial[end - 8 : end], whole[end - 8 : end]) for end in ends)
        prefix = beats_of(read.read(before), 64)
        assert [value for value, _ in jobs["r0"][0].beats] == prefix[: jobs["r0"][0].taken]
        for job in (jobs["r0"][1], jobs["r1"][0]):
            if not np.intersect1d(_places(good), _places(target)).size:
                check_read(job, before, 64)
            assert job.error == StreamError.NONE


def _places(descriptor: Descriptor) -> np.ndarray:
    address, padding = descriptor.runs()
    return np.unique((address[~padding, None] + np.arange(descriptor.run)) % MEMORY)
