"""An SDRAM behind AXI, with streams for channels, and what its bytes should be."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from sat_hdl.memory.axi import Burst, Response
from sat_hdl.memory.sdram.chip import ULX3S_CHIP, SdramChip
from sat_hdl.memory.sdram.controller import AxiSdram
from sat_hdl.memory.sdram.cut import address_layout
from sat_hdl.sim.fast import NONE, RunResult, Simulation, Stall
from sat_hdl.sim.models.sdram import SdramModel, Violation

ROWS = 4
#: The board's chip with 16 rows, refreshed as often as all 8192, that starts in 2 µs.
SMALL = dataclasses.replace(
    ULX3S_CHIP, row_bits=ROWS, retention=ULX3S_CHIP.retention * 2.0 ** (ROWS - 13), start=2000.0
)
ID_BITS = 3


def chip_with(**changes) -> SdramChip:
    return dataclasses.replace(SMALL, **changes)


class Rig(wiring.Component):
    """The controller with AXI's channels as streams, and the chip with its violations.

    ``lane``: cycles of flight on the board, that the controller is told of.
    """

    def __init__(
        self,
        *,
        data_bits: int,
        cas_latency: int = 3,
        chip: SdramChip = SMALL,
        clock_mhz: float = 100.0,
        delay: int = 0,
    ):
        self.controller = AxiSdram(
            data_bits=data_bits, id_bits=ID_BITS, chip=chip, clock_mhz=clock_mhz, cas_latency=cas_latency,
            input_delay=delay,
        )  # fmt: skip
        self.model = SdramModel(chip=chip, clock_mhz=clock_mhz, delay=delay)
        self.bytes = data_bits // 8
        address = address_layout(id_bits=ID_BITS)
        beat = data.StructLayout({"data": data_bits, "strb": self.bytes, "last": 1})
        answer = data.StructLayout({"data": data_bits, "id": ID_BITS, "resp": 2, "last": 1})
        super().__init__(
            {
                "aw": In(stream.Signature(address)),
                "ar": In(stream.Signature(address)),
                "w": In(stream.Signature(beat)),
                "b": Out(stream.Signature(data.StructLayout({"id": ID_BITS, "resp": 2}))),
                "r": Out(stream.Signature(answer)),
                "violation": Out(Violation),
                "at": Out(32),
                "poke": In(1),
                "word": In(len(self.model.word)),
                "poke_data": In(16),
                "peek_data": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.model = self.controller, self.model
        axi = self.controller.s_axi
        connect(m, self.controller.pins, self.model.pins)
        for name in ("violation", "at", "peek_data"):
            m.d.comb += getattr(self, name).eq(getattr(self.model, name))
        for name in ("poke", "word", "poke_data"):
            m.d.comb += getattr(self.model, name).eq(getattr(self, name))
        for name in ("aw", "ar", "w", "b", "r"):
            port = getattr(self, name)
            for field_name in port.payload.shape().members:
                ours, theirs = getattr(port.payload, field_name), getattr(axi, f"{name}{field_name}")
                m.d.comb += theirs.eq(ours) if name in ("aw", "ar", "w") else ours.eq(theirs)
            valid, ready = getattr(axi, f"{name}valid"), getattr(axi, f"{name}ready")
            if name in ("aw", "ar", "w"):
                m.d.comb += [valid.eq(port.valid), port.ready.eq(ready)]
            else:
                m.d.comb += [port.valid.eq(valid), ready.eq(port.ready)]
        return m


def pack(layout: data.StructLayout, rows: list[dict[str, int]]) -> np.ndarray:
    """Beats of a stream, uint32 (n, words)."""
    words = -(-layout.size // 32)
    out = np.zeros((len(rows), words), np.uint32)
    for i, row in enumerate(rows):
        bits = sum(int(value) << layout[name].offset for name, value in row.items())
        out[i] = [(bits >> (32 * j)) & 0xFFFFFFFF for j in range(words)]
    return out


def unpack(layout: data.StructLayout, beats: np.ndarray) -> list[dict[str, int]]:
    rows = []
    for beat in beats:
        bits = sum(int(word) << (32 * j) for j, word in enumerate(beat))
        rows.append({name: bits >> f.offset & ((1 << f.width) - 1) for name, f in layout})
    return rows


@dataclass(kw_only=True)
class Transfer:
    """A burst from byte ``address`` on, ``beats`` of 2^``size`` bytes."""

    address: int
    beats: int
    size: int
    id: int = 0
    burst: Burst = Burst.INCR
    data: list[int] = field(default_factory=list)
    strobes: list[int] = field(default_factory=list)

    def row(self) -> dict[str, int]:
        return {
            "id": self.id,
            "addr": self.address,
            "len": self.beats - 1,
            "size": self.size,
            "burst": self.burst.value,
        }

    def addresses(self) -> list[int]:
        """The byte at which each beat begins."""
        step = 1 << self.size
        return [self.address] + [(self.address & -step) + i * step for i in range(1, self.beats)]


class Bench:
    """A simulated rig, and the bytes that it should hold."""

    def __init__(self, **options):
        self.rig = Rig(**options)
        self.shapes = {n: getattr(self.rig, n).payload.shape() for n in ("aw", "ar", "w", "b", "r")}
        self.bytes = self.rig.bytes
        self.simulation = Simulation(self.rig)
        self.memory = np.zeros(options.get("chip", SMALL).size, np.uint8)
        self.known = np.zeros(len(self.memory), bool)

    def run(
        self, writes: list[Transfer], reads: list[Transfer], *, stall: Stall = NONE, quiet: int = 40
    ) -> RunResult:
        """Runs both at once, checks every answer, and that no rule of the chip was broken. They must not overlap."""
        inputs = {
            "aw": pack(self.shapes["aw"], [t.row() for t in writes]),
            "ar": pack(self.shapes["ar"], [t.row() for t in reads]),
            "w": pack(self.shapes["w"], [
                {"data": d, "strb": s, "last": i == t.beats - 1}
                for t in writes for i, (d, s) in enumerate(zip(t.data, t.strobes))
            ]),
        }  # fmt: skip
        outputs = {"b": len(writes), "r": sum(t.beats for t in reads)}
        run = self.simulation.run(inputs, outputs, stall=stall, idle_timeout=50_000, quiet=quiet)
        self.check()
        for transfer, answer in zip(writes, unpack(self.shapes["b"], run.outputs["b"])):
            assert answer == {"id": transfer.id, "resp": self.response(transfer).value}
            self.store(transfer)
        answers = iter(unpack(self.shapes["r"], run.outputs["r"]))
        for transfer in reads:
            for i, address in enumerate(transfer.addresses()):
                answer = next(answers)
                assert answer["id"] == transfer.id and answer["last"] == (i == transfer.beats - 1)
                assert answer["resp"] == self.response(transfer).value
                if self.response(transfer) == Response.OKAY:
                    self.compare(address & -self.bytes, answer["data"])
        return run

    def response(self, transfer: Transfer) -> Response:
        good = (
            transfer.burst == Burst.INCR
            and transfer.address < len(self.memory)
            and 1 << transfer.size <= self.bytes
        )
        return Response.OKAY if good else Response.SLVERR

    def store(self, transfer: Transfer):
        if self.response(transfer) != Response.OKAY:
            return
        for address, value, strobe in zip(transfer.addresses(), transfer.data, transfer.strobes):
            base = address & -self.bytes
            for i in range(self.bytes):
                if strobe >> i & 1:
                    self.memory[base + i] = value >> (8 * i) & 255
                    self.known[base + i] = True

    def compare(self, base: int, value: int):
        for i in range(self.bytes):
            assert not self.known[base + i] or self.memory[base + i] == value >> (8 * i) & 255, hex(base + i)

    def check(self):
        violation = Violation(self.simulation.get("violation"))
        assert violation == Violation.NONE, f"{violation} in cycle {self.simulation.get('at')}"

    def peek(self, word: int) -> int:
        self.simulation.set("word", word)
        return self.simulation.get("peek_data")
