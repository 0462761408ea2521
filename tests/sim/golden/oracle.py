"""Oracles of the golden model's tests: Berkeley SoftFloat on bit patterns, and cases that hurt."""

import numpy as np
import softfloatpy as sf

NAN16, NAN32 = 0x7E00, 0x7FC00000

#: Zeros, subnormals, the normal boundary, one and its neighbours, the largest, infinities, several NaN.
SPECIAL16 = np.array(
    [
        m | s
        for s in (0, 0x8000)
        for m in (0, 1, 2, 0x1FF, 0x3FF, 0x400, 0x401, 0x3BFF, 0x3C00, 0x3C01, 0x7BFF)
    ]
    + [0x7C00, 0xFC00, 0x7E00, 0xFE00, 0x7C01, 0xFDFF, 0x7FFF],
    np.uint16,
)
SPECIAL32 = np.array(
    [
        m | s
        for s in (0, 0x80000000)
        for m in (0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x7F7FFFFF)
    ]
    # Around binary16's smallest subnormal and half of it, smallest normal, and overflow threshold.
    + [0x33000000, 0x33000001, 0x32FFFFFF, 0x33800000, 0x387FC000, 0x387FE000, 0x387FF000, 0x38800000]
    + [0x477FE000, 0x477FEFFF, 0x477FF000, 0x477FF001, 0x47800000, 0x7F7F7FFF, 0x7F7F8000]
    + [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF, 0x7FFFFFFF],
    np.uint32,
)


def random16(rng: np.random.Generator, shape, special: float = 0.1) -> np.ndarray:
    """binary16 bit patterns: half of moderate exponent (so that sums round), the rest uniform or special."""
    moderate = (
        (rng.integers(10, 18, shape) << 10) | rng.integers(0, 1024, shape) | rng.integers(0, 2, shape) << 15
    )
    uniform = rng.integers(0, 1 << 16, shape)
    bits = np.where(rng.random(shape) < 0.8, moderate, uniform)
    return np.where(rng.random(shape) < special, rng.choice(SPECIAL16, shape), bits).astype(np.uint16)


def random32(rng: np.random.Generator, count: int) -> np.ndarray:
    """binary32 bit patterns weighted to binary16's range, to its ties, and to special values."""
    sign = rng.integers(0, 2, count, np.uint32) << 31
    near = sign | rng.integers(97, 146, count, np.uint32) << 23 | rng.integers(0, 1 << 23, count, np.uint32)
    keep = rng.integers(0, 24, count, np.uint32)
    tie = near & (~np.uint32(0) << keep) | rng.integers(0, 2, count, np.uint32) << (keep.clip(1) - 1)
    around = rng.choice(SPECIAL32, count) + rng.integers(-2, 3, count).astype(np.uint32)
    uniform = rng.integers(0, 1 << 32, count, np.uint32)
    return np.choose(rng.integers(0, 4, count), [near, tie, around, uniform]).astype(np.uint32)


def f32(bits: int) -> sf.Float32:
    return sf.Float32.from_bytes(int(bits).to_bytes(4, "big"))


def f16(bits: int) -> sf.Float16:
    return sf.Float16.from_bytes(int(bits).to_bytes(2, "big"))


def bits32(x: sf.Float32) -> int:
    """The bit pattern, NaN canonical."""
    return NAN32 if sf.f32_is_nan(x) else int.from_bytes(x.to_bytes(), "big")


def bits16(x: sf.Float16) -> int:
    return NAN16 if sf.f16_is_nan(x) else int.from_bytes(x.to_bytes(), "big")


def widen(bits: int, operand: str = "fp16") -> sf.Float32:
    """An operand in SoftFloat's binary32; bfloat16 is by definition binary32's upper half."""
    return sf.f16_to_f32(f16(bits)) if operand == "fp16" else f32(int(bits) << 16)


def chain(acc: int, pairs, operand: str = "fp16") -> int:
    """acc ← acc + a × b over ``pairs`` of operand bits, each operation SoftFloat's; binary32 bits."""
    total = f32(acc)
    for a, b in pairs:
        total = sf.f32_add(total, sf.f32_mul(widen(a, operand), widen(b, operand)))
    return bits32(total)
