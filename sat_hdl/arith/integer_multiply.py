"""Unsigned integer multiplier with two or three ranks of registers: the seam to a device's DSP blocks."""

from amaranth.hdl import Cat, ClockSignal, Const, Elaboratable, Instance, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["IntegerMultiply"]

#: Operand width of an ECP5 MULT18X18D.
ECP5_OPERAND_BITS = 18


class IntegerMultiply(wiring.Component):
    """``p = a × b``, unsigned, ``latency`` cycles later: one rank before and one behind the multiplier, and with 3
    ranks one within.

    One product a cycle, lock-step: there is no valid and no enable. The registers have no reset.

    On "ecp5" this is one MULT18X18D with its own input, pipeline and output registers, which no inference uses
    (timing model of nextpnr, grade 6: 145 MHz bare, 523 MHz with two ranks). On "portable" it is ``*``
    between ranks, which synthesis maps to what the device has.

    Arguments
    ---------
    width_a, width_b: bits of the operands, at least 1; at most 18 on "ecp5".
    target: "portable" or "ecp5". ranks: 2 or 3.

    Members
    -------
    a: In(width_a), b: In(width_b), p: Out(width_a + width_b).
    """

    def __init__(self, *, width_a: int, width_b: int, target: str = "portable", ranks: int = 2):
        if ranks not in (2, 3):
            raise ValueError(f"ranks must be 2 or 3, not {ranks!r}")
        if target not in ("portable", "ecp5"):
            raise ValueError(f'target must be "portable" or "ecp5", not {target!r}')
        for name, width in (("width_a", width_a), ("width_b", width_b)):
            if not isinstance(width, int) or width < 1:
                raise ValueError(f"{name} must be a positive integer, not {width!r}")
            if target == "ecp5" and width > ECP5_OPERAND_BITS:
                raise ValueError(f"{name} must be at most {ECP5_OPERAND_BITS} on ecp5, not {width!r}")
        self._target, self._ranks = target, ranks
        super().__init__({"a": In(width_a), "b": In(width_b), "p": Out(width_a + width_b)})

    @property
    def latency(self) -> int:
        """Cycles from operands to their product: the ranks."""
        return self._ranks

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        if self._target == "ecp5":
            product = Signal(2 * ECP5_OPERAND_BITS)
            m.submodules.dsp = _mult18x18d(self.a, self.b, product, pipeline=self._ranks == 3)
            m.d.comb += self.p.eq(product)
        else:
            a = Signal.like(self.a, reset_less=True)
            b = Signal.like(self.b, reset_less=True)
            m.d.sync += [a.eq(self.a), b.eq(self.b)]
            product = a * b
            for rank in range(1, self._ranks):
                p = Signal.like(self.p, name=f"p_{rank}", reset_less=True)
                m.d.sync += p.eq(product)
                product = p
            m.d.comb += self.p.eq(product)
        return m


def _mult18x18d(a: Signal, b: Signal, product: Signal, *, pipeline: bool) -> Instance:
    """A MULT18X18D, unsigned, with input and output registers on CLK0, and those between if ``pipeline``, and
    everything else tied off."""
    ports: dict[str, object] = {
        "p_REG_INPUTA_CLK": "CLK0",
        "p_REG_INPUTB_CLK": "CLK0",
        "p_REG_OUTPUT_CLK": "CLK0",
        **({"p_REG_PIPELINE_CLK": "CLK0"} if pipeline else {}),
        "p_GSR": "DISABLED",
        "i_CLK0": ClockSignal("sync"),
        "i_CE0": Const(1, 1),
        "i_RST0": Const(0, 1),
    }
    for number in (1, 2, 3):
        ports |= {f"i_CLK{number}": Const(0, 1), f"i_CE{number}": Const(1, 1), f"i_RST{number}": Const(0, 1)}
    for name in ("SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB"):
        ports[f"i_{name}"] = Const(0, 1)
    operand = unsigned(ECP5_OPERAND_BITS)
    # The cascade inputs SRIA and SRIB stay open: not even a constant can be routed to them.
    operands = {"A": a, "B": b, "C": Const(0, operand)}
    for name, value in operands.items():
        padded = Cat(value, Const(0, ECP5_OPERAND_BITS))
        ports |= {f"i_{name}{bit}": padded[bit] for bit in range(ECP5_OPERAND_BITS)}
    ports |= {f"o_P{bit}": product[bit] for bit in range(len(product))}
    return Instance("MULT18X18D", **ports)
