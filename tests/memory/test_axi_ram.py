"""The memory in block RAM: every byte where it belongs, errors outside, a beat a cycle."""

import random
from collections import defaultdict

import pytest

from sat_hdl.memory.axi_ram import AxiRam

from .axi_managers import Manager

OKAY, SLVERR = 0, 2


def random_bursts(rng, count, *, size, beat, ids, outside):
    """(identifier, address, beats); some go beyond the end."""
    bursts = []
    for _ in range(count):
        beats = rng.choice([1, 1, 2, 3, 7, 16])
        most = size // beat - (0 if rng.random() < outside else beats)
        bursts.append((rng.randrange(ids), beat * rng.randrange(max(most, 0) + 1), beats))
    return bursts


@pytest.mark.parametrize(
    "bits, size, stall", [(32, 256, 0.0), (64, 512, 0.5), (16, 4, 0.3), (512, 4096, 0.2)]
)
def test_as_an_array_of_bytes(simulate, bits, size, stall):
    seed = bits
    print(f"seed {seed}")
    rng, beat = random.Random(seed), bits // 8
    dut = AxiRam(size=size, data_bits=bits, id_bits=2)
    plain, answers = bytearray(size), []
    manager = Manager(dut.s_axi, rng, stall)
    # What it holds in the beginning is not to be relied on.
    whole = [(0, at, [(0, 2**beat - 1)]) for at in range(0, size, beat)]
    some = [
        (identifier, at, [(rng.getrandbits(bits), rng.getrandbits(beat)) for _ in range(beats)])
        for identifier, at, beats in random_bursts(rng, 30, size=size, beat=beat, ids=4, outside=0.2)
    ]
    manager.writes = whole + some
    manager.reads = random_bursts(rng, 40, size=size, beat=beat, ids=4, outside=0.2)
    for identifier, at, beats in manager.writes:
        wrong = at + beat * len(beats) > size
        answers.append((identifier, SLVERR if wrong else OKAY))
        for i, (data, strobes) in enumerate(beats):
            for j in range(beat):
                if at + i * beat < size and strobes >> j & 1:
                    plain[at + i * beat + j] = data >> (8 * j) & 255
    simulate(dut, *manager.benches, cycles=20_000)
    assert manager.answers == answers
    wanted = defaultdict(list)
    for identifier, at, beats in manager.reads:
        for place in range(at, at + beat * beats, beat):
            wanted[identifier].append(
                (int.from_bytes(plain[place : place + beat], "little"), OKAY) if place < size else SLVERR
            )
    for identifier, beats in wanted.items():
        found = [pair if pair[1] == OKAY else pair[1] for pair in manager.beats[identifier]]
        assert found == beats


def test_reads_beside_writes_of_the_same_bytes(simulate):
    """Each byte is as it was or as it will be; no word is read in the very cycle in which it is written, when block
    RAM gives anything."""
    rng = random.Random(2)
    dut = AxiRam(size=64, data_bits=32, id_bits=1)
    manager = Manager(dut.s_axi, rng, 0.1, behind=False)
    manager.writes = [(0, 4 * (i % 16), [(i // 16 * 0x01010101, 15)]) for i in range(64)]
    manager.reads = [(0, 0, 16)] * 6

    async def watch(ctx):
        banks, beats = dut._banks, 0
        while beats < 16 * 6:
            _, _, writes, to, reads, source, given = await ctx.tick().sample(
                banks.write_enable, banks.write_address, banks.read_enable, banks.read_address,
                dut.s_axi.rvalid & dut.s_axi.rready,
            )  # fmt: skip
            assert not (writes and reads and to == source)
            beats += given

    simulate(dut, *manager.benches, watch, cycles=5000)
    found = [data for data, _ in manager.beats[0]]
    for word in range(16):
        seen = [data & 255 for data in found[word::16]]
        assert seen == sorted(seen) and all(data % 0x01010101 == 0 and data < 4 << 24 for data in found)


def test_rate_and_latency(simulate):
    dut = AxiRam(size=4096, data_bits=32, id_bits=1)
    manager = Manager(dut.s_axi, random.Random(0), behind=False)
    manager.reads = [(0, 64 * i, 16) for i in range(16)]
    simulate(dut, *manager.benches, cycles=1000)
    assert manager.first - manager.offered == dut.latency
    assert manager.last - manager.first == 16 * 16 - 1


@pytest.mark.parametrize("size", [4, 0, 100, 1 << 32, None, 64.0])
def test_a_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="size must be a power of two from 8"):
        AxiRam(size=size, data_bits=32, id_bits=1)
