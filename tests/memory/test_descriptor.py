"""Descriptors as registers and as numpy, against nested Python loops."""

import itertools
import random

import numpy as np
import pytest

from sat_hdl.memory.descriptor import (
    READ_WORDS,
    WRITE_WORDS,
    Descriptor,
    Loop,
    StreamError,
    read_descriptor_layout,
    write_descriptor_layout,
)

from .descriptors import random_descriptor


def runs_by_loops(descriptor: Descriptor) -> list[tuple[int, bool]]:
    loops = descriptor.all_loops
    runs = []
    for steps in itertools.product(*(range(loop.count) for loop in loops)):
        address = descriptor.base + sum(i * loop.stride for i, loop in zip(steps, loops, strict=True))
        y = descriptor.y0 + sum(i * loop.dy for i, loop in zip(steps, loops, strict=True))
        x = descriptor.x0 + sum(i * loop.dx for i, loop in zip(steps, loops, strict=True))
        inside = 0 <= y < descriptor.height and 0 <= x < descriptor.width
        runs.append((address % 2**32, descriptor.height != 0 and not inside))
    return runs


def test_runs_are_those_of_nested_loops():
    rng = random.Random(1)
    for _ in range(200):
        descriptor = random_descriptor(rng, 64, beats=300)
        address, padding = descriptor.runs()
        assert list(zip(address.tolist(), padding.tolist(), strict=True)) == runs_by_loops(descriptor)


def test_registers_round_trip():
    rng = random.Random(2)
    assert read_descriptor_layout().size == 32 * READ_WORDS
    assert write_descriptor_layout().size == 32 * WRITE_WORDS
    for _ in range(100):
        descriptor = random_descriptor(rng, 64, beats=300)
        again = Descriptor.from_words(descriptor.words())
        assert again.words() == descriptor.words()
        np.testing.assert_array_equal(again.runs(), descriptor.runs())
        word = sum(word << 32 * i for i, word in enumerate(descriptor.words()))
        fields = read_descriptor_layout().from_bits(word)
        assert (fields.base, fields.run) == (descriptor.base, descriptor.run)
        assert (fields.origin.y, fields.origin.x) == (descriptor.y0, descriptor.x0)
        assert (fields.extent.height, fields.extent.width) == (descriptor.height, descriptor.width)
        for k, loop in enumerate(descriptor.all_loops):
            assert fields.strides[k] == loop.stride % 2**32
            assert (fields.loops[k].count, fields.loops[k].dy, fields.loops[k].dx) == (
                loop.count,
                loop.dy,
                loop.dx,
            )


def test_im2col_of_a_padded_image():
    """The patches of a 3 × 3 convolution with stride 2 and padding 1, against numpy's padded image."""
    height, width, pixel = 5, 6, 8
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (height, width, pixel), dtype=np.uint8)
    descriptor = Descriptor(
        base=0, run=pixel, height=height, width=width, y0=-1, x0=-1,
        loops=[
            Loop(count=3, stride=2 * width * pixel, dy=2), Loop(count=3, stride=2 * pixel, dx=2),
            Loop(count=3, stride=width * pixel, dy=1), Loop(count=3, stride=pixel, dx=1),
        ],
    )  # fmt: skip
    # The first patch begins one row and one pixel before the image.
    descriptor = Descriptor.from_words([(-(width + 1) * pixel) % 2**32, *descriptor.words()[1:]])
    memory = np.zeros(1 << 12, np.uint8)
    memory[: image.size] = image.ravel()
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    patches = [padded[2 * oy : 2 * oy + 3, 2 * ox : 2 * ox + 3] for oy in range(3) for ox in range(3)]
    np.testing.assert_array_equal(descriptor.read(memory), np.concatenate(patches).reshape(-1, pixel))
    assert descriptor.read(memory, fill=0xFC00)[0].tolist() == [0x00, 0xFC] * (pixel // 2)


def test_write_then_read():
    rng = np.random.default_rng(4)
    descriptor = Descriptor(base=16, run=24, loops=[Loop(count=3, stride=64), Loop(count=2, stride=-32)])
    rows = rng.integers(0, 256, (6, 24), dtype=np.uint8)
    memory = np.zeros(512, np.uint8)
    descriptor.write(memory, rows)
    np.testing.assert_array_equal(descriptor.read(memory), rows)


@pytest.mark.parametrize(
    ("change", "reads", "writes"),
    [
        ({}, StreamError.NONE, StreamError.NONE),
        ({"base": 4}, StreamError.MISALIGNED, StreamError.MISALIGNED),
        ({"run": 6}, StreamError.MISALIGNED, StreamError.NONE),
        ({"run": 7}, StreamError.MISALIGNED, StreamError.MISALIGNED),
        ({"run": 0}, StreamError.EMPTY, StreamError.EMPTY),
        ({"loops": [Loop(count=0)]}, StreamError.EMPTY, StreamError.EMPTY),
        ({"loops": [Loop(count=2, stride=2)]}, StreamError.MISALIGNED, StreamError.MISALIGNED),
        ({"loops": [Loop(count=1, stride=2)]}, StreamError.NONE, StreamError.NONE),
    ],
)
def test_error(change, reads, writes):
    descriptor = Descriptor(**{"base": 0, "run": 8, **change})
    assert descriptor.error(64) == reads
    assert descriptor.error(64, writes=True) == writes


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": 1 << 32},
        {"run": -1},
        {"y0": 1 << 15},
        {"height": 1 << 16},
        {"loops": [Loop(count=1 << 16)]},
        {"loops": [Loop(count=1, stride=1 << 32)]},
        {"loops": [Loop(count=1, dy=128)]},
        {"loops": [Loop(count=1)] * 6},
    ],
)
def test_what_a_register_cannot_hold_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Descriptor(**{"base": 0, "run": 8, **wrong})
