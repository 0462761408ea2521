"""Reading and writing numpy arrays, with a sentence for every way in which a file can be wrong."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from sat_hdl.cli.output import atomic_file
from sat_hdl.config import ConfigError

__all__ = ["load_array", "save_array", "save_arrays"]


def load_array(path: Path, *, dtype: np.dtype | type, ndim: int) -> np.ndarray:
    """The array in the .npy file ``path``, in C order and native byte order.

    Raises :class:`ConfigError` unless it is there, whole, of ``dtype`` (in any byte order), of ``ndim``
    dimensions and without a dimension of 0. Nothing in it is ever unpickled.
    """
    wanted = np.dtype(dtype)
    try:
        with open(path, "rb") as file:
            array = _read(file, path, wanted, ndim)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {str(path)!r}.") from None
    except IsADirectoryError:
        raise ConfigError(f"{str(path)!r} is a folder; give a .npy file.") from None
    except OSError as error:
        raise ConfigError(f"{str(path)!r} can't be read: {error.strerror}.") from None
    return np.ascontiguousarray(array, dtype=wanted)


def _read(file: BinaryIO, path: Path, wanted: np.dtype, ndim: int) -> np.ndarray:
    name = repr(str(path))
    try:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = header(file)
    except (ValueError, KeyError, EOFError):
        raise ConfigError(f"{name} is not a .npy file (numpy.save makes them).") from None
    if dtype.newbyteorder("=") != wanted:
        raise ConfigError(
            f"{name} holds {dtype}, but must hold {wanted}: convert it with .astype('{wanted}')."
        )
    if len(shape) != ndim:
        raise ConfigError(f"{name} has shape {shape}, but must have {ndim} dimensions.")
    if 0 in shape:
        raise ConfigError(f"{name} has shape {shape}; every dimension must be at least 1.")
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    start = file.tell()
    have = file.seek(0, 2) - start
    if have != expected:
        raise ConfigError(
            f"{name} is damaged: its shape {shape} takes {expected} bytes, but {have} follow its header."
        )
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes ``array`` to ``path`` as .npy, whole or not at all."""
    with atomic_file(path) as partial, open(partial, "wb") as file:
        np.save(file, array, allow_pickle=False)


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes ``arrays`` by name to ``path`` as .npz, whole or not at all."""
    with atomic_file(path) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
