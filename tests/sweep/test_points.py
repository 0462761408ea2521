"""A sweep's file → its points, each once; mistakes are told by name."""

import itertools

import pytest

from sat_hdl.config import ConfigError, preset
from sat_hdl.sweep.points import Sweep, load_sweep


def test_every_combination_once():
    values = {
        "networks": ["resnet9", "vit"], "methods": ["dense", "bdwp", "srste"], "sparsities": ["2:8", "1:4"],
        "batches": [1, 4], "mhz": [100.0, 200.0], "gbps": [10.0, 76.8], "latency": [0, 40],
    }  # fmt: skip
    keys = {"rows": [2, 8], "vector_lanes": [2, 4], "cols": 4}
    found = Sweep(**values, config=keys).points()
    wanted = set()
    plain = [values[key] for key in ("networks", "batches", "mhz", "gbps", "latency")]
    for name, batch, mhz, gbps, latency, rows, lanes in itertools.product(
        *plain, keys["rows"], keys["vector_lanes"]
    ):
        for method in values["methods"]:
            for sparsity in ["dense"] if method == "dense" else values["sparsities"]:
                wanted.add((name, method, sparsity, batch, mhz, gbps, latency, rows, lanes))
    assert len(found) == len(wanted)
    assert wanted == {
        (
            p.network,
            p.method,
            p.sparsity,
            p.batch,
            p.mhz,
            p.gbps,
            p.latency,
            p.config.rows,
            p.config.vector_lanes,
        )
        for p in found
    }
    assert {p.config.cols for p in found} == {4}
    assert len({tuple(p.columns().values()) for p in found}) == len(found)


def test_what_is_given_twice_counts_once():
    assert len(Sweep(networks=["vit", "vit"], config={"rows": [8, 8]}).points()) == 1


def test_what_is_not_given_is_the_preset_s():
    (point,) = Sweep(networks=["vit"], preset="4x4").points()
    assert point.config == preset("4x4") and point.gbps is None and point.batch is None
    assert (point.method, point.sparsity) == ("bdwp", "2:8")


@pytest.mark.parametrize(
    "text, told",
    [
        ('networks = ["vgg"]', "no network 'vgg'"),
        ("networks = []", "has no points"),
        ('networks = ["vit"]\nmethods = ["magic"]', "`methods` may hold .* not 'magic'"),
        ('networks = ["vit"]\nsparsities = ["3"]', "N:M such as 2:8, not '3'"),
        ('networks = ["vit"]\nsparsities = ["dense"]', "dense is a method"),
        ('networks = ["vit"]\nmhz = [0.0]', "`mhz` may hold 0.001 to 100000, not 0"),
        ('networks = ["vit"]\nbatches = [0]', "`batches` may hold 1 to"),
        ('networks = ["vit"]\nconfig = {rows = [0]}', "`config`: `rows` must be"),
        ('networks = ["vit"]\nconfig = {rows = ["many"]}', "`config`: "),
        ('networks = ["vit"]\nconfig = {lines = 3}', "no key 'lines'; it has rows"),
        ('networks = ["vit"]\ncolour = 1', "unknown field `colour`; the keys are networks"),
        ('networks = ["vit"]\npreset = "8x9"', "no preset '8x9'"),
        ("networks = [", "sweep.toml: "),
    ],
)
def test_mistakes(text, told, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_sweep(path).points()


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="no sweep file"):
        load_sweep(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_sweep(tmp_path)
