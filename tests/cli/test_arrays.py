"""What load_array refuses, and that what is saved comes back."""

import numpy as np
import pytest

from sat_hdl.cli.arrays import load_array, save_array, save_arrays
from sat_hdl.config import ConfigError


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7,), (2, 3, 4)])
def test_round_trip(tmp_path, shape):
    rng = np.random.default_rng(len(shape))
    array = rng.standard_normal(shape).astype(np.float16)
    save_array(tmp_path / "a.npy", array)
    back = load_array(tmp_path / "a.npy", dtype=np.float16, ndim=len(shape))
    assert back.tobytes() == array.tobytes() and back.shape == array.shape
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy"]


@pytest.mark.parametrize("change", [np.asfortranarray, lambda a: a.astype(">f2"), lambda a: a[::2, ::-1]])
def test_memory_order_is_of_no_concern(tmp_path, change):
    array = change(np.arange(12, dtype=np.float16).reshape(4, 3))
    np.save(tmp_path / "a.npy", array)
    back = load_array(tmp_path / "a.npy", dtype=np.float16, ndim=2)
    assert back.dtype == np.dtype(np.float16) and back.flags.c_contiguous
    np.testing.assert_array_equal(back, array)


def test_special_values_are_data(tmp_path):
    bits = np.array([[0x7E00, 0xFE01, 0x7C00, 0x8000, 0x0001]], np.uint16)
    save_array(tmp_path / "a.npy", bits.view(np.float16))
    back = load_array(tmp_path / "a.npy", dtype=np.float16, ndim=2)
    np.testing.assert_array_equal(back.view(np.uint16), bits)


@pytest.mark.parametrize(
    "array, sentence",
    [
        (np.zeros((2, 2), np.float32), "holds float32, but must hold float16"),
        (np.zeros((2, 2), np.int64), "holds int64"),
        (np.array([[object()]], object), "holds object"),
        (np.zeros(4, np.float16), "has shape \\(4,\\), but must have 2 dimensions"),
        (np.zeros((1, 2, 2), np.float16), "but must have 2 dimensions"),
        (np.zeros((0, 2), np.float16), "every dimension must be at least 1"),
        (np.zeros((2, 0), np.float16), "every dimension must be at least 1"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, array, sentence):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ConfigError, match=sentence):
        load_array(tmp_path / "a.npy", dtype=np.float16, ndim=2)


def test_wrong_files_are_refused(tmp_path):
    def refused(path, sentence):
        with pytest.raises(ConfigError, match=sentence):
            load_array(path, dtype=np.float16, ndim=2)

    refused(tmp_path / "none.npy", "There is no file")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.npy").touch()
    refused(tmp_path / "empty.npy", "is not a .npy file")
    (tmp_path / "text.npy").write_text("1 2 3\n" * 100)
    refused(tmp_path / "text.npy", "is not a .npy file")
    save_arrays(tmp_path / "a.npz", a=np.zeros((2, 2), np.float16))
    refused(tmp_path / "a.npz", "is not a .npy file")
    save_array(tmp_path / "whole.npy", np.zeros((8, 8), np.float16))
    whole = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "long.npy").write_bytes(whole + b"x")
    refused(tmp_path / "long.npy", "is damaged")
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        refused(tmp_path / "cut.npy", "is damaged|is not a .npy file")


def test_a_header_that_promises_too_much_is_refused(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (1 << 40, 1 << 20)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    with pytest.raises(ConfigError, match=r"is damaged: its shape .* but 100 follow"):
        load_array(tmp_path / "a.npy", dtype=np.float16, ndim=2)
