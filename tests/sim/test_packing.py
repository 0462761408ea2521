"""Packing against Python's integers."""

import numpy as np
import pytest

from sat_hdl.sim.packing import pack_lanes, unpack_lanes, words_of


@pytest.mark.parametrize("width", [1, 2, 7, 8, 16, 19, 31, 32, 33, 43, 63, 64])
@pytest.mark.parametrize("lanes", [1, 2, 3, 8, 33])
def test_lanes(lanes, width, seed=5):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**width - 1, (20, lanes), dtype=np.uint64, endpoint=True)
    values[0], values[1] = 2**width - 1, 0
    beats = pack_lanes(values, width)
    assert beats.dtype == np.uint32 and beats.shape == (20, words_of(lanes * width))
    expected = [sum(int(v) << i * width for i, v in enumerate(row)) for row in values]
    assert [int.from_bytes(beat.tobytes(), "little") for beat in beats] == expected
    np.testing.assert_array_equal(unpack_lanes(beats, lanes, width), values)


def test_nothing():
    assert pack_lanes(np.zeros((0, 3), np.uint16), 19).shape == (0, 2)
    assert unpack_lanes(np.zeros((0, 2), np.uint32), 3, 19).shape == (0, 3)


@pytest.mark.parametrize(
    "values,width,message",
    [
        (np.array([[4]]), 2, "from 0 to 2..2 - 1, not 4 to 4"),
        (np.array([[-1]]), 8, "not -1 to -1"),
        (np.array([1]), 8, r"shape \(n, lanes\)"),
        (np.array([[1.0]]), 8, "integers"),
        (np.array([[1]]), 65, "of 65 bits"),
    ],
)
def test_bad_lanes(values, width, message):
    with pytest.raises(ValueError, match=message):
        pack_lanes(values, width)


def test_bad_beats():
    with pytest.raises(ValueError, match="must fit the beat, which has 1 words"):
        unpack_lanes(np.zeros((4, 1), np.uint32), 2, 17)
    with pytest.raises(ValueError, match="must be uint32"):
        unpack_lanes(np.zeros((4, 1), np.uint64), 1, 17)
