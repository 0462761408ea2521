"""What WUVE must give, from the numerics contract by way of the arithmetic's oracles; and its beats."""

from dataclasses import dataclass, field

import numpy as np

from sat_hdl.formats import BINARY32, FloatFormat
from sat_hdl.sim.oracle import canonical, numpy_add, numpy_multiply, numpy_narrow, numpy_widen
from sat_hdl.sim.vectors import words
from sat_hdl.wuve.layouts import Op, command_layout

WINDOWED = (Op.MAXPOOL, Op.SUM, Op.SELECT_SUM)
ONE = np.uint32(0x3F800000)
SIGN = np.uint32(1 << 31)


@dataclass(kw_only=True)
class Job:
    """A command with its elements. Arrays are flat, in the order of the streams; ``pads``: a bool a run."""

    op: Op
    count: int
    fields: dict[str, int] = field(default_factory=dict)
    x: np.ndarray
    y: np.ndarray | None = None
    z: np.ndarray | None = None
    pads: np.ndarray | None = None

    def get(self, name: str) -> int:
        return self.fields.get(name, 0)

    @property
    def windowed(self) -> bool:
        return self.op in WINDOWED

    @property
    def run(self) -> int:
        return self.get("run") or (self.get("chunk") if self.windowed else self.count)

    @property
    def command(self) -> int:
        return command_layout().const({"op": self.op.value, "count": self.count} | self.fields).as_bits()

    def width(self, stream: str) -> int:
        if self.op == Op.SGD:
            wide = True
        elif self.op == Op.MAXPOOL or (self.op == Op.SELECT_SUM and stream == "y"):
            wide = False
        else:
            wide = self.get({"out0": "out_wide", "out1": "out_wide"}.get(stream, f"{stream}_wide"))
        return 32 if wide else 16


def rounded(value: int, to: int) -> int:
    return -(-value // to) * to


def total(op: Op, count: int, fields: dict[str, int]) -> tuple[int, int]:
    """Elements that a command takes, and those of a chunk, after rounding up."""
    windowed = op in WINDOWED
    run = fields.get("run", 0) or (fields["chunk"] if windowed else count)
    if not windowed:
        return rounded(count, run), run
    chunk = rounded(fields["chunk"], run)
    return rounded(count, chunk * fields["window"]), chunk


def make(op: Op, count: int, fields: dict[str, int], fmt: FloatFormat, rng: np.random.Generator) -> Job:
    """A job on hard operands; indices and padding where the operation has them."""
    n, _ = total(op, count, fields)
    job = Job(op=op, count=count, fields=fields, x=np.zeros(0))

    def elements(stream: str) -> np.ndarray:
        return words(BINARY32 if job.width(stream) == 32 else fmt, n, rng)

    job.x = elements("x")
    if op in (Op.SGD, Op.ADD, Op.MASK):
        job.y = elements("y")
    if op == Op.SGD:
        job.z = elements("z")
    if op == Op.SELECT_SUM:
        job.y = rng.integers(0, 4, n).astype(np.uint16)
    if op == Op.MAXPOOL:
        job.pads = rng.integers(0, 3, n // job.run) == 0
        lowest = fmt.inf | 1 << (fmt.width - 1)
        job.x = np.where(np.repeat(job.pads, job.run), np.uint16(lowest), job.x)
    return job


def outputs(job: Job, scalars: np.ndarray, fmt: FloatFormat) -> dict[str, np.ndarray]:
    """Stream → elements, all that the job gives."""

    def wide(values: np.ndarray) -> np.ndarray:
        return numpy_widen(values, fmt) if values.dtype == np.uint16 else values

    def times(a: np.ndarray, scalar: np.uint32) -> np.ndarray:
        return numpy_multiply(a, np.full_like(a, scalar), BINARY32)

    def given(values: np.ndarray) -> np.ndarray:
        return values if job.width("out0") == 32 else numpy_narrow(values, fmt)

    x = wide(job.x)
    scale = scalars[job.get("scalar")] if job.get("scale") else ONE
    if job.op == Op.CHECK:
        return {}
    if job.op == Op.SGD:
        inv_scale, decay, momentum, rate = scalars[:4]
        g = times(x, inv_scale)
        g = numpy_add(g, times(job.y, decay))
        v = numpy_add(times(job.z, momentum), g)
        if job.get("nesterov"):
            g = numpy_add(times(v, momentum), g)
        else:
            g = v
        w = numpy_add(job.y, times(g, rate) ^ SIGN)
        return {"out0": w, "out1": v} | ({"half": numpy_narrow(w, fmt)} if job.get("half") else {})
    if job.op in (Op.CONVERT, Op.ADD):
        result = times(x, scale)
        if job.op == Op.ADD:
            result = numpy_add(result, wide(job.y))
        if job.get("relu"):
            value = result.view(np.float32)
            result = np.where((value > 0) | np.isnan(value), result, np.uint32(0))
        return {"out0": given(result)}
    if job.op == Op.MASK:
        return {
            "out0": given(np.where(wide(job.y).view(np.float32) > 0, canonical(x, BINARY32), np.uint32(0)))
        }

    _, chunk = total(job.op, job.count, job.fields)
    window = job.get("window")
    x = x.reshape(-1, window, chunk)
    if job.op == Op.MAXPOOL:
        return _pool(x.view(np.float32), np.repeat(job.pads, job.run).reshape(x.shape), fmt)
    sums = np.zeros((len(x), chunk), np.uint32)
    for number in range(window):
        inner = job.get("inner") or window
        want = (
            job.get("base") + number // inner * job.get("step_outer") + number % inner * job.get("step_inner")
        )
        addend = x[:, number]
        if job.op == Op.SELECT_SUM:
            addend = np.where(job.y.reshape(x.shape)[:, number] == want % (1 << 16), addend, np.uint32(0))
        sums = numpy_add(sums, addend)
    if job.op == Op.SUM and job.get("scale"):
        sums = times(sums, scale)
    return {"out0": given(sums.ravel())}


def _pool(x: np.ndarray, pads: np.ndarray, fmt: FloatFormat) -> dict[str, np.ndarray]:
    best, number, found = x[:, 0].copy(), np.zeros(x[:, 0].shape, np.uint16), ~pads[:, 0]
    for i in range(1, x.shape[1]):
        better = (x[:, i] > best) | (np.isnan(x[:, i]) & ~np.isnan(best))
        wins = ~pads[:, i] & (~found | better)
        best, number, found = np.where(wins, x[:, i], best), np.where(wins, i, number), found | ~pads[:, i]
    return {"out0": numpy_narrow(best.view(np.uint32).ravel(), fmt), "out1": number.astype(np.uint16).ravel()}


def strange(job: Job, fmt: FloatFormat) -> bool:
    """Whether x holds an infinity or NaN outside padding."""
    wide = numpy_widen(job.x, fmt) if job.x.dtype == np.uint16 else job.x
    special = (wide >> np.uint32(23) & np.uint32(0xFF)) == 0xFF
    return bool((special & ~np.repeat(job.pads, job.run) if job.pads is not None else special).any())


def beats(values: np.ndarray, run: int, data_bits: int, rng=None, pads=None) -> np.ndarray:
    """Elements as beats, uint32 (n, words). ``rng``: as an input, garbage past the ends of runs and in `last`."""
    per_beat = data_bits // (8 * values.itemsize)
    runs = values.reshape(-1, run)
    per_run = -(-run // per_beat)
    padded = np.zeros((len(runs), per_run * per_beat), values.dtype)
    if rng is not None:
        padded[:] = rng.integers(0, np.iinfo(values.dtype).max, padded.shape, endpoint=True)
    padded[:, :run] = runs
    words = np.ascontiguousarray(padded).view(np.uint32).reshape(len(runs) * per_run, data_bits // 32)
    last = np.zeros((len(runs), per_run), np.uint32)
    last[:, -1] = 1
    if rng is not None:
        last[:] = rng.integers(0, 2, last.shape)
        last |= pads[:, None] * np.uint32(2)
    return np.hstack([words, last.reshape(-1, 1)])


def halves(values: np.ndarray, run: int, lanes: int) -> np.ndarray:
    """Elements as beats of ``half``."""
    count = -(-run // lanes)
    padded = np.zeros((values.size // run, count * lanes), np.uint16)
    padded[:, :run] = values.reshape(-1, run)
    rows = []
    for number, row in enumerate(padded.reshape(-1, lanes)):
        bits = sum(int(v) << (16 * i) for i, v in enumerate(row))
        bits |= int(number % count == count - 1) << (16 * lanes)
        rows.append([bits >> (32 * i) & 0xFFFFFFFF for i in range((16 * lanes + 32) // 32)])
    return np.array(rows, np.uint32).reshape(-1, (16 * lanes + 32) // 32)
