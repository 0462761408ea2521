"""Grids of trainings, their resumable table, and what is made of it."""

import math

import pytest

from sat_hdl.accuracy.runs import Run, Score, execute, grid, scores
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network_train import train_network


def small(**changed):
    wanted = dict(
        models=["mlp"], methods=["dense", "bdwp"], sparsities=["2:4", "2:8"], seeds=[0, 1], epochs=1
    )
    return grid("digits", **(wanted | changed))


def test_dense_is_trained_once_a_seed():
    runs = small(models=["mlp2", "cnn"])
    assert len(runs) == 2 * (2 + 4)
    assert sum(run.sparsity == "dense" for run in runs) == 4 == sum(run.method == "dense" for run in runs)
    assert {run.batch for run in runs} == {16} and {run.epochs for run in runs} == {1}
    config = next(run for run in runs if run.sparsity == "2:4").config()
    assert (config.method, config.keep, config.group) == ("bdwp", 2, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dict(methods=["dens"]), "A method must be one of dense, bdwp, srste, sdgp, sdwp, not 'dens'"),
        (dict(sparsities=["2:5"]), "M must be 2, 4, 8 or 16, not 5"),
        (dict(sparsities=["dense"]), "dense is a method"),
        (dict(seeds=[]), "There is nothing to train"),
        (dict(models=["x"]), "There is no model 'x'"),
        (dict(epochs=0), "`epochs` must be an integer from 1"),
        (dict(lr=-1.0), "`lr` must be a number from 0"),
    ],
)
def test_what_cant_be_done_is_told_before(changed, message):
    with pytest.raises(ConfigError, match=message):
        small(**changed)


def test_a_model_of_other_inputs(tmp_path):
    (tmp_path / "net.toml").write_text('input = 7\n[[layers]]\nkind = "linear"\nout = 10\n')
    with pytest.raises(ConfigError, match="takes 7 inputs to 10 classes, but digits has 64 and 10"):
        small(models=[str(tmp_path / "net.toml")])


def test_a_table_is_continued(tmp_path):
    runs, told = small(), []
    path = tmp_path / "runs.csv"
    first = execute(runs[:3], path, 1, lambda run, found, number, of: told.append((number, of)))
    assert told == [(1, 3), (2, 3), (3, 3)] and len(first) == 3
    path.write_text(path.read_text()[:-5])  # a killed run's last line
    rows = execute(runs, path, 2, lambda run, found, number, of: told.append((number, of)))
    assert told[3:] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [row["seed"] for row in rows] == [str(run.seed) for run in runs]
    drop = ("cpu_seconds",)
    strip = lambda row: {name: value for name, value in row.items() if name not in drop}  # noqa: E731
    assert [strip(row) for row in rows[:3]] == [strip(row) for row in first]
    assert execute(runs, path, 1, lambda *_: pytest.fail("nothing was left to do")) == rows
    # And the figures are the exact model's.
    run, (data, graph) = runs[0], _of(runs[0])
    assert float(rows[0]["accuracy"]) == train_network(graph, data, run.config(), GoldenEngine()).accuracy
    found = scores(rows)
    assert list(found) == [("dense", "dense", "mlp"), ("bdwp", "2:4", "mlp"), ("bdwp", "2:8", "mlp")]
    assert found["dense", "dense", "mlp"].accuracies == tuple(float(row["accuracy"]) for row in rows[:2])


def _of(run: Run):
    from sat_hdl.accuracy.sources import architecture, load

    data, shape = load(run.data, run.model)
    return data, architecture(run.model, shape, data.classes)


def test_a_training_that_diverges_has_a_reason(tmp_path):
    (row,) = execute(small(methods=["dense"], seeds=[0], lr=500.0), tmp_path / "runs.csv", 1, lambda *_: None)
    assert row["accuracy"] == "" and "Training diverged" in row["error"]
    (score,) = scores([row]).values()
    assert score == Score((), 1) and str(score) == "diverged" and math.isnan(score.mean)


def test_scores():
    assert str(Score((0.9, 0.92, 0.97), 0)) == "93.0 ± 3.6"
    assert Score((0.9, 0.92, 0.97), 0).deviation == pytest.approx(0.036056, rel=1e-4)
    assert str(Score((0.5,), 1)) == "50.0 ± 0.0, 1 diverged"
