"""Binary floating-point interchange formats (IEEE 754-2019, section 3.4) as one parameter object."""

from dataclasses import dataclass

__all__ = ["BFLOAT16", "BINARY16", "BINARY32", "OPERAND_FORMATS", "FloatFormat"]


@dataclass(frozen=True, kw_only=True)
class FloatFormat:
    """A binary interchange format: sign, ``exp_bits`` of biased exponent, ``frac_bits`` of fraction.

    Arguments
    ---------
    name: how users and manifests call it.
    exp_bits: width of the biased exponent, at least 2.
    frac_bits: width of the fraction field, at least 2 (the quiet bit and one more).
    """

    name: str
    exp_bits: int
    frac_bits: int

    def __post_init__(self):
        if not isinstance(self.exp_bits, int) or self.exp_bits < 2:
            raise ValueError(f"A format's exp_bits must be an integer of at least 2, not {self.exp_bits!r}")
        if not isinstance(self.frac_bits, int) or self.frac_bits < 2:
            raise ValueError(f"A format's frac_bits must be an integer of at least 2, not {self.frac_bits!r}")

    @property
    def width(self) -> int:
        """Bits of the whole word."""
        return 1 + self.exp_bits + self.frac_bits

    @property
    def sig_bits(self) -> int:
        """Bits of the significand, the hidden one included (the standard's precision p)."""
        return self.frac_bits + 1

    @property
    def bias(self) -> int:
        return (1 << (self.exp_bits - 1)) - 1

    @property
    def exp_max(self) -> int:
        """The all-ones biased exponent, of infinities and NaN."""
        return (1 << self.exp_bits) - 1

    @property
    def inf(self) -> int:
        """Bit pattern of +inf."""
        return self.exp_max << self.frac_bits

    @property
    def nan(self) -> int:
        """Bit pattern of the canonical quiet NaN (numerics: positive, only the quiet bit set)."""
        return self.inf | (1 << (self.frac_bits - 1))


BINARY16 = FloatFormat(name="fp16", exp_bits=5, frac_bits=10)
BFLOAT16 = FloatFormat(name="bf16", exp_bits=8, frac_bits=7)
BINARY32 = FloatFormat(name="fp32", exp_bits=8, frac_bits=23)

#: What ``operand_format`` in a configuration may name.
OPERAND_FORMATS = {f.name: f for f in (BINARY16, BFLOAT16)}
