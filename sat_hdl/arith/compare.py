"""Comparison by magnitude, as N:M selection defines it: the bit pattern without its sign."""

from amaranth.hdl import Value

__all__ = ["magnitude", "magnitude_less"]


def magnitude(value: Value) -> Value:
    """The bit pattern of a float (of any format) without its sign, to be compared as an unsigned integer.

    The order of IEEE 754 patterns makes NaN > inf > finite and −0 = +0; NaN rank by payload.
    """
    value = Value.cast(value)
    if len(value) < 2:
        raise ValueError(f"value must be a float's bit pattern of at least 2 bits, not {len(value)} bit")
    return value[:-1]


def magnitude_less(a: Value, b: Value) -> Value:
    """1 bit: \\|a\\| < \\|b\\|. Combinational, one carry chain as wide as a magnitude."""
    if len(Value.cast(a)) != len(Value.cast(b)):
        raise ValueError(
            f"a and b must be of one format, not {len(Value.cast(a))} and {len(Value.cast(b))} bits wide"
        )
    return magnitude(a) < magnitude(b)
