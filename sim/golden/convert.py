"""Conversions between binary32 and the operand formats, by integer arithmetic (numerics: Conversions).

numpy's own casts are not used: they keep NaN payloads, and bfloat16 has none. Every function takes an
array of any shape and returns a new one of that shape.
"""

from functools import cache

import numpy as np

from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.formats import FP16, FP32, Format, from_bits, is_nan, operand_format, to_bits

__all__ = ["bf16_to_fp32", "fp16_to_fp32", "fp32_to_bf16", "fp32_to_fp16", "narrow", "ones", "widen"]


#: Elements rounded at once, so that temporaries stay in the cache.
_BLOCK = 1 << 14


def _round_bits(x: np.ndarray, fmt: Format) -> np.ndarray:
    """binary32 → the ``uint16`` bit patterns of a narrower format, RNE, overflow to inf, subnormals kept."""
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise ConfigError(f"Only float32 arrays can be rounded to {fmt.name}, not {x.dtype}.")
    bits = np.ascontiguousarray(x).view(np.uint32).reshape(-1)
    result = np.empty(bits.shape, np.uint16)
    for start in range(0, len(bits), _BLOCK):
        part = slice(start, start + _BLOCK)
        result[part] = _round_block(bits[part], fmt)
    return result.reshape(x.shape)


def _round_block(bits: np.ndarray, fmt: Format) -> np.ndarray:
    """uint32 patterns → those of ``fmt``, uint32."""
    u32 = np.uint32
    places = u32(FP32.frac_bits - fmt.frac_bits)
    mag = bits & u32(FP32.sign - 1)
    # Less than half a unit, and one more where the last place is odd, carries from exactly half a unit to the even
    # neighbour; a carry out of the fraction counts the exponent up, at last to inf.
    rounded = mag >> places
    rounded &= u32(1)
    rounded += mag
    rounded += u32((1 << (places - u32(1))) - 1)
    if fmt.bias != FP32.bias:
        rounded -= u32((FP32.bias - fmt.bias) << FP32.frac_bits)
        # Below the smallest normal the unit stops shrinking. It is the unit, too, of the sums with this power of two,
        # which binary32's own addition rounds to it.
        unit_of = u32((FP32.bias + 1 - fmt.bias - fmt.frac_bits + FP32.frac_bits) << FP32.frac_bits)
        with np.errstate(all="ignore"):
            subnormal = (mag.view(np.float32) + unit_of.view(np.float32)).view(u32)
        subnormal -= unit_of
        smallest = u32((FP32.bias + 1 - fmt.bias) << FP32.frac_bits)
        rounded >>= places
        np.copyto(rounded, subnormal, where=mag < smallest)
    else:
        rounded >>= places
    np.minimum(rounded, u32(fmt.inf), out=rounded)
    sign = bits >> u32(16)
    sign &= u32(fmt.sign)
    rounded |= sign
    np.copyto(rounded, u32(fmt.nan), where=mag > u32(FP32.inf))
    return rounded


@cache
def _fp16_table() -> np.ndarray:
    """The binary32 value of each of the 2^16 binary16 patterns."""
    bits = np.arange(1 << 16, dtype=np.uint32)
    exp = (bits >> FP16.frac_bits) & 0x1F
    frac = bits & 0x3FF
    rebias = FP32.bias - FP16.bias
    widen_frac = FP32.frac_bits - FP16.frac_bits
    normal = ((exp + rebias) << FP32.frac_bits) | (frac << widen_frac)
    # A subnormal is frac · 2^−24: shift its leading one up to the hidden bit, one place at a time.
    significand, e = frac.copy(), np.full(bits.shape, rebias + 1, np.uint32)
    for _ in range(FP16.frac_bits):
        low = significand < (1 << FP16.frac_bits)
        significand = np.where(low, significand << 1, significand)
        e = np.where(low, e - 1, e)
    subnormal = (e << FP32.frac_bits) | ((significand & 0x3FF) << widen_frac)
    mag = np.where(exp > 0, normal, np.where(frac > 0, subnormal, 0))
    mag = np.where(exp == 0x1F, FP32.inf, mag)
    result = (mag | ((bits >> 15) << 31)).astype(np.uint32)
    result[is_nan(bits.astype(np.uint16), FP16)] = FP32.nan
    result.setflags(write=False)
    return result.view(np.float32)


def fp32_to_fp16(x: np.ndarray) -> np.ndarray:
    """``float32`` → ``float16``: RNE, overflow to inf, subnormals kept, NaN canonical (0x7E00)."""
    return _round_bits(x, FP16).view(np.float16)


def fp16_to_fp32(x: np.ndarray) -> np.ndarray:
    """``float16`` (or its ``uint16`` bits) → ``float32``: exact, NaN canonical."""
    return _fp16_table()[to_bits(x, "fp16")]


def fp32_to_bf16(x: np.ndarray) -> np.ndarray:
    """``float32`` → bfloat16 as ``uint16`` bits: RNE, overflow to inf, subnormals kept, NaN 0x7FC0."""
    return _round_bits(x, operand_format("bf16"))


def bf16_to_fp32(x: np.ndarray) -> np.ndarray:
    """bfloat16 as ``uint16`` bits → ``float32``: exact (bfloat16 is binary32's upper half), NaN canonical."""
    bits = to_bits(x, "bf16").astype(np.uint32) << 16
    return np.where(is_nan(bits, FP32), np.uint32(FP32.nan), bits).view(np.float32)


def narrow(x: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """``float32`` → operands as they are carried (``float16``, or ``uint16`` bits of bfloat16)."""
    return from_bits(_round_bits(x, operand_format(operand)), operand)


def widen(x: np.ndarray, operand: str = "fp16") -> np.ndarray:
    """Operands → ``float32``, exactly."""
    return fp16_to_fp32(x) if operand_format(operand) is FP16 else bf16_to_fp32(x)


def ones(shape: int | tuple[int, ...], operand: str = "fp16") -> np.ndarray:
    """Operands all equal to 1."""
    return narrow(np.ones(shape, np.float32), operand)
