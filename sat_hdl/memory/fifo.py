"""A queue in block RAM whose output is registered."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["BlockFifo"]


class BlockFifo(wiring.Component):
    """Holds ``depth`` words, and two more on their way out. A word a cycle; it is out ``latency`` = 3 cycles after it
    was written.

    Whoever writes must know that there is room: by ``room``, or by counting what was written and what ``taken``
    says has left.
    A word is never read in the cycle in which its place is written, so no collision logic is needed.

    Arguments
    ---------
    width: of a word. depth: a power of two of at least 4.

    Members
    -------
    write: In(1), data: In(width).
    room: Out(1). A word may be written now.
    taken: Out(1). A word leaves the RAM: its place may be written from the next cycle on.
    out: Out(stream of width).
    clear: In(1). Forgets everything.
    """

    latency = 3

    def __init__(self, *, width: int, depth: int):
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be a positive integer, not {width!r}")
        if not isinstance(depth, int) or depth < 4 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two of at least 4, not {depth!r}")
        self._depth = depth
        super().__init__(
            {
                "write": In(1),
                "data": In(width),
                "room": Out(1),
                "taken": Out(1),
                "out": Out(stream.Signature(width)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        width = len(self.data)
        attrs = {"no_rw_check": 1, "ram_style": "block"}
        m.submodules.memory = memory = Memory(shape=width, depth=depth, init=[], attrs=attrs)
        writer, reader = memory.write_port(), memory.read_port()
        head = Signal(range(depth))
        tail = Signal(range(depth))
        count = Signal(range(depth + 1))
        some = Signal()
        read_valid = Signal()  # at the RAM's output
        forward = Signal()
        read = Signal()
        more = count + self.write - read
        m.d.comb += [
            writer.addr.eq(head),
            writer.data.eq(self.data),
            writer.en.eq(self.write),
            reader.addr.eq(tail),
            reader.en.eq(read),
            forward.eq(~self.out.valid | self.out.ready),
            read.eq(some & (~read_valid | forward)),
            self.taken.eq(read),
            self.room.eq(~count[-1]),
        ]
        m.d.sync += [head.eq(head + self.write), tail.eq(tail + read), count.eq(more)]
        with m.If(self.write ^ read):  # else it stays as it is
            m.d.sync += some.eq(self.write | (count != 1))
        with m.If(read):
            m.d.sync += read_valid.eq(1)
        with m.Elif(forward):
            m.d.sync += read_valid.eq(0)
        data = Signal(width, reset_less=True)
        m.d.comb += self.out.payload.eq(data)
        with m.If(forward):
            m.d.sync += [self.out.valid.eq(read_valid), data.eq(reader.data)]
        with m.If(self.clear):
            m.d.sync += [
                head.eq(0),
                tail.eq(0),
                count.eq(0),
                some.eq(0),
                read_valid.eq(0),
                self.out.valid.eq(0),
            ]
        return m
