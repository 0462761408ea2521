"""Room for wires: cells that keep places free where a placement was crowded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sat_hdl.fpga.placed_netlist import nets_of, place_of

__all__ = ["add_companions", "crowding", "overused", "remove_companions"]

#: Side of the square of tiles that counts as one place.
_AROUND = 7
#: Above this share of the cells all are as crowded.
_CLIPPED = 0.95
_NAME = "companion_"
#: Output of the cells that get company.
_OUTPUTS = {"LUT4": "Z", "TRELLIS_FF": "Q"}


def _around(wires: np.ndarray) -> np.ndarray:
    """Averaged over 7 × 7 tiles."""
    padded = np.pad(wires, _AROUND // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, (_AROUND, _AROUND)).mean((2, 3))


def crowding(cells: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Wire in each tile, by x and y, of a netlist that nextpnr placed (its ``cells``), as RUDY estimates it: of each
    net the half perimeter, spread evenly over the rectangle around its pins (Spindler and Johannes, "Fast and
    Accurate Routing Demand Estimation for Efficient Routability-driven Placement", DATE 2007); averaged over 7 × 7
    tiles."""
    nets = [np.array([place_of(cells[name]) for name in names]) for names in nets_of(cells)]
    if not nets:
        return np.zeros((1, 1))
    size = 1 + np.max([net.max(0) for net in nets], axis=0)
    edges = np.zeros(size + 1)
    for net in nets:
        low, high = net.min(0), net.max(0) + 1
        width, height = high - low
        wire = (width + height - 2) / (width * height)
        edges[low[0], low[1]] += wire
        edges[high[0], low[1]] -= wire
        edges[low[0], high[1]] -= wire
        edges[high[0], high[1]] += wire
    return _around(edges.cumsum(0).cumsum(1)[:-1, :-1])


def overused(heatmaps: Path, rounds: range) -> np.ndarray:
    """Wires that router2 gave to more than one net, in each tile, by x and y, summed over ``rounds`` as far as there
    were so many, averaged over 7 × 7 tiles.

    ``heatmaps``: path and beginning of the names that ``--router2-heatmap`` was given. The first rounds show where
    nets would like to go, the later ones where there is no other way.
    """
    paths = [Path(f"{heatmaps}_congestion_by_coordinate_{number}.csv") for number in rounds]
    # A line for each x, with a comma after every number.
    found = [
        np.array([line.split(",")[:-1] for line in path.read_text().split()], int)
        for path in paths
        if path.exists()
    ]
    return _around(np.sum(found, axis=0)) if found else np.zeros((1, 1))


def add_companions(
    cells: dict[str, Any],
    placed: Mapping[str, Mapping[str, Any]],
    demand: np.ndarray,
    *,
    share: float,
    seed: int = 1,
) -> int:
    """Adds LUTs to a netlist (its ``cells``), ``share`` of the logic cells that it had when ``placed``. → how many.

    Each hangs on the output of a LUT or register and leads nowhere, so it comes to lie beside it. Cells get company
    with the likelihood that their place had more ``demand`` (by x and y) than the average cell's, so places where
    wire was short have more room when the netlist is placed again. Without them, by :func:`remove_companions`, it is
    routed. That is cell inflation of routability-driven placers, for one that has none.
    """
    nets, wire = [], []
    for name, cell in cells.items():
        output = cell["connections"].get(_OUTPUTS.get(cell["type"], ""), [])
        at = place_of(placed.get(name, {}))
        if output and isinstance(output[0], int) and at and at[0] < len(demand) and at[1] < len(demand[0]):
            nets.append(output[0])
            wire.append(demand[at])
    excess = np.maximum(0, np.array(wire) - np.mean(wire)) if wire else np.zeros(0)
    if not excess.any():
        return 0
    excess = np.minimum(excess, np.quantile(excess[excess > 0], _CLIPPED))
    there = sum(name.startswith(_NAME) for name in cells)
    wanted = share * (sum(cell["type"] == "TRELLIS_COMB" for cell in placed.values()) - there)
    likely = np.minimum(1, excess / excess.sum() * wanted)
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(likely)) < likely)
    for number, i in enumerate(chosen, there):
        cells[f"{_NAME}{number}"] = {
            "hide_name": 0,
            "type": "LUT4",
            "parameters": {"INIT": "1010101010101010"},
            "attributes": {},
            "port_directions": {"A": "input", "B": "input", "C": "input", "D": "input", "Z": "output"},
            "connections": {"A": [nets[i]], "B": [], "C": [], "D": [], "Z": []},
        }
    return len(chosen)


def remove_companions(cells: dict[str, Any]) -> None:
    """Takes away what :func:`add_companions` added, from a netlist that was placed with it."""
    for name in [name for name in cells if name.startswith(_NAME)]:
        del cells[name]
