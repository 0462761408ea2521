"""From a byte stream to the frames in it that are whole."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.link.protocol import CRC, ESCAPE, FLAG, TURN

__all__ = ["FrameReceiver", "octet_layout"]

#: Bytes that are held back until more have come: the CRC, and the last of the body, which must be marked.
_HELD = 5


def octet_layout() -> data.StructLayout:
    """A byte of a frame, and whether it is the last."""
    return data.StructLayout({"octet": 8, "last": 1})


class FrameReceiver(wiring.Component):
    """Keeps the bodies of frames in a ring of block RAM and gives out those whose CRC is right, in order.

    A byte a cycle, always taken, for a serial port can't be stopped: a frame for which there is no room is damaged. A
    body's first byte is out ``latency`` = 2 cycles after the FLAG at its end, then a byte a cycle.

    Arguments
    ---------
    size: bytes of bodies that are held, a power of two from 64 to 65,536; one less is usable.

    Members
    -------
    i: In(stream of 8 bits). Its ``ready`` is always 1.
    o: Out(stream of octet_layout).
    damaged: Out(1), for a cycle. Something that was no frame has ended.
    """

    latency = 2

    def __init__(self, *, size: int):
        if not isinstance(size, int) or not 64 <= size <= 1 << 16 or size.bit_count() != 1:
            raise ValueError(f"size must be a power of two from 64 to 65536, not {size!r}")
        self._size = size
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o": Out(stream.Signature(octet_layout())),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC.create()
        m.submodules.ring = ring = Memory(
            shape=octet_layout(), depth=self._size, init=[], attrs={"no_rw_check": 1}
        )
        writer, reader = ring.write_port(), ring.read_port()
        pointer = range(self._size)
        # Of the next byte to write, of the first of the frame that comes, of the next to read.
        head, whole, tail = Signal(pointer), Signal(pointer), Signal(pointer)

        # --- in ---------------------------------------------------------------------------------------------
        taken, flag = self.i.valid, Signal()
        turned, crowded = Signal(), Signal()
        held = Signal(data.ArrayLayout(8, _HELD), reset_less=True)
        count = Signal(range(_HELD + 1))
        full, room, good, keeps = Signal(), Signal(), Signal(), Signal()
        octet = Signal(8)
        m.d.comb += [
            flag.eq(self.i.payload == FLAG),
            octet.eq(self.i.payload ^ (turned << (TURN.bit_length() - 1))),
            full.eq(count == _HELD),
            room.eq(Cat(head + 1)[: len(head)] != tail),
            good.eq(full & crc.match_detected & ~turned & ~crowded & room),
            crc.data.eq(octet),
            writer.addr.eq(head),
            writer.data.octet.eq(held[_HELD - 1]),
            writer.data.last.eq(flag),
            writer.en.eq(keeps & room),
        ]
        with m.If(taken):
            with m.If(flag):
                m.d.comb += [
                    crc.start.eq(1),
                    keeps.eq(good),
                    self.damaged.eq(~good & ((count != 0) | turned)),
                ]
                m.d.sync += [count.eq(0), turned.eq(0), crowded.eq(0), head.eq(whole)]
                with m.If(good):
                    m.d.sync += [head.eq(head + 1), whole.eq(head + 1)]
            with m.Elif((self.i.payload == ESCAPE) & ~turned):
                m.d.sync += turned.eq(1)
            with m.Else():
                m.d.comb += [crc.valid.eq(1), keeps.eq(full)]
                m.d.sync += [turned.eq(0), held.eq(Cat(octet, *(held[i] for i in range(_HELD - 1))))]
                with m.If(~full):
                    m.d.sync += count.eq(count + 1)
                with m.Elif(room):
                    m.d.sync += head.eq(head + 1)
                with m.Else():
                    m.d.sync += crowded.eq(1)

        # --- out --------------------------------------------------------------------------------------------
        # A byte that is read lies before `whole`, one that is written does not: never the same.
        m.d.comb += [
            reader.addr.eq(tail),
            reader.en.eq((tail != whole) & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(reader.data),
        ]
        m.d.sync += tail.eq(tail + reader.en)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(reader.en)
        return m
