"""Choice by a bit for each alternative: smaller and faster than by a number or by priority."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Value, ValueLike

__all__ = ["choose"]


def choose(values: Iterable[ValueLike], one_hot: Sequence[Value] | Value) -> Value:
    """The bits of that one of ``values``, all of one width, whose bit is set; 0 if none is."""
    masked = []
    for value, bit in zip(values, one_hot, strict=True):
        bits = Value.cast(value).as_unsigned()
        masked.append(bits & bit.replicate(len(bits)))
    return reduce(or_, masked)
