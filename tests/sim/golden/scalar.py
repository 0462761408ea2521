"""Scalar references of the layers, one value at a time, written as the numerics read: SoftFloat on bit patterns.

Images are uint16 bit patterns [n][y][x][c], kernels (k, s, p) of rows and columns alike.
"""

import numpy as np
import softfloatpy as sf

from sat_hdl.sim.golden import convert

from . import oracle

ONE = {"fp16": 0x3C00, "bf16": 0x3F80}


def kept(weight, keep, group, axis):
    """bool, of ``weight``'s shape (Q, Cin, Cout) bits: N:M along axis 1 or 2, sorted entry by entry."""
    mask = np.zeros(weight.shape, bool)
    if axis == 2:
        return kept(weight.transpose(0, 2, 1), keep, group, 1).transpose(0, 2, 1)
    for q in range(weight.shape[0]):
        for o in range(weight.shape[2]):
            for first in range(0, weight.shape[1], group):
                ranked = sorted(
                    range(first, first + group), key=lambda i: (-(int(weight[q, i, o]) & 0x7FFF), i)
                )
                mask[q, ranked[:keep], o] = True
    return mask


def pixel(x, n, y, column):
    """All channels, +0 beyond the image."""
    inside = 0 <= y < x.shape[1] and 0 <= column < x.shape[2]
    return x[n, y, column] if inside else np.zeros(x.shape[3], np.uint16)


def size(length, k, s, p):
    return (length + 2 * p - k) // s + 1


def conv(x, w, bias, ksp, mask, operand):
    """binary32 bits [n][oy][ox][cout]; ``w`` and ``mask`` are [q][cin][cout], ``bias`` binary32 bits."""
    k, s, p = ksp
    shape = (len(x), size(x.shape[1], k, s, p), size(x.shape[2], k, s, p), w.shape[2])
    y = np.empty(shape, np.uint32)
    for n, oy, ox, o in np.ndindex(shape):
        steps = []
        for kh in range(k):
            for kw in range(k):
                seen = pixel(x, n, oy * s + kh - p, ox * s + kw - p)
                steps += [
                    (seen[i], w[kh * k + kw, i, o]) for i in range(x.shape[3]) if mask[kh * k + kw, i, o]
                ]
        y[n, oy, ox, o] = oracle.chain(bias[o], steps, operand)
    return y


def conv_dx(dy, w, hw, ksp, mask, operand):
    """binary32 bits [n][iy][ix][cin]."""
    k, s, p = ksp
    dx = np.empty((len(dy), *hw, w.shape[1]), np.uint32)
    for n, iy, ix, i in np.ndindex(dx.shape):
        steps = []
        for kh in range(k):
            for kw in range(k):
                if (iy + p - kh) % s == 0 and (ix + p - kw) % s == 0:
                    seen = pixel(dy, n, (iy + p - kh) // s, (ix + p - kw) // s)
                    q = kh * k + kw
                    steps += [(seen[o], w[q, i, o]) for o in range(dy.shape[3]) if mask[q, i, o]]
        dx[n, iy, ix, i] = oracle.chain(0, steps, operand)
    return dx


def conv_dw(x, dy, ksp, operand):
    """binary32 bits [q][cin][cout]."""
    k, s, p = ksp
    dw = np.empty((k * k, x.shape[3], dy.shape[3]), np.uint32)
    for q, i, o in np.ndindex(dw.shape):
        steps = []
        for n, oy, ox in np.ndindex(dy.shape[:3]):
            steps.append((pixel(x, n, oy * s + q // k - p, ox * s + q % k - p)[i], dy[n, oy, ox, o]))
        dw[q, i, o] = oracle.chain(0, steps, operand)
    return dw


def db(dy, operand):
    """binary32 bits [cout]."""
    pixels = dy.reshape(-1, dy.shape[3])
    return np.array(
        [oracle.chain(0, [(ONE[operand], b) for b in pixels[:, o]], operand) for o in range(len(pixels[0]))]
    )


def is_nan(x):
    return x != x


def maxpool(x, ksp, operand):
    """(16-bit patterns, argmax) [n][oy][ox][c]."""
    k, s, p = ksp
    shape = (len(x), size(x.shape[1], k, s, p), size(x.shape[2], k, s, p), x.shape[3])
    wide = convert.widen(x, operand)
    best, where = np.empty(shape, np.float32), np.empty(shape, np.int64)
    for n, oy, ox, c in np.ndindex(shape):
        chosen = None
        for q in range(k * k):
            iy, ix = oy * s + q // k - p, ox * s + q % k - p
            if not (0 <= iy < x.shape[1] and 0 <= ix < x.shape[2]):
                continue
            value = float(wide[n, iy, ix, c])
            if chosen is None or value > chosen[0] or (is_nan(value) and not is_nan(chosen[0])):
                chosen = value, q
        best[n, oy, ox, c], where[n, oy, ox, c] = chosen
    return narrowed(best.view(np.uint32), operand), where


def _windows_of(iy, ix, rows, columns, ksp):
    """(oy, ox, q) of the windows that see a pixel, ascending."""
    k, s, p = ksp
    for oy in range(rows):
        for ox in range(columns):
            kh, kw = iy + p - oy * s, ix + p - ox * s
            if 0 <= kh < k and 0 <= kw < k:
                yield oy, ox, kh * k + kw


def maxpool_dx(dy, argmax, hw, ksp, operand):
    dx = np.empty((len(dy), *hw, dy.shape[3]), np.uint32)
    for n, iy, ix, c in np.ndindex(dx.shape):
        seen = _windows_of(iy, ix, dy.shape[1], dy.shape[2], ksp)
        mine = [dy[n, oy, ox, c] for oy, ox, q in seen if argmax[n, oy, ox, c] == q]
        dx[n, iy, ix, c] = oracle.chain(0, [(ONE[operand], b) for b in mine], operand)
    return narrowed(dx, operand)


def mean(totals, count):
    """binary32 bits × RNE32(1 / count)."""
    one, whole = (sf.i32_to_f32(sf.Int32.from_int(number)) for number in (1, count))
    share = sf.f32_div(one, whole)
    flat = [oracle.bits32(sf.f32_mul(oracle.f32(bits), share)) for bits in np.ravel(totals)]
    return np.array(flat, np.uint32).reshape(np.shape(totals))


def avgpool(x, ksp, operand):
    k, s, p = ksp
    shape = (len(x), size(x.shape[1], k, s, p), size(x.shape[2], k, s, p), x.shape[3])
    y = np.empty(shape, np.uint32)
    for n, oy, ox, c in np.ndindex(shape):
        steps = [
            (ONE[operand], pixel(x, n, oy * s + q // k - p, ox * s + q % k - p)[c]) for q in range(k * k)
        ]
        y[n, oy, ox, c] = mean(oracle.chain(0, steps, operand), k * k)
    return narrowed(y, operand)


def avgpool_dx(dy, hw, ksp, operand):
    dx = np.empty((len(dy), *hw, dy.shape[3]), np.uint32)
    for n, iy, ix, c in np.ndindex(dx.shape):
        seen = _windows_of(iy, ix, dy.shape[1], dy.shape[2], ksp)
        total = oracle.chain(0, [(ONE[operand], dy[n, oy, ox, c]) for oy, ox, _ in seen], operand)
        dx[n, iy, ix, c] = mean(total, ksp[0] ** 2)
    return narrowed(dx, operand)


def narrowed(bits, operand):
    """binary32 bits → 16-bit patterns (test_convert.py holds the conversion itself to its oracles)."""
    return convert.narrow(np.asarray(bits, np.uint32).view(np.float32), operand).view(np.uint16)
