"""Damage to the frames of a byte stream, on purpose."""

import random

from sat_hdl.link.protocol import FLAG

__all__ = ["KINDS", "Damage"]

#: What happens to a frame: a byte changes, is lost, or is invented; the frame is lost, or cut off.
KINDS = ("changed", "dropped", "inserted", "lost", "cut")
_MOST = 1 << 16


class Damage:
    """Damages frames with probability ``rate`` each, in one direction. Bytes leave in whole frames.

    Members
    -------
    frames, damaged: how many there were so far.
    """

    def __init__(self, rate: float, seed: int | str):
        if not 0 <= rate <= 1:
            raise ValueError(f"A rate of damage must be from 0 to 1, not {rate!r}")
        self.frames = self.damaged = 0
        self._rate, self._random = rate, random.Random(seed)
        self._held = bytearray()

    def feed(self, octets: bytes) -> bytes:
        """What leaves after ``octets`` came."""
        self._held += octets
        left = bytearray()
        # A frame ends with the FLAG that does not begin it.
        while (end := self._held.find(FLAG, 1)) >= 0:
            frame, self._held = bytes(self._held[: end + 1]), self._held[end + 1 :]
            left += self._passed(frame) if len(frame) > 2 else frame
        if len(self._held) > _MOST:
            left += self._held
            self._held = bytearray()
        return bytes(left)

    def _passed(self, frame: bytes) -> bytes:
        self.frames += 1
        draw = self._random
        if draw.random() >= self._rate:
            return frame
        self.damaged += 1
        at = draw.randrange(len(frame))
        match draw.choice(KINDS):
            case "changed":
                return frame[:at] + bytes([frame[at] ^ draw.randrange(1, 256)]) + frame[at + 1 :]
            case "dropped":
                return frame[:at] + frame[at + 1 :]
            case "inserted":
                return frame[:at] + draw.randbytes(draw.randrange(1, 4)) + frame[at:]
            case "lost":
                return b""
            case _:
                return frame[:at]
