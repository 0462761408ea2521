"""Arithmetic of a few bits with a constant, as plain logic: Yosys gives every sum and comparison a carry chain."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Value

__all__ = ["at_least", "plus"]


def at_least(value: Value, bound: int) -> Value:
    """Whether an unsigned ``value`` is ``bound`` or more. ``bound``: from 0 to the largest that it can be."""
    if not 0 <= bound < 1 << len(value):
        raise ValueError(f"bound must be from 0 to {(1 << len(value)) - 1}, not {bound!r}")
    found: Value = Const(1, 1)
    for i in range(len(value)):
        found = value[i] & found if bound >> i & 1 else value[i] | found
    return found


def plus(value: Value, constant: int) -> Value:
    """``value`` + ``constant`` modulo 2^width: every bit a table of those up to it, one LUT for widths up to 4."""
    bits = []
    for i in range(len(value)):
        mask = (1 << (i + 1)) - 1
        ones = [x for x in range(mask + 1) if (x + constant & mask) >> i]
        bits.append(reduce(or_, (value[: i + 1] == x for x in ones)))
    return Cat(bits)
