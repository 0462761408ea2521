"""The frames between a host and a device, over two byte streams that may lose, change and invent bytes.

**Frame.** FLAG, body, CRC, FLAG. The CRC is CRC-32/ISO-HDLC (zlib.crc32) of the body, low byte first: with one
frame in a hundred damaged, a CRC of 16 bits would let a wrong one pass every 6.5 million frames, a training's worth.
A FLAG or ESCAPE within is sent as ESCAPE and the byte xor 0x20 (as in RFC 1662), so a FLAG always begins anew,
whatever came before: what follows is understood again after one frame at most. Frames that are damaged are dropped.

**Request**, host to device: sequence (1 byte), :class:`Op` (1), address (4, low byte first), then data for writes, or
the count of bytes (2) for READ_… and FILL.

**Answer**, device to host, one for each frame: the sequence that the device expects next (1), the request's (1),
data, and a status (1): :class:`Result` in the low bits, and the flags IRQ, FAILED, FRESH. IRQ: the device's
interrupt. FAILED: a request was not OK; it stays until CLEAR, so that no write's failure is lost with its answer.
FRESH: nothing but SYNC was executed since the reset, so a host that knows better knows that what it wrote is gone.

**Once and in order.** The device executes a request only if its sequence is the one expected, and a SYNC has come
since the reset, and then expects the next (modulo 256). A repeated START is thus never executed twice. Whatever else
comes is answered with what is expected: OUT_OF_SEQUENCE, or BAD_FRAME if it was damaged. SYNC is executed whatever
its sequence, changes nothing, and gives its address back: bytes never overtake each other, so when the host has the
answer to a SYNC all that it sent before was executed, or is lost. That is all that it needs to recover from anything,
to begin a session, and to go on with an old one, and no reset is needed for it.

**Window.** The device keeps frames that have come while it executes one, in a buffer of the size that its identity
states. The host has no more than that on the way.
"""

import enum
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.lib.crc.catalog import CRC32_ISO_HDLC

__all__ = [
    "CRC", "ESCAPE", "FILL_UNIT", "FLAG", "IDENTITY_SIZE", "MOST_DATA", "MOST_FILL", "OVERHEAD", "REQUEST_HEADER",
    "TURN", "VERSION", "Answer", "Deframer", "Op", "Request", "Result", "Status", "frame",
]  # fmt: skip

#: Of the protocol: others are refused.
VERSION = 1
FLAG, ESCAPE, TURN = 0x7E, 0x7D, 0x20
CRC = CRC32_ISO_HDLC(data_width=8)
CRC_SIZE = 4
#: Bytes of a request before its data or count.
REQUEST_HEADER = 6
#: Most bytes that a host writes or reads by a request: a third of a small device's buffer, so that one is on the way
#: while another is executed, and short enough that 1 in 100 damaged frames costs 1 in 100 of the time, not more.
MOST_DATA = 512
#: Most bytes of a FILL, which has nothing to carry, and what its address and count are multiples of.
MOST_FILL = 1 << 14
FILL_UNIT = 64
#: Bytes of a request in the device's buffer beside its data.
OVERHEAD = REQUEST_HEADER + 2
#: Of the device's identity: JSON, filled with spaces.
IDENTITY_SIZE = 512


class Op(enum.IntEnum):
    """What a request asks for. Of registers addresses and counts are multiples of 4, of FILL of FILL_UNIT."""

    SYNC = 0
    CLEAR = 1
    WRITE_MEMORY = 2
    FILL_MEMORY = 3
    READ_MEMORY = 4
    WRITE_CSR = 5
    READ_CSR = 6
    READ_IDENTITY = 7


class Result(enum.IntEnum):
    """What became of a frame. BUS_ERROR: memory or registers answered by an error."""

    OK = 0
    BAD_FRAME = 1
    OUT_OF_SEQUENCE = 2
    BAD_REQUEST = 3
    BUS_ERROR = 4


class Status(enum.IntFlag):
    """Flags beside the result."""

    FRESH = 0x20
    FAILED = 0x40
    IRQ = 0x80


READS = (Op.READ_MEMORY, Op.READ_CSR, Op.READ_IDENTITY)
COUNTED = (*READS, Op.FILL_MEMORY)


@dataclass(frozen=True)
class Request:
    """``data``: of writes. ``count``: of reads and FILL, in bytes."""

    op: Op
    address: int = 0
    data: bytes = b""
    count: int = 0

    def body(self, sequence: int) -> bytes:
        """Its bytes with sequence number ``sequence``."""
        head = bytes([sequence, self.op]) + self.address.to_bytes(4, "little")
        return head + (self.count.to_bytes(2, "little") if self.op in COUNTED else self.data)

    @property
    def size(self) -> int:
        """Bytes that it takes in the device's buffer."""
        return OVERHEAD + len(self.data)

    @property
    def answer_size(self) -> int:
        """Bytes of its answer's body."""
        return 3 + (self.count if self.op in READS else 4 if self.op is Op.SYNC else 0)


@dataclass(frozen=True)
class Answer:
    """``expected``: the sequence that the device expects next. ``sequence``: of the request."""

    expected: int
    sequence: int
    data: bytes
    result: int
    status: Status

    @classmethod
    def parse(cls, body: bytes) -> "Answer | None":
        """From the body of a frame; None if it is too short to be one."""
        if len(body) < 3:
            return None
        return cls(body[0], body[1], body[2:-1], body[-1] & 7, Status(body[-1] & 0xE0))

    def body(self) -> bytes:
        """Its bytes."""
        return bytes([self.expected, self.sequence]) + self.data + bytes([self.result | self.status])


def frame(body: bytes) -> bytes:
    """The bytes of a frame with ``body``."""
    inside = body + zlib.crc32(body).to_bytes(CRC_SIZE, "little")
    for byte in (ESCAPE, FLAG):
        inside = inside.replace(bytes([byte]), bytes([ESCAPE, byte ^ TURN]))
    return bytes([FLAG]) + inside + bytes([FLAG])


class Deframer:
    """From bytes as they come to the bodies of frames."""

    def __init__(self, most: int = 1 << 12):
        self._held = bytearray()
        self._most = 2 * (most + CRC_SIZE)  # all of it escaped

    def feed(self, octets: bytes) -> Iterator[bytes | None]:
        """Yields the body of each frame that ends in ``octets``, None for one that is damaged."""
        pieces = octets.split(bytes([FLAG]))
        for piece in pieces[:-1]:
            self._held += piece
            inside, self._held = bytes(self._held), bytearray()
            if inside:
                yield _checked(inside)
        self._held += pieces[-1]
        if len(self._held) > self._most:  # no frame is so long: its end was lost
            del self._held[:-1]


def _checked(inside: bytes) -> bytes | None:
    first, *rest = inside.split(bytes([ESCAPE]))
    if any(not piece for piece in rest):
        return None
    plain = first + b"".join(bytes([piece[0] ^ TURN]) + piece[1:] for piece in rest)
    body, crc = plain[:-CRC_SIZE], plain[-CRC_SIZE:]
    return body if body and zlib.crc32(body).to_bytes(CRC_SIZE, "little") == crc else None
