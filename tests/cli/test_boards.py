"""`sat-hdl boards`: every board, and what was measured of it."""

import json
from pathlib import Path

import pytest

from sat_hdl import cli
from sat_hdl.fpga import board_reports
from sat_hdl.fpga.board_reports import board_report
from sat_hdl.fpga.boards import BOARDS

#: The reports of the tree.
KEPT = board_reports.REPORTS


@pytest.fixture
def told(capsys):
    def call() -> dict[str, dict]:
        with pytest.raises(SystemExit) as stop:
            cli.main(["boards", "--json"])
        assert stop.value.code == 0
        return {row["board"]: row for row in json.loads(capsys.readouterr().out)["boards"]}

    return call


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where reports are looked for: an empty folder."""
    monkeypatch.setattr(board_reports, "REPORTS", tmp_path)
    return tmp_path


def report(name: str, folder: Path) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_what_was_measured_is_told(told):
    rows = told()
    assert set(rows) == set(BOARDS)
    built = [name for name in BOARDS if board_report(BOARDS[name])]
    assert {"ulx3s-85f", "orangecrab-85f", "ecpix5-85f", "icebreaker"} <= set(built)
    for name in built:
        found = report(name, KEPT)
        assert rows[name]["fmax_mhz"] == max(seed["fmax_mhz"] or 0 for seed in found["seeds"])
        assert rows[name]["fmax_mhz"] >= rows[name]["clock_mhz"]
        used, has = found["used"][found["logic_cell"]]
        assert rows[name]["logic"] == pytest.approx(used / has, abs=1e-3)


def test_a_board_without_a_report_has_no_figures(told, kept):
    assert all(row["fmax_mhz"] is None and row["logic"] is None for row in told().values())


@pytest.mark.parametrize("key, other", [("rows", 2), ("clock_mhz", 40.0), ("component", "core")])
def test_a_report_of_another_choice_does_not_count(kept, key, other):
    chosen, found = BOARDS["icebreaker"], report("icebreaker", KEPT)
    assert board_report(chosen) is None
    (kept / "icebreaker.json").write_text(json.dumps(found))
    assert board_report(chosen) == found
    (kept / "icebreaker.json").write_text(json.dumps(found | {key: other if found[key] != other else None}))
    assert board_report(chosen) is None


def test_the_table_names_every_board(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["boards"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BOARDS)
