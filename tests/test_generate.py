"""What `sat-hdl generate` writes: the same bytes every time, and a manifest that agrees with the Verilog."""

import json
import os
import re
import subprocess
import sys
import time

import msgspec
import pytest

from sat_hdl.components import COMPONENTS
from sat_hdl.config import PRESETS, Config, preset
from sat_hdl.generate import generate


def run(output, *words, hash_seed="0"):
    command = [sys.executable, "-m", "sat_hdl", "generate", "-o", str(output), "--json", *words]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    return json.loads(done.stdout)


def test_same_input_same_bytes(tmp_path):
    made = [run(tmp_path / seed, "--preset", "tiny", hash_seed=seed) for seed in ("1", "2")]
    files = [{p.name: p.read_bytes() for p in (tmp_path / seed).iterdir()} for seed in ("1", "2")]
    assert files[0] == files[1]
    assert set(files[0]) == {"sat_top.v", "manifest.json", "sat_top.core"}
    assert made[0]["manifest"] == json.loads(files[0]["manifest.json"])
    text = files[0]["sat_top.v"].decode()
    assert str(tmp_path) not in text and "src = " not in text and "sat_hdl/" not in text


def test_configuration_from_a_file(tmp_path):
    config = Config(rows=3, cols=5, max_m=4, interleave=9, operand_format="bf16", sore_lanes=2)
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in msgspec.to_builtins(config).items()]
    (tmp_path / "c.toml").write_text("".join(lines))
    made = run(tmp_path / "out", "--config", str(tmp_path / "c.toml"))
    assert made["manifest"]["config"] == msgspec.to_builtins(config)
    assert (tmp_path / "out" / "sat_top.v").read_text() == generate("top", config).verilog


def declared_ports(verilog, module):
    body = verilog[verilog.index(f"module {module}(") :]
    body = body[: body.index("endmodule")]
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\S+) ?;", body, re.M)
    # A name that is a keyword of Verilog has a backslash in front.
    return {name.lstrip("\\"): (direction, int(msb or 0) + 1) for direction, msb, name in declared}


@pytest.mark.parametrize("target", ["portable", "ecp5"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_manifest_agrees_with_the_verilog(name, target):
    made = generate(name, msgspec.structs.replace(preset("tiny"), target=target))
    declared = declared_ports(made.verilog, made.module)
    listed = {port["name"]: (port["direction"], port["width"]) for port in made.manifest["ports"]}
    clocked = {"clk": ("input", 1), "rst": ("input", 1)}
    assert {k: v for k, v in declared.items() if k not in clocked} == listed
    assert {k: v for k, v in declared.items() if k in clocked}.items() <= clocked.items()
    for port in made.manifest["ports"]:
        if "layout" in port:
            assert layout_bits(port["layout"]) == port["width"]
    assert all(isinstance(value, int) and value >= 0 for value in made.manifest["latencies"].values())


def layout_bits(layout):
    if "element" in layout:
        return layout["length"] * layout["element"]["width"]
    return max(field["offset"] + field["width"] for field in layout["fields"].values())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_generates(name):
    start = time.monotonic()
    config = preset(name)
    made = generate("top", config)
    print(f"{name}: {len(made.verilog)} bytes in {time.monotonic() - start:.1f} s")
    assert made.manifest["config"] == msgspec.to_builtins(config)
    assert made.verilog.count("\nmodule uspe(") == 1
