"""Program images: what is written is read, and what contradicts itself is refused."""

from dataclasses import replace

import numpy as np
import pytest

from sat_hdl.compiler.program import Label
from sat_hdl.config import Config, ConfigError
from sat_hdl.image import Image, ImageProgram, is_image, load_image, save_image

RNG = np.random.default_rng(0)
FF, BP = Label("conv · 1", "FF"), Label("conv · 1", "BP")
PROGRAM = ImageProgram(name="one", address=64, size=40, parameters=(1, 0xFFFFFFFF), labels=(FF, FF, BP, FF))
IMAGE = Image(
    config=Config(rows=2, cols=4),
    size=4096,
    programs=(PROGRAM, ImageProgram(name="two", address=256, size=8)),
    pieces={0: RNG.integers(0, 256, 80, np.uint8), 90: RNG.integers(0, 256, 300, np.uint8)},
    tensors={"x": (0, 64), "empty": (4096, 0)},
)


@pytest.mark.parametrize(
    "image", [IMAGE, replace(IMAGE, config=None, tensors={}, pieces={})], ids=["full", "bare"]
)
def test_round_trip(tmp_path, image):
    path = tmp_path / "image"
    save_image(path, image)
    found = load_image(path)
    assert is_image(path)
    assert replace(found, pieces={}) == replace(image, pieces={})
    assert list(found.pieces) == list(image.pieces)
    assert all((found.pieces[at] == image.pieces[at]).all() for at in image.pieces)


def test_words_come_from_all_pieces():
    """What no piece holds is 0."""
    memory = np.zeros(IMAGE.size, np.uint8)
    for address, octets in IMAGE.pieces.items():
        memory[address : address + len(octets)] = octets
    for program in IMAGE.programs:
        assert (
            IMAGE.words(program) == memory[program.address : program.address + program.size].view("<u8")
        ).all()


WRONG = {
    "no program": ({"programs": ()}, "holds no program"),
    "a program outside": ({"programs": (replace(PROGRAM, address=4064),)}, "program 'one' lies at 0xfe0"),
    "half a word": ({"programs": (replace(PROGRAM, size=12),)}, "whole 64-bit words"),
    "an odd address": ({"programs": (replace(PROGRAM, address=60),)}, "whole 64-bit words"),
    "a piece outside": ({"pieces": {4095: np.zeros(2, np.uint8)}}, "a piece lies at 0xfff"),
    "a piece of words": ({"pieces": {0: np.zeros(2, np.uint16)}}, "not plain bytes"),
    "a tensor outside": ({"tensors": {"x": (0, 5000)}}, "tensor 'x'"),
    "no memory": ({"size": 0}, "asks for 0 bytes"),
    "too much memory": ({"size": 1 << 33}, "1 to 4 GiB"),
}


@pytest.mark.parametrize("change, sentence", WRONG.values(), ids=WRONG)
def test_contradictions(tmp_path, change, sentence):
    save_image(tmp_path / "image", replace(IMAGE, **change))
    with pytest.raises(ConfigError, match=sentence):
        load_image(tmp_path / "image")


def test_another_version(tmp_path, monkeypatch):
    monkeypatch.setattr("sat_hdl.image.VERSION", 2)
    save_image(tmp_path / "image", IMAGE)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="version 2; this `sat-hdl` reads version 1"):
        load_image(tmp_path / "image")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_damage(tmp_path, part):
    save_image(tmp_path / "image", IMAGE)
    whole = (tmp_path / "image").read_bytes()
    at = int(len(whole) * part)
    (tmp_path / "cut").write_bytes(whole[:at])
    with pytest.raises(ConfigError, match="is no program image"):
        load_image(tmp_path / "cut")
