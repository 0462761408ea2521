"""`sat-hdl accuracy`: its table, its object, going on where it ended, CIFAR files, and what it refuses."""

import json

import numpy as np
import pytest


def test_a_table(sat_hdl, tmp_path):
    words = ["accuracy", "--model", "mlp", "--method", "all", "--seeds", "0-1", "--epochs", 1, "--jobs", 1]
    words += ["--sparsity", "2:8", "-o", tmp_path / "runs.csv"]
    status, out, err = sat_hdl(*words[:-4], "--seeds", "0", "--method", "dense", *words[-4:])
    assert status == 0 and "1 trainings, 1 of them now" in out and "mlp dense dense seed 0:" in err
    status, out, _ = sat_hdl(*words, "--json")
    told = json.loads(out)
    assert status == 0 and (told["runs"], told["computed"]) == (10, 9)
    assert [(s["method"], s["sparsity"]) for s in told["scores"]] == [
        ("dense", "dense"), ("bdwp", "2:8"), ("srste", "2:8"), ("sdgp", "2:8"), ("sdwp", "2:8")
    ]  # fmt: skip
    for score in told["scores"]:
        assert len(score["accuracies"]) == 2 and 0.7 < score["mean"] < 1 and score["failed"] == 0
        assert score["mean"] == pytest.approx(sum(score["accuracies"]) / 2)
    status, out, err = sat_hdl(*words)
    assert status == 0 and "0 of them now" in out and err == ""
    assert f"{100 * told['scores'][1]['mean']:.1f} ± {100 * told['scores'][1]['deviation']:.1f}" in out


@pytest.fixture
def cifar(tmp_path):
    """Tiny, and so plain that one epoch tells its classes apart: each has a colour."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = rng.integers(0, 4, 40).astype(np.uint8)
        colours = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]])[labels]
        images = np.clip(colours[:, :, None] + rng.normal(0, 20, (40, 3, 1024)), 0, 255).astype(np.uint8)
        np.concatenate([labels[:, None], images.reshape(40, -1)], axis=1).tofile(folder / f"{name}.bin")
    return tmp_path


@pytest.mark.parametrize("model", ["cnn", "vit", "mlp"])
def test_cifar(sat_hdl, cifar, model):
    words = ["--data", f"cifar10:{cifar}", "--model", model, "--method", "bdwp", "--sparsity", "2:16"]
    words += ["--epochs", 2, "--batch", 10, "--lr", 0.005, "--jobs", 1, "--json"]
    status, out, err = sat_hdl("accuracy", *words)
    assert status == 0, err
    (score,) = json.loads(out)["scores"]
    assert score["model"] == model and score["mean"] > 0.8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--jobs", 0], "`--jobs` must be at least 1, not 0"),
        (["--seeds", "4-0"], "--seeds must be rising ranges"),
        (["--seeds", "a"], "--seeds must be numbers and ranges such as 0-4"),
        (["--seeds", "0-999999"], "of at most 1000 seeds"),
        (["--method", "foo"], "A method must be one of dense, bdwp"),
        (["--sparsity", "2:8:1"], "Sparsity must be `dense` or N:M"),
        (["--data", "cifar10:nowhere"], "There is no folder 'nowhere'"),
        (["--data", "imagenet"], "Data must be `digits`"),
        (["--model", "none.toml"], "There is no model file"),
        (["--epochs", 0], "`epochs` must be an integer from 1"),
        (["-o", "nowhere/x.csv"], "can't be written"),
        (["--data", "cifar10:nowhere", "--json"], "There is no folder 'nowhere'"),
    ],
)
def test_refusals(sat_hdl, words, told):
    status, out, err = sat_hdl("accuracy", *words)
    assert status == 2 and told in err
    assert told in json.loads(out)["error"] if "--json" in words else out == ""
