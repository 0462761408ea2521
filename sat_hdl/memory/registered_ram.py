"""A small block RAM with a register behind it: the seam to a device's own output registers."""

from amaranth.hdl import Cat, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import check_target

__all__ = ["RegisteredRam"]

#: Bits of a word of an ECP5's block RAM at its widest, and words.
_WIDTH, _DEPTH = 36, 512


class RegisteredRam(wiring.Component):
    """Words of up to 36 bits; one is written, in whole or in parts, and one read in a cycle. A read takes ``latency``
    = 2 cycles.

    On "ecp5" up to 512 words are one DP16KD with its own output registers, which no inference uses: bare, it shows a
    word 5.6 ns after the clock (nextpnr's timing model, grade 6). On "portable", and if there are more words, it is a
    memory and a register in the fabric.

    A word must not be read in the cycle in which it is written: what then comes out is not defined. Words and
    registers have no reset.

    Arguments
    ---------
    width: bits of a word, 1 to 36. depth: words, a power of two from 2.
    target: "portable" or "ecp5".
    parts: of a word that can be written alone, 1, 2 or 4, of 36, 18 or 9 bits at most; ``width`` is a multiple.

    Members
    -------
    write_address: In, write_enable: In(parts), write_data: In(width).
    read_address: In, read_data: Out(width). reads, forwards: In(1), 1 unless driven: whether the memory's register
        and the one behind it move on; else they keep what they have.
    """

    def __init__(self, *, width: int, depth: int, target: str = "portable", parts: int = 1):
        check_target(target)
        if not isinstance(width, int) or not 1 <= width <= _WIDTH:
            raise ValueError(f"width must be from 1 to {_WIDTH}, not {width!r}")
        if not isinstance(depth, int) or depth < 2 or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two from 2, not {depth!r}")
        if parts not in (1, 2, 4) or width % parts:
            raise ValueError(f"parts must be 1, 2 or 4 and divide {width}, not {parts!r}")
        self._depth, self._target, self._parts = depth, target, parts
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "write_address": In(address),
                "write_enable": In(parts),
                "write_data": In(width),
                "read_address": In(address),
                "read_data": Out(width),
                "reads": In(1, init=1),
                "forwards": In(1, init=1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an address to its word: 2."""
        return 2

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        if self._target == "ecp5" and self._depth <= _DEPTH:
            word = Signal(_WIDTH)
            m.submodules.ram = self._dp16kd(word)
            part, byte = len(self.read_data) // self._parts, _WIDTH // self._parts
            m.d.comb += self.read_data.eq(Cat(word[i * byte :][:part] for i in range(self._parts)))
            return m
        attrs = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.memory = memory = Memory(
            shape=len(self.write_data), depth=self._depth, init=[], attrs=attrs
        )
        writer = memory.write_port(granularity=len(self.write_data) // self._parts)
        reader = memory.read_port()
        word = Signal(len(self.read_data), reset_less=True)
        m.d.comb += [
            writer.addr.eq(self.write_address),
            writer.en.eq(self.write_enable),
            writer.data.eq(self.write_data),
            reader.addr.eq(self.read_address),
            reader.en.eq(self.reads),
            self.read_data.eq(word),
        ]
        with m.If(self.forwards):
            m.d.sync += word.eq(reader.data)
        return m

    def _dp16kd(self, word: Signal) -> Instance:
        """36 bits wide: written at A, whose lowest address pins enable bytes of 9 bits, read at B; the outputs of A
        are the lower half of the word, those of B the upper one. A part begins with a byte."""
        ports: dict[str, object] = {
            "p_DATA_WIDTH_A": 36,
            "p_DATA_WIDTH_B": 36,
            "p_REGMODE_A": "OUTREG",
            "p_REGMODE_B": "OUTREG",
            "p_RESETMODE": "SYNC",
            "p_GSR": "DISABLED",
        }
        for port, writes in (("A", 1), ("B", 0)):
            ports |= {f"i_CLK{port}": ClockSignal("sync"), f"i_WE{port}": Const(writes, 1)}
            ports |= {f"i_CE{port}": Const(1, 1) if writes else self.reads, f"i_OCE{port}": self.forwards}
            ports[f"i_RST{port}"] = Const(0, 1)
            ports |= {f"i_CS{port}{i}": Const(0, 1) for i in range(3)}
        none = Const(0, _WIDTH)
        enables = Cat(enable.replicate(4 // self._parts) for enable in self.write_enable)
        addresses = {
            "A": Cat(enables, Const(0, 1), self.write_address, none),
            "B": Cat(Const(0, 5), self.read_address, none),
        }
        ports |= {f"i_AD{port}{i}": value[i] for port, value in addresses.items() for i in range(14)}
        part, byte = len(self.write_data) // self._parts, _WIDTH // self._parts
        given = (self.write_data[i * part : (i + 1) * part] for i in range(self._parts))
        data = Cat(Cat(value, none)[:byte] for value in given)
        for i in range(_WIDTH):
            pin = f"{'AB'[i // 18]}{i % 18}"
            ports |= {f"i_DI{pin}": data[i], f"o_DO{pin}": word[i]}
        return Instance("DP16KD", **ports)
