"""Attempt after attempt, each with more room where the router was short of wire; tools that answer at once."""

import json
import random

import pytest

from sat_hdl.fpga.dense import ATTEMPTS, FIRST_ROOM, MORE_ROOM, WEIGHTS, route_dense
from sat_hdl.fpga.toolchain import SeedError

SIDE, LUTS = 40, 4000


class Tools:
    """Each cell has one place for ever; companions lie at 0, 0. The router fails ``failures`` times, at x < 10."""

    def __init__(self, cwd, failures: int):
        rng = random.Random(failures)
        self.cwd, self.failures = cwd, failures
        self.at = {f"lut_{i}": (rng.randrange(SIDE), rng.randrange(SIDE)) for i in range(LUTS)}
        cells = {
            name: {
                "type": "LUT4",
                "attributes": {},
                "connections": {"A": [2 + rng.randrange(LUTS)], "Z": [2 + i]},
            }
            for i, name in enumerate(self.at)
        }
        cells["ram"] = {"type": "RAM", "attributes": {}, "connections": {"A": [2]}}
        self.write("netlist.json", cells)
        #: What was placed, and where the cells lie beside which companions were put.
        self.placed: list[dict] = []
        self.routed: list[dict] = []

    def write(self, name: str, cells: dict) -> None:
        design = {"modules": {"top": {"settings": {"seed": "1"}, "cells": cells}}}
        (self.cwd / name).write_text(json.dumps(design))

    def read(self, name: str) -> dict:
        return json.loads((self.cwd / name).read_text())["modules"]["top"]

    def place(self, netlist: str, placed: str) -> None:
        cells = self.read(netlist)["cells"]
        self.placed.append(json.loads(json.dumps(cells)))
        for name, cell in cells.items():
            x, y = self.at.get(name, (0, 0))
            cell["attributes"]["NEXTPNR_BEL"] = f"X{x}/Y{y}/BEL"
            cell["type"] = cell["type"].replace("LUT4", "TRELLIS_COMB")
        self.write(placed, cells)

    def route(self, netlist: str, heatmaps: str) -> None:
        self.routed.append(self.read(netlist))
        if len(self.routed) <= self.failures:
            hot = "".join("1," * SIDE + "\n" if x < 10 else "0," * SIDE + "\n" for x in range(SIDE))
            (self.cwd / f"{heatmaps}_congestion_by_coordinate_10.csv").write_text(hot)
            raise SeedError(f"attempt {len(self.routed)}")

    def run(self) -> None:
        route_dense(self.cwd, blocks=("RAM",), seed=1, place=self.place, route=self.route)

    def companions(self, attempt: int) -> list[tuple[int, int]]:
        """Where the cells lie that got company before this attempt."""
        before, cells = self.placed[attempt - 1], self.placed[attempt]
        return [
            self.at[f"lut_{cells[name]['connections']['A'][0] - 2}"] for name in cells.keys() - before.keys()
        ]


@pytest.mark.parametrize("failures", range(ATTEMPTS))
def test_it_is_routed_until_that_succeeds(tmp_path, failures):
    tools = Tools(tmp_path, failures)
    tools.run()
    assert len(tools.routed) == failures + 1 and len(tools.placed) == failures + 2
    bare = tools.placed[0]
    for design in tools.routed:
        assert design["cells"].keys() == bare.keys() and design["settings"] == {"seed": "1"} | WEIGHTS
    assert all(cells["ram"]["attributes"] == {"BEL": "X0/Y0/BEL"} for cells in tools.placed[1:])
    assert len(tools.companions(1)) == pytest.approx(FIRST_ROOM * LUTS, rel=0.2)
    for attempt in range(2, failures + 2):
        places = tools.companions(attempt)
        assert len(places) == pytest.approx(MORE_ROOM * LUTS, rel=0.2)
        assert max(x for x, _ in places) < 13  # the hot place, and what is around it


def test_the_last_failure_is_told(tmp_path):
    tools = Tools(tmp_path, ATTEMPTS)
    with pytest.raises(SeedError, match=f"attempt {ATTEMPTS}"):
        tools.run()


def test_a_failure_without_a_heat_map_is_the_last(tmp_path):
    tools = Tools(tmp_path, 1)
    tools.route = lambda netlist, heatmaps: (_ for _ in ()).throw(SeedError("no ways"))
    with pytest.raises(SeedError, match="no ways"):
        tools.run()
    assert len(tools.placed) == 2
