"""One way to any device: by its URL.

- ``sim://PRESET`` or ``sim://FILE.toml``: simulated here, with ``?memory=BYTES`` (16 MiB).
- ``serial:///dev/ttyUSB0?baud=1000000``, ``serial:COM3``: a board, or an emulated one.
- ``socket://HOST:PORT``, ``rfc2217://HOST:PORT``: a board behind a network, as pyserial reaches it.
"""

from urllib.parse import parse_qsl, unquote, urlsplit

from sat_hdl.config import Config, ConfigError, load, preset, require
from sat_hdl.driver import Transport

__all__ = ["DEFAULT_BAUD", "open_transport"]

DEFAULT_BAUD = 1_000_000
_MEMORY = 1 << 24
#: Schemes that pyserial takes as they are.
_NETWORK = ("socket", "rfc2217")


def open_transport(url: str, config: Config | None = None) -> Transport:
    """The device at ``url``.

    Arguments
    ---------
    config: that it must have been built with; None: any.

    Raises
    ------
    ConfigError: the URL is none, there is no such port, or the device was built with another configuration.
    LinkError: nothing answers.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    place = unquote(parts.netloc + parts.path)
    known = {"sim": {"memory"}, "serial": {"baud"}} | {scheme: set() for scheme in _NETWORK}
    require(
        parts.scheme in known and place != "",
        f"A device is sim://PRESET, serial:///dev/PORT?baud=RATE or socket://HOST:PORT, not {url!r}.",
    )
    for name in options:
        require(
            name in known[parts.scheme],
            f"{url!r} has the option {name!r}; for {parts.scheme}:// there is "
            f"{' and '.join(known[parts.scheme]) or 'none'}.",
        )
    if parts.scheme == "sim":
        return _simulated(place, _number(url, options, "memory", _MEMORY), config)
    from sat_hdl.link.transport import serial_transport

    name = place if parts.scheme == "serial" else f"{parts.scheme}://{place}"
    transport = serial_transport(name, _number(url, options, "baud", DEFAULT_BAUD))
    try:
        if config is not None:
            transport.check_config(config)
    except ConfigError:
        transport.close()
        raise
    return transport


def _number(url: str, options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    require(text.isascii() and text.isdecimal() and int(text) > 0, f"In {url!r} {name} must be a number.")
    return int(text)


def _simulated(place: str, size: int, config: Config | None) -> Transport:
    from sat_hdl.sim.memory import MemoryConfig
    from sat_hdl.sim.transport import SimTransport

    chosen = load(place) if place.endswith(".toml") else preset(place)
    if config is not None and config != chosen:
        raise ConfigError(f"The device sim://{place} has another configuration than the one that is wanted.")
    require(
        size % 4096 == 0 and size <= 1 << 32, f"memory must be a multiple of 4096 up to 4 GiB, not {size}."
    )
    return SimTransport(chosen, MemoryConfig(size=size))
