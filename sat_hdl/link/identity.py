"""What a device says of itself, so that a host can't mistake one build for another."""

import msgspec

from sat_hdl.config import Config, ConfigError
from sat_hdl.link.protocol import IDENTITY_SIZE, VERSION

__all__ = ["Identity"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Of a device behind a link.

    Arguments
    ---------
    config: what was built. memory_size: bytes. clock_hz: of the accelerator, 0 if it is simulated.
    buffer: bytes of requests that the link holds. sat_hdl: version of the protocol.
    """

    config: Config
    memory_size: int
    clock_hz: int
    buffer: int
    sat_hdl: int = VERSION

    def encode(self) -> bytes:
        """As it lies in the device: JSON."""
        octets = msgspec.json.encode(self)
        if len(octets) > IDENTITY_SIZE:
            raise ConfigError(f"A device's identity must fit {IDENTITY_SIZE} bytes, not take {len(octets)}.")
        return octets

    @classmethod
    def decode(cls, octets: bytes) -> "Identity":
        """Raises ConfigError if it is no identity, or one of a build that this package can't drive."""
        try:
            found = msgspec.json.decode(octets.rstrip(), type=cls)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigError(
                f"What answers is no device of this version of sat_hdl: build its bitstream again. ({error})"
            ) from None
        if found.sat_hdl != VERSION:
            raise ConfigError(
                f"The device speaks version {found.sat_hdl} of the link's protocol; this sat_hdl speaks version "
                f"{VERSION}: build its bitstream again."
            )
        return found
