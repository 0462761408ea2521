"""Beats of a stream as numpy arrays: little-endian 32-bit words, one row a beat, lane 0 in the low bits."""

import numpy as np

__all__ = ["check_beats", "pack_lanes", "unpack_lanes", "words_of"]


def words_of(width: int) -> int:
    """32-bit words that hold ``width`` bits; at least one."""
    return max(1, -(-width // 32))


def pack_lanes(values: np.ndarray, width: int) -> np.ndarray:
    """Unsigned ``values`` (n, lanes) of ``width`` bits each, 1 to 64 → beats, uint32 (n, words).

    Raises
    ------
    ValueError: on a value that needs more bits, a negative one, or another shape.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "ui" or not 1 <= width <= 64:
        raise ValueError(
            "Lanes must be integers of shape (n, lanes) and 1 to 64 bits each, "
            f"not {values.dtype} {values.shape} of {width!r} bits"
        )
    if values.size and (int(values.min()) < 0 or int(values.max()) >> width):
        raise ValueError(
            f"Lanes must be from 0 to 2**{width} - 1, not {int(values.min())} to {int(values.max())}"
        )
    n, lanes = values.shape
    values = values.astype("<u8", copy=False)
    words = words_of(width * lanes)
    if width in (8, 16, 32, 64):
        narrow = np.ascontiguousarray(values.astype(f"<u{width // 8}"))
        beats = np.zeros((n, words * 4), np.uint8)
        beats[:, : lanes * width // 8] = narrow.view(np.uint8).reshape(n, -1)
        return beats.view("<u4")
    # A word of slack: every lane adds its bits to the (up to three) words that it overlaps.
    beats = np.zeros((n, words + 2), np.uint32)
    for lane in range(lanes):
        word, offset = divmod(lane * width, 32)
        column = values[:, lane]
        low = column << np.uint64(offset)
        beats[:, word] |= low.astype(np.uint32)
        if offset + width > 32:
            beats[:, word + 1] |= (low >> np.uint64(32)).astype(np.uint32)
        if offset + width > 64:
            beats[:, word + 2] |= (column >> np.uint64(64 - offset)).astype(np.uint32)
    return np.ascontiguousarray(beats[:, :words])


def unpack_lanes(beats: np.ndarray, lanes: int, width: int) -> np.ndarray:
    """Beats, uint32 (n, words) → the ``lanes`` lowest lanes of ``width`` bits, 1 to 64: uint64 (n, lanes).

    Raises
    ------
    ValueError: if a beat has fewer bits than that, or the shape is another.
    """
    beats = np.asarray(beats)
    if beats.ndim != 2 or beats.dtype != np.uint32 or not 1 <= width <= 64:
        raise ValueError(
            f"Beats must be uint32 (n, words) with lanes of 1 to 64 bits, not {beats.dtype} {beats.shape} "
            f"with {width!r} bits"
        )
    if lanes * width > beats.shape[1] * 32:
        raise ValueError(f"{lanes} lanes of {width} bits must fit the beat, which has {beats.shape[1]} words")
    n = len(beats)
    if width in (8, 16, 32, 64):
        octets = np.ascontiguousarray(beats).view(np.uint8).reshape(n, -1)[:, : lanes * width // 8]
        return np.ascontiguousarray(octets).view(f"<u{width // 8}").reshape(n, lanes).astype(np.uint64)
    wide = np.zeros((n, beats.shape[1] + 2), np.uint64)
    wide[:, :-2] = beats
    mask = np.uint64((1 << width) - 1)
    values = np.empty((n, lanes), np.uint64)
    for lane in range(lanes):
        word, offset = divmod(lane * width, 32)
        value = (wide[:, word] | (wide[:, word + 1] << np.uint64(32))) >> np.uint64(offset)
        if offset + width > 64:
            value |= wide[:, word + 2] << np.uint64(64 - offset)
        values[:, lane] = value & mask
    return values


def check_beats(name: str, beats: np.ndarray, width: int) -> np.ndarray:
    """``beats`` of stream ``name`` as contiguous uint32 (n, words); (n,) will do for one word.

    Raises
    ------
    ValueError: if the shape or dtype is another, or bits above the payload's ``width`` are set.
    """
    words = words_of(width)
    beats = np.asarray(beats)
    if beats.ndim == 1 and words == 1:
        beats = beats.reshape(-1, 1)
    if beats.dtype != np.uint32 or beats.ndim != 2 or beats.shape[1] != words:
        raise ValueError(
            f"Beats for {name!r} ({width} bits) must be uint32 (n, {words}), not {beats.dtype} {beats.shape}"
        )
    spare = 32 * words - width
    if spare and beats.size and int(beats[:, -1].max()) >> (32 - spare):
        raise ValueError(f"Beats for {name!r} must have {width} bits, but bits above are set")
    return np.ascontiguousarray(beats)
