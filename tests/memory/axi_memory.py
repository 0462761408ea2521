"""An AXI4 memory in Python beside a verilated design: as slow, unordered and faulty as asked; checks the rules."""

import ctypes
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sat_hdl.sim.model import Model

SLVERR = 2


class Pins:
    """Fast access to a model's ports as attributes: ``pins["port"]`` reads after :meth:`settle`."""

    def __init__(self, model: Model):
        self.model = model
        self._kinds = {}
        for name in model.ports:
            port = model._port(name)
            kind = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}
            if port.bytes in kind:
                self._kinds[name] = kind[port.bytes].from_address(port.data)
            else:
                self._kinds[name] = (port.data, port.bytes)

    def __getitem__(self, name: str) -> int:
        kind = self._kinds[name]
        if isinstance(kind, tuple):
            return int.from_bytes(ctypes.string_at(*kind), "little")
        return kind.value

    def __setitem__(self, name: str, value: int):
        kind = self._kinds[name]
        if isinstance(kind, tuple):
            ctypes.memmove(kind[0], value.to_bytes(kind[1], "little"), kind[1])
        else:
            kind.value = value

    def settle(self):
        self.model.get("rst")


@dataclass(frozen=True, kw_only=True)
class Weather:
    """``latency``: cycles of an answer, from … to. ``stall``: probability that a channel is not ready, or gives
    nothing, in a cycle. ``mixed``: answers to different identifiers come in any order, reads' beat by beat."""

    latency: tuple[int, int] = (1, 1)
    stall: float = 0.0
    mixed: bool = False


class AxiMemory:
    """The subordinate of port ``bus``. ``faulty(address)``: whether a beat there is answered by an error.

    ``reads``, ``writes``: beats so far. ``read_bursts``, ``write_bursts``: (address, beats, identifier) so far.
    """

    def __init__(
        self,
        pins: Pins,
        bus: str,
        memory: np.ndarray,
        *,
        data_bits: int,
        burst_beats: int,
        weather: Weather,
        seed: int,
        faulty: Callable[[int], bool] = lambda address: False,
    ):
        self.pins, self.bus, self.memory, self.size = pins, bus, memory, data_bits // 8
        self.burst_beats, self.weather, self.faulty = burst_beats, weather, faulty
        self.random = random.Random(seed)
        self.cycle = 0
        self.reads = self.writes = 0
        self.read_bursts, self.write_bursts = [], []
        self._reading: dict[int, deque] = {}  # identifier → (due, address, beats left)
        self._read_order: deque = deque()  # identifiers, in order of their requests
        self._addressed: deque = deque()  # writes whose data are to come
        self._early: deque = deque()  # data that came before their address
        self._answers: dict[int, deque] = {}
        self._answer_order: deque = deque()
        self._held: dict[str, tuple] = {}
        self._r = self._b = None

    @property
    def outstanding(self) -> int:
        """Bursts that have not been answered in full."""
        return (
            sum(map(len, self._reading.values()))
            + sum(map(len, self._answers.values()))
            + len(self._addressed)
        )

    def _pin(self, name: str) -> int:
        return self.pins[f"{self.bus}_{name}"]

    def _put(self, **values: int):
        for name, value in values.items():
            self.pins[f"{self.bus}_{name}"] = value

    def _stalls(self) -> bool:
        return self.random.random() < self.weather.stall

    def _due(self) -> int:
        return self.cycle + self.random.randint(*self.weather.latency)

    def _choose(self, queues: dict[int, deque], order: deque) -> int | None:
        """An identifier whose oldest burst may be answered now."""
        if self.weather.mixed:
            ready = [i for i, queue in queues.items() if queue and queue[0][0] <= self.cycle]
            return self.random.choice(ready) if ready else None
        return order[0] if order and queues[order[0]][0][0] <= self.cycle else None

    def drive(self):
        """Sets the inputs of the cycle to come."""
        self._put(arready=not self._stalls(), awready=not self._stalls(), wready=not self._stalls())
        if self._r is None and not self._stalls():
            self._r = self._choose(self._reading, self._read_order)
            if self._r is not None:
                _, address, left = self._reading[self._r][0]
                self._put(
                    rid=self._r,
                    rdata=int.from_bytes(self.memory[self._place(address)].tobytes(), "little"),
                    rresp=SLVERR if self.faulty(address) else 0,
                    rlast=left == 1,
                )
        self._put(rvalid=self._r is not None)
        if self._b is None and not self._stalls():
            self._b = self._choose(self._answers, self._answer_order)
            if self._b is not None:
                self._put(bid=self._b, bresp=self._answers[self._b][0][1])
        self._put(bvalid=self._b is not None)

    def _place(self, address: int) -> slice:
        start = address % len(self.memory)
        return slice(start, start + self.size)

    def watch(self):
        """Looks at the settled outputs: what is handed over at the coming edge."""
        self._steady("ar", ("arid", "araddr", "arlen", "arsize", "arburst"))
        self._steady("aw", ("awid", "awaddr", "awlen", "awsize", "awburst"))
        self._steady("w", ("wdata", "wstrb", "wlast"))
        if self._r is not None and self._pin("rready"):
            self._read_beat()
        if self._pin("awvalid") and self._pin("awready"):
            identifier, address, beats = self._address("aw")
            self.write_bursts.append((address, beats, identifier))
            self._addressed.append([identifier, address, beats, 0])
        if self._pin("arvalid") and self._pin("arready"):
            identifier, address, beats = self._address("ar")
            self.read_bursts.append((address, beats, identifier))
            self._reading.setdefault(identifier, deque()).append([self._due(), address, beats])
            self._read_order.append(identifier)
        if self._b is not None and self._pin("bready"):
            self._answers[self._b].popleft()
            self._answer_order.remove(self._b)
            self._b = None
        if self._pin("wvalid") and self._pin("wready"):
            # The address may be accepted later, but must have been offered.
            assert self._addressed or self._pin("awvalid"), "data came before their address"
            self._early.append((self._pin("wstrb"), self._pin("wdata"), self._pin("wlast")))
        while self._early and self._addressed:
            self._write_beat(*self._early.popleft())
        self.cycle += 1

    def _steady(self, channel: str, names: tuple[str, ...]):
        valid, ready = self._pin(f"{channel}valid"), self._pin(f"{channel}ready")
        payload = tuple(self._pin(name) for name in names) if valid else ()
        if channel in self._held:
            assert payload == self._held[channel], f"{channel} changed before it was accepted"
        self._held.pop(channel, None)
        if valid and not ready:
            self._held[channel] = payload

    def _address(self, channel: str) -> tuple[int, int, int]:
        address, beats = self._pin(f"{channel}addr"), self._pin(f"{channel}len") + 1
        assert self._pin(f"{channel}burst") == 1
        assert 1 << self._pin(f"{channel}size") == self.size
        assert address % self.size == 0, "a burst starts within a beat"
        assert beats <= self.burst_beats
        assert address // 4096 == (address + beats * self.size - 1) // 4096, "a burst crosses 4 KiB"
        return self._pin(f"{channel}id"), address, beats

    def _read_beat(self):
        self.reads += 1
        burst = self._reading[self._r][0]
        burst[1] += self.size
        burst[2] -= 1
        if not burst[2]:
            self._reading[self._r].popleft()
            self._read_order.remove(self._r)
        self._r = None

    def _write_beat(self, strobes: int, value: int, last: int):
        self.writes += 1
        burst = self._addressed[0]
        identifier, address, left, _ = burst
        if self.faulty(address):
            burst[3] = SLVERR
        else:
            mask = np.array([strobes >> i & 1 for i in range(self.size)], bool)
            beat = np.frombuffer(value.to_bytes(self.size, "little"), np.uint8)
            self.memory[self._place(address)][mask] = beat[mask]
        assert last == (left == 1)
        burst[1] += self.size
        burst[2] -= 1
        if left == 1:
            self._addressed.popleft()
            self._answers.setdefault(identifier, deque()).append((self._due(), burst[3]))
            self._answer_order.append(identifier)
