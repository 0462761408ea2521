"""The simulated memory and the host's port, on small masters whose effect numpy states in a line."""

import sys
from pathlib import Path

import numpy as np
import pytest

from sat_hdl.sim import _library as lib
from sat_hdl.sim._axi_ports import csr_table, has_port, memory_table
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.memory import (
    CHANNELS,
    MemoryConfig,
    ProtocolError,
    ResponseError,
    SimulationError,
    SimulationTimeout,
    System,
)

sys.path.insert(0, str(Path(__file__).parent))
from axi_designs import BEATS, BURST, SCRATCH, SOURCE, START, STATUS, TARGET, Copier, Fault, Gatherer

BASE, SIZE = 0x2000, 0x8000
PLAIN = MemoryConfig(base=BASE, size=SIZE)
BEHAVIOURS = {
    "plain": {},
    "quick": {"read_latency": 1, "write_latency": 1},
    "slow": {"read_latency": (1, 500), "write_latency": (1, 500)},
    "stalls": {"stall": 0.6},
    "stalled answers": {"stall": {"r": 0.9, "b": 0.9}},
    "late": {"ready_after_valid": True, "stall": 0.3},
    "reorder": {"order": "reorder", "stall": 0.2},
    "interleave": {"order": "interleave", "read_latency": (1, 60), "outstanding": 1},
    "narrow": {"bandwidth": 0.3},
}


def behaving(seed: int = 0, **how) -> MemoryConfig:
    return MemoryConfig(base=BASE, size=SIZE, seed=seed, **how)


@pytest.fixture(scope="module")
def system():
    with System(Copier(data=64), memory=PLAIN, csr_stall=0.3) as built:
        yield built


def fresh(system: System, seed: int = 0, **how) -> np.ndarray:
    """Resets the system into the state that a new one has, with random contents; returns a copy of them."""
    system.reset()
    system.configure(behaving(seed, **how))
    system.memory[:] = np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)
    return system.memory.copy()


def copy(system: System, source: int, target: int, beats: int, burst: int, limit: int = 100_000) -> int:
    for register, value in ((SOURCE, source), (TARGET, target), (BEATS, beats), (BURST, burst), (START, 1)):
        system.csr_write(register, value)
    return system.run_until_irq(limit)


# --- what the memory does -------------------------------------------------------------------------


@pytest.mark.parametrize("data,ids,separator", [(32, 1, "_"), (64, 2, "__"), (512, 0, "__")])
def test_copies(data, ids, separator, seed=1):
    size = data // 8
    rng = np.random.default_rng(seed)
    with System(Copier(data=data, ids=ids, separator=separator), memory=PLAIN) as system:
        for name, how in BEHAVIOURS.items():
            expected = fresh(system, seed, **how)
            unstrobed = int.from_bytes(rng.bytes(8), "little") % 2**size
            system.set("unstrobed", unstrobed)
            beats, burst = int(rng.integers(1, 70)), int(rng.integers(1, 4096 // size // 8))
            source, target = 0x1000, 0x5000  # all stays within 4 KiB
            beats = min(beats, 4096 // size)
            written = np.tile([not unstrobed >> i & 1 for i in range(size)], beats)
            area = slice(target, target + beats * size)
            expected[area] = np.where(written, expected[source : source + beats * size], expected[area])
            copy(system, BASE + source, BASE + target, beats, burst)
            np.testing.assert_array_equal(system.memory, expected, err_msg=f"{name}, seed {seed}")
            system.check_idle()
            counters = system.counters
            assert (counters.reads, counters.writes) == (-(-beats // burst),) * 2
            assert (counters.read_beats, counters.write_beats) == (beats, beats)
            assert counters.bytes_written == written.sum()
            assert (counters.read_errors, counters.write_errors, system.csr_read(STATUS)) == (0, 0, 0)


def test_latency_is_as_told(system):
    fresh(system, read_latency=37, write_latency=23, log=5)
    copy(system, BASE, BASE + 4096, 8, 8)
    events = {CHANNELS[e["channel"]]: e for e in system.events}
    assert events["r"]["cycle"] - events["ar"]["cycle"] == 37 + 7
    assert events["b"]["cycle"] - events["w"]["cycle"] == 23
    assert events["w"]["cycle"] - events["aw"]["cycle"] == 8
    assert [int(e["address"]) for e in system.events] == [BASE, BASE, *[BASE + 4096] * 3]
    assert set(system.events["beats"]) == {8}


def test_the_log_ends_and_is_off_by_default(system):
    for log in (0, 3):
        fresh(system, log=log)
        copy(system, BASE, BASE + 4096, 20, 4)
        assert len(system.events) == log


def test_a_seed_repeats_a_run(system):
    cycles = []
    for seed in (3, 3, 4):
        with System(Copier(data=64), memory=behaving(seed, stall=0.4, read_latency=(1, 50))) as one:
            cycles.append(copy(one, BASE, BASE + 4096, 100, 8))
    assert cycles[0] == cycles[1] != cycles[2]


def test_contents_are_shared():
    contents = np.arange(SIZE, dtype=np.uint8)
    with System(Copier(data=64), memory=PLAIN, contents=contents) as system:
        assert system.memory is contents
        copy(system, BASE, BASE + 0x4000, 1, 1)
    assert (contents[0x4000:0x4008] == np.arange(8)).all()
    with pytest.raises(ValueError, match="contents must be uint8"):
        System(Copier(data=64), memory=PLAIN, contents=contents[::2])


@pytest.fixture(scope="module")
def gatherer():
    with System(Gatherer(data=64), memory=PLAIN) as built:
        yield built


def gather(system: System, rounds: int, seed: int = 0, **how) -> int:
    contents = fresh(system, seed, **how).view("<u4")[::2]
    system.set("source", BASE)
    system.set("rounds", rounds)
    system.set("start", 1)
    cycles = system.run_until("done", limit=100_000)
    words = contents[: rounds * 16].reshape(rounds, 4, 4)
    for i in range(4):
        total = 0
        for word in words[:, i].ravel().tolist():
            total = (total * 5 + word) % 2**32
        assert system.get(f"sum_{i}") == total, f"id {i}, {how}"
    return cycles


def test_order_of_answers(gatherer):
    """Each id gets its own in order; how often the id changes tells the order apart."""
    switches = {}
    for order in ("fifo", "reorder", "interleave"):
        gather(gatherer, 60, order=order, read_latency=(1, 30))
        switches[order] = gatherer.get("switches")
    assert switches["fifo"] == 4 * 60 - 1
    assert switches["reorder"] < switches["fifo"] < switches["interleave"]


def test_outstanding(gatherer):
    for outstanding in (1, 5):
        gather(gatherer, 30, outstanding=outstanding, read_latency=100)
        assert gatherer.counters.most_reads == outstanding


@pytest.mark.parametrize("bandwidth,least", [(None, 1.0), (1.0, 1.0), (0.25, 0.25), (0.37, 0.37)])
def test_bandwidth(gatherer, bandwidth, least):
    cycles = gather(gatherer, 60, bandwidth=bandwidth)
    assert 60 * 16 / least <= cycles <= 60 * 16 / least + 30


def test_reads_and_writes_share_the_bandwidth(system):
    """The copier alternates, so one beat a cycle costs it nothing, and half of one twice its beats."""
    cycles = {}
    for bandwidth in (None, 1.0, 0.5):
        fresh(system, bandwidth=bandwidth)
        cycles[bandwidth] = copy(system, BASE, BASE + 4096, 128, 32)
    assert abs(cycles[1.0] - cycles[None]) < 6  # the host stalls at random while it starts the copy
    assert abs(cycles[0.5] - cycles[None] - 256) < 20


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,answer", [("slverr", 2), ("decerr", 3)])
def test_error_answers(system, kind, answer):
    area = ((BASE + 0x800, 8),)
    before = fresh(system, **{kind: area})
    copy(system, BASE + 0x7F0, BASE + 0x4000, 6, 6)
    assert (system.csr_read(STATUS) >> 2, system.counters.read_errors) == (answer, 1)
    good = [*range(0x10), *range(0x18, 0x30)]
    assert (system.memory[0x4000:0x4030] == before[0x7F0:0x820])[good].all()
    before = system.memory.copy()
    copy(system, BASE + 0x1000, BASE + 0x7E0, 6, 6)
    assert (system.csr_read(STATUS) >> 4, system.counters.write_errors) == (answer, 1)
    before[[*range(0x7E0, 0x800), *range(0x808, 0x810)]] = before[
        [*range(0x1000, 0x1020), *range(0x1028, 0x1030)]
    ]
    np.testing.assert_array_equal(system.memory, before)


@pytest.mark.parametrize("source,target,status", [
    (BASE - 16, BASE, 3 << 2), (BASE + SIZE, BASE, 3 << 2), (BASE, BASE + SIZE, 3 << 4), (BASE, 0xFFFFFF00, 3 << 4),
])  # fmt: skip
def test_outside_the_memory(system, source, target, status):
    before = fresh(system)
    copy(system, source, target, 2, 2)
    assert system.csr_read(STATUS) == status
    assert (system.memory[16:] == before[16:]).all()
    system.check_idle()


def test_writable_ranges(system):
    ranges = ((BASE + 0x4000, 64), (BASE + 0x4080, 8))
    before = fresh(system, writable=ranges)
    copy(system, BASE, BASE + 0x4000, 8, 8)
    copy(system, BASE, BASE + 0x4080, 1, 1)
    with pytest.raises(
        ProtocolError, match=r"m_axi wrote to 0x6040, outside the ranges .* in cycle [0-9]+ .seed 0"
    ):
        copy(system, BASE, BASE + 0x4000, 9, 9)
    system.configure(behaving(writable=ranges, write_latency=1))
    fresh(system, writable=ranges)
    system.set(
        "unstrobed", 0xF0
    )  # half a beat outside is as bad as a whole one, and unstrobed bytes don't count
    before = system.memory.copy()
    copy(system, BASE, BASE + 0x4080, 1, 1)
    system.configure(behaving(writable=((BASE + 0x4080, 4),)))
    copy(system, BASE, BASE + 0x4080, 1, 1)
    system.configure(behaving(writable=((BASE + 0x4080, 3),)))
    with pytest.raises(ProtocolError, match="outside the ranges"):
        copy(system, BASE, BASE + 0x4080, 1, 1)
    before[0x4080:0x4084] = before[:4]
    np.testing.assert_array_equal(system.memory, before)


# --- violations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault,message", [
    (Fault.AR_WITHDRAWN, "withdrew arvalid before arready"),
    (Fault.AR_CHANGED, "changed what is on ar before arready"),
    (Fault.AW_CHANGED, "changed what is on aw before awready"),
    (Fault.W_WITHDRAWN, "withdrew wvalid before wready"),
    (Fault.W_CHANGED, "changed what is on w before wready"),
    (Fault.NO_LAST, "did not raise `wlast` in beat 8 of 8 of the write at 0x6000"),
    (Fault.EARLY_LAST, "raised `wlast` in beat 1 of 8 of the write at 0x6000"),
    (Fault.BURST_TYPE, "asked for a read of burst type 2 at 0x2000, not INCR"),
    (Fault.BEAT_SIZE, "asked for a read of 2-byte beats at 0x2000, not of the port's 8 bytes"),
])  # fmt: skip
def test_violations(system, fault, message):
    fresh(system, seed=7, stall=0.7)
    system.set("fault", fault)
    with pytest.raises(ProtocolError, match=f"^Port m_axi {message}.* in cycle [0-9]+ .seed 7.[.]$"):
        copy(system, BASE, BASE + 0x4000, 64, 8)
    with pytest.raises(ProtocolError, match=message):
        system.step()
    expected = fresh(system)
    copy(system, BASE, BASE + 0x4000, 64, 8)
    expected[0x4000:0x4200] = expected[:0x200]
    np.testing.assert_array_equal(system.memory, expected)


@pytest.mark.parametrize("source,target,message", [
    (BASE + 0xFF8, BASE, "asked for a read of 2 beats at 0x2ff8, across a boundary of 4 KiB"),
    (BASE, BASE + 0x1FF8, "asked for a write of 2 beats at 0x3ff8, across a boundary of 4 KiB"),
    (BASE + 4, BASE, "asked for a read at 0x2004, which is not a multiple of 8 bytes"),
    (BASE, BASE + 1, "asked for a write at 0x2001, which is not a multiple of 8 bytes"),
])  # fmt: skip
def test_addresses(system, source, target, message):
    fresh(system)
    with pytest.raises(ProtocolError, match=message):
        copy(system, source, target, 2, 2)


def test_surplus_data(system):
    fresh(system)
    system.set("fault", Fault.SURPLUS_BEATS)
    copy(system, BASE, BASE + 0x4000, 4, 4)
    with pytest.raises(ProtocolError, match="has 1 beats of data without an address"):
        system.check_idle()


def test_a_reader_that_does_not_wait_for_the_answer_meets_old_contents(system):
    """Copying each burst onto the next spreads the first one, if every burst waits for the one before."""
    for fault, waits in ((Fault.NONE, True), (Fault.NO_WAIT, False)):
        before = fresh(system, read_latency=1, write_latency=200)
        system.set("fault", fault)
        copy(system, BASE, BASE + 32, 16, 4)
        spread = np.array_equal(system.memory[32:160], np.tile(before[:32], 4))
        assert spread == waits


def test_a_master_that_waits_for_ready_hangs_where_it_may(system):
    fresh(system)
    system.set("fault", Fault.READY_FIRST)
    copy(system, BASE, BASE + 0x4000, 4, 4)
    fresh(system, ready_after_valid=True)
    system.set("fault", Fault.READY_FIRST)
    with pytest.raises(SimulationTimeout, match=r"Port 'irq' was not 0x1 within 3000 cycles \(seed 0\)[.]"):
        copy(system, BASE, BASE + 0x4000, 4, 4, limit=3000)


# --- registers and waiting ------------------------------------------------------------------------


def test_registers(system, seed=5):
    fresh(system)
    rng = np.random.default_rng(seed)
    words = dict.fromkeys(range(SCRATCH, 0x40, 4), 0)
    for _ in range(300):
        address = int(rng.choice(list(words)))
        value, strobe = int(rng.integers(2**32)), int(rng.integers(16))
        mask = sum(0xFF << 8 * i for i in range(4) if strobe >> i & 1)
        system.csr_write(address, value, strobe=strobe)
        words[address] = words[address] & ~mask | value & mask
        address = int(rng.choice(list(words)))
        assert system.csr_read(address) == words[address], f"seed {seed}"


def test_register_errors(system):
    fresh(system)
    with pytest.raises(ResponseError, match="read of the register at 0x40 was answered by SLVERR"):
        system.csr_read(0x40)
    with pytest.raises(ResponseError, match="write to the register at 0x40 was answered by SLVERR"):
        system.csr_write(0x40, 0)
    with pytest.raises(ValueError, match="must fit 32 bits"):
        system.csr_write(0, 2**32)
    system.set("fault", Fault.CSR_SILENT)
    with pytest.raises(
        SimulationTimeout, match="write to the register at 0x18 had no answer within 50 cycles"
    ):
        system.csr_write(SCRATCH, 1, limit=50)
    with pytest.raises(SimulationError, match=r"An earlier access .* reset"):
        system.csr_read(SCRATCH)
    fresh(system)
    system.csr_write(SCRATCH, 9)
    assert system.csr_read(SCRATCH) == 9


@pytest.mark.parametrize("fault,message", [
    (Fault.CSR_B_UNASKED, "answered a write that was not asked for"),
    (Fault.CSR_R_UNASKED, "answered a read that was not asked for"),
    (Fault.CSR_R_CHANGED, "changed what is on r before rready"),
    (Fault.CSR_B_WITHDRAWN, "withdrew bvalid before bready"),
])  # fmt: skip
def test_register_violations(system, fault, message):
    fresh(system)
    system.set("fault", fault)
    with pytest.raises(ProtocolError, match=f"^Port s_axi {message} in cycle"):
        for _ in range(50):
            system.csr_write(SCRATCH, 1)
            system.csr_read(SCRATCH)


def test_waiting(system):
    fresh(system)
    with pytest.raises(SimulationTimeout, match="Port 'irq' was not 0x1 within 77 cycles"):
        system.run_until_irq(77)
    assert system.cycles == 77
    copy(system, BASE, BASE + 0x4000, 64, 8)
    assert system.run_until_irq(5) == 1
    assert system.run_until("m_axi__awlen", 0xFF, limit=5) == 1
    assert system.run_until("m_axi__awlen", 0x1E, mask=0x1E, limit=5) == 1
    with pytest.raises(SimulationTimeout, match="was not 0x6 in the bits 0xf within 5 cycles"):
        system.run_until("m_axi__awlen", 6, mask=0xF, limit=5)
    system.csr_write(START, 1)
    assert 100 < system.run_until_csr(STATUS, 0, mask=1, limit=10_000) < 10_000
    assert system.get("irq") == 1
    with pytest.raises(SimulationTimeout, match="register at 0x18 was not 0x5 in the bits 0xff"):
        system.run_until_csr(SCRATCH, 5, mask=0xFF, limit=1000)
    with pytest.raises(ValueError, match="must be one of"):
        system.run_until("nothing", limit=5)
    with pytest.raises(ValueError, match="at most 64 bits"):
        with System(Copier(data=512, ids=0), memory=PLAIN) as wide:
            wide.run_until("m_axi__wdata", limit=5)


def test_the_memory_is_told_of_in_a_timeout(system):
    fresh(system, read_latency=1000)
    with pytest.raises(SimulationTimeout, match="The memory has 1 reads under way"):
        copy(system, BASE, BASE + 0x4000, 64, 8, limit=500)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong,message", [
    ({"size": 100}, "multiple of 64"), ({"size": 0}, "multiple of 64"), ({"base": -1}, "base must be"),
    ({"read_latency": 0}, "1 or more cycles"), ({"write_latency": (5, 4)}, "1 or more cycles"),
    ({"stall": 1.0}, "below 1"), ({"stall": {"x": 0.5}}, "must be one of aw, w, b, ar, r"),
    ({"outstanding": 0}, "1 to 1024"), ({"order": "lifo"}, "fifo, reorder, interleave"),
    ({"bandwidth": 0}, "up to 2 beats"), ({"bandwidth": 2.5}, "up to 2 beats"),
])  # fmt: skip
def test_wrong_configurations(wrong, message):
    with pytest.raises(ValueError, match=message):
        MemoryConfig(**{"size": SIZE, "base": BASE} | wrong)


def test_ports_of_another_shape(system):
    ports = {name: lib.Port(width=p.width, is_input=p.is_input) for name, p in system._ports.items()}
    assert has_port(ports, "s_axi") and not has_port(ports, "x_axi")
    for change, message in [
        ({"m_axi__wdata": lib.Port(width=48)}, "must be 32, 64, 128, 256, 512 bits wide"),
        ({"m_axi__rdata": lib.Port(width=128, is_input=1)}, "must be 32, 64, 128, 256, 512 bits wide"),
        ({"m_axi__wstrb": lib.Port(width=4)}, "must have 8 bits of strobe, not 4"),
        ({"m_axi__wvalid": None}, "must have the signal wvalid"),
        ({"m_axi__arready": lib.Port(width=1)}, "arready of 'm_axi' must have the direction .* AXI master"),
    ]:
        with pytest.raises(ValueError, match=message):
            memory_table({n: p for n, p in (ports | change).items() if p is not None}, "m_axi")
    with pytest.raises(ValueError, match="no AXI port 'x_axi'"):
        memory_table(ports, "x_axi")
    with pytest.raises(ValueError, match="AXI slave"):
        csr_table(ports, "m_axi")


def test_a_system_without(gatherer):
    with pytest.raises(ValueError, match="no port for registers"):
        gatherer.csr_read(0)
    with System(Copier(data=64)) as bare:
        bare.csr_write(SCRATCH, 3)
        assert bare.csr_read(SCRATCH) == 3
        with pytest.raises(ValueError, match="no memory"):
            bare.configure(PLAIN)
        with pytest.raises(ValueError, match="no memory"):
            _ = bare.counters
    with pytest.raises(ValueError, match="size and base can't be changed"):
        gatherer.configure(MemoryConfig(size=64))
    with Simulation(Copier(data=64)) as plain:  # the ports are ports like any other
        assert plain.get("m_axi__arvalid") == 0
