"""`sat-hdl profile`: cycles that add up, labels that are right, a trace and a page."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.models import load_model
from sat_hdl.control.isa import UNITS
from sat_hdl.control.walk import walk
from sat_hdl.image import load_image
from sat_hdl.sim.device_train import compiled_step
from sat_hdl.sim.golden.network_train import NetworkConfig

from ..device import CONFIG, product

#: Of the model of these tests: which stages each layer has. A ReLU behind a product is part of it on the way forward.
STAGES = {
    "forward": {("conv2d1", "FF"), ("maxpool1", "FF"), ("second", "FF"), ("linear1", "FF")},
    "backward": {
        *((layer, stage) for layer in ("conv2d1", "second", "linear1") for stage in ("WU", "update")),
        *((layer, "BP") for layer in ("relu1", "maxpool1", "second", "linear1")),
    },
}


@pytest.fixture
def profiled(sat_hdl):
    """profiled(*words) → what `profile` tells."""

    def call(*words):
        status, out, err = sat_hdl("profile", *words, "--json")
        assert status == 0, err
        return json.loads(out)

    return call


def check_sums(told):
    """Bars and counters are counted apart, one from the port of the trace, one by the device."""
    for program in told["programs"]:
        counters, cycles = program["counters"], program["cycles"]
        assert cycles == counters["cycles"] > 0
        for name, unit in program["units"].items():
            assert unit["busy"] == counters[f"{name}_busy"]
            assert unit["blocked"] == counters[f"{name}_blocked"]
            assert unit["busy"] + unit["blocked"] + unit["idle"] == cycles
            assert 0 <= unit["waiting"] <= unit["busy"] and unit["idle"] >= 0
        if program["layers"]:
            assert sum(layer["array_busy"] for layer in program["layers"]) == counters["array_busy"]
            for name, unit in program["units"].items():
                assert sum(layer["busy"][name] for layer in program["layers"]) == unit["busy"]
            assert sum(layer["runs"] for layer in program["layers"]) == sum(
                u["runs"] for u in program["units"].values()
            )
            waiting = sum(unit["waiting"] for unit in program["units"].values())
            assert sum(layer["waiting"] for layer in program["layers"]) == waiting


@pytest.mark.parametrize("memory", [["--latency", "1"], ["--latency", "1:40", "--stall", "0.3"]])
def test_cycles_add_up(profiled, image, memory):
    told = profiled(image, *memory)
    check_sums(told)
    for program in told["programs"]:
        assert {(layer["layer"], layer["stage"]) for layer in program["layers"]} == STAGES[program["name"]]
        for layer in program["layers"]:
            assert 0 <= layer["start"] < layer["end"] <= program["cycles"]
            assert sum(layer["busy"].values()) <= 4 * (layer["end"] - layer["start"])
            vectors = layer["stage"] == "update" or layer["layer"].startswith(("relu", "maxpool"))
            assert (layer["busy"]["compute"] == 0) == (layer["array_busy"] == 0) == vectors


def test_the_model_is_told_beside_it(profiled, image):
    for program in profiled(image)["programs"]:
        assert program["predicted"] == pytest.approx(program["cycles"], rel=0.01)
    (program, _) = profiled(image, "--latency", "1:20")["programs"]
    assert program["predicted"] is None


def test_products_take_what_the_array_must_do(profiled, small, image):
    """Rows of a tile, sums of K, slots of columns: of FF and WU the array's work is known beforehand."""
    told = profiled(image)
    graph = build(load_model(small / "net.toml"))
    layers = {(s["layer"], s["stage"]): s for program in told["programs"] for s in program["layers"]}
    for node in graph.weighted:
        (positions, cin, cout), pixels = node.weight_shape, 4 * node.shape[0] * node.shape[1]
        kept = cin // 4 if cin % 8 == 0 else cin  # 2:8
        least = pixels * positions * kept * cout / (CONFIG.rows * CONFIG.cols)
        assert least <= layers[node.name, "FF"]["array_busy"] < 2.5 * least
        least = pixels * positions * cin * cout / (CONFIG.rows * CONFIG.cols)
        assert least <= layers[node.name, "WU"]["array_busy"] < 2.5 * least


def test_slow_memory_is_what_is_waited_for(profiled, image):
    quick, slow = (profiled(image, "--latency", latency)["programs"] for latency in ("1", "200"))
    for before, after in zip(quick, slow):
        extra = after["cycles"] - before["cycles"]
        assert extra > 0
        for name in ("load", "store", "vector"):
            a, b = before["units"][name], after["units"][name]
            assert a["runs"] == b["runs"] and b["waiting"] > a["waiting"] + 100 * b["runs"]
            assert b["busy"] - b["waiting"] < 1.2 * (a["busy"] - a["waiting"]) + 20 * a["runs"]
        assert before["units"]["compute"]["waiting"] == after["units"]["compute"]["waiting"] == 0


def test_the_trace(profiled, image, small, tmp_path):
    told = profiled(image, "--trace", tmp_path / "trace.json", "--stall", "0.2")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    threads = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert list(threads.values()) == ["program", *UNITS]
    by_thread = {name: [] for name in threads.values()}
    for event in (event for event in events if event["ph"] == "X"):
        assert all(isinstance(event[key], int) and event[key] >= 0 for key in ("ts", "dur", "pid", "tid"))
        assert event["name"] and event["dur"] > 0 and isinstance(event["args"], dict)
        by_thread[threads[event["tid"]]].append(event)
    starts = [event["ts"] for event in by_thread["program"]]
    programs = {event["name"]: event for event in by_thread.pop("program")}
    assert [e["dur"] for e in programs.values()] == [p["cycles"] for p in told["programs"]]
    for name, bars in by_thread.items():
        bars = sorted(bars, key=lambda event: event["ts"])
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(bars))
        for kind, counter in (("run", "busy"), ("wait", "blocked")):
            total = sum(event["dur"] for event in bars if event["cat"] == kind)
            assert total == sum(program["counters"][f"{name}_{counter}"] for program in told["programs"])

    # Every run is the one that the compiler meant: of its unit, at its address, in its order, for its layer.
    step = compiled_step(build(load_model(small / "net.toml")), NetworkConfig(batch=4), CONFIG, 4)
    held = load_image(image)
    for program, labels, first in zip(held.programs, (step.forward_labels, step.backward_labels), starts):
        words = held.words(program).tolist()
        end = first + programs[program.name]["dur"]
        runs = {
            name: [e for e in bars if e["cat"] == "run" and first <= e["ts"] < end]
            for name, bars in by_thread.items()
        }
        assert sum(map(len, runs.values())) == len(labels)
        for name, bars in runs.items():
            meant = [
                (at, run, label)
                for (at, run), label in zip(walk(words, program.address), labels)
                if run.unit == name
            ]
            for bar, (at, run, label) in zip(bars, meant, strict=True):
                told = bar["args"]
                assert (told["address"], told["layer"], told["stage"]) == (
                    f"{at:08x}",
                    label.layer,
                    label.stage,
                )
                assert told["instruction"].startswith(f"RUN {name}.{run.action}")


def test_the_page(sat_hdl, small, tmp_path):
    """It needs nothing from elsewhere, and a layer's name can't break it."""
    name = "a</script><b>&"
    text = (small / "net.toml").read_text().replace('name = "second"', f'name = "{name}"')
    (tmp_path / "net.toml").write_text(text)
    words = ["--model", tmp_path / "net.toml", "--config", small / "hardware.toml", "--batch", 2]
    status, out, _ = sat_hdl("profile", *words, "--html", tmp_path / "page.html")
    assert status == 0 and "forward: " in out and name in out
    page = (tmp_path / "page.html").read_text()
    assert page.count("</script>") == 1 and not re.search(r"https?:|src=|@import|url\(", page)
    data = json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])
    assert data["units"] == list(UNITS) and f"{name} · FF" in data["labels"]
    assert data["cycles"] == sum(cycles for _, _, cycles in data["programs"])
    for unit, busy, start, cycles, waiting, array, label, instruction in data["bars"]:
        assert 0 <= unit < 4 and busy in (0, 1) and 0 <= start < start + cycles <= data["cycles"]
        assert waiting <= cycles and array <= cycles
        assert data["labels"][label] and data["instructions"][instruction]


def test_a_skipped_update_is_in_no_bar(profiled, sat_hdl, image, tmp_path):
    """Gradients that are infinite raise the flag: the update's runs do not begin, the others keep their labels."""
    held = load_image(image)
    address, size = held.tensors["logits_gradient"]
    held.pieces[0][address : address + size] = np.full(size // 2, 0x7C00, np.uint16).view(np.uint8)
    from sat_hdl.image import save_image

    save_image(tmp_path / "inf.npz", held)
    told = profiled(tmp_path / "inf.npz")
    check_sums(told)
    backward = told["programs"][1]
    assert backward["overflow"] is True
    expected = {pair for pair in STAGES["backward"] if pair[1] != "update"}
    assert {(layer["layer"], layer["stage"]) for layer in backward["layers"]} == expected


def test_a_plain_program(profiled, small, tmp_path):
    np.array(product(4, 8, 4).words, "<u8").tofile(tmp_path / "program.bin")
    told = profiled(
        tmp_path / "program.bin", "--config", small / "hardware.toml", "--trace", tmp_path / "t.json"
    )
    check_sums(told)
    (program,) = told["programs"]
    assert program["layers"] == [] and [program["units"][name]["runs"] for name in UNITS] == [2, 1, 1, 0]
    # 4 × 4 outputs of sums of 8 on 2 × 2 places.
    assert program["counters"]["array_busy"] == 4 * 4 * 8 // 4
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    (run,) = [e for e in events if e["ph"] == "X" and e["args"].get("instruction", "").startswith("RUN compute")
              and e["cat"] == "run"]  # fmt: skip
    assert run["args"]["array busy"] == program["counters"]["array_busy"] and "layer" not in run["args"]


def test_what_is_refused(sat_hdl, small, image, tmp_path):
    for words in ([], [image, "--model", "cnn"]):
        status, _, err = sat_hdl("profile", *words)
        assert status == 2 and "either a PROGRAM or --model" in err
    np.array([0xF0000000], "<u8").tofile(tmp_path / "bad.bin")
    words = [tmp_path / "bad.bin", "--config", small / "hardware.toml", "--html", tmp_path / "x.html"]
    status, _, err = sat_hdl("profile", *words)
    assert status == 1 and "ILLEGAL_INSTRUCTION" in err and not (tmp_path / "x.html").exists()
