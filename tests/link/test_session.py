"""The host's end against the device's in Python: every request is executed once, whatever the line does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hdl.link.protocol import Op, Request
from sat_hdl.link.session import BusError, DeviceWasReset, LinkError, Session

from .model import LinePort, ModelDevice


def session(device, **line) -> Session:
    made = Session(LinePort(device, **line))
    made.sync()
    made.buffer = device.buffer
    return made


WRITE = st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=90))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.01, 0.1, 0.25]),
    st.sampled_from([0.0, 0.02]),
    st.lists(st.lists(WRITE, max_size=40), max_size=6),
)
def test_every_request_is_executed_once_and_in_order(seed, rate, loss, batches):
    """Writes that overlap, each batch followed by reads of all, and by writes of a register that counts them."""
    device, plain = ModelDevice(), bytearray(4096)
    host = session(device, rate=rate, loss=loss, seed=seed)
    for i, batch in enumerate(batches):
        host.execute([Request(Op.WRITE_MEMORY, at, data) for at, data in batch])
        for at, data in batch:
            plain[at : at + len(data)] = data
        found = host.execute([Request(Op.READ_MEMORY, at, count=64) for at in range(0, 4096, 64)])
        assert b"".join(found) == plain
        host.execute([Request(Op.WRITE_CSR, 0, bytes(4))] * 3)
        assert device.registers[0] == 3 * (i + 1)


def test_sequences_go_round():
    device = ModelDevice()
    host = session(device, rate=0.02)
    for _ in range(700):
        host.execute([Request(Op.WRITE_CSR, 0, bytes(4))])
    assert device.registers[0] == 700
    assert host.recoveries > 0


def test_another_host_goes_on():
    """The first may have left requests without answers."""
    device = ModelDevice()
    for i in range(5):
        host = session(device, rate=0.1, seed=i)
        host.execute([Request(Op.WRITE_CSR, 0, bytes(4))] * 7)
        device.feed(b"\x7e\x03")  # half a frame
    assert device.registers[0] == 35


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_a_failed_write_is_told_and_forgotten(rate):
    device = ModelDevice()
    host = session(device, rate=rate, seed=5)
    good = Request(Op.WRITE_MEMORY, 0, b"good")
    for _ in range(20):
        with pytest.raises(BusError, match=r"BUS_ERROR.*WRITE_MEMORY at 0x1000"):
            host.execute([good, good, Request(Op.WRITE_MEMORY, 4096, b"bad"), good])
        assert host.execute([Request(Op.READ_MEMORY, 0, count=4)]) == [b"good"]
    with pytest.raises(BusError, match="READ_MEMORY at 0xffe"):
        host.execute([Request(Op.READ_MEMORY, 4094, count=4)])


@pytest.mark.parametrize("done", [1, 100, 256])
def test_a_device_that_was_reset_is_noticed(done):
    """Even when the sequence that it expects anew is the one that comes."""
    device = ModelDevice()
    host = session(device, rate=0.0)
    host.execute([Request(Op.WRITE_CSR, 0, bytes(4))] * done)
    device.restart()
    with pytest.raises(DeviceWasReset, match="Begin again"):
        host.execute([Request(Op.WRITE_CSR, 0, bytes(4))])
    assert device.registers[0] == done
    host.execute([Request(Op.WRITE_CSR, 0, bytes(4))])
    assert device.registers[0] == done + 1


def test_another_program_in_between_is_noticed():
    device = ModelDevice()
    one, other = session(device, rate=0.0), session(device, rate=0.0)
    one.execute([Request(Op.WRITE_CSR, 0, bytes(4))])
    with pytest.raises(DeviceWasReset, match="another program spoke to it"):
        other.execute([Request(Op.WRITE_CSR, 0, bytes(4)), Request(Op.WRITE_CSR, 4, bytes(4))] * 3)
        one.execute([Request(Op.WRITE_CSR, 0, bytes(4))])


class Silent(LinePort):
    def receive(self, timeout):
        return b""


class Babbling(LinePort):
    def receive(self, timeout):
        return b"\x7e\x00\x7e" * 10


@pytest.mark.parametrize("port", [Silent, Babbling])
def test_a_device_that_does_not_answer(port):
    with pytest.raises(LinkError, match="does not answer"):
        Session(port(ModelDevice(), rate=0.0)).sync(1)


def test_a_port_that_does_not_come_back():
    port = LinePort(ModelDevice(), rate=0.0, loss=1.0)
    port.comes_back = False
    with pytest.raises(LinkError, match="did not come back"):
        Session(port).sync()
