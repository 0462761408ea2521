"""Place and route of a design that fills most of its device, with more room each time where wires were short."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sat_hdl.fpga.block_places import shorter_places
from sat_hdl.fpga.spacing import add_companions, crowding, overused, remove_companions
from sat_hdl.fpga.toolchain import SeedError

__all__ = ["ATTEMPTS", "FIRST_ROOM", "MORE_ROOM", "SETTINGS", "WEIGHTS", "route_dense"]

#: How router2 weighs wires that are taken twice, at first and more in each round, and those that were, and how far
#: around a net's pins it looks. nextpnr's own (0.5, 2, 1, 3 tiles) leave three times as many of them in an 8 × 8
#: accelerator that fills three quarters of an LFE5U-85F.
WEIGHTS = {
    "router2/initCurrCongWeight": "8.0",
    "router2/currCongWeightMult": "1.0",
    "router2/histCongWeight": "2.0",
    "router2/estimateWeight": "1.1",
    "router2/bbMargin/x": "8",
    "router2/bbMargin/y": "8",
}
#: Of the design's logic cells, how many more keep places free at first, and how many are added for each attempt to
#: route it that failed.
FIRST_ROOM, MORE_ROOM = 0.12, 0.05
#: How often it is routed.
ATTEMPTS = 4
#: Rounds of router2 that tell where room is wanted. The ones before them are busy with what goes elsewhere as well.
_TELLING = range(8, 21, 2)
#: All of these, as part of a cached result's key.
SETTINGS = tuple(map(str, (ATTEMPTS, FIRST_ROOM, MORE_ROOM, *WEIGHTS.values(), _TELLING)))


def route_dense(
    cwd: Path,
    *,
    blocks: tuple[str, ...],
    seed: int,
    place: Callable[[str, str], None],
    route: Callable[[str, str], None],
) -> None:
    """Places and routes ``cwd/netlist.json``; nextpnr's own way finds no way for the wires of a design that fills
    three quarters of its device.

    Placed once, block RAMs and multipliers (cells of kinds ``blocks``) go where :func:`shorter_places` puts them, and
    companions (:func:`add_companions`) keep room where wire is dense. It is placed again, and routed without the
    companions. Where wires were taken twice more companions come for the next attempt.

    ``place(netlist, placed)`` reads and writes these files of ``cwd``; ``route(netlist, heatmaps)`` routes a placed
    one, and router2's heat maps get names that begin with that.

    Raises :class:`~sat_hdl.fpga.toolchain.SeedError` of the last attempt.
    """

    def placement(netlist: str, placed: str) -> Any:
        place(netlist, placed)
        return json.loads((cwd / placed).read_text())

    design = json.loads((cwd / "netlist.json").read_text())
    cells = design["modules"]["top"]["cells"]
    placed = placement("netlist.json", f"placed{seed}-0.json")["modules"]["top"]["cells"]
    for cell, bel in shorter_places(placed, blocks).items():
        cells[cell]["attributes"]["BEL"] = placed[cell]["attributes"]["NEXTPNR_BEL"] = bel
    add_companions(cells, placed, crowding(placed), share=FIRST_ROOM, seed=seed)
    for attempt in range(1, ATTEMPTS + 1):
        netlist, heatmaps = f"room{seed}-{attempt}.json", f"heat{seed}-{attempt}"
        (cwd / netlist).write_text(json.dumps(design))
        found = placement(netlist, f"placed{seed}-{attempt}.json")
        placed = dict(found["modules"]["top"]["cells"])
        remove_companions(found["modules"]["top"]["cells"])
        # nextpnr takes settings from a netlist, also those that have no option.
        found["modules"]["top"]["settings"] |= WEIGHTS
        netlist = f"ready{seed}-{attempt}.json"
        (cwd / netlist).write_text(json.dumps(found))
        try:
            return route(netlist, heatmaps)
        except SeedError:
            demand = overused(cwd / heatmaps, _TELLING)
            if attempt == ATTEMPTS or not add_companions(cells, placed, demand, share=MORE_ROOM, seed=seed):
                raise
