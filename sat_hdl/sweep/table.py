"""The file that a sweep fills: a line a point, whole at any time."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sat_hdl.config import ConfigError

__all__ = ["Table"]


class Table:
    """A CSV file. What is added is there at once; a line that was cut off is dropped when it is opened again.

    Arguments
    ---------
    path: the file, which may be there already.
    keys: columns that tell points apart. figures: the others.

    Raises
    ------
    ConfigError: the file has other columns, or can't be read or written.
    """

    def __init__(self, path: Path, *, keys: Iterable[str], figures: Iterable[str]):
        self._path, self._keys = path, tuple(keys)
        self._columns = (*self._keys, *figures)
        self.rows: list[dict[str, str]] = []
        try:
            old = path.read_text() if path.exists() else ""
            kept = old[: old.rfind("\n") + 1]
            if kept:
                reader = csv.DictReader(kept.splitlines())
                if tuple(reader.fieldnames or ()) != self._columns:
                    raise ConfigError(
                        f"{str(path)!r} holds another kind of table: continue it with the command that began it, or "
                        "name another file."
                    )
                self.rows = list(reader)
            if kept != old or not kept:
                with path.open("w", newline="") as file:
                    file.write(kept)
                    if not kept:
                        csv.writer(file, lineterminator="\n").writerow(self._columns)
        except UnicodeDecodeError:
            raise ConfigError(f"{str(path)!r} is no text: name another file.") from None
        except OSError as error:
            raise ConfigError(f"{str(path)!r} can't be written: {error.strerror}.") from None
        self._known = {self._key(row) for row in self.rows}

    def _key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[key]) for key in self._keys)

    def __contains__(self, row: Mapping[str, Any]) -> bool:
        """Whether there is a line with these keys."""
        return self._key(row) in self._known

    def add(self, row: Mapping[str, Any]):
        """Appends a line; what it lacks stays empty."""
        text = {name: str(row.get(name, "")) for name in self._columns}
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(text)
        self.rows.append(text)
        self._known.add(self._key(text))
