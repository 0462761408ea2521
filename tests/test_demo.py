"""The demo: its steps run side by side and fail as one; its report holds the figures and needs nothing else."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sat_hdl import cli

SCRIPTS = Path(__file__).parent.parent / "scripts"
#: A network of few cycles.
MODEL = """input = [64]
[[layers]]
kind = "linear"
out = 8
[[layers]]
kind = "relu"
[[layers]]
kind = "linear"
out = 10
"""


@pytest.fixture(scope="module")
def demo():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import demo
    finally:
        sys.path.remove(str(SCRIPTS))
    return demo


@pytest.fixture
def python(tmp_path):
    """An interpreter's stand-in that runs a shell script instead; $3 is the command of `sat-hdl`."""

    def make(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def runner(demo, python):
    lines = []

    def make(script):
        made = demo.Runner(lines.append, python=python(script))
        made.lines = lines
        return made

    return make


def in_process(step):
    """The step's command without a process, to its JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stop:
        cli.main([*step.words, "--json"])
    assert stop.value.code == 0
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def results(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    (folder / "net.toml").write_text(MODEL)
    words = ["-o", str(folder), "--model", str(folder / "net.toml"), "--epochs", "2", "--batch", "256"]
    words += ["--preset", "tiny"]
    options = demo.parser().parse_args(words)
    steps = {step.key: step for step in demo.plan(options)}
    assert list(steps) == ["verilog", "bitstream", "dense", "bdwp", "dense_profile", "bdwp_profile"]
    made = {key: in_process(step) for key, step in steps.items() if key != "bitstream"}
    made["bitstream"] = {
        "board": "<board>", "bitstream": "board.bit", "fmax_mhz": 91.25, "clock_mhz": 80.0, "lut4": 12345,
        "ff": 6789, "dsp": 16, "bram": 3, "target": "ecp5-85f-6", "config": {"rows": 4, "cols": 4},
    }  # fmt: skip
    return demo.Results(
        folder=folder, made=made, commands={"a": "sat-hdl <x>"}, seconds={step: 1.5 for step in steps}
    )


def test_report(demo, results):
    page = demo.render(results)
    assert page == demo.render(results)
    cycles = {key: results.made[key]["cycles"] for key in ("dense", "bdwp")}
    for program in ("forward", "backward", "total"):
        dense, bdwp = cycles["dense"][program], cycles["bdwp"][program]
        assert f"<td>{dense:,}</td><td>{bdwp:,}</td><td>{dense / bdwp:.2f} ×</td>" in page
    profiles = [results.made[f"{key}_profile"]["programs"][0]["layers"] for key in ("dense", "bdwp")]
    dense, bdwp = (sum(layer["busy"]["compute"] for layer in layers) for layers in profiles)
    assert f"(FF)</th><td>{dense:,}</td><td>{bdwp:,}</td><td>{dense / bdwp:.2f} ×</td>" in page
    for figure in ("12,345", "6,789", "91.2", "board.bit"):
        assert figure in page
    assert f"{100 * results.bdwp['accuracy']:.1f} %" in page
    assert "<strong>yes</strong>" in page
    assert "&lt;board&gt;" in page and "<board>" not in page
    wrong = replace(results, made=results.made | {"bdwp": results.bdwp | {"bit_exact": False}})
    assert "<strong>no</strong>" in demo.render(wrong)


def test_report_needs_nothing_else(demo, results):
    page = demo.render(results)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<img|\ssrc=", page)
    assert page.count('<svg role="img" aria-label="') == page.count("<svg ") == 3
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', page)
    assert used and set(used) <= set(names)
    for tag in ("html", "main", "table", "figure", "svg", "p", "g"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>")


def test_report_without_a_bitstream(demo, results):
    made = {key: value for key, value in results.made.items() if key != "bitstream"}
    page = demo.render(replace(results, made=made))
    assert "Bitstream for" not in page and "<h2>Bitstream</h2>" not in page


def test_steps_run_and_their_words_are_relayed(demo, runner):
    made = runner('echo "working on $3" >&2; echo "{\\"command\\": \\"$3\\"}"')
    steps = [demo.Step(name, name.title(), [name]) for name in ("one", "two", "three")]
    assert demo.run_all(steps, made) == {name: {"command": name} for name in ("one", "two", "three")}
    text = "\n".join(made.lines)
    assert "Two: working on two" in text and "Three: done in" in text
    assert set(made.seconds) == {"one", "two", "three"}


FAILURES = {
    "a sentence": ('echo "{\\"error\\": \\"No room.\\"}"; exit 1', "Bad failed (status 1): No room."),
    "bits": ('echo "{\\"bit_exact\\": false}"; exit 1', "differs from the golden model"),
    "no words": ("exit 3", "Bad failed (status 3): see what it said above."),
    "no JSON": ("echo hello", "Bad failed (status 0)"),
    "killed": ("kill -9 $$", "Bad failed (status -9)"),
}


@pytest.mark.parametrize("script, sentence", FAILURES.values(), ids=FAILURES)
def test_a_failing_step_ends_the_others(demo, runner, tmp_path, script, sentence):
    made = runner(
        f"if [ $3 = bad ]; then sleep 0.3; {script}; else sleep 100 & wait; touch {tmp_path}/late; fi"
    )
    steps = [demo.Step(name, name.title(), [name]) for name in ("good", "bad", "never")]
    start = time.monotonic()
    with pytest.raises(demo.DemoError, match=re.escape(sentence)):
        demo.run_all(steps, made)
    assert time.monotonic() - start < 30
    assert not (tmp_path / "late").exists()
    assert not any("Never" in line for line in made.lines)


def test_a_failure_is_the_demos(demo, python, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", python('echo "{\\"error\\": \\"The disk is full.\\"}"; exit 1'))
    assert demo.main(["-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("demo: ") and err.count("\n") == 1
    assert "The disk is full." in err and "Traceback" not in out
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
def test_in_earnest(tmp_path):
    (tmp_path / "net.toml").write_text(MODEL)
    words = ["--preset", "tiny", "--model", str(tmp_path / "net.toml"), "--epochs", "1", "--batch", "256"]
    words.append("--no-bitstream")
    command = [sys.executable, str(SCRIPTS / "demo.py"), "-o", str(tmp_path / "out"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "report.html") in done.stdout
    assert done.stdout.count("bit-exact to the golden model: yes") == 2
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    shutil.rmtree(tmp_path / "out")
