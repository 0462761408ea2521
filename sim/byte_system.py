"""A design whose host speaks to it by bytes, through a serial port or as streams, all simulated in C++."""

import ctypes
from collections.abc import Iterable

import numpy as np
from amaranth.lib import wiring

from sat_hdl.sim import _library as lib
from sat_hdl.sim.memory import MemoryConfig, System

__all__ = ["ByteSystem"]

_STREAMS = ("rx__payload", "rx__valid", "rx__ready", "tx__payload", "tx__valid", "tx__ready")
#: Cycles without anything on the way, in bytes' times, after which an exchange may end.
_QUIET = 4


class ByteSystem(System):
    """A design with a memory on its AXI4 port and the host on ``rx`` and ``tx``. Its output ``busy`` says that there
    is something to do.

    Arguments
    ---------
    design, name, memory, contents, extra_sources: see :class:`~sat_hdl.sim.memory.System`.
    divisor: cycles a bit of the serial port that ``rx`` and ``tx`` are; None: they are streams of bytes.
    """

    def __init__(
        self,
        design: wiring.Component | str,
        name: str = "top",
        *,
        memory: MemoryConfig | None = None,
        contents: np.ndarray | None = None,
        divisor: int | None = None,
        extra_sources: Iterable[str] = (),
    ):
        self._divisor = divisor
        super().__init__(design, name, memory=memory, contents=contents, extra_sources=extra_sources)
        names = _STREAMS if divisor is None else ("rx", None, None, "tx", None, None)
        for each in names:
            if each not in (None, "rx__ready"):  # which a stream that is always ready doesn't have
                self._port(each)
        numbers = [-1 if each is None else self._numbers.get(each, -1) for each in (*names, "busy")]
        self._lib.sim_system_bytes(self._system, (ctypes.c_int32 * len(numbers))(*numbers), divisor or 0)
        self.reset()

    def exchange(self, octets: bytes = b"", *, limit: int) -> tuple[bytes, int]:
        """Sends ``octets`` as soon as the port allows, and simulates ``limit`` cycles, or fewer if nothing is on the
        way any more and the design is not busy; returns what came from it, and the cycles."""
        quiet = _QUIET * 10 * (self._divisor or 1)
        exchange = lib.Exchange(data=octets, count=len(octets), limit=limit, quiet=quiet)
        status = self._lib.sim_system_exchange(self._system, ctypes.byref(exchange))
        given = ctypes.string_at(exchange.given, exchange.given_count) if exchange.given_count else b""
        self._check(status)
        return given, exchange.cycles
