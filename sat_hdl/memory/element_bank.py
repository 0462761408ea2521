"""Block RAM that is written in words of several elements and read a few elements at a time."""

from amaranth.hdl import Array, Cat, Const, Elaboratable, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import check_target
from sat_hdl.memory.banks import Banks

__all__ = ["ElementBank"]


class ElementBank(wiring.Component):
    """``depth`` words of ``parts`` elements, of which ``step`` in a row are read. A read takes ``latency`` = 1 cycle,
    and what was read stays until the next one.

    Nothing must be read in a cycle in which it is written: what then comes out is not defined.

    On "ecp5" it is a memory with as many ports to write as a word has pieces of ``step`` elements, from which Yosys
    makes block RAM that is wider where it is written than where it is read (512 × 4 elements of 16 bits: two DP16KD
    and nothing else). Other tools may not know how, so on "portable" a multiplexer follows :class:`Banks` (2 LUT4 a
    bit for 4 elements).

    Arguments
    ---------
    parts, step: elements, powers of two; step up to parts. width: bits of an element. depth: words.
    target: "portable" or "ecp5".

    Members
    -------
    write_address: In. write_enable: In(parts), write_data: In(parts × width).
    read_address: In. Of ``step`` elements. read_enable: In(1), read_data: Out(step × width).
    """

    latency = 1

    def __init__(self, *, parts: int, step: int, width: int, depth: int, target: str = "portable"):
        check_target(target)
        for name, value, most in (("parts", parts, parts), ("step", step, parts)):
            if not isinstance(value, int) or not 1 <= value <= most or value.bit_count() != 1:
                raise ValueError(f"{name} must be a power of two from 1 to {most}, not {value!r}")
        if not isinstance(depth, int) or depth < 2 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two of at least 2, not {depth!r}")
        self._step, self._depth, self._target = step, depth, target
        super().__init__(
            {
                "write_address": In(range(depth)),
                "write_enable": In(parts),
                "write_data": In(data.ArrayLayout(width, parts)),
                "read_address": In(range(depth * parts // step)),
                "read_enable": In(1),
                "read_data": Out(data.ArrayLayout(width, step)),
            }
        )

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        step = self._step
        pieces = len(self.write_enable) // step
        bits = (pieces - 1).bit_length()
        if self._target == "ecp5":
            shape = self.read_data.shape()
            attrs = {"no_rw_check": 1}
            memory = Memory(shape=shape, depth=self._depth * pieces, init=[], attrs=attrs)
            m.submodules.memory = memory
            for i in range(pieces):
                writer = memory.write_port(granularity=1)
                m.d.comb += [
                    writer.addr.eq(Cat(Const(i, bits), self.write_address)),
                    writer.en.eq(self.write_enable[i * step : (i + 1) * step]),
                    *(writer.data[e].eq(self.write_data[i * step + e]) for e in range(step)),
                ]
            reader = memory.read_port()
            m.d.comb += [
                reader.addr.eq(self.read_address),
                reader.en.eq(self.read_enable),
                self.read_data.eq(reader.data),
            ]
            return m
        width, parts = len(self.read_data.as_value()) // step, len(self.write_enable)
        m.submodules.banks = banks = Banks(parts=parts, width=width, depth=self._depth)
        piece = Signal(max(1, bits), reset_less=True)
        with m.If(self.read_enable):
            m.d.sync += piece.eq(self.read_address[:bits])
        m.d.comb += [
            banks.write_address.eq(self.write_address),
            banks.write_enable.eq(self.write_enable),
            banks.write_data.eq(self.write_data),
            banks.read_address.eq(self.read_address[bits:]),
            banks.read_enable.eq(self.read_enable),
        ]
        for e in range(step):
            m.d.comb += self.read_data[e].eq(
                Array(banks.read_data[i * step + e] for i in range(pieces))[piece]
            )
        return m
