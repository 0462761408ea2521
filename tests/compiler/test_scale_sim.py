"""SCALE-Sim in its interpreter: what it is asked, what is read, kept and refused; the tool itself, if it is here."""

import os
import sys
import time

import numpy as np
import pytest

from sat_hdl.compiler.networks import network
from sat_hdl.compiler.networks.table import Gemm
from sat_hdl.compiler.scale_sim import ScaleSim, find_scale_sim, form_cycles, step_cycles
from sat_hdl.config import ConfigError, preset
from sat_hdl.sim.build import ToolError

from .scale_sim_tool import cycles_of, write_tool

SPARSE = Gemm(m=8, k=64, n=24, keep=2, group=8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The build cache is a test's own."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))


def tool(python, **more) -> ScaleSim:
    found = find_scale_sim(python)
    assert found
    return ScaleSim(*found, 8, 8, **more)


def test_what_it_is_asked(tmp_path, capfd):
    """Each distinct product once, sparse ones with k and N:M; its figures come back; a second time from the cache."""
    python, calls = write_tool(tmp_path)
    said = []
    gemms = [Gemm(m=8, k=64, n=24), SPARSE, Gemm(m=8, k=64, n=24, count=7), Gemm(m=8, k=2000, n=24)]
    with tool(python, limit=1000, progress=said.append) as first:
        assert [first.cycles(gemm) for gemm in gemms] == [cycles_of(8, 64, 24, 8)] * 3 + [None]
        assert (first.runs, len(first.products)) == (2, 3)
        assert first.difference == cycles_of(8, 64, 24, 8) - form_cycles(SPARSE, 8, 8)
    assert calls.read_text().splitlines() == ["8 64 24 1:1 False", "8 64 24 2:8 True"]
    assert said == ["SCALE-Sim: 8 × 64 × 24", "SCALE-Sim: 8 × 64 × 24 at 2:8"]
    assert capfd.readouterr().out == ""
    with tool(python, progress=said.append) as second:
        assert second.cycles(SPARSE) == cycles_of(8, 64, 24, 8)
    assert len(calls.read_text().splitlines()) == len(said) == 2
    with ScaleSim(python, "3.0.1", 8, 8) as newer:
        newer.cycles(SPARSE)
    assert len(calls.read_text().splitlines()) == 3


def test_the_limit_is_included(tmp_path):
    python, _ = write_tool(tmp_path)
    for limit in (-1, 0):
        with tool(python, limit=form_cycles(SPARSE, 8, 8) + limit) as found:
            assert (found.cycles(SPARSE) is None) == bool(limit)


def test_a_network(tmp_path):
    """A step is the sum of its products, counts included, tool and form side by side."""
    python, _ = write_tool(tmp_path)
    vit, config = network("vit"), preset("8x8")
    words = {"batch": 1, "method": "bdwp", "sparsity": (2, 8)}
    form = step_cycles(vit, config, **words)
    assert form.source == "form" and form.live == 0
    with tool(python, limit=0) as none:
        assert step_cycles(vit, config, **words, tool=none) == form
    with tool(python, limit=10**5) as some:
        mixed = step_cycles(vit, config, **words, tool=some)
    assert mixed.source == "mixed" and 0 < mixed.form < form.form and 0 < some.runs < len(some.products)
    live = left = 0
    for layer in vit.layers:
        for stage, sparsity in (("ff", (2, 8)), ("bp", (2, 8)), ("wu", None)):
            for gemm in layer.products(stage, 1, sparsity) if hasattr(layer, "products") else ():
                cycles = form_cycles(gemm, 8, 8)
                if cycles > 10**5:
                    left += gemm.count * cycles
                else:
                    live += gemm.count * cycles_of(gemm.m, gemm.k, gemm.n, 8)
    assert (mixed.live, mixed.form) == (live, left)


@pytest.mark.parametrize(
    "faults, sentence",
    [
        ({"body": "sys.exit()"}, r"SCALE-Sim 3\.0\.0 failed for 8 × 64 × 24 at 2:8: noise on stdout"),
        ({"body": "raise ValueError('too odd')"}, "failed for 8 × 64 × 24 at 2:8: ValueError: too odd"),
        ({"body": "return"}, "ended without COMPUTE_REPORT.csv"),
        ({"row": ""}, "has no number of `Total Cycles` for one layer"),
        ({"row": "0, 0, many, 0,\n"}, "has no number of `Total Cycles` for one layer"),
        ({"header": "LayerID, Cycles,\n"}, "has no number of `Total Cycles` for one layer"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value.values()))[:12],
)
def test_faults_of_the_tool(tmp_path, faults, sentence):
    """They are told each time: nothing is kept of them."""
    python, calls = write_tool(tmp_path, **faults)
    for _ in range(2):
        with tool(python) as found, pytest.raises(ToolError, match=sentence):
            found.cycles(SPARSE)
    assert len(calls.read_text().splitlines()) == 2


def test_a_tool_that_hangs(tmp_path):
    python, _ = write_tool(tmp_path, body="time.sleep(1000)")
    start = time.monotonic()
    with tool(python, seconds=0.5) as found:
        with pytest.raises(
            ToolError, match=r"more than 0\.5 s for 8 × 64 × 24 at 2:8: give a smaller `--scale-sim-limit`"
        ):
            found.cycles(SPARSE)
    assert time.monotonic() - start < 100


def test_interpreters(tmp_path, monkeypatch):
    python, _ = write_tool(tmp_path)
    assert find_scale_sim(python) == (python, "3.0.0")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    assert find_scale_sim(None) == (sys.executable, "3.0.0")
    (tmp_path / "packages" / "numpy-2.3.5.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 2.4.0\n")
    assert find_scale_sim(None) is None


@pytest.mark.parametrize(
    "versions, sentence",
    [
        ({"version": "2.0.2"}, "has SCALE-Sim 2.0.2; version 3 is compared with"),
        ({"numpy": "2.4.6"}, "SCALE-Sim needs numpy below 2.4, and .* has 2.4.6: make an environment"),
    ],
)
def test_versions(tmp_path, versions, sentence):
    with pytest.raises(ConfigError, match=sentence):
        find_scale_sim(write_tool(tmp_path, **versions)[0])


def test_no_interpreter(tmp_path):
    text = tmp_path / "text"
    text.write_text("no program\n")
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexit 3\n")
    odd = tmp_path / "odd"
    odd.write_bytes(b"\x7fnothing")
    mute.chmod(0o755)
    odd.chmod(0o755)
    for file, sentence in (
        (
            tmp_path / "nowhere",
            "is no program; `--scale-sim` takes a Python interpreter: make an environment",
        ),
        (text, "is no program"),
        (odd, "can't be run"),
        (mute, "is no Python interpreter with the package `scalesim`: make an environment with it"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            find_scale_sim(str(file))


def test_the_form_is_the_tools():
    """SCALE-Sim itself, where $SAT_HDL_SCALE_SIM or this interpreter has it: to the cycle, dense and N:M."""
    found = find_scale_sim(os.environ.get("SAT_HDL_SCALE_SIM"))
    if found is None:
        pytest.skip("SCALE-Sim isn't installed; SAT_HDL_SCALE_SIM may name an interpreter with it")
    rng = np.random.default_rng(0)
    for rows, cols in ((1, 1), (8, 8), (4, 7), (32, 32)):
        with ScaleSim(*found, rows, cols) as live:
            for sparsity in (None, (2, 4), (2, 8), (1, 8), (2, 16), (4, 16)):
                for _ in range(3):
                    m, n = (int(rng.integers(1, 3 * side + 1)) for side in (rows, cols))
                    keep, group = sparsity or (None, None)
                    k = int(rng.integers(1, 100))
                    gemm = Gemm(m=m, k=k, n=n, keep=keep, group=group)
                    form = form_cycles(gemm, rows, cols)
                    assert live.cycles(gemm) == (form or None), gemm
            assert live.difference == 0 and live.runs > 10
