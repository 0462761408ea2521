"""`sat-hdl emulate`, and the commands that take `--device`: a board in another process, over a line that damages."""

import json
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

#: As in tests/sim/test_emulated_board.py: compiled once.
SIZE = 1 << 18


@pytest.fixture
def board(small, tmp_path):
    """(what the command said of itself, its process)."""
    words = [
        "--config",
        small / "hardware.toml",
        "--memory-size",
        hex(SIZE),
        "--damage",
        "0.02",
        "--seed",
        "3",
    ]
    words += ["--link", tmp_path / "board", "--json"]
    command = [sys.executable, "-m", "sat_hdl", "emulate", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            text = b""
            while not text.endswith(b"}\n"):
                assert select.select([process.stdout], [], [], 500)[0], "the board did not start in time"
                more = os.read(process.stdout.fileno(), 4096)
                assert more, process.stderr.read()
                text += more
            yield json.loads(text), process
        finally:
            process.kill()


def test_run_and_train(sat_hdl, board, image, small, tmp_path):
    about, process = board
    device = about["device"]
    assert device == f"serial://{tmp_path / 'board'}"
    # A step's image runs as on the simulated device, to the last byte.
    dumps = {
        where: [f"linear1.{part}={tmp_path / where}.{part}" for part in "wv"] for where in ("here", "there")
    }
    found = {}
    for where, words in (("here", []), ("there", ["--device", device])):
        dump = [word for text in dumps[where] for word in ("--dump", text)]
        status, out, err = sat_hdl("run", image, *words, *dump, "--json")
        assert status == 0, err
        found[where] = json.loads(out)
    assert [p["status"] for p in found["there"]["programs"]] == ["done", "done"]
    for part in "wv":
        there = (tmp_path / f"there.{part}").read_bytes()
        assert there == (tmp_path / f"here.{part}").read_bytes() and any(there)

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 16)).astype(np.float32), np.arange(10) % 3
    np.savez(tmp_path / "data.npz", x_train=x[:6], y_train=y[:6], x_test=x[6:], y_test=y[6:])
    words = [
        "train",
        "--data",
        tmp_path / "data.npz",
        "--model",
        small / "net.toml",
        "--epochs",
        1,
        "--batch",
        4,
    ]
    status, out, err = sat_hdl(*words, "--device", device, "-o", tmp_path / "run", "--json")
    assert status == 0, err
    assert json.loads(out)["bit_exact"]
    assert json.loads(out)["device"] == device

    # What does not fit is a sentence.
    status, _, err = sat_hdl("run", image, "--device", device, "--memory-size", SIZE + 1)
    assert status == 2 and "bytes of memory; the device has" in err
    status, _, err = sat_hdl(*words, "--device", device, "--preset", "8x8", "-o", tmp_path / "run")
    assert status == 2 and "built with another configuration: rows is 2, not 8" in err

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    said = process.stderr.read().decode().splitlines()[-1]
    assert said.startswith("Ended after ") and "damaged" in said
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["emulate", "--board", "ulx3s"], "There is no board 'ulx3s'"),
        (["emulate", "--board", "ulx3s-25f"], "ulx3s-25f has no room for the whole accelerator"),
        (["emulate", "--board", "ulx3s-85f", "--preset", "tiny"], "Give either --board"),
        (["emulate", "--memory-size", "100"], "--memory-size must be a multiple of 4096"),
        (["emulate", "--damage", "2"], "--damage must be from 0 to 1"),
        (["emulate", "--divisor", "3"], "--divisor must be from 4"),
        (
            ["train", "--data", "digits", "-o", "x", "--device", "sim://tiny"],
            "--device runs whole steps: give --model",
        ),
        (
            ["train", "--data", "digits", "--model", "mlp", "-o", "x", "--device", "tiny"],
            "A device is sim://PRESET",
        ),
    ],
)
def test_wrong_use(sat_hdl, words, sentence):
    status, _, err = sat_hdl(*words)
    assert status == 2 and sentence in err, err
