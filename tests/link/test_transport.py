"""A device behind a link as the driver sees it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hdl.config import Config, ConfigError
from sat_hdl.control.csr import address_of
from sat_hdl.link.identity import Identity
from sat_hdl.link.protocol import FILL_UNIT, MOST_DATA, MOST_FILL, Op, Result
from sat_hdl.link.session import BusError
from sat_hdl.link.transport import LinkTransport, _runs, _writes

from .model import LinePort, ModelDevice

IDENTITY = Identity(config=Config(rows=2, cols=2), memory_size=4096, clock_hz=50_000_000, buffer=1024)


class Device(ModelDevice):
    """One that says what it is, and is done with a program a few questions after it was started."""

    def __init__(self, identity: bytes = IDENTITY.encode()):
        super().__init__(registers=128)
        self.identity, self.left = identity, None

    def _execute(self, op, address, rest):
        if op is Op.READ_IDENTITY:
            return self.identity.ljust(512), Result.OK
        if op is Op.WRITE_CSR and address == address_of("CONTROL"):
            self.left = 5
        return super()._execute(op, address, rest)

    def _frame(self, body):
        if self.left is not None and body is not None and body[1] == Op.SYNC:
            self.left -= 1
            self.irq = self.left <= 0
        return super()._frame(body)


def transport(device=None, **line) -> LinkTransport:
    return LinkTransport(LinePort(device or Device(), **{"rate": 0.1, **line}))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 4096), st.integers(0, 4096), st.floats(0, 1), st.integers(0, 1000))
def test_memory(begin, end, zeros, seed):
    """Runs of zeros at every place."""
    begin, end = min(begin, end), max(begin, end)
    rng, device = np.random.default_rng(seed), Device()
    plain = rng.integers(1, 256, 4096, np.uint8)
    device.memory[:] = plain.tobytes()
    octets = rng.integers(0, 256, end - begin, np.uint8)
    octets[: int(zeros * len(octets))] = 0
    plain[begin:end] = octets
    host = transport(device, seed=seed)
    host.write(begin, octets)
    assert device.memory == plain.tobytes()
    assert (host.read(0, 4096) == plain).all()
    assert (host.read(begin, end - begin) == octets).all()


def test_zeros_are_not_sent():
    requests = _writes(3, np.zeros(100_000, np.uint8))
    assert sum(len(request.data) for request in requests) < 2 * FILL_UNIT
    for request in requests:
        if request.op is Op.FILL_MEMORY:
            assert request.address % FILL_UNIT == request.count % FILL_UNIT == 0
            assert 0 < request.count <= MOST_FILL
        else:
            assert 0 < len(request.data) <= MOST_DATA


def test_registers():
    host = transport()
    host.csr_writes([(8, 1), (12, 2), (4, 3), (8, 4), (400, 5)])
    assert host.csr_reads([4, 8, 12, 400]) == [3, 4, 2, 5]
    host.csr_write(4, 0xFFFFFFFF)
    assert host.csr_read(4) == 0xFFFFFFFF
    assert _runs([0, 4, 8, 4, 8, 100]) == [(0, 3), (4, 2), (100, 1)]


def test_waiting():
    device = Device()
    host = transport(device)
    host.csr_write(address_of("CONTROL"), 1)
    host.wait(1000)
    assert device.irq


def test_a_program_without_end(monkeypatch):
    monkeypatch.setattr("sat_hdl.link.transport._LOOK", 0.01)
    monkeypatch.setattr("sat_hdl.link.transport._STILL", 0.1)
    device = Device()
    host = transport(device)
    with pytest.raises(TimeoutError, match=r"its cycles have stood at 0"):
        host.wait(1000)
    device.registers[address_of("CYCLES_LOW") // 4] = 2000
    with pytest.raises(TimeoutError, match=r"has not within 2000 cycles"):
        host.wait(1000)


def test_memory_that_there_is_not():
    host = transport()
    for act in (
        lambda: host.read(4090, 7),
        lambda: host.write(4096, np.ones(1, np.uint8)),
        lambda: host.read(-1, 1),
    ):
        with pytest.raises(ValueError, match="Memory must hold"):
            act()


def test_what_an_earlier_host_left_failed_is_forgotten():
    device = Device()
    first = transport(device)
    first.identity = Identity(config=Config(), memory_size=1 << 20, clock_hz=0, buffer=1024)
    with pytest.raises(BusError):
        first.write(5000, np.ones(1, np.uint8))
    device.failed = True
    second = transport(device)
    second.write(0, np.ones(9, np.uint8))
    assert not device.failed


def test_another_build_is_refused():
    host = transport()
    assert host.config == IDENTITY.config
    host.check_config(IDENTITY.config)
    with pytest.raises(ConfigError, match="another configuration: rows is 2, not 8, cols is 2, not 8"):
        host.check_config(Config())


@pytest.mark.parametrize(
    "octets, sentence",
    [
        (b"\xff" * 512, "no device of this version"),
        (b'{"config": {"rows": 99}}', "no device of this version"),
        (
            IDENTITY.encode().replace(b'"sat_hdl":1', b'"sat_hdl":7'),
            "speaks version 7 .* build its bitstream again",
        ),
        (IDENTITY.encode().replace(b'"rows":2', b'"rows":2,"new":1'), "no device of this version"),
    ],
)
def test_what_is_no_device_of_this_version(octets, sentence):
    with pytest.raises(ConfigError, match=sentence):
        transport(Device(octets))


def test_every_preset_fits_an_identity():
    from sat_hdl.config import PRESETS

    for config in PRESETS.values():
        identity = Identity(config=config, memory_size=1 << 32, clock_hz=10**9, buffer=1 << 16)
        assert Identity.decode(identity.encode().ljust(512)) == identity
