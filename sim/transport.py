"""The simulated device as a transport of :class:`~sat_hdl.driver.Accelerator`."""

import numpy as np

from sat_hdl.config import Config
from sat_hdl.driver import Transport
from sat_hdl.sim.kept import kept_verilog
from sat_hdl.sim.memory import MemoryConfig, SimulationTimeout, System
from sat_hdl.system import SatTop

__all__ = ["SimTransport"]


class SimTransport(Transport):
    """A simulated SatTop and its memory.

    Arguments
    ---------
    config: of the device.
    memory: of its memory, which begins at address 0.
    design: text of a Verilog design to simulate in place of SatTop made anew.
    trace: whether the device tells what its units do; see :mod:`~sat_hdl.sim.timeline`.

    Members
    -------
    system: the simulation.
    """

    def __init__(
        self, config: Config, memory: MemoryConfig, *, design: str | None = None, trace: bool = False
    ):
        if memory.base != 0:
            raise ValueError(f"A device's memory must begin at address 0, not {memory.base!r}")
        if design is None:
            what = "SatTop with trace" if trace else "SatTop"
            design = kept_verilog(lambda: SatTop(config, trace=trace), what, config)
        self.system = System(design, memory=memory)
        self._config = config

    @property
    def config(self) -> Config:
        return self._config

    @property
    def memory_size(self) -> int:
        return len(self.system.memory)

    def read(self, address: int, size: int) -> np.ndarray:
        self._check(address, size)
        return self.system.memory[address : address + size].copy()

    def write(self, address: int, octets: np.ndarray):
        self._check(address, len(octets))
        self.system.memory[address : address + len(octets)] = octets

    def _check(self, address: int, size: int):
        if not 0 <= address <= address + size <= len(self.system.memory):
            raise ValueError(
                f"Memory must hold {size} bytes at {address:#x}; it has {len(self.system.memory):#x}"
            )

    def csr_read(self, address: int) -> int:
        return self.system.csr_read(address)

    def csr_write(self, address: int, value: int):
        self.system.csr_write(address, value)

    def wait(self, limit: int):
        try:
            self.system.run_until_irq(limit)
        except SimulationTimeout as error:
            raise TimeoutError(str(error)) from None
