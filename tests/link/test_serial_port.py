"""Serial ports: pseudo-terminals stand for them."""

import os
import pty
import socket
import tty

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.link.serial_port import SerialPort
from sat_hdl.link.session import LinkError, LinkLost


@pytest.fixture
def terminal():
    here, there = pty.openpty()
    tty.setraw(there)
    yield here, there
    for end in (here, there):
        try:
            os.close(end)
        except OSError:
            pass


def test_bytes_pass(terminal):
    here, there = terminal
    port = SerialPort(os.ttyname(there), 115200)
    everything = bytes(range(256))
    port.send(everything)
    assert os.read(here, 1000) == everything
    os.write(here, everything)
    found = b""
    while len(found) < 256:
        found += port.receive(1.0)
    assert found == everything
    assert port.receive(0.01) == b""
    port.close()
    port.close()


def test_what_came_before_is_forgotten(terminal):
    here, there = terminal
    os.write(here, b"old")
    port = SerialPort(os.ttyname(there), 115200)
    os.write(here, b"new")
    assert port.receive(1.0) == b"new"


def test_a_port_that_goes_away(terminal, tmp_path):
    here, there = terminal
    name = tmp_path / "port"
    name.symlink_to(os.ttyname(there))
    port = SerialPort(str(name), 115200, away=0.3)
    os.close(here)
    os.close(there)
    with pytest.raises(LinkLost):
        for _ in range(3):
            port.send(b"x")
            port.receive(0.1)
    with pytest.raises(LinkError, match=r"went away and did not come back within 0\.3 s"):
        port.reopen()
    new, other = pty.openpty()
    tty.setraw(other)
    name.unlink()
    name.symlink_to(os.ttyname(other))
    port.reopen()
    os.write(new, b"back")
    assert port.receive(1.0) == b"back"
    os.close(new)
    os.close(other)


def test_sentences(terminal, tmp_path):
    with pytest.raises(ConfigError, match=r"There is no serial port '/dev/ttyNONE'; connected are: "):
        SerialPort("/dev/ttyNONE", 115200)
    with pytest.raises(ConfigError, match="can't be opened"):
        SerialPort(str(tmp_path), 115200)
    name = os.ttyname(terminal[1])
    first = SerialPort(name, 115200)
    with pytest.raises(ConfigError, match="in use by another program"):
        SerialPort(name, 115200)
    first.close()


def test_a_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = SerialPort(f"socket://127.0.0.1:{server.getsockname()[1]}", 115200)
        other, _ = server.accept()
        with other:
            port.send(b"there")
            assert other.recv(100) == b"there"
            other.sendall(b"back")
            found = b""
            while len(found) < 4:
                found += port.receive(1.0)
            assert found == b"back"
        port.close()
