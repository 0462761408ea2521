"""`sat-hdl train`: what it prints and writes, on the hardware and on the model; and every way to use it wrongly."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from sat_hdl import cli
from sat_hdl.sim.golden.mlp import METHODS

from ..fake_device import FakeDevice


@pytest.fixture
def run(capsys):
    """run(*words) → (exit status, stdout, stderr)."""

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stop.value.code, out, err

    return call


@pytest.fixture
def fake(monkeypatch):
    """Trains without hardware: fake(corrupt) installs a device that may be wrong."""

    def install(corrupt=lambda kind, array: None):
        monkeypatch.setattr("sat_hdl.sim.device.Device", lambda config: FakeDevice(config, corrupt))

    install()
    return install


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A small data set that can be learnt: three blobs."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.standard_normal((60, 8)) + 3 * np.eye(3, 8)[y]
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, x=x.astype(np.float32), y=y)
    return path


def test_on_the_hardware(samples, tmp_path):
    """In a process of its own, so that all of stdout is seen."""
    words = [
        "train",
        "--data",
        samples,
        "--preset",
        "tiny",
        "--hidden",
        "8,8",
        "--epochs",
        "2",
        "--batch",
        "16",
    ]
    command = [sys.executable, "-m", "sat_hdl", *map(str, words), "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bit_exact"] is True and result["mismatch"] is None
    assert (result["method"], result["sparsity"], result["preset"], result["seed"]) == (
        "bdwp",
        "2:8",
        "tiny",
        0,
    )
    cycles = result["cycles"]
    assert list(cycles) == ["total", "ff", "bp", "wu", "prune", "eval"] and all(cycles.values())
    assert cycles["total"] == sum(cycles[stage] for stage in ("ff", "bp", "wu", "prune"))
    for stage, share in result["utilization"].items():
        assert share == result["macs"][stage] / (cycles[stage] * 4)
        assert 0 < share <= 1
    assert result["sparse_layers"] == {"ff": [True] * 3, "bp": [False, True, False]}
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["config.json", "history.json", "plot.png", "weights.npz"]
    assert (tmp_path / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "epoch 2 of 2" in done.stderr


def test_files(run, samples, tmp_path, fake):
    options = [
        "--data",
        samples,
        "--hidden",
        "8,8",
        "--epochs",
        3,
        "--batch",
        16,
        "--sparsity",
        "1:4",
        "--seed",
        5,
    ]
    status, out, _ = run(*options, "-o", tmp_path / "out", "--json")
    assert status == 0
    result = json.loads(out)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2, 3]
    assert len(history["step_loss"]) == 3 * 3
    assert history["epochs"][-1]["test_accuracy"] == result["accuracy"] > 1 / 3
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["training"]["keep"], config["training"]["group"]) == (1, 4)
    assert config["hardware"]["rows"] == result["rows"] == 8
    with np.load(tmp_path / "out" / "weights.npz", allow_pickle=False) as weights:
        assert weights["weight_0"].shape == (8, 8) and weights["weight_2"].shape == (8, 3)
        for i in range(3):
            half = weights[f"weight_{i}"].astype(np.float16)
            assert weights[f"weight_momentum_{i}"].shape == half.shape
            at = np.arange(len(half) // 4)[:, None] * 4 + weights[f"ff_indices_{i}"]
            np.testing.assert_array_equal(np.take_along_axis(half, at, 0), weights[f"ff_values_{i}"])
        assert "bp_values_0" not in weights and weights["bp_values_1"].shape == (8, 2)


def test_one_seed_gives_the_same_bytes_on_every_backend(run, samples, tmp_path, fake):
    for name, backend, seed in (("a", "rtl", 3), ("b", "rtl", 3), ("c", "golden", 3), ("d", "golden", 4)):
        options = ["--data", samples, "--hidden", 8, "--epochs", 1, "--backend", backend, "--seed", seed]
        status, out, _ = run(*options, "-o", tmp_path / name, "--json")
        assert status == 0
        result = json.loads(out)
        counted = [result[key] is not None for key in ("cycles", "utilization", "bit_exact")]
        assert counted == [backend == "rtl"] * 3
    a, b, c, d = ((tmp_path / name / "weights.npz").read_bytes() for name in "abcd")
    assert a == b == c != d
    assert (tmp_path / "a" / "plot.png").read_bytes() == (tmp_path / "b" / "plot.png").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_methods(run, samples, tmp_path, fake, method):
    options = ["--data", samples, "--hidden", "8,8", "--epochs", 1, "--method", method]
    status, out, _ = run(*options, "-o", tmp_path / "out", "--json")
    result = json.loads(out)
    assert status == 0 and result["bit_exact"] is True
    assert result["sparsity"] == ("dense" if method == "dense" else "2:8")
    assert any(result["sparse_layers"]["ff"]) == (method in ("bdwp", "srste"))
    assert any(result["sparse_layers"]["bp"]) == (method in ("bdwp", "sdgp", "sdwp"))
    cycles = result["cycles"]
    assert bool(cycles["prune"]) == (method != "dense")
    assert cycles["total"] == sum(cycles[stage] for stage in ("ff", "bp", "wu", "prune"))


def test_for_people(run, samples, tmp_path, fake):
    status, out, err = run("--data", samples, "--hidden", "none", "--epochs", 1, "-o", tmp_path / "out")
    assert status == 0
    assert re.search(r"accuracy\W+0\.\d{4}", out) and re.search(r"cycles, total\W+\d+", out)
    assert "epoch 1 of 1" in err


def test_digits(run, tmp_path):
    options = ["--data", "digits", "--backend", "golden", "--epochs", 1]
    status, out, _ = run(*options, "-o", tmp_path / "out", "--json")
    assert status == 0
    assert json.loads(out)["accuracy"] > 0.5


@pytest.mark.parametrize("as_json", [False, True])
def test_a_difference_fails_and_is_told(run, samples, tmp_path, fake, as_json):
    def corrupt(kind, array):
        if kind == "product":
            array[0, 0] ^= 1

    fake(corrupt)
    options = ["--data", samples, "--epochs", 1, "-o", tmp_path / "out"]
    status, out, err = run(*options, *(["--json"] if as_json else []))
    assert status == 1
    assert "sat-hdl: error: The hardware differs from the golden model. In stage ff, a " in err
    if as_json:
        result = json.loads(out)
        assert result["bit_exact"] is False and "instead of" in result["mismatch"]
    else:
        assert re.search(r"bit_exact\W+False", out)


WRONG_USE = {
    "no such file": (["--data", "none.npz"], "There is no file 'none.npz'"),
    "no data": ([], "--data"),
    "no such method": (["--data", "digits", "--method", "magic"], "magic"),
    "sparsity in other words": (["--data", "digits", "--sparsity", "half"], "must be `dense` or N:M"),
    "sparsity of everything": (["--data", "digits", "--sparsity", "8:8"], "N must be from 1 to M - 1 = 7"),
    "a sparse method, dense": (["--data", "digits", "--sparsity", "dense"], "--method dense"),
    "groups too long": (["--data", "digits", "--sparsity", "2:16"], "max_m = 8"),
    "widths": (["--data", "digits", "--hidden", "64;64"], "--hidden must be widths"),
    "a width of nothing": (["--data", "digits", "--hidden", "0"], "`hidden` must be"),
    "no width": (["--data", "digits", "--hidden", ""], "--hidden must be widths"),
    "epochs": (["--data", "digits", "--epochs", "0"], "`epochs` must be"),
    "batch": (["--data", "digits", "--batch", "0"], "`batch` must be"),
    "seed": (["--data", "digits", "--seed", "-1"], "`seed` must be"),
    "rate": (["--data", "digits", "--lr", "nan"], "`lr` must be"),
    "preset": (["--data", "digits", "--preset", "tinny"], "Did you mean 'tiny'?"),
    "divergence": (["--data", "digits", "--lr", "1000", "--backend", "golden"], "Training diverged"),
}


@pytest.mark.parametrize("words, sentence", WRONG_USE.values(), ids=WRONG_USE)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_use(run, tmp_path, words, sentence, as_json):
    status, out, err = run(*words, "-o", tmp_path / "deep" / "out", *(["--json"] if as_json else []))
    assert status == 2
    assert sentence in err and "sat-hdl: error: " in err
    assert list(json.loads(out)) == ["error"] if as_json else out == ""
    assert list(tmp_path.iterdir()) == []


def test_bad_data(run, tmp_path, samples):
    bad = tmp_path / "bad.npz"
    np.savez(bad, x=np.full((10, 2), np.nan), y=np.arange(10) % 2)
    status, _, err = run("--data", bad, "-o", tmp_path / "out")
    assert status == 2 and "NaN or infinite" in err
    (tmp_path / "file").write_text("precious")
    status, _, err = run("--data", samples, "-o", tmp_path / "file")
    assert status == 2 and "is a file; give the name of a folder" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npz", "file"]
    assert (tmp_path / "file").read_text() == "precious"


def test_an_interrupt_leaves_nothing(run, samples, tmp_path, fake):
    calls = []

    def corrupt(kind, array):
        calls.append(kind)
        if len(calls) > 20:
            raise KeyboardInterrupt

    fake(corrupt)
    status, _, err = run("--data", samples, "-o", tmp_path / "deep" / "out")
    assert status == 130 and "Interrupted" in err
    assert list(tmp_path.iterdir()) == []
