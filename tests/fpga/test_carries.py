"""What is done to a netlist between Yosys and nextpnr."""

import msgspec
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder
from sat_hdl.fpga.ecp5 import parse_target
from sat_hdl.fpga.flow import synthesise
from sat_hdl.sim.verilog import emit


class Adders(wiring.Component):
    """A sum whose carry is read, one whose carry is not, and adders of every way to begin a chain."""

    def __init__(self):
        super().__init__({"a": In(24), "b": In(24), "o": Out(96), "less": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.o[:24].eq(self.a + self.b), self.less.eq(self.a < self.b)]
        for i, (width, carry) in enumerate([(16, False), (17, False), (16, True), (17, True)]):
            m.submodules[f"adder_{i}"] = adder = MuxAdder(width=width, carry=carry, target="ecp5")
            total = Signal(width)
            m.d.comb += [
                adder.x.eq(self.a),
                adder.y0.eq(self.b),
                adder.y1.eq(self.a ^ self.b),
                adder.s.eq(self.b[0]),
            ]
            if carry:
                m.d.comb += adder.carry.eq(self.a[3])
            m.d.comb += total.eq(adder.o)
            m.d.sync += self.o[24 + 18 * i :][:18].eq(total)
        return m


def test_carries_are_open_where_nobody_reads_them_and_where_they_are_of_no_matter(tmp_path):
    synthesise(
        emit(Adders(), "top"), target=parse_target("ecp5-85f-6"), top="top", cwd=tmp_path, buffers=False
    )
    module = msgspec.json.decode((tmp_path / "netlist.json").read_bytes())["modules"]["top"]
    cells = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "CCU2C"]
    read = {bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    for cell in module["cells"].values():
        read.update(
            b
            for p, bits in cell["connections"].items()
            if cell["port_directions"][p] == "input"
            for b in bits
        )
    ends = [
        pins["COUT"]
        for pins in cells
        if pins["COUT"][0] == "x" or not set(pins["COUT"]) & {p["CIN"][0] for p in cells}
    ]
    # Of six chains one's last carry is read: that of the comparison.
    assert sorted(end == ["x"] for end in ends) == [False] * (len(ends) - 5) + [True] * 5
    assert all(set(end) & read for end in ends if end != ["x"])
    starts = [pins for pins in cells if isinstance(pins["CIN"][0], str)]
    # Those with a carry, and the one of an odd number of bits, begin with a half that stops what comes in.
    assert sorted(pins["CIN"][0] == "x" for pins in starts) == [False] * (len(starts) - 3) + [True] * 3
    for pins in starts:
        if pins["CIN"] == ["x"]:
            assert pins["S0"][0] not in read
            assert pins["A0"] == pins["C0"] == pins["D0"]
