"""Runs jobs on a simulated ``ProductCore`` or ``Control``-bearing design, many in one go, beside the golden model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import StationaryJob
from sat_hdl.config import Config
from sat_hdl.formats import BINARY32
from sat_hdl.layouts import job_layout, report_layout
from sat_hdl.sim.fast import NONE, RunResult, Simulation, Stall
from sat_hdl.sim.golden import matmul, prune, sparse_matmul
from sat_hdl.sim.packing import pack_lanes, unpack_lanes, words_of
from sat_hdl.sim.vectors import specials, words


@dataclass
class Job:
    """``product`` None: a job to be refused, of just these ``fields``. ``values`` hold the kept weights' bits
    and ``indices``; ``acc`` binary32 bits."""

    fields: dict[str, int]
    product: Product | StationaryJob | None = None
    a: np.ndarray | None = None
    values: np.ndarray | None = None
    indices: np.ndarray | None = None
    acc: np.ndarray | None = None

    def expected(self) -> np.ndarray:
        """The golden model's Y, as bits."""
        product = self.product
        options = {
            "acc": None if self.acc is None else self.acc.view(np.float32),
            "operand": product.config.operand_format,
        }
        if product.keep in (None, product.group):
            return matmul(self.a, self.values, **options).view(np.uint32)
        options |= {"k": product.k, "keep": product.keep, "group": product.group}
        return sparse_matmul(self.a, self.values, self.indices, **options).view(np.uint32)


def operands(config: Config, shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Bits of normal numbers around 1, a ``share`` of them replaced by special values and hard words."""
    value = rng.standard_normal(shape).astype(np.float32)
    if config.operand_format == "fp16":
        bits = value.astype(np.float16).view(np.uint16)
    else:
        bits = (value.view(np.uint32) >> 16).astype(np.uint16)
    count = bits.size
    hard = np.where(
        rng.random(count) < 0.5, rng.choice(specials(config.format), count), words(config.format, count, rng)
    )
    return np.where(rng.random(shape) < share, hard.reshape(shape), bits)


def make_job(
    config: Config,
    m: int,
    k: int,
    n: int,
    sparsity: tuple[int, int] | None = None,
    *,
    acc: bool = False,
    share: float | None = None,
    fold: int = 1,
    rng: np.random.Generator,
) -> Job:
    """A random product; ``share`` of special operands, by default about one in three chains of k."""
    share = 1 / (6 * k) if share is None else share
    keep, group = sparsity or (None, None)
    product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group, fold=fold)
    a, b = operands(config, (m, k), share, rng), operands(config, (k, n), share, rng)
    pruned = prune(b, keep, group) if sparsity else None
    initial = None
    if acc:
        # Signalling NaN, infinities, −0 and subnormals among them.
        initial = words(BINARY32, m * n, rng).reshape(m, n)
        ordinary = rng.standard_normal((m, n)).astype(np.float32).view(np.uint32)
        initial = np.where(rng.random((m, n)) < 0.5, initial, ordinary)
    return Job(
        fields=product.job | {"accumulate": int(acc)},
        product=product,
        a=a,
        values=pruned.values if pruned else b,
        indices=pruned.indices if pruned else None,
        acc=initial,
    )


def hold_job(
    config: Config,
    m: int,
    k: int,
    n: int,
    *,
    keep: int,
    group: int,
    slots: int,
    acc: bool = False,
    share: float | None = None,
    rng: np.random.Generator,
) -> Job:
    """The same for weights that are held; dense where ``keep`` is ``group``."""
    sparsity = None if keep == group else (keep, group)
    job = make_job(config, m, k, n, sparsity, acc=acc, share=share, rng=rng)
    product = StationaryJob(config=config, m=m, k=k, n=n, keep=keep, group=group, slots=slots)
    return replace(job, product=product, fields=product.job | {"accumulate": int(acc)})


def job_words(config: Config, fields: dict[str, int]) -> np.ndarray:
    layout = job_layout(config)
    number = layout.const({key: int(value) for key, value in fields.items()}).as_bits()
    return np.frombuffer(number.to_bytes(4 * words_of(layout.size), "little"), "<u4")


def inputs_of(config: Config, jobs: Sequence[Job]) -> dict[str, np.ndarray]:
    """Stream → beats of all jobs, one after the other."""
    width, pair = config.format.width, config.format.width + config.index_bits
    streams = {"job": [job_words(config, job.fields) for job in jobs], "west": [], "north": [], "initial": []}
    for job in jobs:
        if (product := job.product) is None:
            continue
        lanes = job.values.astype(np.uint32)
        if job.indices is not None:
            lanes = lanes | job.indices.astype(np.uint32) << width
        streams["west"].append(pack_lanes(product.west(job.a), width))
        streams["north"].append(pack_lanes(product.north(lanes), pair))
        if job.acc is not None:
            streams["initial"].append(pack_lanes(product.initial(job.acc), 32))
    streams["job"] = [np.array(streams["job"])]
    return {name: np.concatenate(beats) for name, beats in streams.items() if beats}


def run(
    sim: Simulation, config: Config, jobs: Sequence[Job], stall: Stall = NONE
) -> tuple[list[np.ndarray], list[dict[str, int]], RunResult]:
    """Y of each legal job, the reports of all, and the run; nothing may come after the last report."""
    count = sum(job.product.results for job in jobs if job.product)
    result = sim.run(
        inputs_of(config, jobs),
        {"result": count, "report": len(jobs)},
        stall=stall,
        idle_timeout=3000,
        quiet=100,
    )
    beats = unpack_lanes(result.outputs["result"], config.cols, 32).astype(np.uint32)
    got, at = [], 0
    for job in jobs:
        if job.product:
            got.append(job.product.collect(beats[at : at + job.product.results]))
            at += job.product.results
    return got, [report_of(words) for words in result.outputs["report"]], result


def report_of(words: np.ndarray) -> dict[str, int]:
    bits = int.from_bytes(words.tobytes(), "little")
    return {name: bits >> field.offset & ((1 << field.width) - 1) for name, field in report_layout()}


def check(sim: Simulation, config: Config, jobs: Sequence[Job], stall: Stall = NONE) -> list[dict[str, int]]:
    """Runs the jobs, compares every bit with the golden model; returns the reports."""
    got, reports, _ = run(sim, config, jobs, stall)
    legal = [job for job in jobs if job.product]
    for job, y in zip(legal, got):
        want = job.expected()
        wrong = np.argwhere(y != want)
        assert wrong.size == 0, (
            f"{len(wrong)} of {want.size} wrong in {job.fields}, first at {wrong[0]}: "
            f"{y[tuple(wrong[0])]:#x} instead of {want[tuple(wrong[0])]:#x}; seed {stall.seed}"
        )
    return reports
