"""`sat-hdl sweep`: agrees with `schedule`, goes on where it ended, tells what can't run."""

import json

import pytest

SWEEP = """networks = ["vgg19"]
methods = ["bdwp", "dense"]
sparsities = ["2:8", "2:16"]
batches = [2]
preset = "16x16"
[config]
rows = [8, 16]
"""


@pytest.fixture
def swept(sat_hdl, tmp_path):
    """swept(*words) → the object that the command prints."""
    (tmp_path / "sweep.toml").write_text(SWEEP)

    def call(*words):
        status, out, err = sat_hdl(
            "sweep", tmp_path / "sweep.toml", "-o", tmp_path / "out.csv", "--jobs", 1, "--json", *words
        )
        assert status == 0, err
        return json.loads(out)

    return call


def test_a_sweep(swept, sat_hdl, tmp_path):
    told = swept("--plot", tmp_path / "p.svg")
    assert (told["points"], told["computed"], told["failed"]) == (6, 6, 2)
    assert "<svg" in (tmp_path / "p.svg").read_text()
    by = {(row["rows"], row["method"], row["sparsity"]): row for row in told["rows"]}
    for rows in ("8", "16"):
        assert "M must be one of 2, 4, 8" in by[rows, "bdwp", "2:16"]["error"]
        assert by[rows, "bdwp", "2:16"]["cycles"] == ""
    _, out, _ = sat_hdl("schedule", "vgg19", "--preset", "16x16", "--batch", 2, "--json")
    alone = json.loads(out)
    row = by["16", "bdwp", "2:8"]
    assert int(row["cycles"]) == alone["cycles"] and int(row["samples"]) == 2
    assert float(row["speedup"]) == pytest.approx(alone["speedup"])
    assert int(row["dense_cycles"]) == alone["dense"]["cycles"] == int(by["16", "dense", "dense"]["cycles"])
    assert row["multipliers"] == str(16 * 16 + 4 * 4)

    # What was lost is made again, and nothing else.
    path = tmp_path / "out.csv"
    whole = sorted(path.read_text().splitlines())
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert swept()["computed"] == 2
    assert sorted(path.read_text().splitlines()) == whole


def test_a_network_in_a_file(sat_hdl, tmp_path, monkeypatch):
    """What it was before it changed is another network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text('networks = ["net.toml", "mlp"]\nmethods = ["dense"]\nbatches = [2]')
    found = []
    for out in (5, 9):
        (tmp_path / "net.toml").write_text(f'input = 16\n[[layers]]\nkind = "linear"\nout = {out}\n')
        status, text, err = sat_hdl("sweep", "sweep.toml", "-o", "out.csv", "--jobs", 1, "--json")
        assert status == 0, err
        found.append(json.loads(text))
    assert [told["computed"] for told in found] == [2, 1]
    assert len({row["network"] for told in found for row in told["rows"]}) == 3
    _, text, _ = sat_hdl(
        "schedule", "net.toml", "--preset", "default", "--batch", 2, "--method", "dense", "--json"
    )
    assert str(json.loads(text)["cycles"]) in {row["cycles"] for row in found[1]["rows"]}


@pytest.mark.parametrize(
    "words, told",
    [
        (["--jobs", 0], "`--jobs` must be at least 1, not 0"),
        (["--plot", "p.gif"], "must end in .png, .svg, .pdf"),
    ],
)
def test_mistakes(words, told, sat_hdl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text('networks = ["vgg19"]\nmethods = ["dense"]\nbatches = [1]')
    status, _, err = sat_hdl("sweep", "sweep.toml", "-o", "out.csv", *words)
    assert status == 2 and told in err
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.toml"}
