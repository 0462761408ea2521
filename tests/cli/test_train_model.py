"""`sat-hdl train --model`: whole steps on the device, and every way to use it wrongly."""

import functools
import json

import msgspec
import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.models import load_model
from sat_hdl.config import ConfigError
from sat_hdl.sim.device_train import DeviceTrainer
from sat_hdl.sim.golden.network_train import NetworkConfig

from ..device import CONFIG


@pytest.fixture
def run(sat_hdl):
    """run(*words) → (exit status, stdout, stderr) of `sat-hdl train`."""
    return functools.partial(sat_hdl, "train")


@pytest.fixture(scope="module")
def files(small):
    """A model and the tests' hardware, and a small data set for them that can be learnt."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.standard_normal((60, 16)) + 3 * np.eye(3, 16)[y]
    np.savez(small / "data.npz", x=x.astype(np.float32), y=y)
    return small


def words(files, *more):
    return [
        "--data",
        files / "data.npz",
        "--model",
        files / "net.toml",
        "--config",
        files / "hardware.toml",
        *more,
    ]


def test_on_the_device_and_on_the_model(run, files, tmp_path):
    """The same bits; the device is compared at every step, and its counters are reported."""
    results = {}
    for backend in ("rtl", "golden"):
        more = ["--epochs", 2, "--batch", 16, "--backend", backend, "-o", tmp_path / backend, "--json"]
        status, out, _ = run(*words(files, *more))
        results[backend] = json.loads(out)
        assert status == 0
    rtl, golden = results["rtl"], results["golden"]
    assert rtl["bit_exact"] is True and golden["bit_exact"] is None
    assert rtl["accuracy"] == golden["accuracy"] > 1 / 3
    assert rtl["cycles"]["total"] == rtl["cycles"]["forward"] + rtl["cycles"]["backward"] > 0
    assert rtl["counters"]["forward"]["array_busy"] > 0 and golden["cycles"] is None
    with np.load(tmp_path / "rtl" / "weights.npz") as a, np.load(tmp_path / "golden" / "weights.npz") as b:
        assert sorted(a) == sorted(b)
        assert all((a[name] == b[name]).all() for name in a)
    assert {path.name for path in (tmp_path / "rtl").iterdir()} == {
        "weights.npz", "history.json", "config.json", "plot.png",
    }  # fmt: skip


def test_a_difference_is_found(files):
    """A weight that is changed behind the device's back shows in the logits, and in the comparison at the end."""
    graph = build(load_model(files / "net.toml"))
    trainer = DeviceTrainer(graph, NetworkConfig(batch=4), CONFIG)
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((4, 16)).astype(np.float16), np.arange(4) % 3
    trainer.step(x, y, 0.01)
    assert trainer.compare() is None
    name = next(iter(trainer.network.weights))
    trainer.network.weights[name] = trainer.network.weights[name] + np.float32(1)
    trainer.network.refresh()
    assert trainer.compare() is not None
    before = trainer.mismatch
    trainer.step(x, y, 0.01)
    assert trainer.mismatch == before and "differ" in before


WRONG_USE = {
    "no such model": (["--model", "cmn"], "Did you mean 'cnn'?"),
    "no such file": (["--model", "none.toml"], "There is no model file 'none.toml'"),
    "a method of the perceptron": (
        ["--model", "cnn", "--method", "srste"],
        "--model trains by dense, bdwp, sdwp",
    ),
    "widths": (["--model", "cnn", "--hidden", "32"], "Give either --hidden"),
    "batch": (["--model", "cnn", "--batch", "0"], "`batch` must be"),
}


@pytest.mark.parametrize("arguments, sentence", WRONG_USE.values(), ids=WRONG_USE)
def test_wrong_use(run, tmp_path, arguments, sentence):
    status, out, err = run("--data", "digits", *arguments, "-o", tmp_path / "out", "--json")
    assert status == 2 and sentence in err
    assert list(json.loads(out)) == ["error"]
    assert list(tmp_path.iterdir()) == []


def test_data_of_another_shape(run, files, tmp_path):
    status, _, err = run("--data", files / "data.npz", "--model", "cnn", "-o", tmp_path / "out")
    assert status == 2 and "take another model or other data" in err


def test_an_array_without_memory_formats(files):
    graph = build(load_model(files / "net.toml"))
    trainer = DeviceTrainer(graph, NetworkConfig(batch=4), msgspec.structs.replace(CONFIG, rows=3))
    with pytest.raises(ConfigError, match="power of two"):
        trainer.step(np.zeros((4, 16), np.float16), np.zeros(4, int), 0.01)
