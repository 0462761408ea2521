"""Crowded places against a count tile by tile; companions come there, and go without a trace."""

import copy
import itertools
import random

import numpy as np
import pytest

from sat_hdl.fpga.spacing import add_companions, crowding, overused, remove_companions


def lut(x: int, y: int, inputs: list[int], output: int) -> dict:
    return {
        "type": "TRELLIS_COMB",
        "attributes": {"NEXTPNR_BEL": f"X{x}/Y{y}/SLICEA.K0"},
        "connections": {"A": inputs[:1], "B": inputs[1:], "Z": [output]},
    }


def design(rng: random.Random, number: int, side: int) -> dict[str, dict]:
    """LUTs, most of them in a corner."""
    cells = {}
    for i in range(number):
        side_here = side if i % 5 == 0 else side // 3
        inputs = [rng.randrange(2, 2 + number) for _ in range(2)]
        cells[f"lut_{i}"] = lut(rng.randrange(side_here), rng.randrange(side_here), inputs, i + 2)
    return cells


def netlist(placed: dict[str, dict]) -> dict[str, dict]:
    """As Yosys gives it."""
    return {
        name: {"type": "LUT4", "attributes": {}, "connections": dict(cell["connections"])}
        for name, cell in placed.items()
    }


@pytest.mark.parametrize("seed", range(5))
def test_crowding_is_the_nets_wire_spread_over_their_rectangles(seed):
    placed = design(random.Random(seed), 40, 20)
    pins: dict[int, list[tuple[int, int]]] = {}
    for cell in placed.values():
        x, y = (int(part[1:]) for part in cell["attributes"]["NEXTPNR_BEL"].split("/")[:2])
        for bit in itertools.chain(*cell["connections"].values()):
            pins.setdefault(bit, []).append((x, y))
    found = crowding(placed)
    wires = np.zeros((40, 40))
    for at in pins.values():
        (x0, x1), (y0, y1) = ((min(v), max(v) + 1) for v in zip(*at))
        wires[10 + x0 : 10 + x1, 10 + y0 : 10 + y1] += (x1 - x0 + y1 - y0 - 2) / ((x1 - x0) * (y1 - y0))
    for x in range(found.shape[0]):
        for y in range(found.shape[1]):
            assert found[x, y] == pytest.approx(wires[7 + x : 14 + x, 7 + y : 14 + y].mean())


def test_companions_keep_crowded_places_free():
    placed = design(random.Random(1), 3000, 60)
    cells = netlist(placed)
    before = copy.deepcopy(cells)
    demand, mean = crowding(placed), []
    added = add_companions(cells, placed, demand, share=0.1)
    assert added == len(cells) - len(before) and 200 < added < 400
    drivers = {cell["connections"]["Z"][0]: name for name, cell in placed.items()}
    for name in cells.keys() - before.keys():
        (bit,) = cells[name]["connections"]["A"]
        x, y = (int(part[1:]) for part in placed[drivers[bit]]["attributes"]["NEXTPNR_BEL"].split("/")[:2])
        mean.append(demand[x, y])
    everywhere = [
        demand[tuple(int(part[1:]) for part in cell["attributes"]["NEXTPNR_BEL"].split("/")[:2])]
        for cell in placed.values()
    ]
    assert min(mean) > np.mean(everywhere)
    # Their room counts for no more of it.
    placed |= {name: lut(0, 0, [], 2) for name in cells.keys() - before.keys()}
    assert 200 < add_companions(cells, placed, demand, share=0.1) == len(cells) - len(before) - added < 400
    remove_companions(cells)
    assert cells == before


def test_without_wires_there_are_none():
    cells = {"lut": {"type": "LUT4", "attributes": {}, "connections": {"Z": [2]}}}
    assert add_companions(cells, {"lut": lut(1, 1, [], 2)}, np.zeros((9, 9)), share=1) == 0
    assert list(cells) == ["lut"]


def test_heat_maps_of_the_rounds_that_count_are_summed(tmp_path):
    maps = np.random.default_rng(1).integers(0, 9, (4, 12, 10))
    for number, tiles in enumerate(maps, 7):
        # As nextpnr writes them: a line for each x, a comma after every tile.
        text = "".join("".join(f"{n}," for n in row) + "\n" for row in tiles)
        (tmp_path / f"heat_congestion_by_coordinate_{number}.csv").write_text(text)
    found = overused(tmp_path / "heat", range(8, 30, 2))
    wires = np.pad(maps[1] + maps[3], 3)
    assert found.shape == (12, 10)
    for x in range(12):
        for y in range(10):
            assert found[x, y] == pytest.approx(wires[x : x + 7, y : y + 7].mean())
    assert not overused(tmp_path / "cold", range(8, 30)).any()
