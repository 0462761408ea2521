"""Wraps any component so that its pins don't count: four pins, registers on every side of it."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Harness", "flat_ports"]


def flat_ports(component: wiring.Component) -> tuple[list[Value], list[Value]]:
    """(inputs, outputs) of ``component``, every leaf of its signature as a plain value."""
    inputs, outputs = [], []
    for _, member, value in component.signature.flatten(component):
        (inputs if member.flow == In else outputs).append(Value.cast(value))
    return inputs, outputs


class Harness(wiring.Component):
    """Feeds ``dut`` from one pin and folds its outputs into one pin, all through registers.

    A shift register takes ``serial_in``; while ``load`` is high its content moves into the rank of
    registers that drives the inputs (the load keeps a tool from merging the two). Outputs go to a rank
    of registers, then through a chain of one XOR and one register a bit to ``serial_out``. So every path
    that the tool times inside the wrapper's clock, and that is longer than one LUT, is the component's.

    Arguments
    ---------
    dut: the component, in the ``sync`` domain or combinational.
    """

    serial_in: In(1)
    load: In(1)
    serial_out: Out(1)

    def __init__(self, dut: wiring.Component):
        if not isinstance(dut, wiring.Component):
            raise TypeError(f"A harness's dut must be an amaranth.lib.wiring.Component, not {dut!r}")
        self.dut = dut
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        inputs, outputs = (Cat(*side) for side in flat_ports(self.dut))
        if len(inputs):
            shift = Signal(len(inputs), reset_less=True)
            rank = Signal(len(inputs), reset_less=True)
            m.d.sync += shift.eq(Cat(self.serial_in, shift)[: len(shift)])
            with m.If(self.load):
                m.d.sync += rank.eq(shift)
            m.d.comb += inputs.eq(rank)
        if len(outputs):
            rank = Signal(len(outputs), reset_less=True)
            fold = Signal(len(outputs), reset_less=True)
            m.d.sync += [rank.eq(outputs), fold.eq(rank ^ Cat(self.load, fold)[: len(fold)])]
            m.d.comb += self.serial_out.eq(fold[-1])
        return m
