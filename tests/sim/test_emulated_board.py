"""A whole board behind a pseudo-terminal: the driver trains on it bit for bit, over a line that damages frames."""

import contextlib
import threading
import time

import pytest

from sat_hdl.compiler.layers import Linear, Model, Relu
from sat_hdl.config import ConfigError
from sat_hdl.connect import open_transport
from sat_hdl.driver import Accelerator
from sat_hdl.sim.emulated_board import EmulatedBoard

from ..compiler.training import Training, compiled, settings
from ..device import CONFIG

#: As in tests/cli/test_emulate.py: compiled once.
SIZE = 1 << 18
MLP = Model(16, [Linear(8), Relu(), Linear(3)])


@contextlib.contextmanager
def emulated(**options):
    """A board that runs in a thread of its own."""
    board = EmulatedBoard(CONFIG, memory_size=SIZE, **options)
    stop = threading.Event()
    thread = threading.Thread(target=board.serve, args=(stop,), daemon=True)
    thread.start()
    try:
        yield board
    finally:
        stop.set()
        thread.join(30)
        board.close()
        assert not thread.is_alive()


def device(board) -> Accelerator:
    return Accelerator(open_transport(f"serial://{board.path}", CONFIG), limit=2_000_000)


def training(accelerator) -> Training:
    given = settings("bdwp", 2, 8, batch=3)
    return Training(MLP, accelerator, compiled(MLP, CONFIG, given), given, seed=1)


@pytest.mark.parametrize("damage, steps", [(0.01, 2), (0.1, 1)])
def test_training(damage, steps):
    """The serial port's bits are simulated too."""
    seed = 11
    print(f"seed {seed}")
    with emulated(damage=damage, seed=seed) as board:
        trained = training(device(board))
        for _ in range(steps):
            trained.run()
        assert board.there.damaged > 0 and board.back.damaged > 0


def test_the_cable_is_pulled(tmp_path):
    """In the middle of what is written, and while a program runs; the terminal comes back under the same name."""
    with emulated(damage=0.02, link=tmp_path / "board") as board:
        accelerator = device(board)
        pulls = [threading.Timer(delay, board.unplug, (0.5,)) for delay in (0.02, 1.5)]
        for pull in pulls:
            pull.start()
        steps = training(accelerator)
        deadline = time.monotonic() + 60
        while any(pull.is_alive() for pull in pulls):
            steps.run()
            assert time.monotonic() < deadline
        steps.run()
        assert accelerator._transport.session.recoveries > 0


def test_a_name_that_is_taken(tmp_path):
    (tmp_path / "board").touch()
    with pytest.raises(ConfigError, match="board' can't be made: File exists"):
        EmulatedBoard(CONFIG, memory_size=SIZE, link=tmp_path / "board")
