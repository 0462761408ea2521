"""What commands give back: one JSON object, or files that appear whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from sat_hdl.config import ConfigError

__all__ = ["atomic_dir", "atomic_file", "console", "print_json", "progress", "write_json"]


def console() -> Console:
    """Where people's output goes. Tables keep their width when stdout is a file."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def write_json(path: Path, value: Any) -> None:
    """``value`` as a file of JSON."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is being done; call the yielded function with each next step.

    A spinner on a terminal, one line a step elsewhere.
    """
    log = Console(stderr=True, highlight=False, soft_wrap=True)
    if log.is_terminal:
        with log.status(first) as status:
            yield lambda text: status.update(text)
    else:
        log.print(first)
        yield log.print


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields the name to write to, beside ``path``; at the end it becomes ``path``, or it vanishes."""
    if path.is_dir():
        raise ConfigError(f"{str(path)!r} is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {str(path.parent)!r} to write {path.name!r} to.")
    partial = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        partial.touch()  # an unwritable folder is told before the work, not after it
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; at the end its files move into ``path``, which is created if needed.

    On an error ``path`` holds what it held before, and folders created for it are gone.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{str(path)!r} is a file; give the name of a folder.")
    created = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        partial = path / f".{os.getpid()}.partial"
        partial.mkdir()
        try:
            yield partial
            files = [p.relative_to(partial) for p in sorted(partial.rglob("*")) if p.is_file()]
            for file in files:
                if (path / file).is_dir():
                    raise ConfigError(f"{str(path / file)!r} is a folder; it must make room for a file.")
            for file in files:
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                (partial / file).replace(path / file)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except BaseException:
        for folder in created:
            try:
                folder.rmdir()
            except OSError:
                break  # never made, or not empty: somebody else's files
        raise
