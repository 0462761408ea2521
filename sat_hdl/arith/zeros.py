"""Leading zeros of a word, in few levels of four-input tables."""

from amaranth.hdl import Cat, Const, Mux, Value

__all__ = ["leading_zeros"]


def leading_zeros(word: Value) -> tuple[Value, Value]:
    """(number of zeros above the topmost one, whether there is a one). Combinational.

    Without a one the number is that of bits, rounded up to a multiple of 4, less 1 to 4. By halves: of two
    neighbours the upper counts if it holds a one.
    """
    word = Value.cast(word)
    if len(word) < 1:
        raise ValueError("word must have at least 1 bit")
    padded = Cat(Const(0, -len(word) % 4), word) if len(word) % 4 else word
    groups = []
    for low in range(len(padded) - 4, -1, -4):
        quad = padded[low : low + 4]
        count = Cat(~quad[3] & (quad[2] | ~quad[1]), ~quad[3] & ~quad[2])
        groups.append((count, quad.any()))
    while len(groups) > 1:
        if len(groups) % 2:
            groups.append((Const(0, len(groups[0][0])), Const(0, 1)))
        groups = [
            (Cat(Mux(upper_any, upper, lower), ~upper_any), upper_any | lower_any)
            for (upper, upper_any), (lower, lower_any) in zip(groups[::2], groups[1::2])
        ]
    return groups[0]
