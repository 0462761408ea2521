"""The instruction set: what is encoded is decoded again, what is none is refused, and everything made from it."""

import json
import random
import subprocess

import pytest

from sat_hdl import cli
from sat_hdl.control.csr import CSRS
from sat_hdl.control.isa import (
    LOOP_DEPTH,
    UNITS,
    Instruction,
    IsaError,
    Op,
    RunFlag,
    decode,
    disassemble,
    encode,
)
from sat_hdl.control.reference import c_header, markdown


def every_instruction():
    """One of each opcode, unit, register and action, with random fields."""
    rng = random.Random(7)
    for op in (Op.HALT, Op.LOOP, Op.END):
        yield Instruction(op, immediate=rng.getrandbits(32))
    for name, unit in UNITS.items():
        for register in unit.registers:
            for op in (Op.SET, Op.ADD, Op.PARAM):
                yield Instruction(op, name, register.name, rng.getrandbits(32))
        for action in unit.actions:
            masks = [tuple(i for i in range(8) if rng.random() < 0.5) for _ in range(2)]
            flags = tuple(flag for flag in RunFlag if rng.random() < 0.5)
            yield Instruction(Op.RUN, name, action=action, wait=masks[0], signal=masks[1], flags=flags)


def test_encode_and_decode():
    for instruction in every_instruction():
        assert decode(encode(instruction)) == instruction
    words = [encode(instruction) for instruction in every_instruction()]
    assert len(set(words)) == len(words)


def test_a_negative_immediate_is_its_complement():
    word = encode(Instruction(Op.ADD, "load", "base", -64))
    assert decode(word).immediate == (1 << 32) - 64


@pytest.mark.parametrize(
    "instruction, text",
    [
        (Instruction(Op.SET, "laod", "base"), "unit"),
        (Instruction(Op.SET, "load", "bose"), "register"),
        (Instruction(Op.RUN, "load", action="rows"), "must do one of"),
        (Instruction(Op.SET, "load", "base", 1 << 32), "32 bits"),
        (Instruction(Op.RUN, "store", action="rows", wait=(8,)), "semaphore"),
    ],
)
def test_what_cannot_be_said(instruction, text):
    with pytest.raises(IsaError, match=text):
        encode(instruction)


@pytest.mark.parametrize(
    "word", [0, 15 << 28, 2 << 28, 2 << 28 | 1 << 24 | 99 << 16, 99 << 32 | 5 << 28 | 1 << 24]
)
def test_words_that_are_none(word):
    with pytest.raises(IsaError, match="is no instruction"):
        decode(word)
    (line,) = disassemble([word])
    assert ".word" in line


def test_disassembly_names_everything():
    words = [
        Instruction(Op.LOOP, immediate=3),
        Instruction(Op.SET, "load", "take", 64),
        Instruction(Op.RUN, "load", action="west_rows", wait=(1,), signal=(0, 2)),
        Instruction(Op.END),
        Instruction(Op.HALT),
    ]
    lines = list(disassemble(map(encode, words), start=0x100))
    assert [line.split()[0] for line in lines] == ["00000100", "00000108", "00000110", "00000118", "00000120"]
    assert "LOOP 3" in lines[0] and "SET load.take, 0x40" in lines[1]
    assert "RUN load.west_rows  wait 1  signal 0,2" in lines[2] and lines[4].endswith("HALT")


def test_the_page_has_everything():
    page = markdown()
    for name, unit in UNITS.items():
        assert f"## Unit {unit.number}: {name}" in page
        assert all(f"| {r.name} |" in page for r in unit.registers)
    assert all(f"| {csr.name} |" in page for csr in CSRS)
    assert str(LOOP_DEPTH) in page


def test_the_header_compiles_and_encodes_alike(tmp_path):
    """A C program makes the same words."""
    (tmp_path / "sat.h").write_text(c_header())
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "sat.h"\nint main(void) {\n'
        "  uint64_t a = sat_instruction(SAT_OP_SET, SAT_VECTOR, SAT_VECTOR_R_COUNT, 0, 0, 0xdeadbeefu);\n"
        "  uint64_t b = sat_instruction(SAT_OP_RUN, SAT_STORE, SAT_RUN_UNLESS_OVERFLOW, 1u << 3, 1u << 7,\n"
        "                               SAT_STORE_WIDE_COLUMNS);\n"
        '  printf("%llu %llu\\n", (unsigned long long)a, (unsigned long long)b);\n  return 0;\n}\n'
    )
    subprocess.run(["gcc", "-Wall", "-Werror", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    got = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    want = [
        Instruction(Op.SET, "vector", "count", 0xDEADBEEF),
        Instruction(
            Op.RUN, "store", action="wide_columns", wait=(3,), signal=(7,), flags=(RunFlag.UNLESS_OVERFLOW,)
        ),
    ]
    assert [int(word) for word in got] == [encode(instruction) for instruction in want]


def test_the_commands(tmp_path, capsys):
    path = tmp_path / "program.bin"
    words = [encode(Instruction(Op.SET, "store", "m", 5)), encode(Instruction(Op.HALT))]
    path.write_bytes(b"".join(word.to_bytes(8, "little") for word in words))
    for arguments, status in (
        (["disasm", str(path), "--json"], 0),
        (["isa", "--form", "c", "--json"], 0),
        (["disasm", str(tmp_path / "none"), "--json"], 1),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == status
        found = json.loads(capsys.readouterr().out)
        if arguments[0] == "disasm" and not status:
            assert found["lines"] == list(disassemble(words))
    path.write_bytes(b"1234567")
    with pytest.raises(SystemExit) as stop:
        cli.main(["disasm", str(path)])
    assert stop.value.code == 2 and "whole 64-bit words" in capsys.readouterr().err
