"""A design in its system: a memory on its AXI4 port, the host on its AXI4-Lite port, all simulated in C++.

with System(component, memory=MemoryConfig(size=1 << 20, read_latency=(1, 60))) as system:
    system.memory[:1024] = image
    system.csr_write(0x00, 1)
    cycles = system.run_until_irq(100_000)
"""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import fields

import numpy as np
from amaranth.lib import wiring

from sat_hdl.sim import _library as lib
from sat_hdl.sim._axi_ports import csr_table, has_port, memory_table
from sat_hdl.sim.memory_config import CHANGE, CHANNELS, EVENT, ORDERS, MemoryConfig, MemoryCounters
from sat_hdl.sim.model import Model
from sat_hdl.sim.run import ProtocolError, SimulationError, SimulationTimeout

__all__ = [
    "CHANGE",
    "CHANNELS",
    "EVENT",
    "MemoryConfig",
    "MemoryCounters",
    "ProtocolError",
    "ResponseError",
    "SimulationError",
    "SimulationTimeout",
    "System",
]

_RESPONSES = {2: "SLVERR", 3: "DECERR"}
#: Cycles that one call of the library simulates, so that Ctrl-C is answered.
_SLICE = 1 << 20


class ResponseError(SimulationError):
    """A register access was answered by SLVERR or DECERR."""


class System(Model):
    """A design with a memory on its AXI4 master port and the host on its AXI4-Lite slave port.

    Signals are found as ``m_axi__awaddr`` or ``m_axi_awaddr``. The memory checks what the design does on the
    port; the first violation of the protocol ends the call that meets it, and every later one until the reset.

    Arguments
    ---------
    design, name, extra_sources: see :class:`Model`.
    memory: what is on the AXI4 port; None if the design has none.
    contents: uint8 (size,) to use as the memory's bytes, shared; else zeros.
    memory_port, csr_port, irq: names of the ports. A design need not have the last two.
    csr_stall: probability per cycle that a channel of the host rests.

    Raises
    ------
    ToolError, BuildError: see :func:`sat_hdl.sim.build.build_library`.
    ValueError: the design has no such port, or one of another shape.
    """

    def __init__(
        self,
        design: wiring.Component | str,
        name: str = "top",
        *,
        memory: MemoryConfig | None = None,
        contents: np.ndarray | None = None,
        memory_port: str = "m_axi",
        csr_port: str = "s_axi",
        irq: str = "irq",
        csr_stall: float = 0.0,
        extra_sources: Iterable[str] = (),
    ):
        self._system = None
        super().__init__(design, name, extra_sources=extra_sources)
        self._irq = irq
        self._memory_config, self._array = None, None
        self._has_csr = has_port(self._ports, csr_port)
        self._csr_seed = 0 if memory is None else memory.seed
        tables = (
            (memory_port.encode(), memory_table(self._ports, memory_port))
            if memory is not None
            else (None, None),
            (csr_port.encode(), csr_table(self._ports, csr_port)) if self._has_csr else (None, None),
        )
        self._system = self._lib.sim_system_new(self._lib.sim_design(self._model), *tables[0], *tables[1])
        if memory is not None:
            self._array = np.zeros(memory.size, np.uint8) if contents is None else contents
            self.configure(memory)
        if self._has_csr:
            self._lib.sim_system_csr(self._system, int(csr_stall * 2**32), self._csr_seed)
        self.reset()

    def close(self):
        system, self._system = getattr(self, "_system", None), None
        if system:
            self._lib.sim_system_delete(system)
        super().close()

    # --- memory ---------------------------------------------------------------------------------

    @property
    def memory(self) -> np.ndarray:
        """The memory's bytes, uint8 (size,); not a copy."""
        self._need_memory()
        assert self._array is not None
        return self._array

    def configure(self, memory: MemoryConfig):
        """Changes how the memory behaves from the next cycle on. Its size and base stay."""
        old = self._memory_config
        if self._array is None:
            raise ValueError("This system has no memory")
        if old is not None and (old.size, old.base) != (memory.size, memory.base):
            raise ValueError("A memory's size and base can't be changed")
        array = self._array
        if array.dtype != np.uint8 or array.shape != (memory.size,) or not array.flags.c_contiguous:
            raise ValueError(
                f"A memory's contents must be uint8 ({memory.size},), not {array.dtype} {array.shape}"
            )
        if not array.flags.writeable:
            raise ValueError("A memory's contents must be writable")
        errors = [(*r, 2) for r in memory.slverr] + [(*r, 3) for r in memory.decerr]
        writable = [(*r, 0) for r in memory.writable or ()]
        tables = [
            (lib.Range * len(rows))(*[lib.Range(start, start + size, answer) for start, size, answer in rows])
            for rows in (errors, writable)
        ]
        read_latency, write_latency = memory.latencies
        config = lib.MemoryConfig(
            data=array.ctypes.data, base=memory.base, size=memory.size, seed=memory.seed % 2**64,
            bandwidth=0 if memory.bandwidth is None else max(1, int(memory.bandwidth * 2**32)),
            log_limit=memory.log, errors=tables[0], writable=tables[1], n_errors=len(errors),
            n_writable=len(writable), all_writable=memory.writable is None,
            read_latency=read_latency, write_latency=write_latency,
            stall=tuple(int(stall * 2**32) for stall in memory.stalls),
            outstanding=memory.outstanding, order=ORDERS.index(memory.order),
            ready_after_valid=memory.ready_after_valid,
        )  # fmt: skip
        self._memory_config = memory
        self._lib.sim_system_memory(self._system, ctypes.byref(config))

    @property
    def counters(self) -> MemoryCounters:
        """What the memory served since the reset."""
        self._need_memory()
        counters = lib.Counters()
        self._lib.sim_system_counters(self._system, ctypes.byref(counters))
        return MemoryCounters(**{f.name: getattr(counters, f.name) for f in fields(MemoryCounters)})

    @property
    def events(self) -> np.ndarray:
        """The first ``log`` events since the reset, of dtype EVENT (n,)."""
        self._need_memory()
        count = ctypes.c_uint64()
        address = self._lib.sim_system_events(self._system, ctypes.byref(count))
        return np.frombuffer(ctypes.string_at(address, count.value * EVENT.itemsize), EVENT)

    def record(self, ports: Mapping[str, tuple[int, int]], *, limit: int = 1 << 24):
        """Records changes of ports from the next cycle on, the first values included, in place of what was recorded.

        Arguments
        ---------
        ports: by name of a port of at most 64 bits: a mask of the bits whose changes are recorded, and one of the
            bits that are counted. limit: most changes to keep.
        """
        watches = []
        for name, (changes, counts) in ports.items():
            if self._port(name).width > 64:
                raise ValueError(
                    f"A port to record must have at most 64 bits; {name!r} has {self._port(name).width}"
                )
            watches.append(lib.Watch(changes, counts, self._numbers[name]))
        self._lib.sim_system_record(self._system, (lib.Watch * len(watches))(*watches), len(watches), limit)

    @property
    def changes(self) -> np.ndarray:
        """What was recorded, of dtype CHANGE (n,). Raises ValueError if it was more than the limit."""
        count, full = ctypes.c_uint64(), ctypes.c_uint32()
        address = self._lib.sim_system_changes(self._system, ctypes.byref(count), ctypes.byref(full))
        if full.value:
            raise ValueError(
                f"Changes of ports must be at most {count.value} to be recorded, but there were more"
            )
        return np.frombuffer(ctypes.string_at(address, count.value * CHANGE.itemsize), CHANGE)

    def check_idle(self):
        """Raises :class:`ProtocolError` if a burst is under way, or if more data were sent than asked for."""
        if open_ := self._open():
            raise ProtocolError(f"In cycle {self.cycles} the memory should be idle, but has {open_}.")

    def _need_memory(self):
        if self._array is None:
            raise ValueError("This system has no memory")

    def _open(self) -> str:
        if self._array is None:
            return ""
        counts = (ctypes.c_uint64 * 3)()
        self._lib.sim_system_open(self._system, counts)
        names = ("reads under way", "writes under way", "beats of data without an address")
        return ", ".join(f"{n} {name}" for n, name in zip(counts, names) if n)

    # --- time -----------------------------------------------------------------------------------

    @property
    def cycles(self) -> int:
        """Simulated since the reset."""
        return self._lib.sim_system_cycle(self._system)

    def reset(self):
        """Resets the design, forgets every burst under way, and starts the counters anew. The memory's bytes
        and the random generators stay."""
        super().reset()
        if self._system:
            self._lib.sim_system_reset(self._system)

    def step(self, cycles: int = 1):
        """Simulates ``cycles`` cycles."""
        self._wait(lib.Wait(port=-1), cycles)

    def run_until_irq(self, limit: int) -> int:
        """Runs until the interrupt is high; see :meth:`run_until`."""
        return self.run_until(self._irq, limit=limit)

    def run_until(self, port: str, value: int = 1, *, mask: int | None = None, limit: int) -> int:
        """Runs until ``port & mask`` is ``value`` at a clock edge; returns the cycles, that one included.

        Raises
        ------
        SimulationTimeout: it was not within ``limit`` cycles.
        """
        row = self._port(port)
        if row.width > 64:
            raise ValueError(f"A port to wait for must have at most 64 bits; {port!r} has {row.width}")
        everything = 2**row.width - 1
        wait = lib.Wait(port=self._numbers[port], mask=everything if mask is None else mask, value=value)
        status, ran = self._wait(wait, limit)
        if status != lib.DONE:
            what = f"Port {port!r} was not {value:#x}" + (
                f" in the bits {mask:#x}" if mask is not None else ""
            )
            raise SimulationTimeout(self._late(what, ran))
        return ran

    def run_until_csr(self, address: int, value: int, *, mask: int = 0xFFFFFFFF, limit: int) -> int:
        """Reads a register until it is ``value`` in the bits ``mask``; see :meth:`run_until`."""
        access = self._access(address, write=0)
        ran = 0
        while True:
            wait = lib.Wait(limit=limit - ran, slice=_SLICE, mask=mask, value=value)
            status = self._lib.sim_system_poll(self._system, ctypes.byref(access), ctypes.byref(wait))
            ran += wait.cycles
            self._answer(status, access)
            if status == lib.DONE:
                return ran
            if ran >= limit:
                what = f"The register at {address:#x} was not {value:#x} in the bits {mask:#x}"
                raise SimulationTimeout(self._late(what, ran))

    def _wait(self, wait: lib.Wait, limit: int) -> tuple[int, int]:
        ran = 0
        while ran < limit:
            wait.limit = min(limit - ran, _SLICE)
            status = self._lib.sim_system_run(self._system, ctypes.byref(wait))
            ran += wait.cycles
            self._check(status)
            if status == lib.DONE:
                return status, ran
        return lib.LIMIT, ran

    def _late(self, what: str, ran: int) -> str:
        open_ = self._open()
        where = f" The memory has {open_}." if open_ else ""
        return f"{what} within {ran} cycles ({self._seed}).{where}"

    @property
    def _seed(self) -> str:
        return f"seed {self._csr_seed if self._memory_config is None else self._memory_config.seed}"

    def _check(self, status: int):
        if status == lib.VIOLATION:
            text = self._lib.sim_system_violation(self._system).decode()
            raise ProtocolError(f"{text} ({self._seed}).")
        super()._check(status)

    # --- registers ------------------------------------------------------------------------------

    def csr_read(self, address: int, *, limit: int = 10_000) -> int:
        """Value of the register at ``address``.

        Raises
        ------
        ResponseError: the answer was an error. SimulationTimeout: there was none within ``limit`` cycles.
        """
        access = self._access(address, write=0, limit=limit)
        self._run_access(access)
        return access.data

    def csr_write(self, address: int, value: int, *, strobe: int = 0xF, limit: int = 10_000):
        """Writes the register at ``address``; ``strobe`` chooses bytes. Raises as :meth:`csr_read`."""
        if not 0 <= value < 2**32:
            raise ValueError(f"A register's value must fit 32 bits, not {value!r}")
        self._run_access(self._access(address, write=1, data=value, strobe=strobe, limit=limit))

    def _access(self, address: int, **fields: int) -> lib.Access:
        if not self._has_csr:
            raise ValueError("This design has no port for registers")
        if address < 0:
            raise ValueError(f"A register's address must not be negative, as {address!r} is")
        return lib.Access(address=address, **fields)

    def _run_access(self, access: lib.Access):
        status = self._lib.sim_system_access(self._system, ctypes.byref(access))
        self._answer(status, access)
        if status == lib.LIMIT:
            what = f"The {'write to' if access.write else 'read of'} the register at {access.address:#x}"
            raise SimulationTimeout(self._late(f"{what} had no answer", access.cycles))

    def _answer(self, status: int, access: lib.Access):
        self._check(status)
        if status == lib.BUSY:
            raise SimulationError("An earlier access to a register has had no answer yet: reset the system.")
        if status == lib.DONE and access.response:
            answer = _RESPONSES.get(access.response, f"response {access.response}")
            what = "write to" if access.write else "read of"
            raise ResponseError(f"The {what} the register at {access.address:#x} was answered by {answer}.")
