"""Data sets: splits that hold, and a sentence for every file that won't do."""

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.data import load_digits, load_npz, stratified_split


def test_digits():
    data, again, other = load_digits(0), load_digits(0), load_digits(1)
    assert data.inputs == 64 and data.classes == 10
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, name), getattr(again, name))
    assert not np.array_equal(data.y_test, other.y_test)
    share = np.bincount(data.y_test) / np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert (np.abs(share - 0.2) < 0.01).all()
    assert np.abs(data.x_train.mean(axis=0)).max() < 1e-5 and data.x_train.std(axis=0).max() < 1.001


def test_split_is_a_partition():
    labels = np.array([0] * 11 + [1] * 5 + [2])
    train, test = stratified_split(labels, 0.2, 0)
    assert sorted([*train, *test]) == list(range(17))
    assert np.bincount(labels[test], minlength=3).tolist() == [2, 1, 0]


X, Y = np.arange(80, dtype=np.float64).reshape(20, 4), np.arange(20) % 2


def saved(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def test_npz_with_its_own_split(tmp_path):
    path = saved(tmp_path, x_train=X, y_train=Y, x_test=X[:3].astype(np.uint8), y_test=np.array([0, 1, 4]))
    data = load_npz(path)
    assert data.classes == 5 and data.inputs == 4
    np.testing.assert_array_equal(data.x_test, X[:3])
    assert data.x_test.dtype == np.float32 and data.y_test.dtype == np.int64


def test_npz_split_here(tmp_path):
    data = load_npz(saved(tmp_path, x=X, y=Y), seed=3)
    assert (len(data.x_train), len(data.x_test), data.classes) == (16, 4, 2)
    rows = np.concatenate([data.x_train, data.x_test])
    assert {tuple(r) for r in rows} == {tuple(r) for r in X}
    labels = np.concatenate([data.y_train, data.y_test])
    np.testing.assert_array_equal(labels, rows[:, 0] / 4 % 2)


def spoiled(value):
    x = X.copy()
    x[1, 2] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dict(x=X), "lacks x_train, y_train, x_test, y_test"),
        (dict(x_train=X, y_train=Y, x_test=X), "lacks y_test"),
        (dict(), "it has nothing"),
        (dict(x=X.astype(str), y=Y), "`x` in .* must be an array of numbers"),
        (dict(x=X.astype(complex), y=Y), "must be an array of numbers"),
        (dict(x=X.reshape(5, 4, 4), y=Y), "reshape it before saving"),
        (dict(x=X[:0], y=Y[:0]), "each at least 1"),
        (dict(x=spoiled(np.nan), y=Y), "NaN or infinite"),
        (dict(x=spoiled(-np.inf), y=Y), "NaN or infinite"),
        (dict(x=spoiled(70000), y=Y), "scale them down"),
        (dict(x=X, y=Y.astype(float)), "integer labels, not of float64"),
        (dict(x=X, y=Y[:7]), r"must have shape \(20,\)"),
        (dict(x=X, y=Y - 1), "labels from 0"),
        (dict(x=X, y=Y * 10**9), "labels from 0"),
        (dict(x=X, y=Y * 0), "at least two classes"),
        (dict(x=X[:4], y=Y[:4]), "too few samples"),
        (dict(x_train=X, y_train=Y, x_test=X[:, :3], y_test=Y), "equally many inputs, not 4 and 3"),
        (dict(x=np.array([{}]), y=Y), "no .npz file of plain arrays"),
    ],
)
def test_refusals(tmp_path, arrays, message):
    with pytest.raises(ConfigError, match=message):
        load_npz(saved(tmp_path, **arrays))


def test_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="There is no file"):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(ConfigError, match="can't be read"):
        load_npz(tmp_path)
    single = tmp_path / "single.npy"
    np.save(single, X)
    with pytest.raises(ConfigError, match="single array"):
        load_npz(single)
    for content in (b"", b"PK\x03\x04 not a zip", b"hello"):
        broken = tmp_path / "broken.npz"
        broken.write_bytes(content)
        with pytest.raises(ConfigError, match=r"no \.npz file of plain arrays"):
            load_npz(broken)
    whole = saved(tmp_path, x=X, y=Y).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"no \.npz file of plain arrays"):
        load_npz(broken)
