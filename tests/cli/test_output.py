"""Files and folders appear whole or not at all."""

import pytest

from sat_hdl.cli.output import atomic_dir, atomic_file
from sat_hdl.config import ConfigError


class Stop(Exception):
    """Something goes wrong half way."""


def tree(folder):
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in folder.rglob("*")}


def test_file_appears(tmp_path):
    with atomic_file(tmp_path / "a") as partial:
        partial.write_text("new")
        assert not (tmp_path / "a").exists()
    assert tree(tmp_path) == {"a": "new"}


@pytest.mark.parametrize("before", [{}, {"a": "old"}])
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit])
def test_file_stays_as_it_was_on_an_error(tmp_path, before, error):
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error), atomic_file(tmp_path / "a") as partial:
        partial.write_text("half")
        raise error
    assert tree(tmp_path) == before


def test_file_needs_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="There is no folder"), atomic_file(tmp_path / "x" / "a"):
        pass
    with pytest.raises(ConfigError, match="is a folder"), atomic_file(tmp_path):
        pass


@pytest.mark.parametrize("deep", ["out", "x/y/out"])
def test_folder_appears(tmp_path, deep):
    with atomic_dir(tmp_path / deep) as partial:
        (partial / "a").write_text("new")
        (partial / "sub").mkdir()
        (partial / "sub" / "b").write_text("new")
    assert tree(tmp_path / deep) == {"a": "new", "sub": None, "sub/b": "new"}


def test_folder_keeps_other_files(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "c").write_text("old")
    with atomic_dir(tmp_path) as partial:
        (partial / "a").write_text("new")
    assert tree(tmp_path) == {"a": "new", "c": "old"}


@pytest.mark.parametrize("deep", ["out", "x/y/out"])
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit])
def test_new_folder_vanishes_on_an_error(tmp_path, deep, error):
    (tmp_path / "other").write_text("old")
    with pytest.raises(error), atomic_dir(tmp_path / deep) as partial:
        (partial / "a").write_text("half")
        raise error
    assert tree(tmp_path) == {"other": "old"}


def test_old_folder_stays_as_it_was_on_an_error(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(Stop), atomic_dir(tmp_path) as partial:
        (partial / "a").write_text("half")
        raise Stop
    assert tree(tmp_path) == {"a": "old"}


def test_folder_where_something_else_is(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(ConfigError, match="is a file"), atomic_dir(tmp_path / "file"):
        pass
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="must make room"), atomic_dir(tmp_path) as partial:
        (partial / "a").write_text("new")
        (partial / "b").write_text("new")
    assert tree(tmp_path) == {"file": "old", "a": None}
