"""A program as the front end obeys it: its RUNs, loops and all."""

from collections.abc import Iterator, Sequence

from sat_hdl.control.isa import LOOP_DEPTH, Instruction, IsaError, Op, decode

__all__ = ["walk"]


def walk(words: Sequence[int], start: int = 0) -> Iterator[tuple[int, Instruction]]:
    """Every RUN in the order in which it is handed to its unit, with its byte address; ``start`` is the first word's.

    It ends at HALT, or where the front end would find a fault: at a word that is no instruction, a loop that can't
    be, or the end of ``words``. A program without an end has no last one.
    """
    at = 0
    loops: list[tuple[int, int]] = []  # first word, rounds left
    while at < len(words):
        try:
            instruction = decode(words[at])
        except IsaError:
            return
        at += 1
        match instruction.op:
            case Op.HALT:
                return
            case Op.LOOP:
                if instruction.immediate == 0 or len(loops) == LOOP_DEPTH:
                    return
                loops.append((at, instruction.immediate))
            case Op.END:
                if not loops:
                    return
                first, left = loops.pop()
                if left > 1:
                    loops.append((first, left - 1))
                    at = first
            case Op.RUN:
                yield start + 8 * (at - 1), instruction
