"""A small model and a small device, in files, for commands that take them."""

import json

import msgspec
import pytest

from sat_hdl import cli

from ..device import CONFIG

MODEL = """input = [4, 4, 1]

[[layers]]
kind = "conv2d"
out = 8
kernel = 3
padding = 1

[[layers]]
kind = "relu"

[[layers]]
kind = "maxpool"
kernel = 2

[[layers]]
kind = "conv2d"
name = "second"
out = 8
kernel = 1

[[layers]]
kind = "flatten"

[[layers]]
kind = "linear"
out = 3
"""


@pytest.fixture
def sat_hdl(capsys):
    """sat_hdl(*words) → (exit status, stdout, stderr)."""

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stop.value.code, out, err

    return call


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A folder with net.toml and hardware.toml."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "net.toml").write_text(MODEL)
    config = "".join(f"{k} = {json.dumps(v)}\n" for k, v in msgspec.to_builtins(CONFIG).items())
    (folder / "hardware.toml").write_text(config)
    return folder


@pytest.fixture
def image(sat_hdl, small, tmp_path):
    """A compiled training step of four samples."""
    path = tmp_path / "step.npz"
    words = ["compile", small / "net.toml", "--config", small / "hardware.toml", "--batch", 4, "-o", path]
    status, _, err = sat_hdl(*words)
    assert status == 0, err
    return path
