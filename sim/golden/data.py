"""Data sets to train on: scikit-learn's digits, or the user's own in a .npz file."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sat_hdl.config import ConfigError

__all__ = ["Dataset", "load_digits", "load_npz", "stratified_split"]

#: Largest finite binary16, which every input must fit.
LARGEST = 65504.0
MAX_CLASSES = 10_000
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Dataset:
    """Samples and labels.

    Arguments
    ---------
    x_train, x_test: float32 (samples, inputs).
    y_train, y_test: int64 (samples,), from 0 to ``classes`` − 1.
    classes: outputs of a classifier, at least 2.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int

    @property
    def inputs(self) -> int:
        return self.x_train.shape[1]


def stratified_split(labels: np.ndarray, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, test), each class split alike: ``test_share`` of it, rounded down, is for testing."""
    rng = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        cut = int(len(members) * test_share)
        test.append(members[:cut])
        train.append(members[cut:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def _split(x: np.ndarray, y: np.ndarray, seed: int) -> Dataset:
    train, test = stratified_split(y, TEST_SHARE, seed)
    return Dataset(x[train], y[train], x[test], y[test], int(y.max()) + 1)


def load_digits(seed: int = 0) -> Dataset:
    """scikit-learn's 8 × 8 handwritten digits (UCI): 1,797 samples of 64 inputs, 10 classes.

    A fifth of each class is for testing, chosen by ``seed``. Each input is standardised by its mean and
    standard deviation in the training set, the latter taken as at least 0.05 of the range (pixels at the
    edges hardly vary).
    """
    from sklearn.datasets import load_digits as digits  # slow to import, and needed here alone

    x, y = digits(return_X_y=True)
    train, _ = stratified_split(y, TEST_SHARE, seed)
    deviation = np.maximum(x[train].std(axis=0), 0.05 * x.max())
    x = (x - x[train].mean(axis=0)) / deviation
    return _split(x.astype(np.float32), y.astype(np.int64), seed)


def _samples(path: Path, name: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "fiub":
        raise ConfigError(f"`{name}` in {path} must be an array of numbers, not of {x.dtype}.")
    if x.ndim != 2 or 0 in x.shape:
        raise ConfigError(
            f"`{name}` in {path} must have shape (samples, inputs), each at least 1, not {x.shape}; "
            "reshape it before saving."
        )
    if not np.isfinite(x).all():
        raise ConfigError(f"`{name}` in {path} holds NaN or infinite inputs; remove or replace them.")
    if np.abs(x.astype(np.float64)).max() > LARGEST:
        raise ConfigError(
            f"`{name}` in {path} holds inputs beyond {LARGEST:g}, the largest in binary16; scale them down."
        )
    return x.astype(np.float32)


def _labels(path: Path, name: str, y: np.ndarray, samples: int) -> np.ndarray:
    if y.dtype.kind not in "iu":
        raise ConfigError(f"`{name}` in {path} must be an array of integer labels, not of {y.dtype}.")
    if y.shape != (samples,):
        raise ConfigError(
            f"`{name}` in {path} must have shape ({samples},), one label a sample, not {y.shape}."
        )
    if int(y.min()) < 0 or int(y.max()) >= MAX_CLASSES:
        raise ConfigError(
            f"`{name}` in {path} must hold labels from 0 to at most {MAX_CLASSES - 1}, not from {y.min()} "
            f"to {y.max()}."
        )
    return y.astype(np.int64)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ConfigError(f"{path} is a single array; save x_train, y_train, x_test, y_test as .npz.")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ConfigError(f"There is no file {str(path)!r}.") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}.") from None
    except ConfigError:
        raise
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise ConfigError(
            f"{path} is no .npz file of plain arrays; write it with numpy.savez(path, x_train=…, y_train=…, "
            "x_test=…, y_test=…)."
        ) from None


def load_npz(path: str | Path, seed: int = 0) -> Dataset:
    """Reads x_train, y_train, x_test, y_test from a .npz file, or x, y, of which a fifth is split off by
    ``seed``. Samples are numbers (samples, inputs) within binary16's range; labels integers from 0.

    Raises :class:`ConfigError` if the file, an array, its dtype, its shape or a value won't do.
    """
    path = Path(path)
    arrays = _read(path)
    whole = {"x", "y"} <= arrays.keys()
    names = ("x", "y") if whole else ("x_train", "y_train", "x_test", "y_test")
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ConfigError(
            f"{path} lacks {', '.join(missing)}: it needs x_train, y_train, x_test and y_test, or x and "
            f"y; it has {', '.join(arrays) or 'nothing'}."
        )
    checked = {}
    for x_name, y_name in zip(names[::2], names[1::2]):
        checked[x_name] = _samples(path, x_name, arrays[x_name])
        checked[y_name] = _labels(path, y_name, arrays[y_name], len(checked[x_name]))
    if whole:
        data = _split(checked["x"], checked["y"], seed)
    else:
        if checked["x_train"].shape[1] != checked["x_test"].shape[1]:
            raise ConfigError(
                f"`x_train` and `x_test` in {path} must have equally many inputs, not "
                f"{checked['x_train'].shape[1]} and {checked['x_test'].shape[1]}."
            )
        classes = int(max(checked["y_train"].max(), checked["y_test"].max())) + 1
        data = Dataset(**checked, classes=classes)
    if data.classes < 2:
        raise ConfigError(f"The labels in {path} are all 0; a classifier needs at least two classes.")
    if len(data.x_test) == 0:
        raise ConfigError(f"{path} has too few samples to split a fifth of each class off for testing.")
    return data
