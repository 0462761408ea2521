"""Netlists of ECP5 cells do what the RTL does: block RAMs of every width, LUT RAM, the array's element."""

import re

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.mac import Mac
from sat_hdl.formats import BINARY16
from sat_hdl.fpga.gate_level import gate_level
from sat_hdl.memory.element_bank import ElementBank
from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.verilog import emit


class Memories(wiring.Component):
    """Memories of (width, depth, bits of a write enable), with everything in common that they can have."""

    def __init__(self, *shapes: tuple[int, int, int]):
        self.shapes = shapes
        super().__init__(
            {"write": In(12), "enables": In(8), "data": In(32), "read": In(12), "reads": In(1)}
            | {f"q{i}": Out(width) for i, (width, _, _) in enumerate(shapes)}
        )

    def elaborate(self, platform):
        m = Module()
        for i, (width, depth, granularity) in enumerate(self.shapes):
            attrs = {"no_rw_check": 1, "ram_style": "block"}
            memory = Memory(shape=width, depth=depth, init=[], attrs=attrs)
            m.submodules[f"memory_{i}"] = memory
            writer, reader = memory.write_port(granularity=granularity), memory.read_port()
            m.d.comb += [
                writer.addr.eq(self.write), writer.data.eq(self.data.replicate(3)), writer.en.eq(self.enables),
                reader.addr.eq(self.read), reader.en.eq(self.reads), getattr(self, f"q{i}").eq(reader.data),
            ]  # fmt: skip
        return m


def test_block_rams(seed=1):
    shapes = ((64, 512, 8), (16, 1024, 16), (8, 2048, 8), (4, 4096, 4), (40, 300, 8))
    gates = gate_level(Memories(*shapes))
    widths = {int(width) for width in re.findall(r"\.DATA_WIDTH_\w\(32'd(\d+)\)", gates)}
    assert widths == {36, 18, 9, 4}
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 20_000
    read, write = rng.integers(0, 4096, (2, n)).astype(np.uint16)
    enables = rng.integers(0, 256, n).astype(np.uint8)
    # A word is never read in the cycle in which it is written: the low bits are all that some have.
    enables[(read & 511) == (write & 511)] = 0
    read %= 300
    inputs = {
        "write": write % 300,
        "read": read,
        "enables": enables,
        "data": rng.integers(0, 2**32, n, dtype=np.uint32),
    }
    inputs["enables"][inputs["write"] == inputs["read"]] = 0
    inputs["reads"] = rng.integers(0, 2, n).astype(np.uint8)
    names = [f"q{i}" for i in range(len(shapes))]
    # The comparison can fail: a port of another width.
    broken = re.sub(r"(\.DATA_WIDTH_B\(32'd)9\)", r"\g<1>18)", gates, count=1)
    good, wanted, bad = (
        Simulation(text, "top").vectors(inputs, names, latency=1)
        for text in (gates, emit(Memories(*shapes), "top"), broken)
    )
    for name in names:
        assert (good[name] == wanted[name]).all(), name
        assert len(np.unique(good[name])) > 10
    assert not all((bad[name] == wanted[name]).all() for name in names)


def test_banks_that_are_read_narrower_than_written(seed=3):
    """What Yosys makes of several ports that write parts of a word."""
    parts, depth, n = 4, 512, 20_000
    bank = ElementBank(parts=parts, step=1, width=16, depth=depth, target="ecp5")
    gates = gate_level(bank)
    widths = {
        tuple(re.findall(r"\.DATA_WIDTH_\w\(32'd(\d+)\)", cell)) for cell in gates.split("DP16KD #(")[1:]
    }
    assert widths == {("36", "9")}
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    write = np.concatenate([np.arange(depth), rng.integers(0, depth, n - depth)])
    enables = np.where(np.arange(n) < depth, 15, rng.integers(0, 16, n))
    inputs = {
        "write_address": write,
        "write_enable": enables,
        "write_data": rng.integers(0, 2**64, n, dtype=np.uint64),
        "read_address": (write + rng.integers(1, depth, n)) % depth * parts + rng.integers(0, parts, n),
        "read_enable": rng.integers(0, 2, n),
    }
    inputs = {name: values.astype(np.uint64) for name, values in inputs.items()}
    good, wanted = (
        Simulation(text, "top").vectors(inputs, ["read_data"], latency=1)["read_data"]
        for text in (gates, emit(ElementBank(parts=parts, step=1, width=16, depth=depth), "top"))
    )
    settled = depth + 100
    assert (good[settled:] == wanted[settled:]).all() and len(np.unique(good)) > 1000


def test_a_multiply_accumulate(seed=2):
    """The multiplier's block, carry chains, wide multiplexers."""

    def made() -> Mac:
        return Mac(format=BINARY16, target="ecp5")

    gates = gate_level(made())
    assert "MULT18X18D" in gates and "CCU2C" in gates
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 20_000
    with Simulation(gates, "top") as simulation:
        ports = simulation.ports
        inputs = {}
        for name, (way, width) in ports.items():
            if way == "in" and name not in ("clk", "rst"):
                octets = next(size for size in (1, 2, 4, 8) if size * 8 >= width)
                inputs[name] = rng.integers(0, 2**width, n, dtype=np.uint64).astype(f"u{octets}")
        outputs = [name for name, (way, _) in ports.items() if way == "out"]
        found = simulation.vectors(inputs, outputs, latency=made().latency)
    with Simulation(made(), "top", extra_sources=[ECP5.read_text()]) as simulation:
        wanted = simulation.vectors(inputs, outputs, latency=made().latency)
    for name in outputs:
        assert (found[name] == wanted[name])[made().latency :].all(), name


def test_output_registers(seed=3):
    """Of a block RAM, which move on by an enable of their own."""

    def made(target: str) -> RegisteredRam:
        return RegisteredRam(width=36, depth=32, target=target)

    gates = gate_level(made("ecp5"))
    assert gates.count('("OUTREG")') == 2
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 10_000
    write = rng.integers(0, 32, n).astype(np.uint8)
    inputs = {
        "write_address": write,
        "write_enable": rng.integers(0, 2, n).astype(np.uint8),
        "write_data": rng.integers(0, 2**36, n, dtype=np.uint64),
        "read_address": (write + rng.integers(1, 32, n)).astype(np.uint8) % 32,
        "reads": rng.integers(0, 2, n).astype(np.uint8),
        "forwards": rng.integers(0, 2, n).astype(np.uint8),
    }
    # The comparison can fail: without them.
    good, bad, wanted = (
        Simulation(text, "top").vectors(inputs, ["read_data"], latency=0)["read_data"]
        for text in (gates, gates.replace('("OUTREG")', '("NOREG")'), emit(made("portable"), "top"))
    )
    assert (good == wanted)[200:].all()
    assert not (bad == wanted)[200:].all()
