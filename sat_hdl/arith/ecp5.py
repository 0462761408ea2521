"""The seam to ECP5's carry chain: an adder with a multiplexer folded in front of one operand."""

from amaranth.hdl import Cat, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TARGETS", "MuxAdder", "check_target"]

#: What a component's ``target`` may be.
TARGETS = ("portable", "ecp5")


def check_target(target: str):
    if target not in TARGETS:
        raise ValueError(f"Target must be one of {TARGETS!r}, not {target!r}")


class MuxAdder(wiring.Component):
    """``o = x + (s ? y1 : y0) + carry``, modulo 2**width.

    Combinational. On ECP5 it takes ``ceil(width / 2)`` CCU2C (one bit more with a carry) and no LUT: half of
    a CCU2C's four-input table is idle when it only adds, and Yosys does not fold a multiplexer into it. Where half a
    CCU2C is left over it begins the chain, whose first carry then is of no matter (see ``open_idle_carries`` of
    :mod:`sat_hdl.fpga.carries`).

    How: a CCU2C computes ``P = INIT(A, B, C, D)`` and, where P is 0, passes ``G = INIT(A, B, 0, 0)`` on as the
    carry. With A = x, B = s, C = y1, D = y0 and ``P = A ^ (B ? C : D)``, G is A: where P is 0 both operands
    equal x, so x is indeed the carry.

    Arguments
    ---------
    width: bits of the operands and of the sum, at least 1.
    carry: whether there is a carry input.
    target: "ecp5" instantiates CCU2C, "portable" writes the expression.

    Members
    -------
    x, y0, y1: In(width).
    s: In(1).
    carry: In(1), if asked for.
    o: Out(width).
    """

    def __init__(self, *, width: int, carry: bool = False, target: str = "portable"):
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"Width must be a positive integer, not {width!r}")
        check_target(target)
        self._width = width
        self._carry = carry
        self._target = target
        members = {"x": In(width), "y0": In(width), "y1": In(width), "s": In(1), "o": Out(width)}
        super().__init__(members | ({"carry": In(1)} if carry else {}))

    def elaborate(self, platform):
        m = Module()
        carry = self.carry if self._carry else Const(0, 1)
        if self._target == "portable":
            m.d.comb += self.o.eq(self.x + Mux(self.s, self.y1, self.y0) + carry)
            return m

        x, y0, y1 = self.x, self.y0, self.y1
        begins = self._carry or self._width % 2
        if begins:
            # Enters the chain as one more bit position, where both operands equal it, so that none before it counts.
            x, y0, y1 = Cat(carry, x), Cat(carry, y0), Cat(carry, y1)
        if len(x) % 2:
            x, y0, y1 = Cat(x, Const(0, 1)), Cat(y0, Const(0, 1)), Cat(y1, Const(0, 1))
        init = sum(
            (a ^ (c if b else d)) << (8 * d + 4 * c + 2 * b + a)
            for a in (0, 1)
            for b in (0, 1)
            for c in (0, 1)
            for d in (0, 1)
        )
        total = Signal(len(x))
        cin = Const(0, 1)
        for low in range(0, len(x), 2):
            cout = Signal(name=f"carry_{low}")
            ports = {}
            for half in (0, 1):
                bit = low + half
                ports |= {
                    f"i_A{half}": x[bit],
                    f"i_B{half}": self.s,
                    f"i_C{half}": y1[bit],
                    f"i_D{half}": y0[bit],
                    f"o_S{half}": total[bit],
                    f"p_INIT{half}": Const(init, 16),
                    f"p_INJECT1_{half}": "NO",
                }
            m.submodules[f"ccu2c_{low // 2}"] = Instance("CCU2C", i_CIN=cin, o_COUT=cout, **ports)
            cin = cout
        m.d.comb += self.o.eq(total[1:] if begins else total)
        return m
