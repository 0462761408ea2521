"""A whole device whose memory is an SDRAM: training steps, bit for bit, through controller and chip."""

import dataclasses

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.driver import Accelerator, Transport
from sat_hdl.memory.axi import AxiLiteSignature
from sat_hdl.memory.sdram.chip import ULX3S_CHIP
from sat_hdl.memory.sdram.controller import AxiSdram
from sat_hdl.sim.memory import System
from sat_hdl.sim.models.sdram import SdramModel, Violation
from sat_hdl.system import SatTop

from ...compiler.training import Training, compiled, settings
from ...test_driver import TINY

#: As little as there can be.
CONFIG = Config(
    rows=2, cols=2, max_m=4, memory_bits=32, vector_lanes=1, sore_lanes=1, west_depth=256, north_depth=512,
    result_depth=128, weight_stationary=False,
)  # fmt: skip

#: The board's chip with 128 rows (512 KB), refreshed as often as all 8192.
CHIP = dataclasses.replace(ULX3S_CHIP, row_bits=7, retention=1e6, start=2000.0)


class SdramSystem(wiring.Component):
    """SatTop, controller, chip."""

    def __init__(self, config: Config):
        self.device = SatTop(config)
        axi = self.device.m_axi
        self.controller = AxiSdram(data_bits=len(axi.wdata), id_bits=len(axi.arid), chip=CHIP)
        self.chip = SdramModel(chip=CHIP, clock_mhz=100.0)
        super().__init__(
            {
                "s_axi": In(AxiLiteSignature(address_bits=len(self.device.s_axi.awaddr))),
                "irq": Out(1),
                "violation": Out(Violation),
                "poke": In(1),
                "word": In(len(self.chip.word)),
                "poke_data": In(16),
                "peek_data": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.device, m.submodules.controller = self.device, self.controller
        m.submodules.chip = chip = self.chip
        connect(m, flipped(self.s_axi), self.device.s_axi)
        connect(m, self.device.m_axi, self.controller.s_axi)
        connect(m, self.controller.pins, chip.pins)
        m.d.comb += [
            self.irq.eq(self.device.irq), self.violation.eq(chip.violation), self.peek_data.eq(chip.peek_data),
            chip.poke.eq(self.poke), chip.word.eq(self.word), chip.poke_data.eq(self.poke_data),
        ]  # fmt: skip
        return m


class SdramTransport(Transport):
    """Registers through AXI4-Lite; memory as the chip's words, at any time."""

    config, memory_size = CONFIG, CHIP.size

    def __init__(self):
        self.system = System(SdramSystem(CONFIG))

    def read(self, address: int, size: int) -> np.ndarray:
        words = range(address >> 1, (address + size + 1) >> 1)
        found = np.zeros(len(words), np.uint16)
        for i, word in enumerate(words):
            self.system.set("word", word)
            found[i] = self.system.get("peek_data")
        return found.view(np.uint8)[address & 1 :][:size]

    def write(self, address: int, octets: np.ndarray):
        assert address % 2 == 0 and len(octets) % 2 == 0
        self.system.set("poke", 1)
        for i, value in enumerate(np.ascontiguousarray(octets).view(np.uint16)):
            self.system.set("word", (address >> 1) + i)
            self.system.set("poke_data", int(value))
            self.system.step()
        self.system.set("poke", 0)

    def csr_read(self, address: int) -> int:
        return self.system.csr_read(address)

    def csr_write(self, address: int, value: int):
        self.system.csr_write(address, value)

    def wait(self, limit: int):
        self.system.run_until_irq(limit)
        violation = Violation(self.system.get("violation"))
        assert violation == Violation.NONE, violation


def test_training():
    given = settings("bdwp", 2, 4, batch=3)
    step = compiled(TINY, CONFIG, given)
    assert step.size <= CHIP.size
    transport = SdramTransport()
    steps = Training(TINY, Accelerator(transport, limit=5_000_000), step, given, seed=1)
    steps.run()
    steps.run()
    # A refresh comes by every 774 cycles.
    assert transport.system.cycles > 50 * 774
    print(f"{transport.system.cycles} cycles")
