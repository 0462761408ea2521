"""`sat-hdl prune`: selections on the hardware and on the model; every way to use it wrongly."""

import json

import numpy as np
import pytest

from sat_hdl import cli
from sat_hdl.sim.golden import prune

from ..fake_device import FakeDevice


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """run(*words) → (exit status, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main(["prune", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stop.value.code, out, err

    return call


def weights(rows, columns):
    """Any bit patterns: NaN of every payload, infinities, subnormals, and ties in magnitude."""
    bits = np.random.default_rng(1).integers(0, 1 << 16, (rows, columns), dtype=np.uint16)
    bits[::3] = bits[:1] ^ 0x8000
    return bits.view(np.float16)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sparsity", ["2:8", "1:2", "7:8"])
@pytest.mark.parametrize("shape", [(1, 1), (13, 5), (16, 24)])
def test_on_the_hardware(run, shape, sparsity, axis):
    w = weights(*shape)
    np.save("w.npy", w)
    status, out, _ = run(
        "w.npy", "-o", "p.npz", "--sparsity", sparsity, "--axis", axis, "--preset", "tiny", "--json"
    )
    figures = json.loads(out)
    assert status == 0 and figures["bit_exact"] is True and figures["cycles"] > 0
    expected = prune(w, *map(int, sparsity.split(":")), axis)
    with np.load("p.npz") as written:
        values, indices = written["values"], written["indices"]
    assert values.dtype == np.float16 and indices.dtype == np.uint8
    np.testing.assert_array_equal(values.view(np.uint16), expected.values.view(np.uint16))
    np.testing.assert_array_equal(indices, expected.indices)


@pytest.mark.parametrize("kind", ["values", "indices"])
def test_a_wrong_bit_fails_the_command(run, monkeypatch, kind):
    def flip(what, array):
        if what == kind:
            array[0, 0] ^= 1

    monkeypatch.setattr("sat_hdl.sim.device.Device", lambda config: FakeDevice(config, flip))
    np.save("w.npy", weights(8, 3))
    status, out, _ = run("w.npy", "-o", "p.npz", "--sparsity", "2:8", "--json")
    assert status == 1 and json.loads(out)["bit_exact"] is False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["w.npy", "--sparsity", "dense"], "needs N:M"),
        (["w.npy", "--sparsity", "2:16"], "M must be one of 2, 4, 8"),
        (["w.npy", "--sparsity", "2:8", "--axis", "2"], "--axis must be 0 or 1"),
        (["d.npy", "--sparsity", "2:8"], "must hold float16"),
        (["w.npy"], "--sparsity"),
    ],
)
def test_wrong_use_is_a_sentence_and_writes_nothing(run, tmp_path, words, sentence):
    np.save("w.npy", weights(4, 4)), np.save("d.npy", np.zeros((4, 4)))
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = run(*words, "-o", "p.npz", "--json")
    assert status == 2
    assert sentence in err and sentence in json.loads(out)["error"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
