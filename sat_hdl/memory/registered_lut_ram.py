"""A small LUT RAM with a register behind it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RegisteredLutRam"]


class RegisteredLutRam(wiring.Component):
    """Words of any width; one is written and one read in a cycle. A read takes ``latency`` = 1 cycle.

    Beside its writer and its reader, where a block RAM lies in the row that the device has for it. On an ECP5 four
    bits of 16 words take six LUTs (a slice's writing port goes with them), and their registers come with those.

    A word that is read in the cycle in which it is written is the old one. Words and register have no reset.

    Arguments
    ---------
    width: bits of a word, at least 1. depth: words, a power of two from 2.

    Members
    -------
    write_address: In, write_enable: In(1), write_data: In(width).
    read_address: In, read_data: Out(width).
    """

    def __init__(self, *, width: int, depth: int):
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be an integer from 1, not {width!r}")
        if not isinstance(depth, int) or depth < 2 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two from 2, not {depth!r}")
        self._depth = depth
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "write_address": In(address),
                "write_enable": In(1),
                "write_data": In(width),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an address to its word: 1."""
        return 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=len(self.write_data), depth=self._depth, init=[])
        writer, reader = memory.write_port(), memory.read_port(domain="comb")
        word = Signal(len(self.read_data), reset_less=True)
        m.d.comb += [
            writer.addr.eq(self.write_address),
            writer.en.eq(self.write_enable),
            writer.data.eq(self.write_data),
            reader.addr.eq(self.read_address),
            self.read_data.eq(word),
        ]
        m.d.sync += word.eq(reader.data)
        return m
