"""Verilog generation: port names, determinism, shared modules."""

import re
import subprocess
import sys

import numpy as np
import pytest
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.verilog import emit


class Cell(wiring.Component):
    """o = a + step, a cycle later."""

    def __init__(self, step: int = 1):
        self._step = step
        super().__init__({"a": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.a + self._step)
        return m


class Chain(wiring.Component):
    """Cells one after the other, all of one shared module."""

    def __init__(self, length: int = 3, cell: Cell | None = None):
        self._length = length
        self._cell = cell or Cell()
        super().__init__({"a": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        self.shared_modules = {"cell": self._cell}
        at = self.a
        for i in range(self._length):
            after = Signal(8, name=f"after_{i}")
            m.submodules[f"cell_{i}"] = Instance(
                "cell", i_clk=ClockSignal(), i_rst=ResetSignal(), i_a=at, o_o=after
            )
            at = after
        m.d.comb += self.o.eq(at)
        return m


class Pair(wiring.Component):
    """Two chains in a row."""

    def __init__(self, *cells: Cell):
        self._chains = [Chain(3, cell) for cell in cells]
        super().__init__({"a": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.first, m.submodules.second = first, second = self._chains
        m.d.comb += [first.a.eq(self.a), second.a.eq(first.o), self.o.eq(second.o)]
        return m


class Ports(wiring.Component):
    """Streams of every kind of payload; what comes in goes out."""

    def __init__(self):
        pair = data.StructLayout({"value": 16, "index": 3})
        beats = stream.Signature(data.ArrayLayout(pair, 4))
        super().__init__(
            {"west": In(beats), "east": Out(beats), "bus": In(wiring.Signature({"plain": Out(5)}))}
        )

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.west), wiring.flipped(self.east))
        return m


def modules(text: str) -> list[str]:
    return re.findall(r"^module \\?(\S+?)\s*\(", text, re.M)


def test_port_names():
    text = emit(Ports(), "top")
    for port in (
        "input [75:0] west__payload", "input west__valid", "output west__ready",
        "output [75:0] east__payload", "output east__valid", "input east__ready", "input [4:0] bus__plain",
    ):  # fmt: skip
        assert f"  {port};" in text


def test_same_bytes_everywhere(tmp_path):
    """A process of its own, another hash seed, another folder: the same text, and no trace of any of them."""
    here = emit(Ports(), "top")
    script = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('m', {__file__!r}); m = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(m); sys.stdout.write(m.emit(m.Ports(), 'top'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONHASHSEED": "99"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == here, done.stderr
    assert "src" not in here and ".py" not in here


def test_shared_modules_are_written_once():
    text = emit(Chain(), "chain")
    assert sorted(modules(text)) == ["cell", "chain"]
    with Simulation(text, "chain") as sim:
        a = np.arange(100, dtype=np.uint8)
        np.testing.assert_array_equal(sim.vectors({"a": a}, ["o"], latency=3)["o"], a + 3)


def test_shared_modules_of_submodules():
    text = emit(Pair(Cell(), Cell()), "pair")
    assert sorted(modules(text)) == ["cell", "pair", "pair.first", "pair.second"]


def test_shared_modules_must_agree():
    with pytest.raises(ValueError, match="called 'cell' must be equal"):
        emit(Pair(Cell(1), Cell(2)), "pair")


def test_extra_sources():
    assert emit(Cell(), "cell", extra_sources=["module more;\nendmodule\n"]).endswith(
        "module more;\nendmodule\n"
    )
