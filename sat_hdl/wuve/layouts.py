"""What WUVE takes and gives: its commands, beats and vectors."""

from amaranth.lib import data, enum

__all__ = [
    "ENTRIES", "MAX_LANES", "Op", "beat_layout", "command_layout", "half_layout", "status_layout", "vector_layout",
]  # fmt: skip

#: Vectors of L elements that are in work or wait to leave, at most. A power of two, above the arithmetic's latency.
ENTRIES = 32
MAX_LANES = 16
#: A command's binary32 scalars, by their number.
INV_SCALE, DECAY, MOMENTUM, RATE = range(4)


class Op(enum.Enum, shape=4):
    """What a command does. Every operation rounds to binary32 on its own; NaN results are canonical."""

    #: g ← x·s0; g ← g + s1·y; v ← s2·z + g; nesterov: g ← s2·v + g, else g ← v; out0 = y − s3·g, out1 = v.
    SGD = 1
    #: out0 = x, between formats.
    CONVERT = 2
    #: out0 = x + y.
    ADD = 3
    #: out0 = y > 0 ? x : +0.
    MASK = 4
    #: Over a window: out0 = the best x, out1 = the number of its chunk; padding never wins. 16-bit x only.
    MAXPOOL = 5
    #: Over a window: out0 = the chain of x from +0.
    SUM = 6
    #: Over a window: out0 = the chain from +0 of (y == want ? x : +0).
    SELECT_SUM = 7
    #: Nothing but the overflow flag.
    CHECK = 8


def command_layout() -> data.StructLayout:
    """A command.

    ``op``: an :class:`Op`; any other value is answered by ``error`` alone.
    ``nesterov``: of SGD. ``half``: SGD also gives narrow(w') on ``half``.
    ``relu``: of CONVERT and ADD: negative results become +0.
    ``scale``: CONVERT multiplies by scalar number ``scalar`` first (ADD: x alone); SUM multiplies the sum.
    ``x_wide``, ``y_wide``, ``out_wide``: that stream holds binary32, else 16-bit operands. SGD's are wide,
    MAXPOOL's not, nor SELECT_SUM's y (integers), whatever these say.
    ``count``: elements of x (and of y, z) altogether; 0 does nothing.
    ``run``: elements of a run: each run begins a new beat of every stream. 0: all in one run, which in
    the windowed operations (MAXPOOL, SUM, SELECT_SUM) is a chunk.
    ``chunk``, ``window``: the windowed ones reduce ``window`` chunks of ``chunk`` elements into one, element by
    element. What is no multiple is rounded up: count to whole windows, chunk to whole runs.
    ``inner``, ``base``, ``step_inner``, ``step_outer``: chunk number o·inner + i of a window has
    want = base + o·step_outer + i·step_inner, modulo 2**16. inner = 0: i alone counts.
    """
    flags = ("nesterov", "half", "relu", "scale", "x_wide", "y_wide", "out_wide")
    wide = {name: 24 for name in ("count", "run", "chunk")}
    narrow = {name: 16 for name in ("window", "inner", "base", "step_inner", "step_outer")}
    return data.StructLayout({"op": 4} | {flag: 1 for flag in flags} | {"scalar": 3} | wide | narrow)


def status_layout() -> data.StructLayout:
    """A command's end. ``overflow``: some x was infinite or NaN (padding aside). ``error``: no such op; a
    windowed one without chunk or window; or, then the results are void, a chunk of more than ENTRIES vectors."""
    return data.StructLayout({"overflow": 1, "error": 1})


def beat_layout(data_bits: int, *, pad: bool) -> data.StructLayout:
    """A beat of consecutive elements, the first in the low bits. ``last``: of its run (ignored on inputs).
    ``pad``: its run is padding."""
    return data.StructLayout({"data": data_bits, "last": 1} | ({"pad": 1} if pad else {}))


def half_layout(lanes: int, width: int) -> data.StructLayout:
    """``lanes`` operands; past a run's end they are +0. ``last``: of its run."""
    return data.StructLayout({"data": data.ArrayLayout(width, lanes), "last": 1})


def vector_layout(lanes: int) -> data.StructLayout:
    """``lanes`` elements in 32 bits each, of which the first ``many`` + 1 exist; ``last``: of its run."""
    return data.StructLayout(
        {"data": data.ArrayLayout(32, lanes), "many": max(1, (lanes - 1).bit_length()), "last": 1}
    )
