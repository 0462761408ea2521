"""A serial port, or what pyserial reaches as one, as the link's port."""

import errno
import time
from typing import Any

import serial
from serial.tools import list_ports

from sat_hdl.config import ConfigError
from sat_hdl.link.session import LinkError, LinkLost

__all__ = ["SerialPort"]

#: Seconds that a write may take, and that a port which went away may stay away.
_WRITE, _AWAY = 10.0, 30.0


class SerialPort:
    """A :class:`~sat_hdl.link.session.Port`.

    Arguments
    ---------
    name: of a device, or a URL that pyserial knows, such as socket://host:port.
    baud: bits per second.
    away: seconds within which :meth:`reopen` must succeed.

    Raises
    ------
    ConfigError: there is no such port, or it can't be opened; the text says why.
    """

    def __init__(self, name: str, baud: int, *, away: float = _AWAY):
        self._name, self._baud, self._away = name, baud, away
        try:
            self._serial = self._open()
        except (serial.SerialException, ValueError, OSError) as error:
            raise ConfigError(_why(name, baud, error)) from None

    def _open(self) -> Any:  # the class is the platform's
        exclusive = None if "://" in self._name else True
        port = serial.serial_for_url(
            self._name, baudrate=self._baud, timeout=0, write_timeout=_WRITE, exclusive=exclusive
        )
        port.reset_output_buffer()
        port.reset_input_buffer()
        return port

    def send(self, octets: bytes):
        """Raises LinkLost if the port is gone, or takes nothing."""
        try:
            self._serial.write(octets)
        except (serial.SerialException, OSError) as error:
            raise LinkLost(str(error)) from None

    def receive(self, timeout: float) -> bytes:
        """What has come, or comes within ``timeout`` seconds. Raises LinkLost if the port is gone."""
        try:
            if self._serial.timeout != timeout:
                self._serial.timeout = timeout
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: it was closed meanwhile
            raise LinkLost(str(error)) from None

    def reopen(self):
        """Opens the port anew as soon as it is there again."""
        self.close()
        deadline = time.monotonic() + self._away
        while True:
            try:
                self._serial = self._open()
                return
            except (serial.SerialException, OSError) as error:
                if time.monotonic() > deadline:
                    raise LinkError(
                        f"The serial port {self._name!r} went away and did not come back within {self._away:g} s: "
                        f"{_why(self._name, self._baud, error)}"
                    ) from None
            time.sleep(0.1)

    def close(self):
        """Allowed twice."""
        try:
            self._serial.close()
        except (serial.SerialException, OSError):
            pass  # a port that is gone is closed


def _why(name: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        found = ", ".join(sorted(port.device for port in list_ports.comports()))
        return f"There is no serial port {name!r}; connected are: {found or 'none'}."
    if number in (errno.EACCES, errno.EPERM):
        return f"No permission to open {name!r}: become a member of its group (Debian: dialout)."
    if number in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error):
        return f"The serial port {name!r} is in use by another program."
    if isinstance(error, ValueError) and "baud" in str(error):
        return f"The serial port {name!r} can't run at {baud} baud."
    return f"The serial port {name!r} can't be opened: {error}."
