"""Bit patterns of the golden model's formats: constants, views and canonical NaN (numerics: Formats).

binary16 operands are numpy ``float16`` arrays (or their ``uint16`` bit patterns); bfloat16 operands,
which numpy lacks, are ``uint16`` bit patterns throughout. Accumulators are ``float32`` arrays.
"""

from dataclasses import dataclass

import numpy as np

from sat_hdl.config import ConfigError

__all__ = [
    "BF16",
    "FP16",
    "FP32",
    "OPERANDS",
    "Format",
    "canonicalize",
    "from_bits",
    "is_nan",
    "magnitude",
    "operand_format",
    "to_bits",
]


@dataclass(frozen=True)
class Format:
    """An IEEE 754 interchange format of ``1 + exp_bits + frac_bits`` bits."""

    name: str
    exp_bits: int
    frac_bits: int

    @property
    def bias(self) -> int:
        return (1 << (self.exp_bits - 1)) - 1

    @property
    def inf(self) -> int:
        """Bit pattern of +inf; every larger magnitude is a NaN."""
        return ((1 << self.exp_bits) - 1) << self.frac_bits

    @property
    def nan(self) -> int:
        """Bit pattern of the canonical quiet NaN."""
        return self.inf | (1 << (self.frac_bits - 1))

    @property
    def sign(self) -> int:
        """Bit pattern of −0."""
        return 1 << (self.exp_bits + self.frac_bits)


FP16 = Format("fp16", 5, 10)
BF16 = Format("bf16", 8, 7)
FP32 = Format("fp32", 8, 23)

#: Operand formats by name, as ``operand=`` takes them.
OPERANDS = {f.name: f for f in (FP16, BF16)}


def operand_format(name: str) -> Format:
    """The operand format called ``name``; :class:`ConfigError` if there is none."""
    if name not in OPERANDS:
        raise ConfigError(f"The operand format must be one of {', '.join(OPERANDS)}, not {name!r}.")
    return OPERANDS[name]


def to_bits(x: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """The ``uint16`` bits of operands given as ``float16`` (binary16 only) or ``uint16``, in any shape."""
    operand_format(operand)
    x = np.asarray(x)
    if x.dtype == np.uint16:
        return x
    if operand == "fp16" and x.dtype == np.float16:
        return x.view(np.uint16)
    allowed = "float16 (or uint16 bit patterns)" if operand == "fp16" else "uint16 bit patterns"
    raise ConfigError(f"{operand} operands must be {allowed}, not {x.dtype}.")


def from_bits(bits: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """``uint16`` bit patterns as operands are carried: ``float16`` for binary16, unchanged for bfloat16."""
    return bits.view(np.float16) if operand_format(operand) is FP16 else bits


def magnitude(bits: np.ndarray, fmt: Format) -> np.ndarray:
    """The bit patterns without their sign: an order of magnitudes with NaN above inf above the finite."""
    return bits & bits.dtype.type(fmt.sign - 1)


def is_nan(bits: np.ndarray, fmt: Format) -> np.ndarray:
    """Where ``bits`` are a NaN of any payload and sign."""
    return magnitude(bits, fmt) > fmt.inf


def canonicalize(x: np.ndarray) -> np.ndarray:
    """A copy of a ``float16`` or ``float32`` array in which every NaN is 0x7E00 or 0x7FC00000."""
    x = np.asarray(x)
    if x.dtype == np.float16:
        fmt, unsigned = FP16, np.uint16
    elif x.dtype == np.float32:
        fmt, unsigned = FP32, np.uint32
    else:
        raise ConfigError(f"Only float16 and float32 arrays have a canonical NaN here, not {x.dtype}.")
    bits = x.view(unsigned)
    return np.where(is_nan(bits, fmt), unsigned(fmt.nan), bits).view(x.dtype)
