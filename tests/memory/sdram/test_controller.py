"""The SDRAM controller with the chip's model behind it: every byte, every answer, every rule, and how fast."""

import functools
import random

import pytest

from sat_hdl.memory.axi import Burst
from sat_hdl.memory.sdram.chip import ULX3S_CHIP, PinsSignature
from sat_hdl.memory.sdram.controller import AxiSdram
from sat_hdl.sim.fast import Stall

from .bench import Bench, Transfer, chip_with

WIDE = dict(data_bits=128, cas_latency=2, clock_mhz=50.0, delay=1, chip=chip_with(start=ULX3S_CHIP.start))


@functools.cache
def bench(**options) -> Bench:
    return Bench(**options)


def random_transfer(chance: random.Random, bench: Bench, *, first: int, last: int) -> Transfer:
    """A burst in bytes ``first`` to ``last``, which are multiples of 4096. A few are narrow, unaligned or refused."""
    lane_bits = bench.bytes.bit_length() - 1
    size = lane_bits if chance.random() < 0.8 else chance.randrange(lane_bits + 1)
    address = chance.randrange(first, last)
    if chance.random() < 0.8:
        address &= -(1 << size)
    most = min(256, (4096 - (address & 4095 & -(1 << size))) >> size)
    beats = min(most, chance.choice([1, 2, 3, 15, 16, 17, 40, 256]))
    transfer = Transfer(address=address, beats=beats, size=size, id=chance.randrange(8))
    if chance.random() < 0.08:
        which = chance.randrange(3)
        if which == 0:
            transfer.burst = chance.choice([Burst.FIXED, Burst.WRAP])
        elif which == 1:
            transfer.address += len(bench.memory) * chance.randrange(1, 1000)
        else:
            transfer.size, transfer.beats = lane_bits + 1, 1
    for i, byte in enumerate(transfer.addresses()):
        # Lanes of a narrow or unaligned beat, as a manager may strobe them.
        low = byte % bench.bytes
        high = min(bench.bytes, (low & -(1 << transfer.size)) + (1 << transfer.size))
        lanes = (1 << high) - (1 << low)
        transfer.data.append(chance.getrandbits(8 * bench.bytes))
        transfer.strobes.append(lanes & (chance.getrandbits(bench.bytes) if chance.random() < 0.3 else lanes))
        assert i < 256
    return transfer


@pytest.mark.parametrize(
    "options",
    [
        dict(data_bits=64),
        dict(data_bits=32, cas_latency=2),
        dict(data_bits=64, clock_mhz=133.0, delay=2),
        WIDE,
    ],
    ids=lambda options: f"{options['data_bits']}-{options.get('clock_mhz', 100)}",
)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_random_traffic(options, stall, seed=1):
    """Writes to one half of the memory while the other half is read, and the halves change."""
    made, chance = bench(**options), random.Random(f"{seed} {options['data_bits']} {stall}")
    print(f"seed {seed}")
    half = len(made.memory) // 2
    for phase in range(4):
        regions = [(0, half), (half, 2 * half)]
        (write_from, write_to), (read_from, read_to) = regions if phase % 2 else reversed(regions)
        made.run(
            [random_transfer(chance, made, first=write_from, last=write_to) for _ in range(60)],
            [random_transfer(chance, made, first=read_from, last=read_to) for _ in range(60)],
            stall=Stall(input=stall, output=stall, seed=seed + phase),
        )
    assert made.known.mean() > 0.1


def stream(made: Bench, base: int, bursts: int, *, write: bool) -> list[Transfer]:
    size = made.bytes.bit_length() - 1
    rows = []
    for i in range(bursts):
        row = Transfer(address=base + i * 16 * made.bytes, beats=16, size=size)
        if write:
            row.data = [(base + i * 16 + j) * 0x9E3779B97F4A7C15 % 2 ** (8 * made.bytes) for j in range(16)]
            row.strobes = [2**made.bytes - 1] * 16
        rows.append(row)
    return rows


@pytest.mark.parametrize("data_bits", [32, 64, 128])
def test_bandwidth(data_bits):
    """Of one word a cycle: sequential streams, and a stream in while another goes out, by turns."""
    made = bench(**{32: dict(data_bits=32, cas_latency=2), 64: dict(data_bits=64), 128: WIDE}[data_bits])
    bursts, words = 64, 64 * 16 * data_bits // 16
    made.run(stream(made, 0, bursts, write=True), [])
    run = made.run(stream(made, 0, bursts, write=True), [], quiet=0)
    write = words / (run.last["b"] - run.first["aw"] + 1)
    run = made.run([], stream(made, 0, bursts, write=False), quiet=0)
    read = words / (run.last["r"] - run.first["ar"] + 1)
    # The other stream in the same bank as often as not, and another row.
    other = len(made.memory) // 2
    run = made.run(stream(made, other, bursts, write=True), stream(made, 0, bursts, write=False), quiet=0)
    both = 2 * words / (max(run.last["r"], run.last["b"]) + 1)
    print(f"{data_bits} bits: write {write:.3f}, read {read:.3f}, both {both:.3f} of a word a cycle")
    assert min(write, read) > 0.95
    assert both > 0.88


def test_latency():
    """Of a read whose row is open, and of one whose bank has another row open."""
    made = bench(data_bits=64)
    one = Transfer(address=0x100, beats=1, size=3)
    far = Transfer(address=0x100 + 0x1000, beats=1, size=3)

    def fastest(transfer):
        return min(made.run([], [transfer], quiet=0).last["r"] for _ in range(3))

    assert fastest(one) <= 16
    made.run([], [far])
    assert min(made.run([], [t], quiet=0).last["r"] for t in (one, far, one)) <= 24


def test_a_reset_in_the_middle():
    made = bench(data_bits=64)
    made.run(stream(made, 0, 8, write=True), [])
    made.simulation.reset()
    made.known[:] = True
    made.memory[:128] = 0
    writes = stream(made, 0, 8, write=True)
    made.run(writes, [])
    made.run([], stream(made, 0, 8, write=False))


def test_a_chip_at_its_real_start():
    """0.2 ms of nothing, then eight refreshes: the model refuses less."""
    made = bench(**WIDE)
    made.simulation.reset()
    run = made.run(stream(made, 0, 2, write=True), stream(made, 0x4000, 1, write=False))
    assert run.first["r"] > ULX3S_CHIP.start * 1e-3 * WIDE["clock_mhz"]


@pytest.mark.parametrize(
    "wrong",
    [dict(data_bits=16), dict(cas_latency=4), dict(input_delay=-1), dict(clock_mhz=0), dict(clock_mhz=2)],
)
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        AxiSdram(**wrong)


def test_pins_fit_the_board():
    """Names and widths of what amaranth-boards has for the ULX3S, and its size."""
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    controller = AxiSdram()
    assert ULX3S_CHIP.size == 32 << 20
    port = ULX3S_85F_Platform().request("sdram", 0, dir={name: "-" for name in
        ("clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm")})  # fmt: skip
    for name in PinsSignature().members:
        board = name.removesuffix("_oe").removesuffix("_o").removesuffix("_i")
        width = 16 if name == "dq_oe" else len(getattr(controller.pins, name))
        assert len(getattr(port, board)) == width, name
