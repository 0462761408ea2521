"""The file of a sweep is whole at any time, and goes on where it ended."""

import csv

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sweep.table import Table

ROWS = [{"a": str(i), "b": f"x, {i}\"'", "c": str(i * i)} for i in range(5)]


def opened(path):
    return Table(path, keys=["a", "b"], figures=["c"])


def test_what_is_added_is_there(tmp_path):
    path = tmp_path / "t.csv"
    table = opened(path)
    for row in ROWS:
        assert row not in table
        table.add(row)
        assert row in table
    again = opened(path)
    assert again.rows == table.rows == ROWS and all(row in again for row in ROWS)
    assert list(csv.DictReader(path.read_text().splitlines())) == ROWS


@pytest.mark.parametrize("cut", [1, 3, 9])
def test_a_line_that_was_cut_off_is_made_again(tmp_path, cut):
    path = tmp_path / "t.csv"
    table = opened(path)
    for row in ROWS:
        table.add(row)
    path.write_text(path.read_text()[:-cut])
    again = opened(path)
    assert again.rows == ROWS[:-1] and ROWS[-1] not in again
    again.add(ROWS[-1])
    assert opened(path).rows == ROWS


def test_a_head_that_was_cut_off_is_made_again(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b")
    assert opened(path).rows == []
    assert path.read_text() == "a,b,c\n"


def test_another_s_file_is_left_alone(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,c\n1,2\n")
    with pytest.raises(ConfigError, match="another kind of table"):
        opened(path)
    assert path.read_text() == "a,c\n1,2\n"


def test_a_place_that_can_t_be_written(tmp_path):
    with pytest.raises(ConfigError, match="can't be written"):
        opened(tmp_path / "none" / "t.csv")
