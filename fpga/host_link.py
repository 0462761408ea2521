"""Named streams over one byte stream each way: the protocol, for the host and in hardware.

Every frame is a stream number (1 byte), a count (2 bytes, low byte first) and ``count`` beats, each in as few
bytes as hold it, low byte first. Numbers count the streams of one direction in the order of their names'
declaration. From the device come two more kinds, which have no beats:

- ``0x80 + number``: ``count`` beats of a stream towards the core have left its buffer. The host must never
  have more than ``depth`` beats of a stream on the way, so no byte ever waits in front of the buffers,
  and a stream that stalls doesn't hold up another.
- ``0xFE``: the host broke the protocol; ``count`` is the :class:`LinkError`. The device then ignores its
  input until it is reset.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from amaranth.hdl import Array, Cat, Const, Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

__all__ = ["Credit", "Decoder", "HostLink", "LinkError", "Protocol"]

CREDIT, ERROR = 0x80, 0xFE
#: Streams of one direction: their numbers must stay below CREDIT, and numbers plus CREDIT below ERROR.
MAX_STREAMS = 32


class LinkError(enum.IntEnum):
    """What the host did wrong."""

    #: A frame for a stream that isn't there.
    UNKNOWN_STREAM = 1
    #: More beats than the buffer holds.
    OVERFLOW = 2


def _bytes_of(bits: int) -> int:
    return -(-bits // 8)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Widths in bits of the streams ``to_core`` and ``from_core``, by name, and beats that a buffer holds."""

    to_core: Mapping[str, int]
    from_core: Mapping[str, int]
    depth: int = 16

    def __post_init__(self):
        for streams in (self.to_core, self.from_core):
            if not 1 <= len(streams) <= MAX_STREAMS:
                raise ValueError(
                    f"A host link must have 1 to {MAX_STREAMS} streams each way, not {streams!r}"
                )
            for name, width in streams.items():
                if not isinstance(width, int) or width < 1:
                    raise ValueError(
                        f"The width of stream {name!r} must be a positive integer, not {width!r}"
                    )
        if not isinstance(self.depth, int) or not 1 <= self.depth <= 0xFFFF:
            raise ValueError(f"The depth of a host link must be from 1 to 65535, not {self.depth!r}")

    def encode(self, name: str, beats: Iterable[int]) -> bytes:
        """One frame with ``beats`` for the core's stream ``name``; at most ``depth`` of them."""
        beats = list(beats)
        if len(beats) > self.depth:
            raise ValueError(f"A frame must have at most {self.depth} beats, not {len(beats)!r}")
        size = _bytes_of(self.to_core[name])
        head = bytes([list(self.to_core).index(name)]) + len(beats).to_bytes(2, "little")
        return head + b"".join(beat.to_bytes(size, "little") for beat in beats)


@dataclass(frozen=True)
class Credit:
    """``count`` beats of the core's stream ``name`` have left its buffer."""

    name: str
    count: int


@dataclass
class Decoder:
    """Takes bytes from the device as they come and yields what they say."""

    protocol: Protocol
    _held: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Credit | tuple[str, int]]:
        """Yields a :class:`Credit`, or (name of the stream, beat).

        Raises
        ------
        ConnectionError: the device reports an error, or sends what the protocol doesn't have.
        """
        self._held += data
        while len(self._held) >= 3:
            number, count = self._held[0], int.from_bytes(self._held[1:3], "little")
            if number == ERROR:
                raise ConnectionError(f"The device reports a protocol error: {LinkError(count).name}.")
            towards = list(self.protocol.to_core)
            if CREDIT <= number < CREDIT + len(towards):
                del self._held[:3]
                yield Credit(towards[number - CREDIT], count)
                continue
            if number >= len(self.protocol.from_core):
                raise ConnectionError(f"The device sent a frame of an unknown kind, {number:#04x}.")
            name, width = list(self.protocol.from_core.items())[number]
            size = _bytes_of(width)
            if len(self._held) < 3 + count * size:
                return
            body = bytes(self._held[3 : 3 + count * size])
            del self._held[: 3 + count * size]
            for start in range(0, len(body), size):
                yield name, int.from_bytes(body[start : start + size], "little")


class HostLink(wiring.Component):
    """The device's end of the protocol.

    Takes and gives a byte a cycle at most. Each stream towards the core has a buffer of ``depth`` beats; a
    beat from the core waits for the bytes before it. Credits go before beats, low numbers before high ones.

    Arguments
    ---------
    to_core, from_core: shapes of the streams' payloads, by name.
    depth: beats that each buffer holds.

    Members
    -------
    rx: In(stream of 8 bits). From the host; always taken, save for one cycle a beat.
    tx: Out(stream of 8 bits). To the host.
    One stream each by its name: Out for those ``to_core``, In for those ``from_core``.
    """

    def __init__(self, *, to_core: Mapping[str, object], from_core: Mapping[str, object], depth: int = 16):
        def widths(streams: Mapping[str, object]) -> dict[str, int]:
            return {name: Shape.cast(shape).width for name, shape in streams.items()}

        self._protocol = Protocol(to_core=widths(to_core), from_core=widths(from_core), depth=depth)
        members = {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))}
        members |= {name: Out(stream.Signature(shape)) for name, shape in to_core.items()}
        members |= {name: In(stream.Signature(shape)) for name, shape in from_core.items()}
        if len(members) != 2 + len(to_core) + len(from_core):
            raise ValueError(f"Stream names must differ, not {[*to_core, *from_core]!r}")
        super().__init__(members)

    @property
    def protocol(self) -> Protocol:
        """What the host must speak to it."""
        return self._protocol

    def elaborate(self, platform):
        m = Module()
        error = Signal(8)
        freed = []
        pushes = []
        size = max(_bytes_of(width) for width in self._protocol.to_core.values())
        beat = Signal(8 * size)  # bytes enter at the top
        for name, width in self._protocol.to_core.items():
            m.submodules[f"{name}_fifo"] = fifo = SyncFIFO(width=width, depth=self._protocol.depth)
            port = getattr(self, name)
            count = Signal(range(self._protocol.depth + 1), name=f"{name}_freed")
            m.d.comb += [
                fifo.w_data.eq(beat[8 * (size - _bytes_of(width)) :]),
                port.p.eq(fifo.r_data),
                port.valid.eq(fifo.r_rdy),
                fifo.r_en.eq(port.ready),
            ]
            freed.append((count, port.valid & port.ready))
            pushes.append(fifo)
        self._receive(m, beat, pushes, error)
        self._send(m, freed, error)
        return m

    def _receive(self, m: Module, beat: Signal, fifos: list[SyncFIFO], error: Signal) -> None:
        number = Signal(range(MAX_STREAMS))
        beats = Signal(16)
        left = Signal(range(len(beat) // 8 + 1))
        sizes = Array(Const(_bytes_of(width)) for width in self._protocol.to_core.values())
        with m.FSM(name="receive"):
            with m.State("Number"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += number.eq(self.rx.payload)
                    m.next = "Low"
                    with m.If(self.rx.payload >= len(fifos)):
                        m.d.sync += error.eq(LinkError.UNKNOWN_STREAM)
                        m.next = "Failed"
            with m.State("Low"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += beats[:8].eq(self.rx.payload)
                    m.next = "High"
            with m.State("High"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += [beats[8:].eq(self.rx.payload), left.eq(sizes[number])]
                    m.next = "Beat"
                    with m.If(Cat(beats[:8], self.rx.payload) == 0):
                        m.next = "Number"
            with m.State("Beat"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += [beat.eq(Cat(beat[8:], self.rx.payload)), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "Push"
            with m.State("Push"):
                m.d.sync += [beats.eq(beats - 1), left.eq(sizes[number])]
                m.next = "Beat"
                with m.If(beats == 1):
                    m.next = "Number"
                for index, fifo in enumerate(fifos):
                    with m.If(number == index):
                        m.d.comb += fifo.w_en.eq(1)
                        with m.If(~fifo.w_rdy):
                            m.d.sync += error.eq(LinkError.OVERFLOW)
                            m.next = "Failed"
            with m.State("Failed"):
                m.d.comb += self.rx.ready.eq(1)

    def _send(self, m: Module, freed: list[tuple[Signal, object]], error: Signal) -> None:
        widths = self._protocol.from_core
        size = 3 + max(_bytes_of(width) for width in widths.values())
        frame = Signal(8 * size)  # bytes leave at the bottom
        left = Signal(range(size + 1))
        reported = Signal()
        picking = Signal()
        m.d.comb += [picking.eq(left == 0), self.tx.valid.eq(left != 0), self.tx.payload.eq(frame[:8])]
        with m.If(self.tx.valid & self.tx.ready):
            m.d.sync += [frame.eq(frame[8:]), left.eq(left - 1)]

        def head(number: int, count: object) -> list[object]:
            return [Const(number, 8), Cat(count, Const(0, 16))[:16]]

        # What may be sent next, the most urgent first: (condition, bytes, contents).
        credit = [(count != 0, 3, head(CREDIT + i, count)) for i, (count, _) in enumerate(freed)]
        beats = []
        for index, (name, width) in enumerate(widths.items()):
            port = getattr(self, name)
            beats.append((port.valid, 3 + _bytes_of(width), [*head(index, Const(1, 16)), port.p]))
        choices = [((error != 0) & ~reported, 3, head(ERROR, error)), *credit, *beats]
        chosen = [Signal(name=f"choose_{index}") for index in range(len(choices))]
        taken = Const(0)
        for select, (condition, length, contents) in zip(chosen, choices):
            m.d.comb += select.eq(picking & condition & ~taken)
            taken = taken | condition
            with m.If(select):
                m.d.sync += [frame.eq(Cat(*contents)), left.eq(length)]
        with m.If(chosen[0]):
            m.d.sync += reported.eq(1)
        for select, (count, leaves) in zip(chosen[1:], freed):
            # A beat that leaves while its count is being reported counts for the next report.
            with m.If(select):
                m.d.sync += count.eq(leaves)
            with m.Elif(leaves):
                m.d.sync += count.eq(count + 1)
        for select, name in zip(chosen[1 + len(freed) :], widths):
            m.d.comb += getattr(self, name).ready.eq(select)
