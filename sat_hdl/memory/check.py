"""What can be wrong with a descriptor before anything is done."""

from amaranth.hdl import Cat, Value

from sat_hdl.memory.descriptor import LOOPS

__all__ = ["is_empty", "is_misaligned"]


def is_misaligned(descriptor, data_bits: int, *, run_multiple: int) -> Value:
    """Whether an address can be no multiple of D/8 bytes, or the run is none of ``run_multiple``, a power of two.

    The stride of a loop that goes round once is not used.
    """
    size_bits, run_bits = ((size - 1).bit_length() for size in (data_bits // 8, run_multiple))
    wrong = [descriptor.base[:size_bits].any(), descriptor.run[:run_bits].any()]
    for k in range(LOOPS):
        wrong.append(descriptor.strides[k][:size_bits].any() & (descriptor.loops[k].count != 1))
    return Cat(wrong).any()


def is_empty(descriptor) -> Value:
    """Whether a loop or the run is empty."""
    return Cat(descriptor.run == 0, *(descriptor.loops[k].count == 0 for k in range(LOOPS))).any()
