"""Random operands for the floating-point units, weighted to where such units break.

Every generator takes a count and a numpy ``Generator`` and returns bit patterns (uint16 or uint32 by the
format's width): a shuffled mix of uniform patterns, special values, sparse and dense significands at
chosen exponents, and pairs that are related on purpose (cancellation, ties, exponent differences at the
edges of the alignment shifter, results at the subnormal and the overflow boundary). No expected value is
made here: see ``sim.oracle``.
"""

from collections.abc import Callable

import numpy as np

from sat_hdl.formats import BINARY32, FloatFormat

__all__ = ["fp32_for_narrow", "fp32_pairs", "mac_triples", "operand_pairs", "specials", "words"]


def specials(fmt: FloatFormat) -> np.ndarray:
    """±: zeros, infinities, NaN of several payloads, the ends of the subnormals and normals, 1 and its
    neighbours."""
    one = fmt.bias << fmt.frac_bits
    least_normal = 1 << fmt.frac_bits
    magnitudes = [
        *(0, 1, 2, 3, least_normal >> 1, least_normal - 1),
        *(least_normal, least_normal + 1, 2 * least_normal - 1, 2 * least_normal),
        *(one - 1, one, one + 1, one + (least_normal >> 1), one + least_normal - 1),
        *(fmt.inf - least_normal, fmt.inf - 2, fmt.inf - 1, fmt.inf),
        *(fmt.inf + 1, fmt.nan - 1, fmt.nan, fmt.nan + 1, fmt.inf + least_normal - 1),
    ]
    both = np.array(magnitudes, dtype=np.int64)
    return _cast(np.concatenate([both, both | (1 << (fmt.width - 1))]), fmt)


def words(fmt: FloatFormat, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` single values: the mix that the generators of pairs start from."""

    def uniform(count: int) -> np.ndarray:
        return rng.integers(0, 1 << fmt.width, count)

    def special(count: int) -> np.ndarray:
        return rng.choice(specials(fmt).astype(np.int64), count)

    def edge_exponent(count: int) -> np.ndarray:
        ends = np.array([0, 0, 1, 2, fmt.exp_max - 2, fmt.exp_max - 1, fmt.exp_max - 1])
        return _pack(fmt, rng.integers(0, 2, count), rng.choice(ends, count), _fractions(fmt, count, rng))

    def middle_exponent(count: int) -> np.ndarray:
        spread = max(1, fmt.exp_max // 8)
        exponent = rng.integers(fmt.bias - spread, fmt.bias + spread + 1, count)
        return _pack(fmt, rng.integers(0, 2, count), exponent, _fractions(fmt, count, rng))

    def any_exponent(count: int) -> np.ndarray:
        exponent = rng.integers(0, fmt.exp_max, count)
        return _pack(fmt, rng.integers(0, 2, count), exponent, _fractions(fmt, count, rng))

    return _cast(_mix(n, rng, [uniform, special, edge_exponent, middle_exponent, any_exponent]), fmt)


def operand_pairs(fmt: FloatFormat, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``n`` pairs (a, b) for a multiplier of ``fmt`` into binary32. Half of them have a product at the
    overflow or the subnormal boundary of binary32 or, where the format can't reach it, as close as it can."""
    a = words(fmt, n, rng).astype(np.int64)
    free = words(fmt, n, rng).astype(np.int64)
    # The biased binary32 exponent that the product is aimed at.
    low = rng.integers(-28, 4, n)
    high = rng.integers(251, 258, n)
    goal = np.where(rng.integers(0, 4, n) > 0, low, high)
    exponent_b = goal - BINARY32.bias + 2 * fmt.bias - _exponent(a, fmt)
    exponent_b = np.clip(exponent_b, 0, fmt.exp_max - 1)
    aimed = _pack(fmt, rng.integers(0, 2, n), exponent_b, _fractions(fmt, n, rng))
    b = np.where(rng.integers(0, 2, n) > 0, aimed, free)
    swap = rng.integers(0, 2, n) > 0
    return _cast(np.where(swap, b, a), fmt), _cast(np.where(swap, a, b), fmt)


def fp32_pairs(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``n`` pairs (a, b) for a binary32 adder."""
    a = words(BINARY32, n, rng)
    b = _addends(a, rng)
    swap = rng.integers(0, 2, n) > 0
    return np.where(swap, b, a), np.where(swap, a, b)


def mac_triples(
    fmt: FloatFormat, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``n`` triples (a, b, acc) for acc + a × b, acc in binary32 and related to the product."""
    a, b = operand_pairs(fmt, n, rng)
    with np.errstate(all="ignore"):
        product = (_value(a, fmt) * _value(b, fmt)).astype(np.float32)
    return a, b, _addends(product.view(np.uint32), rng)


def fp32_for_narrow(fmt: FloatFormat, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` binary32 values for a conversion to ``fmt``: most lie on, or one unit from, a tie between two
    neighbours in ``fmt``, from below its least subnormal to beyond its overflow."""
    wide = BINARY32

    def near_tie(count: int) -> np.ndarray:
        # The target's biased exponent, from where everything rounds to 0 to where everything overflows.
        goal = rng.integers(-fmt.frac_bits - 4, fmt.exp_max + 3, count)
        edges = np.array([-fmt.frac_bits - 1, -fmt.frac_bits, 0, 1, fmt.exp_max - 1, fmt.exp_max])
        goal = np.where(rng.integers(0, 3, count) == 0, rng.choice(edges, count), goal)
        exponent = np.clip(goal - fmt.bias + wide.bias, 0, wide.exp_max - 1)
        # Fraction bits that the target drops; one more for each step into its subnormals. Where both
        # formats share their exponents, the binary32 is subnormal too and drops no more.
        steps = np.where(exponent == 0, 0, np.maximum(0, 1 - goal))
        dropped = np.minimum(wide.frac_bits - fmt.frac_bits + steps, wide.frac_bits)
        half = 1 << (dropped - 1)
        tail = np.stack([0 * half, 0 * half + 1, half - 1, half, half, half, half + 1, 2 * half - 1])
        tail = tail[rng.integers(0, len(tail), count), np.arange(count)]
        kept = _fractions(wide, count, rng) >> dropped
        kept = np.where(rng.integers(0, 4, count) == 0, ((1 << wide.frac_bits) - 1) >> dropped, kept)
        return _pack(wide, rng.integers(0, 2, count), exponent, (kept << dropped) | tail)

    def free(count: int) -> np.ndarray:
        return words(wide, count, rng).astype(np.int64)

    return _cast(_mix(n, rng, [near_tie, near_tie, near_tie, free]), wide)


# --- parts -------------------------------------------------------------------------------------------


def _addends(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each binary32 in ``p`` another one that makes a hard sum with it."""
    fmt, n = BINARY32, len(p)
    p = p.astype(np.int64)
    sign, magnitude = p >> 31, p & 0x7FFFFFFF
    opposite = (1 - sign) << 31

    free = words(fmt, n, rng).astype(np.int64)
    # −p but for a few units in the last place.
    close = opposite | np.clip(magnitude + rng.integers(-4, 5, n), 0, fmt.inf)
    # −p but for its low bits: cancels down to any width.
    partial = opposite | np.minimum(
        magnitude ^ (rng.integers(0, 1 << 23, n) >> rng.integers(0, 24, n)), fmt.inf
    )
    # At a chosen distance of exponents: 24 ± 4 decides between guard, sticky and nothing, and with a
    # sparse fraction makes ties.
    steps = np.array([0, 0, 1, 1, 2, 2, 3, 8, 16, *range(20, 30), *range(22, 28), 32, 48, 100])
    distance = rng.choice(steps, n) * rng.choice(np.array([-1, 1]), n)
    exponent = np.clip(_exponent(p, fmt) + distance, 0, fmt.exp_max - 1)
    apart = _pack(fmt, rng.integers(0, 2, n), exponent, _fractions(fmt, n, rng))
    # Powers of two and their predecessors: the sum crosses a binade, or is a tie.
    power = _pack(fmt, rng.integers(0, 2, n), exponent, np.zeros(n, dtype=np.int64))
    below = np.where(power & 0x7FFFFFFF, power - 1, power)
    # At the ends of the range: subnormal sums and overflow.
    ends = _pack(fmt, sign, rng.choice(np.array([0, 1, 24, 253, 254]), n), _fractions(fmt, n, rng))

    choices = np.stack([free, close, partial, apart, apart, apart, power, below, ends])
    return _cast(choices[rng.integers(0, len(choices), n), np.arange(n)], fmt)


def _fractions(fmt: FloatFormat, n: int, rng: np.random.Generator) -> np.ndarray:
    """Fractions: uniform, with few ones, with few zeros, with zeros or ones at the low end."""
    bits = fmt.frac_bits
    mask = (1 << bits) - 1
    uniform = rng.integers(0, 1 << bits, n)
    sparse = uniform & rng.integers(0, 1 << bits, n) & rng.integers(0, 1 << bits, n)
    low = (1 << rng.integers(0, bits + 1, n)) - 1
    choices = np.stack(
        [uniform, uniform, sparse, mask ^ sparse, uniform & ~low, uniform | low, low, mask ^ low]
    )
    return choices[rng.integers(0, len(choices), n), np.arange(n)] & mask


def _mix(n: int, rng: np.random.Generator, sources: list[Callable[[int], np.ndarray]]) -> np.ndarray:
    """Equal shares of the sources, shuffled."""
    parts = [source(n // len(sources) + 1) for source in sources]
    return rng.permutation(np.concatenate(parts))[:n]


def _pack(fmt: FloatFormat, sign: np.ndarray, exponent: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    return (sign << (fmt.width - 1)) | (exponent << fmt.frac_bits) | fraction


def _exponent(bits: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    return (bits >> fmt.frac_bits) & fmt.exp_max


def _value(bits: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Values as binary64. NaN and infinities become infinities: an addend for them is made all the same."""
    bits = bits.astype(np.int64)
    exponent, fraction = _exponent(bits, fmt), bits & ((1 << fmt.frac_bits) - 1)
    significand = np.where(exponent == 0, fraction, fraction | (1 << fmt.frac_bits)).astype(np.float64)
    value = np.ldexp(significand, np.maximum(exponent, 1) - fmt.bias - fmt.frac_bits)
    value = np.where(exponent == fmt.exp_max, np.inf, value)
    return np.where(bits >> (fmt.width - 1), -value, value)


def _cast(bits: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    return bits.astype(np.uint32 if fmt.width > 16 else np.uint16)
