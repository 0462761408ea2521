"""Block RAM that is written in parts of a word and read whole."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Banks"]


class Banks(wiring.Component):
    """``depth`` words of ``parts`` parts. A read takes ``latency`` = 1 cycle, and what was read stays until the next
    one. Block RAM is slow to show its output: a register should follow at once (:class:`ReadPipe` has one).

    A word must not be read in the cycle in which it is written: what then comes out is not defined (so the
    collision logic that Yosys would build beside the block RAM falls away).

    Arguments
    ---------
    parts, width: parts of a word, bits of each.
    depth: words.

    Members
    -------
    write_address: In, write_enable: In(parts), write_data: In(parts × width).
    read_address: In, read_enable: In(1), read_data: Out(parts × width).
    """

    latency = 1

    def __init__(self, *, parts: int, width: int, depth: int):
        for name, value in (("parts", parts), ("width", width)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if not isinstance(depth, int) or depth < 2 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two of at least 2, not {depth!r}")
        self._depth = depth
        word = data.ArrayLayout(width, parts)
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "write_address": In(address),
                "write_enable": In(parts),
                "write_data": In(word),
                "read_address": In(address),
                "read_enable": In(1),
                "read_data": Out(word),
            }
        )

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        word = self.write_data.shape()
        m.submodules.memory = memory = Memory(
            shape=word, depth=self._depth, init=[], attrs={"no_rw_check": 1}
        )
        writer = memory.write_port(granularity=1)
        reader = memory.read_port()
        m.d.comb += [
            writer.addr.eq(self.write_address),
            writer.en.eq(self.write_enable),
            writer.data.eq(self.write_data),
            reader.addr.eq(self.read_address),
            reader.en.eq(self.read_enable),
            self.read_data.eq(reader.data),
        ]
        return m
