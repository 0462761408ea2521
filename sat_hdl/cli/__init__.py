"""The command ``sat-hdl``. Each command is one module here, whose ``command`` function typer reads.

What a command prints for people goes through :mod:`sat_hdl.cli.output`; with ``--json`` it prints one
object on stdout and nothing else there. Exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

import importlib
import signal
import sys
import warnings
from typing import NoReturn

import typer
from amaranth.hdl import UnusedElaboratable

from sat_hdl.cli.errors import INTERRUPTED, status_and_sentence
from sat_hdl.cli.output import print_json

__all__ = ["COMMANDS", "app", "main"]

#: Every command: module ``sat_hdl.cli.<name>``, in the order of `sat-hdl --help`.
COMMANDS = (
    "generate",
    "gemm",
    "prune",
    "train",
    "accuracy",
    "compile",
    "run",
    "profile",
    "schedule",
    "compare",
    "sweep",
    "build",
    "program",
    "boards",
    "emulate",
    "synth",
    "isa",
    "disasm",
)


def app() -> typer.Typer:
    """The typer application with every command."""
    typed = typer.Typer(
        name="sat-hdl",
        help="Generates, simulates and builds SAT, an accelerator for N:M sparse neural-network training.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    # A callback keeps the name of the command necessary even if there is only one.
    typed.callback()(lambda: None)
    for name in COMMANDS:
        typed.command(name)(importlib.import_module(f"sat_hdl.cli.{name}").command)
    return typed


def _stop(signum: int, frame: object) -> NoReturn:
    raise SystemExit(128 + signum)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs one command line and exits. A mistake of the user's ends in one sentence, never a traceback."""
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    # Components are also made just to be asked for a latency or a port.
    warnings.simplefilter("ignore", UnusedElaboratable)
    # A terminated run must still remove what it has half written.
    signal.signal(signal.SIGTERM, _stop)
    try:
        status = app()(words, prog_name="sat-hdl", standalone_mode=False)
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except BrokenPipeError:
        # Whoever read stdout has left; nothing can be told to them, at interpreter exit neither.
        sys.stdout = None
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        known = status_and_sentence(error)
        if known is None:
            if "--json" in words:
                print_json({"error": f"Internal error: {error!r}"})
            raise
        status, sentence = known
        print(f"sat-hdl: error: {sentence}", file=sys.stderr)
        if "--json" in words:
            print_json({"error": sentence})
        sys.exit(status)
