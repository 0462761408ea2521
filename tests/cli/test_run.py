"""`sat-hdl compile` and `sat-hdl run`: images and plain programs, what they leave in memory, and how they fail."""

import json

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.models import load_model
from sat_hdl.control.isa import Op, disassemble
from sat_hdl.image import load_image
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.sim.device_train import compiled_step, parameters_of
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.prune import Pruned

from ..device import CONFIG, Code


def bits(x):
    x = np.ascontiguousarray(x)
    return x.view({1: np.uint8, 2: np.uint16, 4: np.uint32}[x.itemsize]).ravel()


def golden_step(small, folder):
    """Everything that a step leaves, by tensor, computed from the samples that lie in ``folder``; and its Step."""
    graph = build(load_model(small / "net.toml"))
    settings = NetworkConfig(batch=4)
    step = compiled_step(graph, settings, CONFIG, 4)
    trainer = NetworkTrainer(graph, settings, GoldenEngine())
    samples, dy = (
        step.tensors[name].form.unpack(np.fromfile(folder / name, np.uint8))
        for name in ("input", "logits_gradient")
    )
    logits, tape = trainer.network.forward(np.asarray(samples).view(np.float16))
    gradients = trainer.network.backward(tape, np.asarray(dy).view(np.float16).reshape(4, -1))
    assert trainer.apply(gradients, settings.lr)
    return step, {"logits": logits, **parameters_of(trainer)}


@pytest.mark.parametrize("memory", [[], ["--latency", "1:60", "--stall", "0.4", "--seed", "5"]])
def test_an_image_is_a_training_step(sat_hdl, small, image, tmp_path, memory):
    names = list(load_image(image).tensors)
    dumps = [word for name in names for word in ("--dump", f"{name}={tmp_path / name}")]
    status, out, _ = sat_hdl("run", image, *memory, *dumps, "--json")
    told = json.loads(out)
    assert status == 0 and told["error"] is None
    assert [(p["name"], p["status"], p["overflow"]) for p in told["programs"]] == [
        ("forward", "done", False), ("backward", "done", False)
    ]  # fmt: skip
    assert all(
        0 < p["counters"]["array_busy"] < p["cycles"] == p["counters"]["cycles"] for p in told["programs"]
    )
    step, expected = golden_step(small, tmp_path)
    for name, wanted in expected.items():
        found = np.fromfile(tmp_path / name, np.uint8)
        form = step.tensors[name].form
        if isinstance(wanted, Pruned):
            assert (bits(form.unpack_values(found)) == bits(wanted.values)).all(), name
            found = np.fromfile(tmp_path / f"{name}_indices", np.uint8)
            assert (bits(form.unpack_indices(found)) == bits(wanted.indices)).all(), name
        else:
            unpack = form.unpack_values if name.endswith((".ff", ".bp")) else form.unpack
            assert (bits(unpack(found)) == bits(wanted)).all(), name


def test_for_people(sat_hdl, image):
    status, out, _ = sat_hdl("run", image)
    assert status == 0 and "backward: done" in out and "array_busy" in out
    status, out, _ = sat_hdl("disasm", image)
    assert status == 0 and out.startswith("; forward\n") and "; backward\n" in out and out.count("HALT") == 2
    status, out, _ = sat_hdl("disasm", image, "--json")
    held = load_image(image)
    for program in held.programs:
        lines = list(disassemble(held.words(program).tolist(), program.address))
        assert json.loads(out)["programs"][program.name]["lines"] == lines


#: Where the program that scales finds its input and leaves its output, in bytes.
X, Y, COUNT = 0x2000, 0x4000, 40


def scaling(action: str = "convert") -> Code:
    """y = x · scalar 4, which is host parameter 2; binary32."""
    code = Code()
    code.descriptor("vector", Descriptor(base=X, run=4 * COUNT), "x_")
    code.descriptor("vector", Descriptor(base=Y, run=4 * COUNT), "out0_")
    code.set("vector", x_fill=0, flags=1 | 4 | 16 | 4 << 5, count=COUNT, run=0)
    code.add(Op.PARAM, "vector", "scalar4", 2)
    code.add(Op.RUN, "vector", action=action)
    code.add(Op.HALT)
    return code


@pytest.fixture
def plain(small, tmp_path):
    """plain(words) → arguments of `run` for a program of these words."""

    def make(words, *more):
        path = tmp_path / "program.bin"
        np.array(words, "<u8").tofile(path)
        return ["run", path, "--config", small / "hardware.toml", "--json", *more]

    return make


@pytest.mark.parametrize("factor", ["-2.5", "1e-3", "0x40000000"])
def test_a_plain_program(sat_hdl, plain, tmp_path, factor):
    x = np.random.default_rng(3).standard_normal(COUNT).astype(np.float32)
    x.tofile(tmp_path / "x")
    words = plain(
        scaling().words, "--memory", f"{tmp_path / 'x'}@{X:#x}", "--param", f"2={factor}", "--start", "0x100",
        "--dump", f"{Y:#x}:{4 * COUNT}={tmp_path / 'y'}",
    )  # fmt: skip
    status, out, _ = sat_hdl(*words)
    scale = np.uint32(0x40000000).view(np.float32) if factor.startswith("0x") else np.float32(factor)
    assert status == 0 and json.loads(out)["programs"][0]["address"] == 0x100
    assert (bits(np.fromfile(tmp_path / "y", np.float32)) == bits(x * scale)).all()


def changed(code: Code, **registers: int) -> list[int]:
    """The words of ``code`` without its last two, then these registers."""
    del code.words[-2:]
    code.set("vector", **registers)
    return code.words


FAULTS = {
    "no instruction": (lambda: [*scaling().words[:3], 0xF0000000], "ILLEGAL_INSTRUCTION", "front end", 3),
    "misaligned": (
        lambda: [*changed(scaling(), x_base=X + 2), *scaling().words[-2:]], "MISALIGNED", "vector", -2
    ),
    "outside memory": (
        lambda: [*changed(scaling(), out0_base=1 << 30), *scaling().words[-2:]], "WRITE_ERROR", "vector", -2
    ),
}  # fmt: skip


@pytest.mark.parametrize("make, error, unit, at", FAULTS.values(), ids=FAULTS)
def test_a_program_that_fails(sat_hdl, plain, make, error, unit, at):
    words = make()
    status, out, err = sat_hdl(*plain(words))
    told = json.loads(out)
    (program,) = told["programs"]
    address = 8 * (at % len(words))
    assert status == 1 and program["status"] == "failed" and program["cycles"] > 0
    text = list(disassemble(words))[address // 8].partition("  ")[2]
    assert program["fault"] == {"code": error, "unit": unit, "address": address, "instruction": text}
    assert told["error"] in err and error in told["error"] and f"{address:08x}" in told["error"]


def test_a_program_without_end(sat_hdl, plain):
    code = Code()
    code.add(Op.LOOP, immediate=0xFFFFFFFF)
    code.add(Op.END)
    status, out, err = sat_hdl(*plain(code.words, "--limit", 3000))
    (program,) = json.loads(out)["programs"]
    assert status == 1 and program["fault"]["code"] == "TIMEOUT" and "TIMEOUT" in err
    assert 3000 <= program["cycles"] < 3200


def test_the_first_program_that_fails_is_the_last(sat_hdl, image):
    """Of an image whose forward program meets a word that is none."""
    held = load_image(image)
    octets = image.with_name("bad")
    np.array([0xF0000000], "<u8").tofile(octets)
    status, out, _ = sat_hdl("run", image, "--memory", f"{octets}@{held.programs[0].address}", "--json")
    assert status == 1 and [p["status"] for p in json.loads(out)["programs"]] == ["failed"]
    assert sat_hdl("run", image, "--memory", f"{octets}@{held.programs[0].address}")[0] == 1


WRONG_USE = {
    "half a word": (["--start", "4"], "multiple of 8"),
    "an address": (["--start", "here"], "must be a number"),
    "memory": (["--memory", "x"], "FILE@ADDRESS"),
    "a parameter": (["--param", "2"], "I=VALUE"),
    "a parameter's number": (["--param", "16=1"], "0 to 15"),
    "a parameter's value": (["--param", "1=one"], "integer or a binary32"),
    "a wide parameter": (["--param", "1=0x100000000"], "fit 32 bits"),
    "a dump": (["--dump", "logits=x"], "ADDRESS:BYTES=FILE"),
    "a dump's file": (["--dump", "0:4"], "ADDRESS:BYTES=FILE"),
    "latency": (["--latency", "0"], "1 to 65535"),
    "latencies": (["--latency", "9:2"], "the least first"),
    "stall": (["--stall", "1"], "from 0 to below 1"),
    "limit": (["--limit", "0"], "--limit must be"),
    "too much memory": (["--memory-size", "0x200000000"], "4 GiB"),
}


@pytest.mark.parametrize("arguments, sentence", WRONG_USE.values(), ids=WRONG_USE)
def test_wrong_use(sat_hdl, plain, arguments, sentence):
    status, out, err = sat_hdl(*plain([1 << 28], *arguments))
    assert status == 2 and sentence in err and list(json.loads(out)) == ["error"]


def test_files_that_are_none(sat_hdl, small, image, tmp_path):
    assert sat_hdl("run", tmp_path / "none")[0] == 1
    (tmp_path / "odd").write_bytes(b"1234567")
    status, _, err = sat_hdl("run", tmp_path / "odd")
    assert status == 2 and "whole 64-bit words" in err
    whole = image.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    for name in ("cut", "other.npz"):
        for command in ("run", "profile", "disasm"):
            status, _, err = sat_hdl(command, tmp_path / name)
            assert status == 2 and "is no program image" in err
    for arguments in (["--config", small / "hardware.toml"], ["--start", "8"]):
        assert sat_hdl("run", image, *arguments)[0] == 2


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["cmn"], "Did you mean 'cnn'?"),
        (["cnn", "--sparsity", "dense"], "needs N:M"),
        (["cnn", "--batch", "0"], "`batch` must be"),
        (["cnn", "--parts", "0"], "`--parts` must be auto or a number from 1 on, not '0'"),
        (["net.py"], "Say which model"),
    ],
)
def test_compile_refuses(sat_hdl, tmp_path, arguments, sentence):
    status, _, err = sat_hdl("compile", *arguments, "-o", tmp_path / "x.npz")
    assert status == 2 and sentence in err and not list(tmp_path.iterdir())
