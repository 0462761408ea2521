"""Every payload that two blocks share, once.

A stream here is an ``amaranth.lib.stream`` one. All arrays put lane 0 in the low bits.
"""

from amaranth.lib import data, enum

from sat_hdl.config import Config

__all__ = [
    "ErrorCode",
    "job_layout",
    "north_layout",
    "pair_layout",
    "prune_job_layout",
    "report_layout",
    "result_layout",
    "west_layout",
]


class ErrorCode(enum.Enum, shape=4):
    """Why a job was refused, or a program ended. 0 is no error."""

    NONE = 0
    #: m, k or n is 0.
    EMPTY_SHAPE = 1
    #: M is not a power of two from 2 to max_m.
    BAD_GROUP = 2
    #: N is 0 or larger than M.
    BAD_KEEP = 3
    #: A word past the end of an on-chip buffer.
    OUT_OF_RANGE = 4
    #: An address, stride or run that is no multiple of the memory's width, or a run or count of 0; or a program whose
    #: address is no multiple of 8.
    MISALIGNED = 5
    #: Memory answered a read with SLVERR or DECERR.
    READ_ERROR = 6
    #: Memory answered a write so.
    WRITE_ERROR = 7
    #: A word that is no instruction, or one that asks for a unit, register or action that there is not.
    ILLEGAL_INSTRUCTION = 8
    #: END without LOOP, LOOP 0, or loops deeper than the front end's stack.
    BAD_LOOP = 9
    #: Every unit that has work waits for a semaphore.
    DEADLOCK = 10
    #: The program took longer than the host's limit.
    TIMEOUT = 11
    #: A semaphore went beyond its largest count.
    SEMAPHORE_OVERFLOW = 12
    #: A store's results are fewer or more than its descriptor writes.
    BAD_SHAPE = 13
    #: Memory answered the fetch of an instruction with SLVERR or DECERR.
    FETCH_ERROR = 14
    #: Weight-stationary: the hardware does not have it, or k, n or N is more than can be held at once. Folded: n or
    #: the groups are more than a USPE has room for.
    BAD_DATAFLOW = 15


def pair_layout(config: Config) -> data.StructLayout:
    """A kept weight: its raw value and its index in its group."""
    return data.StructLayout({"value": config.format.width, "index": config.index_bits})


def west_layout(config: Config) -> data.ArrayLayout:
    """One west beat: for each row, E = ``config.west_elements`` elements of its activation row, consecutive
    along k. A beat never crosses a group: the last beat of a group whose length is not a multiple of E
    carries don't-cares in the rest. Rows past m are don't-cares."""
    return data.ArrayLayout(data.ArrayLayout(config.format.width, config.west_elements), config.rows)


def north_layout(config: Config) -> data.ArrayLayout:
    """One north beat: for each column, a kept weight. In a dense product the index is ignored.
    Columns past n are don't-cares."""
    return data.ArrayLayout(pair_layout(config), config.cols)


def result_layout(config: Config) -> data.ArrayLayout:
    """One beat of accumulators: for each column, a binary32. Columns past n are don't-cares."""
    return data.ArrayLayout(32, config.cols)


def job_layout(config: Config) -> data.StructLayout:
    """A product Y[m, n] = acc[m, n] + A[m, k] · B[k, n].

    ``keep``:``group`` is N:M; N = M is dense. ``accumulate``: take initial accumulators from the
    accumulator stream, else start at +0.

    ``stationary``: weight-stationary, each USPE holding N weights of each of 2**``slots`` columns. Then k is at most
    R groups, n at most C·2**``slots``, and N·2**``slots`` at most ``config.held``; a dense product may have groups of
    one as well (keep = group = 1).

    ``fold``, where the configuration has it: logarithm of F, at most :meth:`Config.most_fold` of the group. Each USPE
    works on F rows of A. Then n is at most (J + 7) / F slots of C columns, and ``stationary`` is 0.
    """
    fold = {"fold": 2} if config.fold > 1 else {}
    return data.StructLayout(
        {
            "m": config.dim_bits,
            "k": config.dim_bits,
            "n": config.dim_bits,
            "keep": config.count_bits,
            "group": config.count_bits,
            "accumulate": 1,
            "stationary": 1,
            "slots": 2,
        }
        | fold
    )


def report_layout() -> data.StructLayout:
    """What became of a job. A refused one has an ``error`` and takes nothing from its streams.

    ``cycles``: from the first operand accepted to the last result taken, both included. ``busy``: cycles in which
    the array got a weight. ``input_stalls``, ``output_stalls``: cycles in which it could not for want of an
    operand, or of room for results.
    """
    counter = 40
    return data.StructLayout(
        {
            "error": ErrorCode,
            "cycles": counter,
            "busy": counter,
            "input_stalls": counter,
            "output_stalls": counter,
        }
    )


def prune_job_layout(config: Config) -> data.StructLayout:
    """Prune ``vectors`` rounds of ``sore_lanes`` vectors, each ``length`` elements long, to ``keep``:``group``."""
    return data.StructLayout(
        {
            "length": config.dim_bits,
            "vectors": config.dim_bits,
            "keep": config.count_bits,
            "group": config.count_bits,
        }
    )
