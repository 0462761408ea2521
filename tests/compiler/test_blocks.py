"""Ways to do a product, against exhaustive search, a job-by-job timing, and cycles that the RTL took."""

import math
import random
import re
from dataclasses import replace
from math import inf
from pathlib import Path

import msgspec
import pytest

from sat_hdl.compiler import blocks
from sat_hdl.compiler.blocks import PRUNING, Blocks, cost, plan
from sat_hdl.compiler.cycles import product_cycles
from sat_hdl.compiler.dataflows import DATAFLOWS, JOB_CYCLES, device_dataflows, find_dataflows, kept_of
from sat_hdl.compiler.memory_port import MemoryPort, default_port
from sat_hdl.compiler.networks import NETWORKS
from sat_hdl.compiler.networks.table import Gemm, Weighted
from sat_hdl.compiler.product import Product
from sat_hdl.config import Config, ConfigError, preset
from sat_hdl.sim.estimate_check import estimates

SEED = 20260101
SMALL = Config(rows=4, cols=4, sore_lanes=4, west_depth=64, north_depth=64, result_depth=128)
OS = (DATAFLOWS["os"],)
#: Awkward shapes: primes, array ± 1, no multiple of M, single rows and columns.
SHAPES = [(1, 1, 1), (5, 40, 3), (33, 24, 31), (17, 128, 64), (64, 9, 65), (129, 70, 40), (3, 300, 130)]


def gemms(count=None):
    for m, k, n in SHAPES[:count]:
        for pattern in ((None, None), (2, 8)):
            yield Gemm(m=m, k=k, n=n, run=k, keep=pattern[0], group=pattern[1], weights=True)


def ports():
    return [
        MemoryPort(bytes_per_cycle=64),
        MemoryPort(bytes_per_cycle=2, latency=100),
        MemoryPort.of_device(SMALL, latency=10),
    ]


def fits(config, dataflow, gemm, block):
    turned = dataflow.turned(gemm)
    return block.m <= dataflow.most_rows(config, block.k, kept_of(turned, block.k), block.n)


def every(config, gemm, dataflow):
    """All ways to cut a product: every number of parts of each axis, columns at whole panels, k at groups, too."""
    turned = dataflow.turned(gemm)
    sizes = [sorted({-(-length // parts) for parts in range(1, length + 1)}) for length in
             (turned.m, turned.k, turned.n)]  # fmt: skip
    step = max(turned.group or 1, config.panel)
    depths = sorted({min(turned.k, -(-k // step) * step) for k in sizes[1]})
    widths = sorted({min(turned.n, -(-n // config.panel) * config.panel) for n in sizes[2]})
    for k in depths:
        for n in widths:
            for m in sizes[0]:
                for rows_outer in (False, True):
                    block = Blocks(m, k, n, rows_outer)
                    if fits(config, dataflow, gemm, block):
                        yield block


@pytest.mark.parametrize("port", ports(), ids=["wide", "narrow", "device"])
def test_exhaustive_search(port):
    """Of output-stationary ways; within 2 % of the best that there is."""
    small = [Gemm(m=m, k=k, n=n, run=k, weights=True, keep=keep, group=keep and 8)
             for (m, k, n) in [(1, 1, 1), (5, 24, 3), (33, 24, 31), (13, 40, 36), (40, 9, 33), (12, 64, 50)]
             for keep in (None, 2)]  # fmt: skip
    for gemm in small:
        moment = None if gemm.keep is None else PRUNING[0]
        least = min(
            cost(SMALL, port, gemm, OS[0], block, moment).cycles for block in every(SMALL, gemm, OS[0])
        )
        found = plan(SMALL, port, gemm, OS, PRUNING[:1])
        assert fits(SMALL, OS[0], gemm, found.blocks)
        assert least <= found.cycles <= 1.02 * least, gemm


def test_random_cuts_of_real_layers():
    """No cut drawn at random is more than 2 % better, on the paper's array and memory."""
    rng = random.Random(SEED)
    config = preset("paper-32x32")
    port = default_port(config, 200)
    weighted = [layer for table in NETWORKS.values() for layer in table.layers if isinstance(layer, Weighted)]
    for layer in [weighted[0], *rng.sample(weighted, 7)]:
        gemm = rng.choice([gemm for stage in ("ff", "bp", "wu") for gemm in layer.products(stage, 8, (2, 8))])
        found = plan(config, port, gemm, OS, PRUNING[:1])
        moment = None if gemm.keep is None else PRUNING[0]
        for _ in range(300):
            size = [min(length, config.cols * rng.randint(1, 32)) for length in (gemm.m, gemm.k, gemm.n)]
            block = Blocks(*size, rng.random() < 0.5)
            if fits(config, OS[0], gemm, block):
                assert found.cycles <= 1.02 * cost(config, port, gemm, OS[0], block, moment).cycles, (
                    gemm,
                    block,
                )


def timed(config, port, gemm, dataflow, blocks_, moment):
    """Cycles by running through the jobs one by one: loads two ahead at most, then the array, then the stores."""
    turned = dataflow.turned(gemm)
    jobs = [job for job in blocks._jobs(config, turned, blocks_) for _ in range(job.count)]
    pattern = None if gemm.keep is None else (gemm.keep, gemm.group)
    loaded, computed, stored = [], [], []
    for i, job in enumerate(jobs):
        data = 2 * job.m * job.k * job.loads_a
        data += (
            job.loads_b
            * -(-job.n // config.panel)
            * config.panel
            * (2.5 * kept_of(turned, job.k) if moment else 2 * job.k)
        )
        free = computed[i - 2] if i >= 2 else 0
        begin = max(loaded[-1] if i else 0, free)
        loaded.append(begin + port.latency * (job.loads_a + job.loads_b) + data / port.bytes_per_cycle)
        begin = max(loaded[-1], computed[-1] if i else 0, stored[i - 2] if i >= 2 else 0)
        computed.append(begin + dataflow.cycles(config, job.m, job.k, job.n, pattern, job.more))
        begin = max(computed[-1], stored[-1] if i else 0)
        stored.append(begin + job.stores * job.m * job.n * gemm.result_bytes / port.bytes_per_cycle)
    return stored[-1] + port.latency


def test_against_single_jobs():
    """With a port that reads and writes at once, as that timing has it."""
    rng = random.Random(SEED)
    for port in (
        MemoryPort(bytes_per_cycle=32, duplex=True),
        MemoryPort(bytes_per_cycle=4, duplex=True, latency=7),
    ):
        for gemm in gemms():
            moment = None if gemm.keep is None else PRUNING[0]
            choice = list(blocks.candidates(SMALL, gemm, OS[0]))
            for block in rng.sample(choice, min(4, len(choice))):
                found = cost(SMALL, port, gemm, OS[0], block, moment)
                expected = timed(SMALL, port, gemm, OS[0], block, moment)
                # A job's loads are set against itself rather than against the job before.
                assert found.cycles == pytest.approx(expected, rel=0.1, abs=2 * port.latency), (
                    gemm,
                    block,
                    SEED,
                )


def test_against_the_device():
    """Layers that `scripts/bench device` measured on RTL, as README.md has them: within 5 %."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    rows = re.findall(r"\| FF, (\d+) × (\d+) · \d+ × (\d+), (\S+) \| ([\d,]+) \|", text)
    assert rows
    port = MemoryPort.of_device(preset("8x8"), latency=30)
    for m, k, n, sparsity, cycles in rows:
        keep, group = (None, None) if sparsity == "dense" else map(int, sparsity.split(":"))
        gemm = Gemm(m=int(m), k=int(k), n=int(n), run=int(k), keep=keep, group=group, weights=True)
        found = plan(preset("8x8"), port, gemm, OS, PRUNING[:1])
        assert found.cycles == pytest.approx(int(cycles.replace(",", "")), rel=0.05), gemm


def test_more_bandwidth_is_never_slower():
    for gemm in gemms(6):
        last = inf
        for width in (0.5, 1, 3, 8, 30, 1000):
            cycles = plan(SMALL, MemoryPort(bytes_per_cycle=width), gemm, device_dataflows(SMALL)).cycles
            assert cycles <= last
            last = cycles


@pytest.mark.parametrize("gemm", list(gemms()), ids=lambda g: f"{g.m}-{g.k}-{g.n}-{g.keep}")
def test_plans(gemm):
    for port in ports():
        for flows in (OS, find_dataflows("os,os-t,ws")):
            found = plan(SMALL, port, gemm, flows)
            assert found.dataflow in [each.name for each in flows]
            assert found.cycles >= max(found.array_cycles, found.memory_cycles)
            assert found.array_cycles * 16 >= found.macs == gemm.m * gemm.n * kept_of(gemm, gemm.k)
            # Everything comes in at least once, and goes out once.
            weights = (2.5 * kept_of(gemm, gemm.k) if found.pruning == PRUNING[0] else 2 * gemm.k) * gemm.n
            assert found.read >= 2 * gemm.m * gemm.k + weights
            assert found.written == 2 * gemm.m * gemm.n
            assert (found.pruning is None) == (gemm.keep is None)


def test_more_dataflows_are_never_slower():
    port = MemoryPort(bytes_per_cycle=16)
    for gemm in gemms():
        few, more = (plan(SMALL, port, gemm, find_dataflows(names)).cycles for names in ("os", "os,os-t,ws"))
        assert more <= few


def test_all_kept_is_dense():
    """N = M on the array is a dense product: the same jobs in the same cycles."""
    port = MemoryPort(bytes_per_cycle=1e6, latency=0)
    for gemm in gemms():
        whole, none = replace(gemm, keep=8, group=8), replace(gemm, keep=None, group=None)
        for block in blocks.candidates(SMALL, none, OS[0]):
            block = replace(block, k=gemm.k)
            found = cost(SMALL, port, whole, OS[0], block, PRUNING[0]), cost(SMALL, port, none, OS[0], block)
            assert found[0].array_cycles == found[1].array_cycles
            assert found[0].macs == found[1].macs


def test_the_first_weights_of_few_columns():
    """Dense products of few columns are done transposed; sparse ones can't be, but folded."""
    dense = Gemm(m=512, k=64, n=4, run=64)
    port = MemoryPort(bytes_per_cycle=64)
    assert plan(SMALL, port, dense, device_dataflows(SMALL)).dataflow == "os-t"
    assert plan(SMALL, port, replace(dense, keep=2, group=8), device_dataflows(SMALL)).dataflow == "os"
    folding = msgspec.structs.replace(SMALL, fold=2)
    found = [
        plan(config, port, replace(dense, keep=2, group=8), device_dataflows(config))
        for config in (SMALL, folding)
    ]
    assert found[1].dataflow == "os-fold"
    assert found[1].array_cycles < 0.7 * found[0].array_cycles


def test_moments_of_pruning():
    port = MemoryPort(bytes_per_cycle=16)
    gemm = Gemm(m=64, k=256, n=64, run=256, keep=2, group=8, weights=True)
    early, late = (plan(SMALL, port, gemm, OS, (moment,)) for moment in PRUNING)
    assert early.cycles < late.cycles and early.read < late.read
    assert plan(SMALL, port, gemm, OS).pruning == PRUNING[0]


def test_one_block():
    """Load, array and store, one after another; nothing overlaps."""
    port = MemoryPort(bytes_per_cycle=4, latency=30)
    gemm = Gemm(m=6, k=24, n=10, run=24, keep=2, group=8, weights=True)
    found = cost(SMALL, port, gemm, OS[0], Blocks(6, 24, 10, False), PRUNING[0])
    array = product_cycles(Product(config=SMALL, m=6, k=24, n=10, keep=2, group=8)) + JOB_CYCLES
    load = 2 * 30 + (2 * 6 * 24 + 2.5 * 6 * 16) / 4  # two panels
    store = 2 * 6 * 10 / 4
    assert (found.array_cycles, found.jobs) == (array, 1)
    assert found.cycles == math.ceil(load + array + store + 30)


def test_parts_of_k_go_on_with_sums():
    gemm = Gemm(m=8, k=40, n=16, run=40)
    found = cost(SMALL, MemoryPort(bytes_per_cycle=64), gemm, OS[0], Blocks(8, 8, 16, False))
    part = Product(config=SMALL, m=8, k=8, n=16)
    assert found.jobs == 5
    array = product_cycles(part) + 4 * product_cycles(part, accumulate=True) + 5 * JOB_CYCLES
    assert found.array_cycles == array


def test_blocks_fit_the_buffers():
    """Half of each buffer, in its own words; and no more rows would."""
    for gemm in gemms():
        for block in blocks.candidates(SMALL, gemm, OS[0]):
            slots, tiles = -(-block.n // SMALL.cols), -(-block.m // SMALL.rows)
            assert tiles * -(-block.k // SMALL.ingest) <= SMALL.west_depth // 2
            assert -(-block.n // SMALL.panel) * kept_of(gemm, block.k) <= SMALL.north_depth // 2
            assert block.m * slots <= SMALL.result_depth // 2
            most = OS[0].most_rows(SMALL, block.k, kept_of(gemm, block.k), block.n) + 1
            west, results = -(-most // SMALL.rows) * -(-block.k // SMALL.ingest), most * slots
            assert west > SMALL.west_depth // 2 or results > SMALL.result_depth // 2


def test_refusals():
    port = MemoryPort(bytes_per_cycle=8)
    with pytest.raises(ConfigError, match="`bytes_per_cycle` must be over 0, not 0"):
        MemoryPort(bytes_per_cycle=0)
    with pytest.raises(ConfigError, match="no dataflow 'is'; choose of os, os-t, ws"):
        find_dataflows("os,is")
    with pytest.raises(ConfigError, match="can't be done by ws"):
        plan(SMALL, port, Gemm(m=8, k=8, n=8, keep=2, group=8), find_dataflows("ws"))


@pytest.mark.parametrize("name", ["pointwise", "3 × 3, strided", "stem"])
def test_against_the_cycle_model(name):
    """Products of real layers, each done in its best way, beside the program that the compiler makes of them."""
    errors = {found.name: found.error for found in estimates(name, preset("8x8"), 40)}
    assert max(map(abs, errors.values())) < 0.2, errors
    assert abs(sum(errors.values())) / len(errors) < 0.08, errors
