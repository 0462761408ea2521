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
    """Up to 512 words of up to 36 bits; one is written and one read in a cycle. A read takes ``latency`` = 2 cycles.

    On "ecp5" it is one DP16KD with its own output registers, which no inference uses: bare, it shows a word 5.6 ns
    after the clock (nextpnr's timing model, grade 6). On "portable" it is a memory and a register in the fabric.

    A word must not be read in the cycle in which it is written: what then comes out is not defined. Words and
    registers have no reset.

    Arguments
    ---------
    width: bits of a word, 1 to 36. depth: words, a power of two from 2 to 512.
    target: "portable" or "ecp5".

    Members
    -------
    write_address: In, write_enable: In(1), write_data: In(width).
    read_address: In, read_data: Out(width). reads, forwards: In(1), 1 unless driven: whether the memory's register
        and the one behind it move on; else they keep what they have.
    """

    def __init__(self, *, width: int, depth: int, target: str = "portable"):
        check_target(target)
        if not isinstance(width, int) or not 1 <= width <= _WIDTH:
            raise ValueError(f"width must be from 1 to {_WIDTH}, not {width!r}")
        if not isinstance(depth, int) or not 2 <= depth <= _DEPTH or depth.bit_count() != 1:
            raise ValueError(f"depth must be a power of two from 2 to {_DEPTH}, not {depth!r}")
        self._depth, self._target = depth, target
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "write_address": In(address),
                "write_enable": In(1),
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
        if self._target == "ecp5":
            word = Signal(_WIDTH)
            m.submodules.ram = self._dp16kd(word)
            m.d.comb += self.read_data.eq(word)
            return m
        attrs = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.memory = memory = Memory(
            shape=len(self.write_data), depth=self._depth, init=[], attrs=attrs
        )
        writer, reader = memory.write_port(), memory.read_port()
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
        """36 bits wide: written at A, whose lowest address pins enable bytes, read at B; the outputs of A are the
        lower half of the word, those of B the upper one."""
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
        addresses = {
            "A": Cat(self.write_enable.replicate(4), Const(0, 1), self.write_address, none),
            "B": Cat(Const(0, 5), self.read_address, none),
        }
        ports |= {f"i_AD{port}{i}": value[i] for port, value in addresses.items() for i in range(14)}
        data = Cat(self.write_data, none)
        for i in range(_WIDTH):
            pin = f"{'AB'[i // 18]}{i % 18}"
            ports |= {f"i_DI{pin}": data[i], f"o_DO{pin}": word[i]}
        return Instance("DP16KD", **ports)
