"""Synthesis for ECP5: what a whole device's netlist may hold."""

from collections import Counter

import msgspec
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.fpga.ecp5 import Area, parse_target
from sat_hdl.fpga.flow import synthesise
from sat_hdl.fpga.toolchain import BuildError
from sat_hdl.sim.verilog import emit

_SIZES = (2, 5, 12, 24)


class Registers(wiring.Component):
    """Registers of several sizes, each with a reset and an enable of its own."""

    def __init__(self):
        bits, several = sum(_SIZES), len(_SIZES)
        super().__init__(
            {"d": In(bits), "clear": In(several), "more": In(several), "enable": In(several), "o": Out(bits)}
        )

    def elaborate(self, platform):
        m = Module()
        place = 0
        for i, size in enumerate(_SIZES):
            part = slice(place, place + size)
            q = Signal(size, name=f"q_{i}", reset_less=True)
            with m.If(self.enable[i]):
                m.d.sync += q.eq(self.d[part])
            with m.If(self.clear[i] & self.more[i]):
                m.d.sync += q.eq(0)
            m.d.comb += self.o[part].eq(q)
            place += size
        return m


def _registers(tmp_path, whole: bool) -> tuple[Counter, int]:
    """Of a netlist: how many registers each reset has that is a net, and all there are."""
    target = parse_target("ecp5-85f-6")
    synthesise(emit(Registers(), "top"), target=target, top="top", cwd=tmp_path, buffers=False, whole=whole)
    cells = msgspec.json.decode((tmp_path / "netlist.json").read_bytes())["modules"]["top"]["cells"].values()
    registers = [cell["connections"] for cell in cells if cell["type"] == "TRELLIS_FF"]
    return Counter(pins["LSR"][0] for pins in registers if isinstance(pins["LSR"][0], int)), len(registers)


def test_few_registers_have_no_reset_of_their_own_in_a_whole_device(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "block").mkdir()
    resets, registers = _registers(tmp_path / "whole", whole=True)
    assert sorted(resets.values()) == [12, 24]
    assert registers == sum(_SIZES)
    # Which would be there otherwise:
    resets, registers = _registers(tmp_path / "block", whole=False)
    assert sorted(resets.values()) == sorted(_SIZES)
    assert registers == sum(_SIZES)


@pytest.mark.parametrize(("size", "cells"), [("25f", 24_288), ("85f", 83_640)])
def test_what_nextpnr_finds_no_places_for_is_refused(size, cells):
    target, most = parse_target(f"ecp5-{size}-6"), cells * 9 // 10
    fits = Area(lut4=most - 80, ccu2c=10, lutram=10, ff=0, dsp=0, bram=0)
    target.check_fits(fits)
    for field in ("lut4", "ccu2c", "lutram"):
        more = msgspec.structs.replace(fits, **{field: getattr(fits, field) + 1})
        with pytest.raises(BuildError, match=f"of the {cells:,} logic cells .* no more than {most:,}"):
            target.check_fits(more)
