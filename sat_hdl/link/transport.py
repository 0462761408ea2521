"""A device behind a link as a transport of :class:`~sat_hdl.driver.Accelerator`."""

import time
from collections.abc import Sequence

import numpy as np

from sat_hdl.config import Config, ConfigError
from sat_hdl.control.csr import address_of
from sat_hdl.driver import Transport
from sat_hdl.link.identity import Identity
from sat_hdl.link.protocol import FILL_UNIT, IDENTITY_SIZE, MOST_DATA, MOST_FILL, Op, Request, Status
from sat_hdl.link.serial_port import SerialPort
from sat_hdl.link.session import LinkError, Port, Session

__all__ = ["LinkTransport", "serial_transport"]

#: Seconds between questions whether the device is done, at most; between looks at its cycles; that they may stand.
_PAUSE, _LOOK, _STILL = 0.02, 1.0, 30.0
#: How often a device that may not be there is called.
_CALLS = 4


class LinkTransport(Transport):
    """Memory and registers of a device behind ``port``.

    Members
    -------
    identity: what the device says of itself. session: the link's state.

    Raises
    ------
    LinkError: nothing answers. ConfigError: what answers is no device of this version.
    """

    def __init__(self, port: Port):
        self.port = port
        self.session = Session(port)
        if Status.FAILED in self.session.sync(_CALLS):
            self.session.execute([Request(Op.CLEAR)])
        (octets,) = self.session.execute([Request(Op.READ_IDENTITY, count=IDENTITY_SIZE)])
        self.identity = Identity.decode(octets)
        self.session.buffer = self.identity.buffer

    @property
    def config(self) -> Config:
        return self.identity.config

    @property
    def memory_size(self) -> int:
        return self.identity.memory_size

    def check_config(self, wanted: Config):
        """Raises ConfigError unless the device was built with ``wanted``."""
        keys = [key for key in Config.__struct_fields__ if getattr(wanted, key) != getattr(self.config, key)]
        if keys:
            what = ", ".join(
                f"{key} is {getattr(self.config, key)!r}, not {getattr(wanted, key)!r}" for key in keys
            )
            raise ConfigError(f"The device was built with another configuration: {what}.")

    # --- memory -----------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> np.ndarray:
        self._check(address, size)
        pieces = [
            Request(Op.READ_MEMORY, at, count=min(MOST_DATA, address + size - at))
            for at in range(address, address + size, MOST_DATA)
        ]
        return np.frombuffer(b"".join(self.session.execute(pieces)), np.uint8).copy()

    def write(self, address: int, octets: np.ndarray):
        self._check(address, len(octets))
        self.session.execute(_writes(address, octets))

    def _check(self, address: int, size: int):
        if not 0 <= address <= address + size <= self.memory_size:
            raise ValueError(f"Memory must hold {size} bytes at {address:#x}; it has {self.memory_size:#x}")

    # --- registers --------------------------------------------------------------------------------------

    def csr_read(self, address: int) -> int:
        return self.csr_reads([address])[0]

    def csr_write(self, address: int, value: int):
        self.csr_writes([(address, value)])

    def csr_reads(self, addresses: Sequence[int]) -> list[int]:
        runs = _runs(addresses)
        found = self.session.execute([Request(Op.READ_CSR, at, count=4 * count) for at, count in runs])
        return np.frombuffer(b"".join(found), "<u4").tolist()

    def csr_writes(self, values: Sequence[tuple[int, int]]):
        octets = np.array([value for _, value in values], "<u4").tobytes()
        requests, done = [], 0
        for at, count in _runs([address for address, _ in values]):
            requests.append(Request(Op.WRITE_CSR, at, octets[4 * done : 4 * (done + count)]))
            done += count
        self.session.execute(requests)

    def close(self):
        self.port.close()

    def wait(self, limit: int):
        pause, seen = 0.001, -1
        look = since = time.monotonic()
        while Status.IRQ not in self.session.sync():
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE)
            now = time.monotonic()
            if now < look + _LOOK:
                continue
            look = now
            low, high = self.csr_reads([address_of("CYCLES_LOW"), address_of("CYCLES_HIGH")])
            cycles = low | high << 32
            if cycles > limit:
                raise TimeoutError(f"it has not within {cycles} cycles.")
            if cycles != seen:
                seen, since = cycles, now
            elif now > since + _STILL:
                raise TimeoutError(f"its cycles have stood at {cycles} for {_STILL:g} s.")


def _runs(addresses: Sequence[int]) -> list[tuple[int, int]]:
    """Registers one behind the other in as few runs as possible: first address and count of each."""
    runs: list[tuple[int, int]] = []
    for address in addresses:
        if runs and address == runs[-1][0] + 4 * runs[-1][1] and 4 * runs[-1][1] < MOST_DATA:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((address, 1))
    return runs


def _writes(address: int, octets: np.ndarray) -> list[Request]:
    """Requests that write ``octets``; runs of zeros take one that has nothing to carry."""
    requests = []
    end = address + len(octets)
    first, last = -(-address // FILL_UNIT) * FILL_UNIT, end // FILL_UNIT * FILL_UNIT
    zero: np.ndarray = np.zeros(0, bool)
    if first < last:
        zero = np.logical_not(octets[first - address : last - address].reshape(-1, FILL_UNIT).any(axis=1))
    # Where what is to be done changes, as addresses.
    edges = first + FILL_UNIT * (np.flatnonzero(np.diff(zero)) + 1)
    begins = sorted({address, *([first] if zero.size and zero[0] else []), *edges.tolist()})
    if zero.size and zero[-1]:
        begins = sorted({*begins, last} - {end})
    for begin, stop in zip(begins, [*begins[1:], end]):
        fills = first <= begin < last and bool(zero[(begin - first) // FILL_UNIT])
        step = MOST_FILL if fills else MOST_DATA
        for at in range(begin, stop, step):
            size = min(step, stop - at)
            data = octets[at - address : at - address + size].tobytes()
            requests.append(
                Request(Op.FILL_MEMORY, at, count=size) if fills else Request(Op.WRITE_MEMORY, at, data)
            )
    return requests


def serial_transport(name: str, baud: int) -> LinkTransport:
    """The device at the serial port ``name``. Raises ConfigError or LinkError, with a sentence each."""
    port = SerialPort(name, baud)
    try:
        return LinkTransport(port)
    except LinkError:
        port.close()
        raise LinkError(
            f"Nothing answers at {name!r} at {baud} baud: check that the board has power and its bitstream is "
            "loaded, that this is its port, and that the rate is the one that it was built with (?baud=…)."
        ) from None
    except ConfigError:
        port.close()
        raise
