"""Blocks among their places against every permutation, and twice through nextpnr."""

import itertools
import json
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.integer_multiply import IntegerMultiply
from sat_hdl.fpga.block_places import shorter_places
from sat_hdl.fpga.ecp5 import parse_target
from sat_hdl.fpga.flow import place_and_route, synthesise
from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.sim.verilog import emit


def cell(kind: str, x: int, y: int, bits: list[int | str]) -> dict:
    attributes = {"NEXTPNR_BEL": f"X{x}/Y{y}/{kind}"}
    return {"type": kind, "attributes": attributes, "connections": {"A": bits[:1], "B": bits[1:]}}


def design(rng: random.Random, blocks: int) -> dict[str, dict]:
    """Blocks, each on nets of its own to cells that stay."""
    cells, nets = {}, itertools.count(2)
    for number in range(blocks):
        mine: list[int | str] = ["0"]
        for _ in range(rng.randint(0, 4)):
            mine.append(net := next(nets))
            for pin in range(rng.randint(1, 3)):
                place = rng.randrange(60), rng.randrange(60)
                cells[f"{net}_{pin}"] = cell("LUT", *place, [net])
        cells[f"ram_{number}"] = cell("RAM", 7 * number, rng.randrange(60), mine)
    cells["without a place"] = {"type": "RAM", "attributes": {}, "connections": {"A": [2]}}
    return cells


def wire(cells: dict[str, dict], bels: dict[str, str]) -> int:
    """Half perimeters of all nets."""
    pins: dict[int, list[tuple[int, int]]] = {}
    for name, entry in cells.items():
        bel = bels.get(name, entry["attributes"].get("NEXTPNR_BEL"))
        if bel:
            x, y = (int(part[1:]) for part in bel.split("/")[:2])
            for bit in itertools.chain(*entry["connections"].values()):
                if isinstance(bit, int):
                    pins.setdefault(bit, []).append((x, y))
    return sum(max(at) - min(at) for net in pins.values() for at in zip(*net))


@pytest.mark.parametrize("seed", range(20))
def test_no_permutation_is_shorter(seed):
    rng = random.Random(seed)
    cells = design(rng, rng.randint(1, 5))
    found = shorter_places(cells, ["RAM", "DSP"])
    names = [name for name in cells if name.startswith("ram")]
    bels = [cells[name]["attributes"]["NEXTPNR_BEL"] for name in names]
    assert sorted(found) == sorted(names) and sorted(found.values()) == sorted(bels)
    best = min(wire(cells, dict(zip(names, places))) for places in itertools.permutations(bels))
    assert wire(cells, found) == best


def test_blocks_that_share_nets_get_no_longer_wires():
    rng = random.Random(5)
    cells = {}
    for number in range(30):
        kind = ("RAM", "DSP", "LUT")[number % 3]
        nets: list[int | str] = [rng.randrange(2, 30) for _ in range(4)]
        cells[str(number)] = cell(kind, rng.randrange(40), rng.randrange(40), nets)
    found = shorter_places(cells, ["RAM", "DSP"])
    assert {cells[name]["type"] for name in found} == {"RAM", "DSP"}
    assert wire(cells, found) < wire(cells, {})


class Blocks(wiring.Component):
    """Multipliers between block RAMs."""

    i: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for number in range(4):
            ram = RegisteredRam(width=16, depth=512, target="ecp5")
            multiply = IntegerMultiply(width_a=8, width_b=8, target="ecp5")
            m.submodules += [ram, multiply]
            m.d.comb += [
                ram.write_address.eq(value),
                ram.write_data.eq(value),
                ram.write_enable.eq(1),
                ram.read_address.eq(value + number),
                multiply.a.eq(ram.read_data[:8]),
                multiply.b.eq(ram.read_data[8:]),
            ]
            value = multiply.p
        m.d.comb += self.o.eq(value)
        return m


def test_a_dense_design_is_placed_twice(tmp_path):
    target = parse_target("ecp5-25f-6")
    synthesise(emit(Blocks(), "top"), target=target, top="top", cwd=tmp_path)
    placed = place_and_route(
        tmp_path, target=target, seed=1, freq_mhz=50, placer="static", router="router2", dense=True
    )
    assert placed.used["DP16KD"] == placed.used["MULT18X18D"] == 4 and placed.slowest_mhz > 20
    first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("placed1-0", "room1-1"))
    kept = {
        name: entry["attributes"]["BEL"]
        for name, entry in second["modules"]["top"]["cells"].items()
        if "BEL" in entry["attributes"]
    }
    assert len(kept) == 8
    was = first["modules"]["top"]["cells"]
    assert sorted(kept.values()) == sorted(was[name]["attributes"]["NEXTPNR_BEL"] for name in kept)
