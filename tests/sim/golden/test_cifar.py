"""CIFAR's files, made here: both versions, both data sets, and what is wrong with files that are not."""

import io
import pickle
import struct

import numpy as np
import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.cifar import load_cifar

TRAIN = {10: [f"data_batch_{i}" for i in range(1, 6)], 100: ["train"]}
TEST = {10: "test_batch", 100: "test"}


def batches(classes, seed=1):
    """(images (n, 32, 32, 3) uint8, labels) by file."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.integers(0, classes, count))
        for name, count in zip([*TRAIN[classes], TEST[classes]], (4, 3, 5, 1, 2, 6))
    }


def planes(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_binary(folder, classes):
    folder.mkdir()
    for name, (images, labels) in batches(classes).items():
        column = labels[:, None].astype(np.uint8)
        # CIFAR-100 has the superclass in front.
        before = column if classes == 10 else np.concatenate([255 - column, column], axis=1)
        np.concatenate([before, planes(images)], axis=1).tofile(folder / f"{name}.bin")


class Python2(pickle._Pickler):
    """Strings as Python 2 wrote them, as in the published files."""

    def save_string(self, text):
        text = text.encode() if isinstance(text, str) else text
        self.write(b"T" + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch = pickle._Pickler.dispatch | {bytes: save_string, str: save_string}


def old(batch):
    file = io.BytesIO()
    Python2(file, 2).dump(batch)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_python(
    folder, classes, change=lambda name, batch: batch, dumps=lambda batch: pickle.dumps(batch, 2)
):
    folder.mkdir()
    for name, (images, labels) in batches(classes).items():
        batch = {b"data": planes(images), b"labels" if classes == 10 else b"fine_labels": labels.tolist()}
        (folder / name).write_bytes(dumps(change(name, batch)))


def write_published(folder, classes):
    write_python(folder, classes, dumps=old)


@pytest.mark.parametrize("write", [write_binary, write_python, write_published])
@pytest.mark.parametrize("classes", [10, 100])
def test_images_and_labels(tmp_path, classes, write):
    names = {
        10: ("cifar-10-batches-bin", "cifar-10-batches-py"),
        100: ("cifar-100-binary", "cifar-100-python"),
    }
    folder = names[classes][write is not write_binary]
    write(tmp_path / folder, classes)
    files = batches(classes)
    images = np.concatenate([files[name][0] for name in TRAIN[classes]]).astype(np.float64)
    labels = np.concatenate([files[name][1] for name in TRAIN[classes]])
    expected = ((images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))).reshape(len(images), -1)
    # The folder itself, and the one in which the archive was unpacked.
    for path in (tmp_path, tmp_path / folder):
        data = load_cifar(path, classes)
        assert data.classes == classes and data.x_train.dtype == data.x_test.dtype == np.float32
        np.testing.assert_allclose(data.x_train, expected, atol=1e-5)
        np.testing.assert_array_equal(data.y_train, labels)
        np.testing.assert_array_equal(data.y_test, files[TEST[classes]][1])
        assert data.x_test.shape == (len(data.y_test), 3072)


def test_pickles_run_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    write_python(tmp_path / "py", 10, lambda name, batch: Evil() if name == "data_batch_2" else batch)
    with pytest.raises(
        ConfigError, match=r"data_batch_2' is no batch .* __builtin__.print has no place in images"
    ):
        load_cifar(tmp_path / "py", 10)


def test_what_is_missing_or_damaged(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no folder .*; unpack CIFAR-10's archive"):
        load_cifar(tmp_path / "none", 10)
    with pytest.raises(ConfigError, match=r"holds no CIFAR-100: give the folder with train.bin, test.bin"):
        load_cifar(tmp_path, 100)
    write_binary(tmp_path / "bin", 10)
    (tmp_path / "bin" / "data_batch_3.bin").rename(tmp_path / "third")
    with pytest.raises(ConfigError, match=r"lacks data_batch_3.bin of CIFAR-10"):
        load_cifar(tmp_path / "bin", 10)
    whole = (tmp_path / "third").read_bytes()
    for damaged in (whole[:-1], b""):
        (tmp_path / "bin" / "data_batch_3.bin").write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"data_batch_3.bin' has \d+ bytes, no multiple of the 3073"):
            load_cifar(tmp_path / "bin", 10)
    (tmp_path / "bin" / "data_batch_3.bin").write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(ConfigError, match="labels beyond CIFAR-10's 10 classes"):
        load_cifar(tmp_path / "bin", 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batch: {**batch, b"data": batch[b"data"][:, 1:]}, "must hold uint8 images of 3072 values"),
        (lambda batch: {b"data": batch[b"data"]}, "is no batch of the Python version of CIFAR: b'labels'"),
        (lambda batch: [], "is no batch of the Python version"),
    ],
)
def test_pickles_of_something_else(tmp_path, change, message):
    write_python(tmp_path / "py", 10, lambda name, batch: change(batch) if name == "test_batch" else batch)
    with pytest.raises(ConfigError, match=message):
        load_cifar(tmp_path / "py", 10)
    (tmp_path / "py" / "test_batch").write_bytes(b"\x80no pickle")
    with pytest.raises(ConfigError, match="is no batch of the Python version"):
        load_cifar(tmp_path / "py", 10)
