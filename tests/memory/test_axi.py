"""The signatures, their names in Verilog, and the ports against an AXI model of others."""

import re
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import Axi4Signature, AxiLiteSignature
from sat_hdl.sim.cocotb_runner import run_bench
from sat_hdl.sim.verilog import emit

from .rig import Rig


@pytest.mark.parametrize("stall", [0, 0.4])
def test_bench(stall):
    seed = 5 + int(10 * stall)
    print(f"seed {seed}")
    rig = Rig(readers=2, writers=1, data_bits=64, depth=64, burst_beats=16)
    run_bench(rig, "rig", Path(__file__).with_name("axi_bench.py"), parameters={"SEED": seed, "STALL": stall})


class Buses(wiring.Component):
    def __init__(self):
        super().__init__(
            {
                "m_axi": Out(Axi4Signature(data_bits=64, id_bits=3)),
                "s_axi": In(AxiLiteSignature(address_bits=12)),
            }
        )

    def elaborate(self, platform):
        return Module()


def test_ports_have_the_standard_names():
    text = emit(Buses(), "buses")
    found = re.findall(r"^  (input|output) (?:\[\d+:0\] )?(\w+);", text, re.M)
    ports = {name: way for way, name in found}
    for channel in ("aw", "ar"):
        for name in ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "valid"):
            assert ports[f"m_axi_{channel}{name}"] == "output"
        assert ports[f"m_axi_{channel}ready"] == "input"
        assert ports[f"s_axi_{channel}addr"] == "input"
        assert ports[f"s_axi_{channel}ready"] == "output"
    assert ports["m_axi_wstrb"] == "output"
    assert ports["m_axi_rdata"] == "input"
    assert ports["s_axi_rdata"] == "output"


@pytest.mark.parametrize("wrong", [{"data_bits": 48}, {"address_bits": 65}, {"id_bits": 0}])
def test_widths_are_checked(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be"):
        Axi4Signature(**{"data_bits": 64, "id_bits": 1, **wrong})
