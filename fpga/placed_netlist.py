"""What is told of places and nets by a netlist that nextpnr placed and wrote."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

__all__ = ["coordinates", "nets_of", "place_of"]

#: Nets of more pins are clocks, resets and constants, which have ways of their own or lead anywhere.
_MOST_PINS = 3000


def coordinates(bel: str) -> tuple[int, int]:
    """Of a BEL by nextpnr's name, X12/Y34/…."""
    found = re.match(r"X(\d+)/Y(\d+)/", bel)
    assert found, bel
    return int(found[1]), int(found[2])


def place_of(cell: Mapping[str, Any]) -> tuple[int, int] | None:
    bel = cell.get("attributes", {}).get("NEXTPNR_BEL")
    return None if bel is None else coordinates(bel)


def nets_of(cells: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The cells of each net's pins, as far as they have places, of nets of 2 to 3,000 such pins."""
    pins: dict[int, list[str]] = defaultdict(list)
    for name, cell in cells.items():
        if place_of(cell) is not None:
            for bits in cell["connections"].values():
                for bit in bits:
                    if isinstance(bit, int):
                        pins[bit].append(name)
    return [names for names in pins.values() if 1 < len(names) <= _MOST_PINS]
