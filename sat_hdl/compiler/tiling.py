"""The ways to cut a product into blocks that fit the buffers, two of each at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, lcm, prod

from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.config import Config

__all__ = ["Box", "Plan", "Shape", "boxes", "can_hold", "candidates", "few_parts"]


@dataclass(frozen=True)
class Box:
    """A range of each of three nested axes, outermost first."""

    ranges: tuple[range, range, range]

    @property
    def starts(self) -> tuple[int, int, int]:
        a, b, c = (r.start for r in self.ranges)
        return a, b, c

    @property
    def counts(self) -> tuple[int, int, int]:
        a, b, c = (len(r) for r in self.ranges)
        return a, b, c

    @property
    def size(self) -> int:
        a, b, c = self.counts
        return a * b * c


def _pieces(length: int, most: int, step: int = 1) -> Iterator[range]:
    """``length`` in pieces of at most ``most``, all but the last a multiple of ``step``, if that fits, and about
    equal."""
    step = step if step <= most else 1
    count = -(-length // (most // step * step))
    each = -(-length // (count * step)) * step
    for start in range(0, length, each):
        yield range(start, min(start + each, length))


def boxes(sizes: Sequence[int], most: int, step: int = 1, tile: int = 1) -> list[Box] | None:
    """Cuts three nested axes into boxes of at most ``most`` elements that follow one another in the order of the
    elements, of multiples of ``tile`` elements where that is possible. The innermost is cut at multiples of ``step``;
    None if that is not possible."""
    outer, middle, inner = (range(size) for size in sizes)
    a, b, c = sizes
    if b * c <= most:
        return [Box((part, middle, inner)) for part in _pieces(a, most // (b * c), tile // gcd(tile, b * c))]
    if c <= most:
        parts = list(_pieces(b, most // c, tile // gcd(tile, c)))
        return [Box((range(i, i + 1), part, inner)) for i in outer for part in parts]
    if most < step:
        return None
    parts = list(_pieces(c, most // step * step, both if (both := lcm(step, tile)) <= most else step))
    return [Box((range(i, i + 1), range(j, j + 1), part)) for i in outer for j in middle for part in parts]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A product to be cut.

    Arguments
    ---------
    m, k: sizes of three nested axes each; m_step, k_step: where the innermost may be cut; m_alone: the outer
        two of m are cut into single steps.
    n: columns.
    keep, group: N:M along k; N = M is dense.
    bias: the results start from biases.
    result_bytes: of a result in memory.
    """

    m: tuple[int, int, int]
    k: tuple[int, int, int]
    n: int
    m_step: int = 1
    k_step: int = 1
    m_alone: bool = False
    keep: int
    group: int
    bias: bool = False
    result_bytes: int = 2


@dataclass(frozen=True)
class Plan:
    """Blocks: of rows, of columns (bands of each), of k; whether the rows are the outer loop; and whether the array
    holds the weights: then of one band of up to 8 slots at a time, and of R elements of k, one row of the array each.
    ``fold``: rows of A that an element works on at once, else.
    """

    m: tuple[Box, ...]
    n: tuple[tuple[range, ...], ...]
    k: tuple[Box, ...]
    rows_outer: bool
    stationary: bool = False
    fold: int = 1

    @property
    def jobs(self) -> int:
        """Blocks, each of some rows, columns and k."""
        return len(self.m) * len(self.n) * len(self.k)


def _m_boxes(shape: Shape, most: int, tile: int) -> list[Box] | None:
    if not shape.m_alone:
        return boxes(shape.m, most, shape.m_step, tile)
    inner = boxes((1, 1, shape.m[2]), most, shape.m_step, tile)
    if inner is None:
        return None
    return [
        Box((range(i, i + 1), range(j, j + 1), box.ranges[2]))
        for i in range(shape.m[0]) for j in range(shape.m[1]) for box in inner
    ]  # fmt: skip


def can_hold(config: Config, shape: Shape) -> bool:
    """Whether the device can run the product weight-stationary. Sparse ones can't: of their groups of M elements a
    row of the array has one, and the west buffer is not loaded so."""
    return config.weight_stationary and shape.keep == shape.group


def few_parts(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 … up to ``most``: four an octave."""
    count = 1
    while count <= most:
        yield count
        count += max(1, 1 << (count.bit_length() - 3)) if count >= 4 else 1


def candidates(
    config: Config, shape: Shape, dataflow: str = "auto", *, every: bool = False
) -> Iterator[Plan]:
    """Ways to cut a product that fit: pieces of its axes that follow one another, about equal or as wide as bands
    are; and either order of the loops over rows and columns. k is the innermost, so that sums stay in the result
    buffer.

    There always are some: buffers of 64 words hold two of the least blocks.

    Arguments
    ---------
    dataflow: "os"; "ws", alone wherever it is possible; "auto", both.
    every: all lengths of all pieces, not some of each octave.
    """
    flows = [False] if dataflow == "os" or not can_hold(config, shape) else [True]
    if dataflow == "auto" and flows[0]:
        flows = [False, True]
    depths = list(_depths(shape, every))
    for stationary in flows:
        for n in _column_blocks(config, shape.n, stationary, every):
            slots = max(sum(-(-len(band) // config.cols) for band in block) for block in n)
            columns = max(block[-1].stop - block[0].start for block in n)
            room = (config.result_depth - (2 * slots if shape.bias else 0)) // 2 // slots
            tried = 0
            for k in depths:
                most = min(room, _west_rows(config, max(box.size for box in k), stationary))
                kept = max(kept_length(box.size, shape.keep, shape.group) for box in k)
                if -(-columns // config.panel) * kept > config.north_depth // 2 or most == 0:
                    continue
                rows = 0
                for fold in [1] if stationary else _folds(config, shape, columns):
                    for m in _row_boxes(shape, most, config.rows * fold, every):
                        rows += 1
                        for rows_outer in (False, True) if len(m) > 1 and len(n) > 1 else (False,):
                            yield Plan(m, n, k, rows_outer, stationary, fold)
                tried += rows > 0
                if tried == _DEPTHS and not every:
                    break


def _folds(config: Config, shape: Shape, columns: int) -> list[int]:
    """Folds of a block of so many columns; not of rows that there are not."""
    folds = Product.folds(config, columns, None if shape.keep == shape.group else shape.group)
    rows = prod(shape.m)
    return [fold for fold in folds if fold == 1 or fold // 2 * config.rows < rows]


#: Lengths of k that are tried with some columns, from the longest that fits on.
_DEPTHS = 6
#: Steps of an axis of which all lengths are tried.
_ALL = 16


def _west_rows(config: Config, k: int, stationary: bool) -> int:
    """Rows of A, each of ``k`` elements, that fit half the west buffer."""
    half = config.west_depth // 2
    if stationary:
        # A word of each bank holds elements of so many rows of A, all of the same k.
        return half // -(-k // config.rows) * config.ingest
    return half // -(-k // config.ingest) * config.rows


def _depths(shape: Shape, every: bool) -> Iterator[tuple[Box, ...]]:
    """Cuts of k, the deepest first."""
    whole, step = prod(shape.k), shape.k_step
    mosts = [-(-whole // parts) for parts in few_parts(whole)]
    if every or whole <= _ALL * step:
        mosts = range(whole, 0, -1)
    seen = set()
    for most in mosts:
        cut = boxes(shape.k, -(-most // step) * step, step)
        if cut is not None and tuple(cut) not in seen:
            seen.add(tuple(cut))
            yield tuple(cut)


def _column_blocks(
    config: Config, n: int, stationary: bool, every: bool
) -> Iterator[tuple[tuple[range, ...], ...]]:
    """Cuts of the columns, at whole panels and beats, each into the bands that the hardware makes of it."""
    step = lcm(config.panel, config.memory_bits // 16)
    least, band = config.cols * config.least_span, config.cols * config.interleave
    widest = min(n, least) if stationary else n
    parts = -(-n // step)
    if every or parts <= _ALL:
        widths = {step * i for i in range(1, parts)}
    else:
        widths = {-(-n // (count * step)) * step for count in few_parts(parts)} | {step}
        widths |= {wide << i for wide in (least, band) for i in range(n.bit_length())}
    cuts = [range(0, n, width) for width in sorted(widths, reverse=True) if width % step == 0 and width < n]
    ends = [[(start, min(start + cut.step, n)) for start in cut] for cut in cuts]
    # Bands of the whole, the last of which takes a rest that would not fill the adder's loop.
    bands = _bands(config, range(n))
    for count in range(1, len(bands)) if every else few_parts(len(bands) - 1):
        groups = [bands[i : i + count] for i in range(0, len(bands), count)]
        ends.append([(group[0].start, group[-1].stop) for group in groups])
    for blocks in dict.fromkeys(tuple(each) for each in ([(0, n)], *ends)):
        if max(stop - start for start, stop in blocks) <= widest:
            yield tuple(_bands(config, range(*block)) for block in blocks)


def _bands(config: Config, columns: range) -> tuple[range, ...]:
    found = Product(config=config, m=1, k=1, n=len(columns)).bands()
    return tuple(range(columns.start + band.start, columns.start + band.stop) for band in found)


def _row_boxes(shape: Shape, most: int, height: int, every: bool) -> Iterator[tuple[Box, ...]]:
    """Cuts of the rows into boxes of at most ``most``, equal ones and ones of whole tiles, ``height`` rows each."""
    most = min(most, prod(shape.m))
    sizes = range(most, 0, -1)
    if not every:
        sizes = [most, *(max(1, most // (parts * height)) * height for parts in (1, 2, 3, 4, 6, 8))]
    seen = set()
    for size, tile in product(sizes, (height, 1)):
        cut = _m_boxes(shape, size, tile) if size <= most else None
        if cut is not None and tuple(cut) not in seen:
            seen.add(tuple(cut))
            yield tuple(cut)
