"""Independent oracles of the arithmetic: Berkeley SoftFloat one value at a time, numpy in bulk, rationals.

Bit patterns go in and come out as unsigned numpy arrays; every NaN result is canonical. Nothing here
shares code with the golden model or with the RTL. Needs the `test` extra (softfloatpy, ml_dtypes).
"""

from fractions import Fraction

import ml_dtypes
import numpy as np
import softfloatpy as sf

from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat

__all__ = [
    "canonical",
    "exact_multiply",
    "exact_round",
    "exact_value",
    "numpy_add",
    "numpy_mac",
    "numpy_multiply",
    "numpy_narrow",
    "numpy_widen",
    "softfloat_add",
    "softfloat_mac",
    "softfloat_multiply",
    "softfloat_narrow",
    "softfloat_widen",
]

_SOFT = {BINARY16: sf.Float16, BFLOAT16: sf.BFloat16, BINARY32: sf.Float32}
_NUMPY = {BINARY16: np.float16, BFLOAT16: ml_dtypes.bfloat16, BINARY32: np.float32}


def _dtype(fmt: FloatFormat) -> type:
    return np.uint32 if fmt.width == 32 else np.uint16


def canonical(bits: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """``bits`` with every NaN replaced by the format's canonical one."""
    magnitude = bits & ((1 << (fmt.width - 1)) - 1)
    return np.where(magnitude > fmt.inf, fmt.nan, bits).astype(_dtype(fmt))


# --- Berkeley SoftFloat ------------------------------------------------------------------------------


def _soft(bits: np.ndarray, fmt: FloatFormat) -> list:
    size = fmt.width // 8
    raw = np.ascontiguousarray(bits, dtype=f">u{size}").tobytes()
    make = _SOFT[fmt].from_bytes
    return [make(raw[i : i + size]) for i in range(0, len(raw), size)]


def _bits(values: list, fmt: FloatFormat) -> np.ndarray:
    raw = b"".join([value.to_bytes() for value in values])
    return canonical(np.frombuffer(raw, dtype=f">u{fmt.width // 8}"), fmt)


def _widened(bits: np.ndarray, fmt: FloatFormat) -> list:
    values = _soft(bits, fmt)
    if fmt == BINARY32:
        return values
    widen = {BINARY16: sf.f16_to_f32, BFLOAT16: sf.bf16_to_f32}[fmt]
    return [widen(value) for value in values]


def _nearest_even():
    sf.set_rounding_mode(sf.RoundingMode.NEAR_EVEN)


def softfloat_narrow(x: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """binary32 → ``fmt``."""
    _nearest_even()
    narrow = {BINARY16: sf.f32_to_f16, BFLOAT16: sf.f32_to_bf16}[fmt]
    return _bits([narrow(value) for value in _soft(x, BINARY32)], fmt)


def softfloat_widen(x: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """``fmt`` → binary32."""
    return _bits(_widened(x, fmt), BINARY32)


def softfloat_add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b in binary32."""
    _nearest_even()
    return _bits([sf.f32_add(x, y) for x, y in zip(_soft(a, BINARY32), _soft(b, BINARY32))], BINARY32)


def softfloat_multiply(a: np.ndarray, b: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """a × b, operands in ``fmt``, product in binary32."""
    _nearest_even()
    return _bits([sf.f32_mul(x, y) for x, y in zip(_widened(a, fmt), _widened(b, fmt))], BINARY32)


def softfloat_mac(a: np.ndarray, b: np.ndarray, acc: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """acc + a × b, each rounded to binary32; operands in ``fmt``, ``acc`` in binary32."""
    return softfloat_add(acc, softfloat_multiply(a, b, fmt))


# --- numpy -------------------------------------------------------------------------------------------


def _floats(bits: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    return np.ascontiguousarray(bits, dtype=_dtype(fmt)).view(_NUMPY[fmt])


def _words(values: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    return canonical(values.view(_dtype(fmt)), fmt)


def numpy_narrow(x: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """binary32 → ``fmt``."""
    with np.errstate(all="ignore"):
        return _words(_floats(x, BINARY32).astype(_NUMPY[fmt]), fmt)


def numpy_widen(x: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """``fmt`` → binary32."""
    with np.errstate(all="ignore"):
        return _words(_floats(x, fmt).astype(np.float32), BINARY32)


def numpy_add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b in binary32."""
    with np.errstate(all="ignore"):
        return _words(_floats(a, BINARY32) + _floats(b, BINARY32), BINARY32)


def numpy_multiply(a: np.ndarray, b: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """a × b, operands in ``fmt``, product in binary32."""
    with np.errstate(all="ignore"):
        product = _floats(a, fmt).astype(np.float32) * _floats(b, fmt).astype(np.float32)
    return _words(product, BINARY32)


def numpy_mac(a: np.ndarray, b: np.ndarray, acc: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """acc + a × b, each rounded to binary32; operands in ``fmt``, ``acc`` in binary32."""
    return numpy_add(acc, numpy_multiply(a, b, fmt))


# --- exact rationals, for formats that neither knows -------------------------------------------------


def exact_value(bits: int, fmt: FloatFormat) -> Fraction:
    """Value of a finite pattern."""
    exponent, fraction = bits >> fmt.frac_bits & fmt.exp_max, bits & ((1 << fmt.frac_bits) - 1)
    significand = fraction | (exponent > 0) << fmt.frac_bits
    value = significand * Fraction(2) ** (max(exponent, 1) - fmt.bias - fmt.frac_bits)
    return -value if bits >> (fmt.width - 1) else value


def exact_round(value: Fraction, fmt: FloatFormat, negative: bool) -> int:
    """The pattern nearest to a finite ``value``, ties to even, overflow to inf; ``negative`` signs a zero."""
    sign = int(negative) << (fmt.width - 1)
    magnitude = abs(value)
    # The largest power of two not above it, or that of the least normal.
    exponent = 1 - fmt.bias
    while magnitude >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - fmt.frac_bits)
    steps = round(magnitude / unit)  # Fraction rounds ties to even
    # Patterns are consecutive: the hidden bit of a normal adds one to the exponent field below it.
    pattern = steps + ((exponent + fmt.bias - 1) << fmt.frac_bits)
    return sign | min(pattern, fmt.inf)


def exact_multiply(a: int, b: int, fmt: FloatFormat, product: FloatFormat) -> int:
    """a × b in ``product``, operands in ``fmt``, one pattern each."""
    magnitude_a, magnitude_b = (x & ((1 << (fmt.width - 1)) - 1) for x in (a, b))
    negative = bool((a ^ b) >> (fmt.width - 1))
    largest, least = max(magnitude_a, magnitude_b), min(magnitude_a, magnitude_b)
    if largest > fmt.inf or (largest == fmt.inf and least == 0):
        return product.nan
    if largest == fmt.inf:
        return product.inf | int(negative) << (product.width - 1)
    return exact_round(exact_value(a, fmt) * exact_value(b, fmt), product, negative)
