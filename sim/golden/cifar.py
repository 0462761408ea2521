"""CIFAR-10 and CIFAR-100 from the files that their authors publish (Krizhevsky, 2009), unpacked: the binary version,
or the Python one, whose pickles are read without letting them run anything."""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.data import Dataset

__all__ = ["SHAPE", "load_cifar"]

#: Of an image.
SHAPE = (32, 32, 3)
_PIXELS = 3 * 32 * 32
_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
#: By number of classes: files of the binary version to train and to test on, and bytes of labels before an image, of
#: which the last counts; files of the Python version, and the name of its labels; folders of unpacked archives.
_BINARY: dict[int, tuple[tuple[str, ...], str, int]] = {
    10: (tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", 1),
    100: (("train.bin",), "test.bin", 2),
}
_PYTHON: dict[int, tuple[tuple[str, ...], str, bytes]] = {
    10: (_BATCHES, "test_batch", b"labels"),
    100: (("train",), "test", b"fine_labels"),
}
_FOLDERS = {
    10: ("cifar-10-batches-bin", "cifar-10-batches-py"),
    100: ("cifar-100-binary", "cifar-100-python"),
}


class _Unpickler(pickle.Unpickler):
    """Knows arrays and strings of bytes, and nothing that could do anything."""

    _KNOWN: ClassVar = {
        "numpy.core.multiarray._reconstruct": np.empty(0).__reduce__()[0],
        "numpy._core.multiarray._reconstruct": np.empty(0).__reduce__()[0],
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        # How Python 3 writes bytes for Python 2.
        "_codecs.encode": lambda text, encoding: text.encode("latin1"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self._KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in images")
        return self._KNOWN[f"{module}.{name}"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{str(path)!r} can't be read: {error.strerror}.") from None


def _from_binary(path: Path, labels: int) -> tuple[np.ndarray, np.ndarray]:
    data, record = np.frombuffer(_read(path), np.uint8), labels + _PIXELS
    if data.size == 0 or data.size % record:
        raise ConfigError(
            f"{str(path)!r} has {data.size} bytes, no multiple of the {record} of a labelled image: it is damaged, "
            "or of another data set."
        )
    records = data.reshape(-1, record)
    return records[:, labels:], records[:, labels - 1].astype(np.int64)


def _from_pickle(path: Path, labels: bytes) -> tuple[np.ndarray, np.ndarray]:
    try:
        found = _Unpickler(io.BytesIO(_read(path)), encoding="bytes").load()
        x, y = np.asarray(found[b"data"]), np.asarray(found[labels])
    except ConfigError:
        raise
    except Exception as error:  # whatever a damaged pickle leads to
        raise ConfigError(f"{str(path)!r} is no batch of the Python version of CIFAR: {error}.") from None
    if (
        x.dtype != np.uint8
        or x.ndim != 2
        or x.shape[1] != _PIXELS
        or y.shape != x.shape[:1]
        or y.dtype.kind != "i"
    ):
        raise ConfigError(
            f"{str(path)!r} must hold uint8 images of {_PIXELS} values and as many labels, not {x.dtype} {x.shape} "
            f"and {y.dtype} {y.shape}."
        )
    return x, y.astype(np.int64)


def _batches(folder: Path, classes: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], Path]:
    """What every file holds, that to test on last, and the folder in which they were."""
    missing: list[str] = []
    for place in (folder, *(folder / name for name in _FOLDERS[classes])):
        for (train, test, label), read in (
            (_BINARY[classes], _from_binary),
            (_PYTHON[classes], _from_pickle),
        ):
            names = (*train, test)
            there = [name for name in names if (place / name).is_file()]
            if len(there) == len(names):
                return [read(place / name, label) for name in names], place  # type: ignore[arg-type]
            if there:
                missing = missing or [name for name in names if name not in there]
    if missing:
        raise ConfigError(
            f"{str(folder)!r} lacks {', '.join(missing)} of CIFAR-{classes}; unpack the archive again."
        )
    binary, python = (", ".join((*table[classes][0], table[classes][1])) for table in (_BINARY, _PYTHON))
    raise ConfigError(
        f"{str(folder)!r} holds no CIFAR-{classes}: give the folder with {binary} (the binary version) or {python} "
        "(the Python version)."
    )


def load_cifar(path: str | Path, classes: int) -> Dataset:
    """CIFAR-10 or CIFAR-100 (by its fine labels) from a folder; inputs are (samples, 3072), rows of 32 pixels of 3
    channels, each channel standardised by its mean and standard deviation in the training set. 0.8 GB.

    Arguments
    ---------
    path: the folder with the files, or the one with the unpacked archive's folder in it.
    classes: 10 or 100.

    Raises :class:`ConfigError` if files are missing, damaged, or not what their names say.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(
            f"There is no folder {str(folder)!r}; unpack CIFAR-{classes}'s archive, and give its folder."
        )
    batches, place = _batches(folder, classes)
    for _, y in batches:
        if int(y.max()) >= classes or int(y.min()) < 0:
            raise ConfigError(
                f"The files in {str(place)!r} have labels beyond CIFAR-{classes}'s {classes} classes."
            )
    # Channel by channel in the file, pixel by pixel here.
    images = [x.reshape(-1, 3, 32 * 32).transpose(0, 2, 1) for x, _ in batches]
    train, test = np.concatenate(images[:-1]), images[-1]
    mean = train.mean(axis=(0, 1), dtype=np.float64)
    # A channel that never varies has nothing to be scaled up.
    deviation = np.maximum(train.std(axis=(0, 1), dtype=np.float64), 1)
    x_train, x_test = (
        ((x - mean.astype(np.float32)) / deviation.astype(np.float32)).reshape(len(x), -1)
        for x in (train, test)
    )
    labels = np.concatenate([y for _, y in batches[:-1]])
    return Dataset(x_train, labels, x_test, batches[-1][1], classes)
