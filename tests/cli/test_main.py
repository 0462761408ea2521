"""The frame of the command: exit statuses, one object on stdout with --json, no traceback."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sat_hdl import cli
from sat_hdl.cli import COMMANDS
from sat_hdl.cli.errors import Failure, status_and_sentence
from sat_hdl.config import PRESETS, ConfigError
from sat_hdl.sim.build import BuildError, ToolError


@pytest.fixture
def run(sat_hdl):
    """run(*words) → (exit status, stdout, stderr)."""
    return sat_hdl


@pytest.mark.parametrize("words", [["--help"], [], *([name, "--help"] for name in COMMANDS)])
def test_help(run, words):
    status, out, _ = run(*words)
    assert status == 0
    assert "Usage: sat-hdl" in out
    if words in ([], ["--help"]):
        assert all(name in out for name in COMMANDS)


WRONG_USE = {
    "no such command": ["nonsense"],
    "no such option": ["generate", "--nonsense"],
    "a missing option": ["generate"],
    "an option without its value": ["generate", "-o"],
    "not a number": ["synth", "mac", "--seeds", "many"],
    "a missing argument": ["synth"],
    "no such component": ["synth", "nonsense"],
    "no such target": ["synth", "mac", "--target", "ecp5-86f-6"],
    "no seeds": ["synth", "mac", "--seeds", "0"],
    "no such preset": ["generate", "-o", "OUT", "--preset", "defualt"],
    "no such file": ["generate", "-o", "OUT", "--config", "OUT/none.toml"],
    "preset and file": ["generate", "-o", "OUT", "--config", "x.toml", "--preset", "default"],
    "no component to generate": ["generate", "-o", "OUT", "--component", "nonsense"],
    "no such board": ["build", "-o", "OUT", "--board", "ulx4s"],
    "an impossible clock": ["build", "-o", "OUT", "--board", "ulx3s-85f", "--clock-mhz", "4000"],
    "no such placer": ["build", "-o", "OUT", "--board", "ulx3s-85f", "--placer", "luck"],
    "a dense design for another FPGA": ["build", "-o", "OUT", "--board", "icebreaker", "--dense"],
    "a dense design by another router": [
        "build",
        "-o",
        "OUT",
        "--board",
        "ulx3s-85f",
        "--dense",
        "--router",
        "router1",
    ],
    "no such router": ["build", "-o", "OUT", "--board", "ulx3s-85f", "--router", "luck"],
}


@pytest.mark.parametrize("words", WRONG_USE.values(), ids=WRONG_USE)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_use(run, tmp_path, words, as_json):
    words = [word.replace("OUT", str(tmp_path / "out")) for word in words]
    status, out, err = run(*words, *(["--json"] if as_json else []))
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("sat-hdl: error: ") and len(last) > 30
    assert list(json.loads(out)) == ["error"] if as_json else out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("rows = 4\nrowz = 4\n", "unknown field"),
        ("rows = 0\n", "`rows` must be"),
        ("rows = 'four'\n", "Expected `int`"),
        ("rows = \n", "toml"),
        ("operand_format = 'fp8'\n", "`operand_format` must be one of"),
    ],
)
def test_wrong_configuration(run, tmp_path, text, sentence):
    file = tmp_path / "c.toml"
    file.write_text(text)
    status, _, err = run("generate", "--config", file, "-o", tmp_path / "out")
    assert status == 2
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_a_close_name_is_suggested(run):
    assert "Did you mean 'default'?" in run("generate", "-o", "x", "--preset", "defualt")[2]
    assert "Did you mean 'ulx3s-85f'?" in run("build", "-o", "x", "--board", "ulx3s")[2]
    assert "Did you mean 'stce'?" in run("synth", "stcee")[2]


ERRORS = [
    (KeyboardInterrupt(), 130, "Interrupted"),
    (ConfigError("That can't be."), 2, "That can't be."),
    (Failure("It failed."), 1, "It failed."),
    (ToolError("g++ is missing."), 1, "g++ is missing."),
    (BuildError("yosys failed."), 1, "yosys failed."),
    (MemoryError(), 1, "not enough memory"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x"), 1, "The disk is full (/x)"),
    (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), 1, "The disk is full:"),
    (
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"),
        1,
        "No permission to read or write (/x).",
    ),
    (OSError(errno.EIO, os.strerror(errno.EIO), "/x"), 1, "Input/output error (/x)."),
]


@pytest.mark.parametrize("error, status, sentence", ERRORS, ids=[repr(row[0]) for row in ERRORS])
def test_errors_become_sentences(run, monkeypatch, tmp_path, error, status, sentence):
    def fail(*args):
        raise error

    monkeypatch.setattr("sat_hdl.generate.generate", fail)
    got, out, err = run("generate", "--component", "mac", "-o", tmp_path / "deep" / "out", "--json")
    assert got == status
    assert sentence in json.loads(out)["error"]
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_program_is_not_hidden(monkeypatch, tmp_path, capsys):
    def fail(*args):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("sat_hdl.generate.generate", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["generate", "--component", "mac", "-o", str(tmp_path / "out"), "--json"])
    assert "a fault" in json.loads(capsys.readouterr().out)["error"]
    assert status_and_sentence(ZeroDivisionError()) is None


def test_a_full_disk_leaves_nothing(run, monkeypatch, tmp_path):
    real = Path.write_text

    def write_text(path, text, *args, **kwargs):
        if path.name == "manifest.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_text)
    status, _, err = run("generate", "--component", "narrow", "-o", tmp_path / "a" / "b")
    assert status == 1 and "The disk is full" in err
    assert list(tmp_path.iterdir()) == []


def test_who_stops_reading_stdout_sees_no_traceback(tmp_path):
    words = [
        sys.executable,
        "-m",
        "sat_hdl",
        "generate",
        "--component",
        "narrow",
        "-o",
        str(tmp_path),
        "--json",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read().decode()
        process.wait(60)
    assert "Traceback" not in err and "BrokenPipe" not in err
    assert process.returncode == 1


def test_a_terminated_run_leaves_nothing(tmp_path):
    script = (
        "import time, sat_hdl.generate as g, sat_hdl.cli as c\n"
        "g.generate = lambda *a: (print('started', flush=True), time.sleep(60))\n"
        f"c.main(['generate', '--component', 'mac', '-o', {str(tmp_path / 'out')!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"started\n"
        assert (tmp_path / "out").exists()
        process.terminate()
        assert process.wait(30) == 143
    assert list(tmp_path.iterdir()) == []


def test_every_preset_is_offered(run):
    _, out, _ = run("generate", "--help")
    assert all(name in out.replace("\n", " ") for name in PRESETS)
