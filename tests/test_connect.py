"""Devices by their URLs."""

import os
import pty
import tty

import pytest

from sat_hdl.config import Config, ConfigError
from sat_hdl.connect import open_transport
from sat_hdl.link.session import LinkError


@pytest.mark.parametrize(
    "url, sentence",
    [
        ("", "A device is sim://PRESET, serial:"),
        ("/dev/ttyUSB0", "A device is sim://PRESET, serial:"),
        ("usb://1", "A device is sim://PRESET, serial:"),
        ("serial://", "A device is sim://PRESET, serial:"),
        ("serial:///dev/ttyUSB0?bauds=9", "has the option 'bauds'; for serial:// there is baud"),
        ("serial:///dev/ttyUSB0?baud=fast", "baud must be a number"),
        ("serial:///dev/ttyNONE", "There is no serial port '/dev/ttyNONE'"),
        ("socket://localhost:1?baud=9", "has the option 'baud'; for socket:// there is none"),
        ("sim://9x9", "There is no preset '9x9'"),
        ("sim://tiny?memory=100", "memory must be a multiple of 4096"),
    ],
)
def test_sentences(url, sentence):
    with pytest.raises(ConfigError, match=sentence):
        open_transport(url)


def test_a_simulated_device_must_be_the_one_that_is_wanted():
    with pytest.raises(ConfigError, match="another configuration"):
        open_transport("sim://tiny", Config())


def test_nothing_answers(monkeypatch):
    monkeypatch.setattr("sat_hdl.link.transport._CALLS", 1)
    here, there = pty.openpty()
    tty.setraw(there)
    with pytest.raises(
        LinkError, match=r"Nothing answers at .* at 9600 baud: check that the board has power"
    ):
        open_transport(f"serial://{os.ttyname(there)}?baud=9600")
    os.close(here)
    os.close(there)
