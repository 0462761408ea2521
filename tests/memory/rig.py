"""Readers and writers on one AXI4 port, and a bench that plays streams into and out of them cycle by cycle."""

import random
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from sat_hdl.memory.axi import Axi4Signature, connect_axi4
from sat_hdl.memory.descriptor import Descriptor, StreamError
from sat_hdl.memory.read_port import ReadPort
from sat_hdl.memory.reader import AffineReader
from sat_hdl.memory.write_port import WritePort
from sat_hdl.memory.writer import AffineWriter

from .axi_memory import AxiMemory, Pins


class Rig(wiring.Component):
    """Readers r0 … and writers w0 … on m_axi, the latter of ``descriptors`` each."""

    def __init__(
        self,
        *,
        readers: int,
        writers: int,
        data_bits: int,
        depth: int,
        burst_beats: int,
        descriptors: int = 1,
    ):
        arguments = {"data_bits": data_bits, "depth": depth, "burst_beats": burst_beats}
        self.readers = [AffineReader(**arguments, fill=True) for _ in range(readers)]
        self.writers = [AffineWriter(**arguments, descriptors=descriptors) for _ in range(writers)]
        self.read_port = ReadPort(clients=readers, data_bits=data_bits)
        self.write_port = WritePort(clients=writers, data_bits=data_bits)
        parts = {f"r{i}": part for i, part in enumerate(self.readers)}
        parts |= {f"w{i}": part for i, part in enumerate(self.writers)}
        self._parts = parts
        members = {}
        for name, part in parts.items():
            for member, what in part.signature.members.items():
                if member != "port":
                    members[f"{name}_{member}"] = what
        axi = Axi4Signature(data_bits=data_bits, id_bits=max(self.read_port.id_bits, self.write_port.id_bits))
        super().__init__({**members, "m_axi": Out(axi)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.read_port, m.submodules.write_port = self.read_port, self.write_port
        connect_axi4(m, self.m_axi, self.read_port.m_axi, self.write_port.m_axi)
        for port, parts in ((self.read_port, self.readers), (self.write_port, self.writers)):
            for client, part in zip(port.clients, parts, strict=True):
                connect(m, part.port, client)
        for name, part in self._parts.items():
            m.submodules[name] = part
            for member, what in part.signature.members.items():
                if member == "port":
                    continue
                inner, outer = getattr(part, member), getattr(self, f"{name}_{member}")
                if what.is_signature:
                    connect(m, inner, flipped(outer))
                elif what.flow is Out:
                    m.d.comb += outer.eq(inner)
                else:
                    m.d.comb += inner.eq(outer)
        return m


@dataclass
class Job:
    """A stream to read or to write: what went in and what came out.

    ``descriptor``: of a writer of several descriptors all of them; ``uses``: which of them take part, a mask.
    ``beats``: of a writer those to write (integers), of a reader those that came (data, last). ``stall``: probability
    of not taking or giving a beat. ``halt_at``: cycle after the first word in which halt rises. ``cycles``: from it
    to done; ``first``, ``last``: of the first and the last beat. ``taken``: beats.
    """

    descriptor: Descriptor | list[Descriptor]
    fill: int = 0
    uses: int | None = None
    beats: list = field(default_factory=list)
    stall: float = 0.0
    halt_at: int | None = None
    error: StreamError | None = None
    cycles: int = 0
    first: int | None = None
    last: int | None = None
    taken: int = 0


def play(
    pins: Pins,
    memory: AxiMemory,
    jobs: dict[str, list[Job]],
    *,
    seed: int,
    timeout: int = 200_000,
) -> int:
    """Runs each client's jobs one after another, all clients at once. → cycles."""
    clients = [_Client(pins, name, name[0] == "r", queue, seed) for name, queue in jobs.items()]
    cycle = 0
    while not all(client.idle for client in clients) or memory.outstanding:
        assert cycle < timeout, f"no end after {timeout} cycles, seed {seed}"
        memory.drive()
        for client in clients:
            client.drive()
        pins.settle()
        for client in clients:
            client.watch(memory)
        memory.watch()
        pins.model.step()
        cycle += 1
    return cycle


class _Client:
    def __init__(self, pins: Pins, name: str, reads: bool, jobs: list[Job], seed: int):
        self.pins, self.name, self.reads, self.jobs = pins, name, reads, list(jobs)
        self.random = random.Random(f"{name} {seed}")
        self.job: Job | None = None
        self.words: list[int] = []  # of the job, still to be given
        self.offered = False
        self.held = None

    @property
    def idle(self) -> bool:
        return self.job is None and not self.jobs

    def _get(self, part: str) -> int:
        return self.pins[f"{self.name}_{part}"]

    def _put(self, part: str, value: int):
        self.pins[f"{self.name}_{part}"] = int(value)

    def drive(self):
        if self.job is None and self.jobs and not self.words:
            job = self.jobs[0]
            if self.reads:
                self.words = [*job.descriptor.words(), job.fill]
            elif isinstance(job.descriptor, list):
                self.words = [word for descriptor in job.descriptor for word in descriptor.words()[:12]]
                self._put("uses", job.uses)
            else:
                self.words = job.descriptor.words()[:12]
        if self.words:
            self._put("words__payload", self.words[0])
        self._put(
            "words__valid", bool(self.words) and (self.job is None or self.random.random() >= self.job.stall)
        )
        job = self.job
        self._put("halt", job is not None and job.halt_at is not None and job.cycles >= job.halt_at)
        willing = job is not None and self.random.random() >= job.stall
        if self.reads:
            self._put("out__ready", willing)
        else:
            if not self.offered:
                self.offered = willing and bool(job.beats[job.taken :])
                width = self.pins.model.ports[f"{self.name}_data__payload"][1]
                value = job.beats[job.taken] if self.offered else self.random.getrandbits(width)
                self._put("data__payload", value)
            self._put("data__valid", self.offered)

    def watch(self, memory: AxiMemory):
        job = self.job
        if job is None:
            assert not self._get("done")
            if self._get("words__valid") and self._get("words__ready"):
                self.job = self.jobs.pop(0)
                self.words.pop(0)
            return
        if self._get("words__valid"):
            assert self._get("words__ready"), "a word of a stream had to wait"
            self.words.pop(0)
        job.cycles += 1
        moved = self._get("out__valid" if self.reads else "data__valid") and self._get(
            "out__ready" if self.reads else "data__ready"
        )
        if self.reads:
            payload = self._get("out__payload") if self._get("out__valid") else None
            assert self.held is None or payload == self.held or self._get("halt"), "a beat was withdrawn"
            self.held = payload if not moved else None
            if self._get("halt"):
                self.held = None
        if moved:
            job.first = job.cycles if job.first is None else job.first
            job.last = job.cycles
            job.taken += 1
            self.offered = False
            if self.reads:
                width = self.pins.model.ports[f"{self.name}_out__payload"][1] - 2
                job.beats.append((payload & ((1 << width) - 1), payload >> width & 1))
        if self._get("done"):
            job.error = StreamError(self._get("error"))
            self.job, self.offered = None, False


def beats_of(rows: np.ndarray, data_bits: int) -> list[int]:
    """Runs, uint8 (n, bytes), as beats; the last of a run is filled up with 0xA5."""
    size = data_bits // 8
    padded = np.full((len(rows), -(-rows.shape[1] // size) * size), 0xA5, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return [int.from_bytes(beat.tobytes(), "little") for beat in padded.reshape(-1, size)]
