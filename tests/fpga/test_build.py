"""A whole bitstream, of a core small enough to build in seconds, and what `sat-hdl build` makes of it."""

import json

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl import cli
from sat_hdl.components import make
from sat_hdl.config import ConfigError, preset
from sat_hdl.fpga.board_top import link_for
from sat_hdl.fpga.boards import board
from sat_hdl.fpga.build import build
from sat_hdl.fpga.flow import place_and_route
from sat_hdl.fpga.toolchain import SeedError


class Loop(wiring.Component):
    """Gives back what it takes, plus one."""

    there: In(stream.Signature(12))
    back: Out(stream.Signature(12))

    def elaborate(self, platform):
        m = Module()
        with m.If(self.back.ready | ~self.back.valid):
            m.d.comb += self.there.ready.eq(1)
            m.d.sync += [self.back.valid.eq(self.there.valid), self.back.payload.eq(self.there.payload + 1)]
        return m


@pytest.fixture
def run(capsys, monkeypatch):
    """run(*words) of `sat-hdl build` on the small core → (exit status, the object on stdout)."""
    monkeypatch.setattr("sat_hdl.fpga.designs.design_for", lambda *args, **options: Loop())

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main(["build", "--board", "ulx3s-85f", "--json", *map(str, words)])
        return stop.value.code, json.loads(capsys.readouterr().out)

    return call


def test_a_bitstream(run, tmp_path):
    status, report = run("-o", tmp_path / "out", "--seeds", 2)
    assert status == 0
    assert report["board"] == report["preset"] == "ulx3s-85f"
    assert report["clock_mhz"] == board("ulx3s-85f").clock_mhz <= report["fmax_mhz"]
    assert report["fmax_mhz"] == max(seed["fmax_mhz"] for seed in report["seeds"]) and report["meets_clock"]
    assert [seed["seed"] for seed in report["seeds"]] == [1, 2]
    assert report["ff"] > 50 and report["lut4"] > 50 and report["dsp"] == report["bram"] == 0
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"ulx3s-85f.bit", "report.json", "nextpnr.log"}
    data = files["ulx3s-85f.bit"].read_bytes()
    assert b"LFE5U-85F" in data[:300] and len(data) > 50_000
    assert json.loads(files["report.json"].read_text())["fmax_mhz"] == report["fmax_mhz"]


def test_a_bitstream_placed_again(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))
    _, once = run("-o", tmp_path / "once", "--seeds", 1)
    status, again = run("-o", tmp_path / "again", "--seeds", 1, "--dense", "--placer", "static")
    assert status == 0 and again["meets_clock"] and again["used"] == once["used"]
    files = [(tmp_path / name / "ulx3s-85f.bit").read_bytes() for name in ("once", "again")]
    assert files[0] != files[1]


def test_seeds_that_fail(run, tmp_path, monkeypatch):
    """Others do; it is told, and not tried again."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))
    tried = []

    def place(cwd, *, seed, **options):
        tried.append(seed)
        if seed != 2:
            raise SeedError(f"no ways for {seed}")
        return place_and_route(cwd, seed=seed, **options)

    monkeypatch.setattr("sat_hdl.fpga.build.place_and_route", place)
    status, told = run("-o", tmp_path / "out", "--seeds", 1)
    assert status == 1 and told["error"] == "None of 1 seeds will do; the first: no ways for 1"
    status, report = run("-o", tmp_path / "out", "--seeds", 3)
    assert status == 0 and report["best_seed"] == 2
    assert [seed.get("failed") for seed in report["seeds"]] == ["no ways for 1", None, "no ways for 3"]
    assert [seed["fmax_mhz"] for seed in report["seeds"]] == [None, report["fmax_mhz"], None]
    assert sorted(tried) == [1, 2, 3]


def test_a_missed_clock_is_refused(run, tmp_path):
    status, told = run("-o", tmp_path / "out", "--seeds", 1, "--clock-mhz", 390)
    assert status == 1
    assert "less than the 390" in told["error"] or "less than the 391" in told["error"]
    assert list(tmp_path.iterdir()) == []
    status, report = run("-o", tmp_path / "out", "--seeds", 1, "--clock-mhz", 390, "--allow-timing-fail")
    assert status == 0
    assert report["fmax_mhz"] < report["clock_mhz"] and not report["meets_clock"]


def test_the_link_carries_every_stream_of_the_core():
    protocol = link_for(make("top", preset("tiny"))).protocol
    assert {"job", "west", "north", "initial", "dense", "prune_job"} == set(protocol.to_core)
    assert {"report", "result", "pairs", "prune_status"} == set(protocol.from_core)


def test_no_seeds_are_refused():
    with pytest.raises(ConfigError, match="seeds must be at least 1, not 0"):
        build(Loop(), board("ulx3s-85f"), seeds=0)


def test_a_small_board(tmp_path, capsys):
    """The iCEBreaker's own choice, whole: its bitstream takes a minute."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["build", "--board", "icebreaker", "--json", "--seeds", "1", "-o", str(tmp_path / "out")])
    report = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0, report
    assert (
        report["meets_clock"] and report["fmax_mhz"] >= report["clock_mhz"] == board("icebreaker").clock_mhz
    )
    assert report["target"] == "ice40-up5k" and report["config"]["target"] == "portable"
    assert report["dsp"] == 1 and report["bram"] > 10
    used, has = report["used"]["ICESTORM_LC"]
    assert report["lut4"] < used <= has == 5280
    assert report["used"]["ICESTORM_PLL"] == [1, 1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "icebreaker.bin", "report.json", "nextpnr.log",
    }  # fmt: skip
    # What the device looks for at the beginning of its configuration.
    assert b"\x7e\xaa\x99\x7e" in (tmp_path / "out" / "icebreaker.bin").read_bytes()[:200]


@pytest.mark.slow
def test_the_whole_core(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["build", "--board", "ulx3s-85f", "--json", "--seeds", "2", "-o", str(tmp_path / "out")])
    report = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0, report
    assert report["dsp"] == 16 and report["fmax_mhz"] >= report["clock_mhz"]
