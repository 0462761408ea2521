"""Cuts a product into blocks that fit the buffers, two of each at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sat_hdl.compiler.cycles import stationary_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config, ConfigError

__all__ = ["Box", "Plan", "Shape", "boxes", "can_hold", "plan", "stationary_slots"]

#: From a job's end to the first operand of the next.
_JOB_CYCLES = 25


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
    """``length`` in pieces of at most ``most``, all but the last a multiple of ``step`` and about equal."""
    count = -(-length // most)
    each = -(-length // (count * step)) * step
    for start in range(0, length, each):
        yield range(start, min(start + each, length))


def boxes(sizes: Sequence[int], most: int, step: int = 1) -> list[Box] | None:
    """Cuts three nested axes into boxes of at most ``most`` elements that follow one another in the order of the
    elements. The innermost is cut at multiples of ``step``; None if that is not possible."""
    outer, middle, inner = (range(size) for size in sizes)
    a, b, c = sizes
    if b * c <= most:
        return [Box((part, middle, inner)) for part in _pieces(a, most // (b * c))]
    if c <= most:
        return [
            Box((range(i, i + 1), part, inner)) for i in outer for part in _pieces(b, most // c)
        ]  # fmt: skip
    most = most // step * step
    if most == 0:
        return None
    return [
        Box((range(i, i + 1), range(j, j + 1), part))
        for i in outer
        for j in middle
        for part in _pieces(c, most, step)
    ]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A product to be cut.

    Arguments
    ---------
    m, k: sizes of three nested axes each; m_step, k_step: where the innermost may be cut; m_alone: the outer
        two of m are cut into single steps.
    n: columns.
    keep, group: N:M along k; N = M is dense.
    channels: elements of the rows' operand that lie together.
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
    channels: int
    bias: bool = False
    result_bytes: int = 2


@dataclass(frozen=True)
class Plan:
    """Blocks: of rows, of columns (bands of each), of k; whether the rows are the outer loop; and whether the array
    holds the weights: then of one band of up to 8 slots at a time, and of R elements of k, one row of the array each.
    """

    m: list[Box]
    n: list[list[range]]
    k: list[Box]
    rows_outer: bool
    stationary: bool = False


def _kept(k: int, shape: Shape) -> int:
    return k // shape.group * shape.keep + min(shape.keep, k % shape.group)


def _slots(config: Config, bands: list[range]) -> int:
    return sum(-(-len(band) // config.cols) for band in bands)


def _m_boxes(shape: Shape, most: int) -> list[Box] | None:
    if not shape.m_alone:
        return boxes(shape.m, most, shape.m_step)
    inner = boxes((1, 1, shape.m[2]), most, shape.m_step)
    if inner is None:
        return None
    return [
        Box((range(i, i + 1), range(j, j + 1), box.ranges[2]))
        for i in range(shape.m[0]) for j in range(shape.m[1]) for box in inner
    ]  # fmt: skip


def bias_words(config: Config, bands: list[range]) -> int:
    """Words of a block's biases in the result buffer."""
    return _slots(config, bands)


def can_hold(config: Config, shape: Shape) -> bool:
    """Whether the device can run the product weight-stationary. Sparse ones can't: of their groups of M elements a
    row of the array has one, and the west buffer is not loaded so. Nor can bands of more than 8 slots."""
    bands = Product(config=config, m=1, k=1, n=shape.n).bands()
    narrow = all(band.stop - band.start <= config.least_span * config.cols for band in bands)
    return config.weight_stationary and shape.keep == shape.group and narrow


def plan(config: Config, shape: Shape, dataflow: str = "os") -> Plan:
    """The cheapest of the ways to cut that fit, by an estimate of the cycles of the array and of the memory port.

    Arguments
    ---------
    dataflow: "os"; "ws", wherever it is possible; "auto", the cheaper one.

    Raises
    ------
    ConfigError: if none fits.
    """
    best = None
    if dataflow != "os" and can_hold(config, shape):
        best = _plan(config, shape, True)
    if best is None or dataflow == "auto":
        other = _plan(config, shape, False)
        if best is None or (other is not None and other[0] < best[0]):
            best = other
    if best is None:
        m, k = (a * b * c for a, b, c in (shape.m, shape.k))
        raise ConfigError(
            f"A product of {m} × {k} × {shape.n} can't be cut to fit the buffers; make `west_depth`, `north_depth` "
            "or `result_depth` larger."
        )
    return best[1]


def _plan(config: Config, shape: Shape, stationary: bool) -> tuple[float, Plan] | None:
    """The cheapest cut with one of the dataflows, and its cost; None if none fits."""
    product = Product(config=config, m=1, k=1, n=shape.n)
    bands = [range(band.start, band.stop) for band in product.bands()]
    best: tuple[float, Plan] | None = None
    half_west, half_north = config.west_depth // 2, config.north_depth // 2
    k_all = shape.k[0] * shape.k[1] * shape.k[2]
    divisor = 1
    while True:
        k = boxes(shape.k, max(-(-k_all // divisor), shape.k_step), shape.k_step)
        if k is not None:
            k_most = max(box.size for box in k)
            kept = _kept(k_most, shape)
            counts = {1} if stationary else {len(bands), *(n for n in (1, 2, 4, 8, 16) if n < len(bands))}
            for per in sorted(counts):
                n = [bands[i : i + per] for i in range(0, len(bands), per)]
                columns = max(block[-1].stop - block[0].start for block in n)
                panels = -(-columns // config.panel)
                slots = max(_slots(config, block) for block in n)
                room = (config.result_depth - (2 * slots if shape.bias else 0)) // 2
                if stationary:
                    # A word of each bank holds elements of so many rows of A, all of the same k.
                    west = half_west // -(-k_most // config.rows) * config.ingest // config.rows
                else:
                    west = half_west // -(-k_most // config.ingest)
                tiles = min(west, room // (slots * config.rows))
                if panels * kept > half_north or tiles == 0:
                    continue
                for most in {tiles, max(1, tiles // 2)}:
                    m = _m_boxes(shape, most * config.rows)
                    if m is None:
                        continue
                    for rows_outer in (False, True):
                        candidate = Plan(m, n, k, rows_outer, stationary)
                        cost = _cost(config, shape, candidate)
                        if best is None or cost < best[0]:
                            best = cost, candidate
        if divisor >= k_all:
            break
        divisor *= 2
        if best is not None and divisor > 16:
            break
    return best


def stationary_slots(config: Config, columns: int) -> int:
    """Logarithm of the slots that a job of so many columns takes when the array holds its weights."""
    return (-(-columns // config.cols) - 1).bit_length()


def _cost(config: Config, shape: Shape, plan: Plan) -> float:
    """Cycles: the greatest of array, reads and writes, and the first load and last store."""
    beat = config.memory_bits // 8
    m_size = sum(box.size for box in plan.m)
    k_sizes = [box.size for box in plan.k]
    kept = sum(_kept(size, shape) for size in k_sizes)
    compute = 0.0
    for block in plan.n:
        for box in plan.m:
            if plan.stationary:
                compute += sum(_stationary_cycles(config, box.size, size, block[0]) for size in k_sizes)
                continue
            tiles = -(-box.size // config.rows)
            turns = sum(max(config.least_span, -(-len(band) // config.cols)) for band in block)
            compute += tiles * kept * turns + len(k_sizes) * (60 + config.rows * turns)
    # Elements that don't fill the buffers' words come one a cycle.
    aligned = shape.channels % config.ingest == 0
    west = m_size * sum(k_sizes) / (config.ingest if aligned else 1)
    value = 2.5 if shape.keep != shape.group else 2.0
    north = kept * shape.n * value / beat
    again = len(plan.k) > 1
    west *= len(plan.n) if again or not plan.rows_outer else 1
    north *= len(plan.m) if again or plan.rows_outer else 1
    jobs = len(plan.m) * len(plan.n) * len(plan.k)
    load = west + north + 40 * jobs
    store = m_size * shape.n * shape.result_bytes / beat
    first = (west + north) / jobs
    return max(compute, load, store) + first + store / max(1, len(plan.m) * len(plan.n))


def _stationary_cycles(config: Config, m: int, k: int, band: range) -> int:
    """Of the jobs of a block; each is started by itself."""
    slots, (full, rest) = stationary_slots(config, len(band)), divmod(k, config.rows)
    total = 0
    for count, length in ((full, config.rows), (1, rest)):
        if count and length:
            job = StationaryJob(config=config, m=m, k=length, n=len(band), keep=1, group=1, slots=slots)
            total += count * (stationary_cycles(job) + _JOB_CYCLES)
    return total
