"""The link's gateware with a memory and a few registers, and a host's port to it that damages frames."""

import functools

import numpy as np
from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.link.memory_link import MemoryLink
from sat_hdl.memory.axi import Axi4Signature
from sat_hdl.memory.axi_lite import AxiLiteBridge
from sat_hdl.sim.byte_system import ByteSystem
from sat_hdl.sim.damage import Damage
from sat_hdl.sim.memory import MemoryConfig

SIZE, BUFFER, REGISTERS = 1 << 16, 2048, 16
IDENTITY = bytes(range(32, 127)) * 3
#: The register that counts how often it is written; one more is the interrupt.
COUNTER, IRQ = 0, 1


class Rig(wiring.Component):
    """A link and REGISTERS registers."""

    def __init__(self, data_bits: int):
        self._link = MemoryLink(data_bits=data_bits, csr_bits=9, buffer=BUFFER, identity=IDENTITY)
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                "m_axi": Out(Axi4Signature(data_bits=data_bits, id_bits=1)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = self._link
        m.submodules.bridge = bridge = AxiLiteBridge(address_bits=9)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.m_axi, flipped(self.m_axi))
        connect(m, link.m_csr, bridge.s_axi)
        registers = Array(Signal(32, name=f"register_{i}") for i in range(REGISTERS))
        chosen = registers[bridge.address[2:6]]
        mask = Cat(bridge.write_mask[i].replicate(8) for i in range(4))
        m.d.comb += [
            bridge.read_data.eq(chosen),
            link.irq.eq(registers[IRQ][0]),
            self.busy.eq(link.busy),
        ]
        with m.If(bridge.write):
            written = (bridge.write_data & mask) | (chosen & ~mask)
            m.d.sync += chosen.eq(Mux(bridge.address[2:6] == COUNTER, chosen + 1, written))
        return m


@functools.cache
def rig(data_bits: int) -> ByteSystem:
    """Compiled once; its memory stays from test to test."""
    return ByteSystem(Rig(data_bits), memory=MemoryConfig(size=SIZE))


class SimPort:
    """A :class:`~sat_hdl.link.session.Port` to a simulated design, without time of its own.

    Members
    -------
    pulled: while it is set, nothing gets through.
    """

    def __init__(self, system: ByteSystem, *, rate: float = 0.0, seed: int = 0):
        self.there, self.back = (Damage(rate, f"{seed} {way}") for way in ("there", "back"))
        self.system, self.pulled, self.reopened = system, False, 0
        self._waiting = b""

    def send(self, octets: bytes):
        self._waiting += b"" if self.pulled else self.there.feed(octets)

    def receive(self, timeout: float) -> bytes:
        # Silence for as long as any request takes here, whatever the clock on the wall says.
        for _ in range(40):
            octets, self._waiting = self._waiting, b""
            found, _ = self.system.exchange(octets, limit=1000)
            found = b"" if self.pulled else self.back.feed(found)
            if found:
                return found
        return b""

    def reopen(self):
        self.reopened += 1

    def close(self):
        pass


def memory(seed: int) -> np.ndarray:
    """Random bytes for the whole memory, with many that frames must escape."""
    rng = np.random.default_rng(seed)
    octets = rng.integers(0, 256, SIZE, np.uint8)
    octets[rng.random(SIZE) < 0.1] = 0x7E
    octets[rng.random(SIZE) < 0.1] = 0x7D
    return octets
