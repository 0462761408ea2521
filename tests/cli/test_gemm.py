"""`sat-hdl gemm`: products of files on the hardware and on the model; every way to use it wrongly."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sat_hdl import cli
from sat_hdl.sim.golden import matmul, prune, sparse_matmul

from ..fake_device import FakeDevice


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """run(*words) → (exit status, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main(["gemm", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stop.value.code, out, err

    return call


def operands(m, k, n, seed=0, specials=True):
    """A, B and C with infinities, NaN, subnormals and zeros of both signs among their elements."""
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((m, k), (k, n)))
    c = rng.standard_normal((m, n)).astype(np.float32)
    if specials:
        values = [np.inf, -np.inf, np.nan, 6e-8, -6e-8, 0.0, -0.0, 65504]
        for matrix in (a, b, c):
            places = rng.integers(0, matrix.size, len(values))
            matrix.ravel()[places] = values
    return a, b, c


@pytest.mark.parametrize("sparsity", ["dense", "2:8", "3:4"])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 13, 19), (2, 40, 16)])
def test_on_the_hardware(run, tmp_path, m, k, n, sparsity):
    a, b, c = operands(m, k, n)
    np.save("a.npy", a), np.save("b.npy", b), np.save("c.npy", c)
    status, out, _ = run(
        "a.npy",
        "b.npy",
        "--acc",
        "c.npy",
        "--sparsity",
        sparsity,
        "--preset",
        "tiny",
        "-o",
        "y.npy",
        "--json",
    )
    figures = json.loads(out)
    assert status == 0 and figures["bit_exact"] is True
    if sparsity == "dense":
        expected = matmul(a, b, acc=c)
        assert figures["prune_cycles"] == 0
    else:
        keep, group = map(int, sparsity.split(":"))
        kept = prune(b, keep, group, 0)
        expected = sparse_matmul(a, kept.values, kept.indices, k=k, keep=keep, group=group, acc=c)
        assert figures["prune_cycles"] > 0
    y = np.load("y.npy")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.view(np.uint32), expected.view(np.uint32))
    assert figures["utilization"] == figures["macs"] / (figures["cycles"] * 4)
    assert (figures["preset"], figures["rows"], figures["cols"]) == ("tiny", 2, 2)


@pytest.mark.parametrize("sparsity", ["dense", "2:4"])
@pytest.mark.parametrize("dataflow", ["os", "ws", "auto"])
def test_dataflows_give_the_same_bits(run, dataflow, sparsity):
    """Few columns and many rows, where the weights had better be held if the product is dense."""
    a, b, c = operands(150, 9, 2)
    np.save("a.npy", a), np.save("b.npy", b), np.save("c.npy", c)
    words = ["--acc", "c.npy", "--sparsity", sparsity, "--dataflow", dataflow, "--preset", "tiny"]
    status, out, _ = run("a.npy", "b.npy", *words, "-o", "y.npy", "--json")
    figures = json.loads(out)
    assert status == 0 and figures["bit_exact"] is True
    assert figures["dataflow"] == ("ws" if dataflow == "auto" else dataflow)


def test_json_is_all_of_stdout(tmp_path):
    """In a process of its own, so that nothing escapes."""
    a, b, _ = operands(2, 9, 5)
    np.save(tmp_path / "a.npy", a), np.save(tmp_path / "b.npy", b)
    words = ["gemm", "a.npy", "b.npy", "-o", "y.npy", "--preset", "tiny", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sat_hdl", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and json.loads(done.stdout)["bit_exact"] is True


def test_golden_backend_measures_no_cycles(run):
    a, b, _ = operands(5, 20, 6)
    np.save("a.npy", a), np.save("b.npy", b)
    status, out, _ = run("a.npy", "b.npy", "-o", "y.npy", "--backend", "golden", "--json")
    figures = json.loads(out)
    assert status == 0 and figures["cycles"] is None and figures["bit_exact"] is None
    np.testing.assert_array_equal(np.load("y.npy").view(np.uint32), matmul(a, b).view(np.uint32))


def test_bf16_operands_are_bit_patterns(run):
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 1 << 16, shape, dtype=np.uint16) for shape in ((4, 6), (6, 5)))
    np.save("a.npy", a), np.save("b.npy", b)
    (status, _, _) = run("a.npy", "b.npy", "-o", "y.npy", "--backend", "golden", "--preset", "8x8-bf16")
    assert status == 0
    expected = matmul(a, b, operand="bf16")
    np.testing.assert_array_equal(np.load("y.npy").view(np.uint32), expected.view(np.uint32))


def test_a_wrong_bit_fails_the_command(run, monkeypatch):
    def flip(kind, array):
        if kind == "product":
            array[0, 0] ^= 1

    monkeypatch.setattr("sat_hdl.sim.device.Device", lambda config: FakeDevice(config, flip))
    a, b, _ = operands(2, 3, 4, specials=False)
    np.save("a.npy", a), np.save("b.npy", b)
    status, out, _ = run("a.npy", "b.npy", "-o", "y.npy", "--json")
    assert status == 1 and json.loads(out)["bit_exact"] is False


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.npy", "a.npy"], "A's columns and B's rows"),
        (["a.npy", "c.npy"], "must hold float16"),
        (["a.npy", "v.npy"], "2 dimensions"),
        (["a.npy", "z.npy"], "at least 1"),
        (["a.npy", "none.npy"], "no file"),
        (["a.npy", "b.npy", "--acc", "a.npy"], "must hold float32"),
        (["a.npy", "b.npy", "--acc", "d.npy"], "initial accumulators are 1 × 1"),
        (["a.npy", "b.npy", "--sparsity", "2:16"], "M must be one of 2, 4, 8"),
        (["a.npy", "b.npy", "--sparsity", "8:8"], "N must be from 1"),
        (["a.npy", "b.npy", "--sparsity", "0:8"], "N must be from 1"),
        (["a.npy", "b.npy", "--sparsity", "2:7"], "M must be"),
        (["a.npy", "b.npy", "--sparsity", "x"], "must be `dense` or N:M"),
        (["a.npy", "b.npy", "--preset", "9x9"], "no preset '9x9'"),
        (["a.npy", "b.npy", "--dataflow", "xs"], "xs"),
        (["a.npy", "b.npy", "--dataflow", "ws", "--preset", "ulx3s-85f"], "no weight-stationary dataflow"),
    ],
)
def test_wrong_use_is_a_sentence_and_writes_nothing(run, tmp_path, words, sentence):
    a, b, c = operands(3, 4, 5)
    np.save("a.npy", a), np.save("b.npy", b), np.save("c.npy", c), np.save("d.npy", c[:1, :1])
    np.save("v.npy", a[0]), np.save("z.npy", b[:, :0])
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = run(*words, "-o", "y.npy", "--json")
    assert status == 2
    assert sentence in err and sentence in json.loads(out)["error"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_output_that_cannot_be_written_is_told_before_the_work(run, monkeypatch):
    monkeypatch.setattr("sat_hdl.cli.gemm._product", lambda *_: pytest.fail("It worked before it looked."))
    a, b, _ = operands(3, 4, 5)
    np.save("a.npy", a), np.save("b.npy", b)
    status, _, err = run("a.npy", "b.npy", "-o", "nowhere/y.npy")
    assert status == 2 and "no folder 'nowhere'" in err
