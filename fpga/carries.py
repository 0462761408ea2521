"""Carry chains of an ECP5 between Yosys and nextpnr."""

import itertools
from pathlib import Path

import msgspec

__all__ = ["open_idle_carries"]


def open_idle_carries(netlist: Path) -> None:
    """Opens the carry pins of CCU2C that are of no matter: outputs that nobody reads, which Yosys leaves connected,
    and constant inputs that the first half does not look at. At every other end of a chain nextpnr spends a CCU2C to
    bring the carry in or out: 1,500 LUTs of an 8 × 8 device.

    ``netlist``: Yosys' JSON, written anew. An open pin is "x" there; one without a net makes nextpnr fail.
    """
    design = msgspec.json.decode(netlist.read_bytes())
    for module in design["modules"].values():
        read = {bit for port in module["ports"].values() for bit in port["bits"]}
        for cell in module["cells"].values():
            for pin, bits in cell["connections"].items():
                if cell["port_directions"].get(pin) != "output":
                    read.update(bits)
        for cell in module["cells"].values():
            if cell["type"] == "CCU2C":
                pins = cell["connections"]
                if read.isdisjoint(pins["COUT"]):
                    pins["COUT"] = ["x"]
                if isinstance(pins["CIN"][0], str) and read.isdisjoint(pins["S0"]) and _stops_carry(cell):
                    pins["CIN"] = ["x"]
    netlist.write_bytes(msgspec.json.encode(design))


def _stops_carry(cell: dict) -> bool:
    """Whether the first half of a CCU2C never passes its carry on: its table is 0 whatever its operands are."""
    table = int(cell["parameters"]["INIT0"], 2)
    operands = [cell["connections"][pin][0] for pin in ("A0", "B0", "C0", "D0")]
    nets = sorted({bit for bit in operands if isinstance(bit, int)})
    for values in itertools.product("01", repeat=len(nets)):
        known = dict(zip(nets, values, strict=True))
        at = sum((known.get(bit, bit) == "1") << i for i, bit in enumerate(operands))
        if table >> at & 1:
            return False
    return True
