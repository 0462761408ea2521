"""A verilated model as a Python object: its ports, its clock, its reset."""

import ctypes
from collections.abc import Iterable
from types import TracebackType

from amaranth.lib import wiring

from sat_hdl.sim import _library as lib
from sat_hdl.sim.build import build_library
from sat_hdl.sim.late_reset import CYCLES, late_reset
from sat_hdl.sim.run import SimulationError
from sat_hdl.sim.verilog import emit

__all__ = ["Model"]


class Model:
    """An instance of a compiled ``design``. It starts reset, and is independent of every other.

    Arguments
    ---------
    design: a component, or the text of a Verilog design.
    name: the top module's name.
    extra_sources: Verilog text that a component needs beside its own.

    Raises
    ------
    ToolError, BuildError: see :func:`sat_hdl.sim.build.build_library`.
    """

    def __init__(
        self, design: wiring.Component | str, name: str = "top", *, extra_sources: Iterable[str] = ()
    ):
        text = design if isinstance(design, str) else emit(design, name, extra_sources=extra_sources)
        late = late_reset(text, name)
        self._settling = 0 if late == text else CYCLES
        self._lib = lib.load(build_library(late, name))
        self._model = self._lib.sim_new()
        rows = self._lib.sim_ports(self._model)
        self._ports = {row.name.decode(): row for row in rows[: self._lib.sim_port_count(self._model)]}
        self._numbers = {name: i for i, name in enumerate(self._ports)}
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None):
        self.close()

    def __del__(self):
        self.close()

    def close(self):
        """Frees the model. Allowed twice."""
        model, self._model = getattr(self, "_model", None), None
        if model:
            self._lib.sim_delete(model)

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """Name → ("in" or "out", width) of every port, clock and reset included."""
        return {name: ("in" if port.is_input else "out", port.width) for name, port in self._ports.items()}

    def _port(self, name: str) -> lib.Port:
        if name not in self._ports:
            raise ValueError(f"A port must be one of {', '.join(self._ports)}, not {name!r}")
        return self._ports[name]

    def set(self, port: str, value: int):
        """Drives an input, from the next cycle on. A negative value is taken as two's complement."""
        p = self._port(port)
        if not p.is_input:
            raise ValueError(f"Port {port!r} must be an input to be set; it is an output")
        if not -(1 << p.width) // 2 <= value < 1 << p.width:
            raise ValueError(f"A value for port {port!r} must fit {p.width} bits, not {value!r}")
        octets = (int(value) & ((1 << p.width) - 1)).to_bytes(p.bytes, "little")
        ctypes.memmove(p.data, octets, p.bytes)

    def get(self, port: str) -> int:
        """Value of a port as the coming clock edge will find it."""
        p = self._port(port)
        self._lib.sim_settle(self._model)
        return int.from_bytes(ctypes.string_at(p.data, p.bytes), "little")

    def step(self, cycles: int = 1):
        """Clocks the design, all inputs held."""
        self._check(self._lib.sim_step(self._model, cycles))

    def reset(self):
        """Drives every input to 0 and holds the reset, where there is one, for two cycles.

        What the design's assertions say of the cycles before does not count.
        """
        for name, port in self._ports.items():
            if port.is_input:
                self.set(name, int(name == "rst"))
        self._lib.sim_step(self._model, 2)
        if "rst" in self._ports:
            self.set("rst", 0)
            self._lib.sim_step(self._model, self._settling)
        self._lib.sim_restart(self._model)

    def _check(self, status: int):
        if status == lib.STOPPED:
            where = self._lib.sim_stop_reason(self._model).decode()
            raise SimulationError(f"An assertion failed, or the design ended the simulation, at {where}.")
