"""Behavioural Verilog of device primitives, for simulating a design that instantiates them."""

from pathlib import Path

__all__ = ["ECP5"]

#: MULT18X18D and CCU2C of the Lattice ECP5, in the modes that sat_hdl uses.
ECP5 = Path(__file__).with_name("ecp5.v")
