"""The gateware with a memory and registers, driven by the host's own session: exact whatever line and memory do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hdl.link.protocol import MOST_DATA, Answer, Deframer, Op, Request, Result, Status, frame
from sat_hdl.link.session import BusError, Session
from sat_hdl.sim.memory import MemoryConfig

from .rig import BUFFER, IDENTITY, IRQ, REGISTERS, SIZE, SimPort, memory, rig

#: How memory behaves: at once; as late and as unordered as it may; with errors in one place.
WEATHER = [
    MemoryConfig(size=SIZE, read_latency=1, write_latency=1),
    MemoryConfig(
        size=SIZE, read_latency=(1, 60), write_latency=(1, 60), stall=0.5, order="interleave", seed=3
    ),
    MemoryConfig(size=SIZE, ready_after_valid=True, outstanding=1),
]


def session(
    *, bits: int = 64, rate: float = 0.0, seed: int = 0, weather: MemoryConfig = WEATHER[0]
) -> Session:
    system = rig(bits)
    system.configure(weather)
    system.reset()
    host = Session(SimPort(system, rate=rate, seed=seed))
    assert host.sync() == Status.FRESH
    host.buffer = BUFFER
    return host


def asked(system, *requests: tuple[int, Request]) -> list[Answer]:
    """Answers to requests with these sequences, without a session."""
    octets = b"".join(frame(request.body(sequence)) for sequence, request in requests)
    found, _ = system.exchange(octets, limit=20_000)
    return [Answer.parse(body) for body in Deframer().feed(found)]


PLACE = st.tuples(st.integers(0, SIZE - 1), st.integers(1, MOST_DATA))
WORK = st.lists(
    st.one_of(
        st.tuples(st.just(Op.WRITE_MEMORY), st.lists(PLACE, min_size=1, max_size=8)),
        st.tuples(st.just(Op.READ_MEMORY), st.lists(PLACE, min_size=1, max_size=8)),
        st.tuples(st.just(Op.FILL_MEMORY), st.lists(PLACE, min_size=1, max_size=2)),
        st.tuples(
            st.just(Op.WRITE_CSR), st.lists(st.tuples(st.integers(0, 15), st.integers(1, 4)), max_size=4)
        ),
    ),
    max_size=8,
)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.01, 0.1, 0.25]), st.sampled_from(WEATHER), WORK)
def test_anything_on_any_line(seed, rate, weather, work):
    host, plain, system = session(rate=rate, seed=seed, weather=weather), memory(seed), rig(64)
    system.memory[:] = plain
    registers, rng = [0] * REGISTERS, np.random.default_rng(seed)
    for op, places in work:
        if op is Op.WRITE_CSR:
            runs = [
                (at, rng.integers(0, 2**32, min(count, REGISTERS - at), np.uint64)) for at, count in places
            ]
            host.execute([Request(op, 4 * at, values.astype("<u4").tobytes()) for at, values in runs])
            for at, values in runs:
                for i, value in enumerate(values.tolist(), at):
                    registers[i] = registers[0] + 1 if i == 0 else value
            found = host.execute([Request(Op.READ_CSR, 0, count=4 * REGISTERS)])[0]
            assert np.frombuffer(found, "<u4").tolist() == registers
            assert (Status.IRQ in host.sync()) == bool(registers[IRQ] & 1)
            continue
        if op is Op.FILL_MEMORY:
            places = [(at // 64 * 64, 64 * (size % 16 + 1)) for at, size in places]
        places = [(at, min(size, SIZE - at)) for at, size in places]
        if op is Op.READ_MEMORY:
            found = host.execute([Request(op, at, count=size) for at, size in places])
            assert found == [plain[at : at + size].tobytes() for at, size in places]
            continue
        requests = []
        for at, size in places:
            data = memory(int(rng.integers(1 << 30)))[:size] * (op is Op.WRITE_MEMORY)
            plain[at : at + size] = data
            requests.append(
                Request(op, at, count=size) if op is Op.FILL_MEMORY else Request(op, at, data.tobytes())
            )
        host.execute(requests)
    assert (system.memory == plain).all()
    system.check_idle()


@pytest.mark.parametrize("bits", [32, 512])
def test_other_widths(bits):
    host, plain, system = (
        session(bits=bits, rate=0.05, seed=bits, weather=WEATHER[1]),
        memory(bits),
        rig(bits),
    )
    host.execute([Request(Op.WRITE_MEMORY, at, plain[at : at + 300].tobytes()) for at in range(0, SIZE, 300)])
    assert (system.memory == plain).all()
    for at, size in ((1, 1), (63, 2), (62, 130), (SIZE - 5, 5)):
        assert host.execute([Request(Op.READ_MEMORY, at, count=size)])[0] == plain[at : at + size].tobytes()
    host.execute([Request(Op.FILL_MEMORY, 64, count=1 << 14), Request(Op.WRITE_CSR, 8, b"abcdefgh")])
    plain[64 : 64 + (1 << 14)] = 0
    assert (system.memory == plain).all()
    assert host.execute([Request(Op.READ_CSR, 8, count=8)]) == [b"abcdefgh"]


def test_identity():
    host = session()
    assert host.execute([Request(Op.READ_IDENTITY, count=512)]) == [IDENTITY.ljust(512)]
    assert host.execute([Request(Op.READ_IDENTITY, 5, count=3)]) == [IDENTITY[5:8]]


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_errors_of_memory_are_told(rate):
    weather = MemoryConfig(size=SIZE, slverr=((0x800, 64),))
    host = session(rate=rate, seed=9, weather=weather)
    for op in (Op.WRITE_MEMORY, Op.FILL_MEMORY, Op.READ_MEMORY):
        request = Request(op, 0x7C0, data=bytes(128), count=128)
        with pytest.raises(BusError, match=rf"BUS_ERROR: .*{op.name} at 0x7c0"):
            host.execute([request])
    assert host.execute([Request(Op.READ_MEMORY, 0, count=1)])
    assert Status.FAILED not in host.status


def test_requests_that_make_no_sense():
    """Each is answered and counts as executed; none hangs the device, and the next works."""
    system = rig(64)
    system.configure(WEATHER[0])
    system.reset()
    asked(system, (0, Request(Op.SYNC)))
    sense = Request(Op.READ_MEMORY, 0, count=2)
    bodies = [
        b"",
        bytes([Op.WRITE_MEMORY]),
        bytes([Op.WRITE_MEMORY, 1, 2, 3, 4]),
        bytes([Op.READ_CSR, 0, 0, 0, 0]),
    ]
    bodies += [bytes([Op.READ_MEMORY, 0, 0, 0, 0, 1]), bytes([99]) + bytes(20), bytes([Op.CLEAR, 0])]
    sequence = 0
    for body in bodies:
        found, _ = system.exchange(frame(bytes([sequence]) + body), limit=20_000)
        (answer,) = (Answer.parse(each) for each in Deframer().feed(found))
        if body:
            assert (answer.result, answer.expected) == (Result.BAD_REQUEST, sequence + 1), body
            assert Status.FAILED in answer.status
            sequence += 1
        (answer,) = asked(system, (sequence, sense))
        assert (answer.result, len(answer.data), answer.expected) == (Result.OK, 2, sequence + 1)
        sequence += 1
    # More than was asked for is passed over; nothing at all is nothing.
    long = Request(Op.READ_MEMORY, 0, count=2).body(sequence) + bytes(40)
    found, _ = system.exchange(frame(long), limit=20_000)
    assert [Answer.parse(body).result for body in Deframer().feed(found)] == [Result.OK]
    assert asked(system, (sequence + 1, Request(Op.READ_MEMORY, 0, count=0)))[0].data == b""
    assert asked(system, (sequence + 2, Request(Op.FILL_MEMORY, 0, count=7)))[0].result == Result.OK


def test_nothing_is_executed_twice_or_out_of_turn():
    system = rig(64)
    system.configure(WEATHER[0])
    system.reset()
    count = Request(Op.WRITE_CSR, 0, bytes(4))
    assert asked(system, (0, count))[0].result == Result.OUT_OF_SEQUENCE, "before SYNC"
    asked(system, (77, Request(Op.SYNC)))
    answers = asked(system, (0, count), (0, count), (2, count), (1, count), (255, count))
    out = Result.OUT_OF_SEQUENCE
    assert [answer.result for answer in answers] == [Result.OK, out, out, Result.OK, out]
    assert [answer.expected for answer in answers] == [1, 1, 1, 2, 2]
    assert asked(system, (2, Request(Op.READ_CSR, 0, count=4)))[0].data == b"\2\0\0\0"


def test_more_than_the_buffer_holds_is_told():
    system = rig(64)
    system.configure(MemoryConfig(size=SIZE, write_latency=5000))
    system.reset()
    asked(system, (0, Request(Op.SYNC)))
    write = Request(Op.WRITE_MEMORY, 0, bytes(500))
    octets = b"".join(frame(write.body(i)) for i in range(8))
    found, cycles = b"", 1
    while cycles:
        more, cycles = system.exchange(octets, limit=50_000)
        found, octets, cycles = found + more, b"", cycles if more else 0
    results = [Answer.parse(body).result for body in Deframer().feed(found)]
    assert Result.BAD_FRAME in results
    assert 3 <= results.count(Result.OK) < 8
    assert Answer.parse(list(Deframer().feed(found))[-1]).expected == results.count(Result.OK)
