"""A board without the board: its design simulated, its serial port a pseudo-terminal."""

import os
import pty
import select
import time
import tty
from pathlib import Path
from threading import Event

from sat_hdl.config import Config, ConfigError
from sat_hdl.fpga.sat_board import SatBoard, SerialBoard
from sat_hdl.sim.byte_system import ByteSystem
from sat_hdl.sim.damage import Damage
from sat_hdl.sim.kept import kept_verilog
from sat_hdl.sim.memory import MemoryConfig

__all__ = ["DIVISOR", "EmulatedBoard"]

#: Cycles a bit: the fewest that the port's hardware takes.
DIVISOR = 4
#: Seconds that a call simulates, about; that an idle board looks for bytes; cycles that a call simulates.
_SLICE, _IDLE = 0.004, 0.1
_LEAST, _MOST = 500, 1 << 20
#: Bytes that wait for a host that does not read; more are lost, as on a board.
_UNREAD = 1 << 20
#: Of a simulated clock, for what only lights depend on.
_CLOCK_HZ = 50e6


class EmulatedBoard:
    """A :class:`~sat_hdl.fpga.sat_board.SatBoard` in Verilator behind a pseudo-terminal.

    Its clock stands while there is nothing to do. :meth:`serve` runs it; everything else may be called from other
    threads meanwhile.

    Arguments
    ---------
    config: of the accelerator. memory_size: bytes, a multiple of 4096; memory answers after 10 cycles.
    divisor: cycles a bit of the serial port; None: bytes go to the link as they are, which is faster.
    damage: share of the frames that are damaged, each way. seed: of the damage.
    link: name for the terminal, a symbolic link; it must not be there yet.

    Members
    -------
    there, back: what was damaged so far, by direction. cycles: simulated so far.
    """

    def __init__(
        self,
        config: Config,
        *,
        memory_size: int,
        divisor: int | None = DIVISOR,
        damage: float = 0.0,
        seed: int = 0,
        link: Path | None = None,
    ):
        def make():
            board = SatBoard(config=config, memory_size=memory_size, clock_hz=_CLOCK_HZ)
            return board if divisor is None else SerialBoard(board=board, divisor=divisor)

        design = kept_verilog(make, f"board with {memory_size} bytes, divisor {divisor}", config)
        self._system = ByteSystem(design, memory=MemoryConfig(size=memory_size), divisor=divisor)
        self.there, self.back = (Damage(damage, f"{seed} {way}") for way in ("there", "back"))
        self.cycles = 0
        self._link = link
        self._ends: tuple[int, int] | None = None
        self._unplug_for: float | None = None
        self._back_at = 0.0
        self._waiting = b""  # for the host to read
        self._chunk = _LEAST
        self._plug()

    # --- the cable --------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """What a host opens."""
        if self._link is not None:
            return str(self._link)
        return "" if self._ends is None else os.ttyname(self._ends[1])

    def unplug(self, seconds: float):
        """The terminal goes away, with all that is on its way, and one comes back ``seconds`` later; under another
        name, but for ``link``."""
        self._unplug_for = seconds

    def _plug(self):
        # The host's end stays open here too: else there is an error whenever no host has it open.
        here, there = pty.openpty()
        tty.setraw(there)
        os.set_blocking(here, False)
        self._ends = (here, there)
        if self._link is not None:
            try:
                self._link.symlink_to(os.ttyname(there))
            except OSError as error:
                self.close()
                raise ConfigError(f"{str(self._link)!r} can't be made: {error.strerror}.") from None

    def close(self):
        """Ends the terminal. Allowed twice."""
        if self._ends is None:
            return
        name = os.ttyname(self._ends[1])
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == name:
            self._link.unlink()
        for end in self._ends:
            os.close(end)
        self._ends = None

    # --- time -------------------------------------------------------------------------------------------

    def serve(self, stop: Event):
        """Runs until ``stop`` is set."""
        while not stop.is_set():
            self._cable()
            octets = self._read()
            begun = time.perf_counter()
            given, cycles = self._system.exchange(self.there.feed(octets), limit=self._chunk)
            self.cycles += cycles
            took = time.perf_counter() - begun
            if cycles == self._chunk:
                wanted = int(self._chunk * _SLICE / max(took, 1e-6))
                self._chunk = min(max((self._chunk + wanted) // 2, _LEAST), _MOST)
            self._write(self.back.feed(given))
            if not octets and not given and cycles < self._chunk:
                ends = [] if self._ends is None else [self._ends[0]]
                select.select(ends, [], [], _IDLE)

    def _cable(self):
        now = time.monotonic()
        if self._unplug_for is not None:
            self._back_at, self._unplug_for = now + self._unplug_for, None
            self.close()
            self._waiting = b""
        if self._ends is None and now >= self._back_at:
            self._plug()

    def _read(self) -> bytes:
        try:
            return b"" if self._ends is None else os.read(self._ends[0], 4096)
        except BlockingIOError:
            return b""

    def _write(self, octets: bytes):
        if self._ends is None:
            return
        self._waiting = (self._waiting + octets)[:_UNREAD]
        try:
            if self._waiting:
                self._waiting = self._waiting[os.write(self._ends[0], self._waiting) :]
        except BlockingIOError:
            pass  # the host reads later
