"""`sat-hdl schedule` and `compare`: tables, JSON whose sums agree, a page, and sentences for mistakes."""

import json
import re

import pytest

from sat_hdl.compiler.compare import PAPER_SPEEDUP
from sat_hdl.compiler.dataflows import DATAFLOWS
from sat_hdl.compiler.networks import NETWORKS, PAPER_NETWORKS

from ..compiler.scale_sim_tool import write_tool

FAST = ["--preset", "16x16", "--batch", 2]


@pytest.fixture(autouse=True)
def no_scale_sim(monkeypatch):
    """Whoever runs the tests may have named one."""
    monkeypatch.delenv("SAT_HDL_SCALE_SIM", raising=False)


def answer(sat_hdl, *words):
    status, out, err = sat_hdl(*words, "--json")
    assert status == 0, err
    return json.loads(out)


def test_schedule(sat_hdl, tmp_path):
    file = tmp_path / "page.html"
    told = answer(sat_hdl, "schedule", "vgg19", *FAST, "--html", file)
    entries = told["entries"]
    assert told["batch"] == 2 and told["rows"] == 16 and told["preset"] == "16x16"
    assert told["memory"] == {"gbps": 1.6, "bytes_per_cycle": 8, "each_way": True, "latency": 40, "intake": 4}
    assert told["cycles"] == max(entry["end"] for entry in entries)
    assert told["macs"] == sum(entry["macs"] for entry in entries)
    products = [product for entry in entries for product in entry["products"]]
    assert told["product_cycles"] == sum(p["times"] * p["cycles"] for p in products)
    assert told["seconds"] == pytest.approx(told["cycles"] / 200e6)
    assert told["speedup"] == pytest.approx(told["dense"]["cycles"] / told["cycles"])
    assert told["ideal_speedup"] == pytest.approx(told["dense"]["macs"] / told["macs"])
    assert {product["dataflow"] for product in products} <= set(told["dataflows"])
    assert {(p["keep"], p["group"]) for p in products} == {(None, None), (2, 8)}
    assert all(entry["start"] < entry["end"] for entry in entries)
    assert all(entry["start"] == entry["slots"][0][0] for entry in entries)
    text = file.read_text()
    assert NETWORKS["vgg19"].title.split(",")[0] in text
    assert text.count("<svg") == 2 and "conv5_4" in text
    assert len(re.findall("<td>wu</td>", text)) == 1 + sum(entry["stage"] == "wu" for entry in entries)
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(identifiers)) == len(identifiers)


def test_schedule_for_people(sat_hdl):
    status, out, _ = sat_hdl("schedule", "vgg19", *FAST, "--method", "srste", "--sparsity", "1:4")
    assert status == 0
    assert re.search(r"srste 1:4 on 16 × 16 at 200 MHz with 1\.6 GB/s each way: [\d,]+ cycles a step", out)
    assert all(
        stage in out for stage in ("classifier", "vector, forward", "update", "step, units side by side")
    )
    assert max(map(len, out.splitlines()[2:])) <= 120


def test_a_network_of_ones_own(sat_hdl, tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(
        'input = 32\n[[layers]]\nkind = "linear"\nout = 16\n[[layers]]\nkind = "linear"\nout = 4\n'
    )
    told = answer(sat_hdl, "schedule", file, "--preset", "8x8", "--batch", 8)
    assert [entry["layer"] for entry in told["entries"] if entry["stage"] == "ff"] == ["linear1", "linear2"]
    assert told["title"].startswith("small (32)") and told["uncounted"] == []
    table = answer(sat_hdl, "compare", file, "--preset", "8x8", "--batch", 8, "--sparsity", "2:8")
    assert table["comparisons"][0]["cycles"] == told["cycles"]


def test_a_module_whose_work_is_not_all_counted(sat_hdl, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    file = tmp_path / "nets.py"
    file.write_text(
        "import torch\nfrom torch import nn\ninput_shape = (32,)\nclass Net(nn.Linear):\n"
        "    def forward(self, x):\n        return torch.cumsum(super().forward(x), 1)\n"
        "net = Net(32, 16)\n"
    )
    words = ["--preset", "8x8", "--batch", 8]
    assert answer(sat_hdl, "schedule", f"{file}:net", *words)["uncounted"] == ["cumsum"]
    _, out, _ = sat_hdl("schedule", f"{file}:net", *words)
    assert "Not counted: cumsum." in out
    _, _, err = sat_hdl("compare", f"{file}:net", *words, "--sparsity", "2:8")
    assert "Of net is not counted: cumsum." in err


def test_a_dense_schedule(sat_hdl):
    told = answer(
        sat_hdl, "schedule", "vgg19", *FAST, "--method", "dense", "--memory-gbps", 12.8, "--mhz", 100
    )
    assert told["speedup"] is None and told["sparsity"] is None
    assert told["memory"]["bytes_per_cycle"] == 128 and not told["memory"]["each_way"]


def test_parts(sat_hdl):
    words = ["schedule", "vgg19", "--preset", "16x16", "--batch", 8, "--parts"]
    told = answer(sat_hdl, *words, 4)
    assert told["parts"] == told["dense"]["parts"] == {"forward": 4, "backward": 4}
    assert all(len(entry["slots"]) == 4 for entry in told["entries"] if entry["stage"] in ("ff", "bp"))
    norms = [e for e in told["entries"] if e["layer"].endswith("batchnorm")]
    assert norms and all(len(entry["slots"]) == 8 for entry in norms)
    assert answer(sat_hdl, *words, "auto")["cycles"] <= answer(sat_hdl, *words, 1)["cycles"]
    status, out, _ = sat_hdl(*words, 4)
    assert status == 0 and "in 4 parts, and back in 4 parts." in out and "4 × " in out


def test_pruning_on_the_fly_is_slower(sat_hdl):
    words = ["schedule", "vgg19", *FAST, "--pruning"]
    cycles = [answer(sat_hdl, *words, moment)["cycles"] for moment in ("pregenerated", "on-the-fly")]
    assert cycles[0] < cycles[1]


def test_compare(sat_hdl):
    told = answer(sat_hdl, "compare", "vgg19", "--preset", "16x16", "--sparsity", "2:4,2:8,4:16")
    rows = told["comparisons"]
    assert [(row["network"], row["sparsity"]) for row in rows] == [
        ("vgg19", s) for s in ("2:4", "2:8", "4:16")
    ]
    assert [row["max_m"] for row in rows] == [8, 8, 16]
    for row in rows:
        assert row["speedup"] == pytest.approx(row["dense_cycles"] / row["cycles"])
        assert row["scale_sim_speedup"] == pytest.approx(
            row["scale_sim_dense_cycles"] / row["scale_sim_cycles"]
        )
        assert row["cycles"] >= row["product_cycles"] >= row["ideal_cycles"]
    assert [row["paper_mean_speedup"] for row in rows] == [None, PAPER_SPEEDUP[2, 8], None]
    assert [mean["sparsity"] for mean in told["means"]] == ["2:4", "2:8", "4:16"]
    assert told["means"][1]["speedup"] == rows[1]["speedup"]
    status, out, _ = sat_hdl("compare", "vgg19", "--preset", "16x16", "--sparsity", "2:8")
    assert status == 0 and "SCALE-Sim" in out and "1.75" in out


def test_compare_with_scale_sim(sat_hdl, tmp_path, monkeypatch):
    """A made-up tool's figures are in the table, marked where the form's are among them."""
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))
    words = ["compare", "vit", "--preset", "16x16", "--sparsity", "2:8", "--batch", 1]
    form = answer(sat_hdl, *words, "--scale-sim-limit", 0)
    assert form["scale_sim"] is None and form["comparisons"][0]["scale_sim_source"] == "form"
    python, calls = write_tool(tmp_path)
    words += ["--scale-sim-limit", 50_000]
    status, out, err = sat_hdl(*words, "--json", "--scale-sim", python)
    told = json.loads(out)
    lines = calls.read_text().splitlines()
    assert status == 0 and len(err.splitlines()) == len(lines) == told["scale_sim"]["live"]
    assert all(line.startswith("SCALE-Sim: ") for line in err.splitlines())
    assert told["scale_sim"]["products"] > told["scale_sim"]["live"]
    assert told["scale_sim"]["largest_difference"] > 0
    (row,), (before,) = told["comparisons"], form["comparisons"]
    assert row["scale_sim_source"] == "mixed" and row["scale_sim_cycles"] != before["scale_sim_cycles"]
    assert row["scale_sim_speedup"] == pytest.approx(row["scale_sim_dense_cycles"] / row["scale_sim_cycles"])
    assert row["cycles"] == before["cycles"]
    monkeypatch.setenv("SAT_HDL_SCALE_SIM", python)
    assert answer(sat_hdl, *words)["comparisons"] == [row]
    status, out, _ = sat_hdl(*words)
    assert status == 0 and re.search(r"SCALE-Sim 3\.0\.0 ran \d+ of \d+ distinct products", out)
    assert len(calls.read_text().splitlines()) == len(lines)
    assert answer(sat_hdl, *words[:-1], 0)["scale_sim"] is None
    whole = answer(sat_hdl, *words[:-1], 10**9)
    assert whole["comparisons"][0]["scale_sim_source"] == "live"
    assert whole["scale_sim"]["live"] == whole["scale_sim"]["products"]
    assert "*" in out and "*" not in sat_hdl(*words[:-1], 10**9)[1]


def test_compare_with_a_faulty_scale_sim(sat_hdl, tmp_path, monkeypatch):
    monkeypatch.setenv("SAT_HDL_CACHE", str(tmp_path / "cache"))
    python, _ = write_tool(tmp_path, body="raise ValueError('too odd')")
    words = ["compare", "vit", "--preset", "16x16", "--sparsity", "2:8", "--batch", 1, "--scale-sim", python]
    status, out, err = sat_hdl(*words)
    assert (status, out) == (1, "") and "SCALE-Sim 3.0.0 failed for" in err and "ValueError: too odd" in err


def test_the_papers_networks():
    assert set(PAPER_NETWORKS) < set(NETWORKS)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["schedule", "vgg20"], "no network 'vgg20'; choose one of .* Did you mean 'vgg19'"),
        (["schedule", "vgg19", "--preset", "16x16", "--sparsity", "2:16"], "M must be one of 2, 4, 8"),
        (["schedule", "vgg19", "--preset", "16x16", "--dataflow", "os,os-fold"], "set `fold` to 2 or more"),
        (["schedule", "vgg19", "--sparsity", "dense"], "dense"),
        (["schedule", "vgg19", "--memory-gbps", "0"], "`--memory-gbps` must be over 0"),
        (["schedule", "vgg19", "--mhz", "-1"], "`--mhz` must be over 0"),
        (["schedule", "vgg19", "--batch", "0"], "`batch` must be at least 1"),
        (["schedule", "vgg19", "--parts", "0"], "`--parts` must be auto or a number from 1 on, not '0'"),
        (
            ["schedule", "vgg19", "--parts", "many"],
            "`--parts` must be auto or a number from 1 on, not 'many'",
        ),
        (["schedule", "vgg19", "--latency", "-1"], "`--latency` must be from 0"),
        (["schedule", "vgg19", "--dataflow", "up"], f"no dataflow 'up'; choose of {', '.join(DATAFLOWS)}"),
        (["schedule", "vgg19", "--html", "/nowhere/x.html", "--batch", "1"], "no folder '/nowhere'"),
        (["compare", "vgg19", "--sparsity", "dense"], "`--sparsity` must be N:M"),
        (["compare", "nothing"], "no network 'nothing'"),
        (
            ["compare", "vit", "--scale-sim", "/no/python"],
            "'/no/python' is no program; `--scale-sim` takes a Python",
        ),
        (["compare", "vit", "--scale-sim-limit", "-1"], "`--scale-sim-limit` must be at least 0, not -1"),
        (["compare", "vit", "--batch", "0"], "`batch` must be at least 1"),
    ],
)
def test_mistakes(sat_hdl, words, sentence):
    status, out, err = sat_hdl(*words)
    assert status == 2 and out == ""
    assert re.search(sentence, err), err
