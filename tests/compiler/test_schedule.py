"""The scheduler against exhaustive search, a block-by-block timing of its own, measured cycles, and its own sums."""

import random
import re
from dataclasses import replace
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest

from sat_hdl.compiler import blocks
from sat_hdl.compiler.blocks import PRUNING, Blocks, cost, plan
from sat_hdl.compiler.compare import compare, scale_sim_cycles
from sat_hdl.compiler.dataflows import DATAFLOWS, device_dataflows, find_dataflows, kept_of
from sat_hdl.compiler.memory_port import MemoryPort, default_port
from sat_hdl.compiler.networks import NETWORKS
from sat_hdl.compiler.networks.table import Gemm, Network, Vector, Weighted
from sat_hdl.compiler.networks.vector_costs import UPDATE
from sat_hdl.compiler.overlap import Task, run
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import Config, ConfigError, preset

SEED = 20260101
SMALL = Config(rows=4, cols=4, sore_lanes=4, west_depth=64, north_depth=64, result_depth=128)
OS = (DATAFLOWS["os"],)
#: Awkward shapes: primes, array ± 1, no multiple of M, single rows and columns.
SHAPES = [(1, 1, 1), (5, 40, 3), (33, 24, 31), (17, 128, 64), (64, 9, 65), (129, 70, 40), (3, 300, 130)]
NET = Network(
    name="small", title="small", batch=4,
    layers=(
        Weighted(name="a", cin=3, cout=16, height=8, width=8, kernel=3, padding=1, first=True, bias=True),
        Vector(name="a.norm", kind="batchnorm", elements=1024, parameters=32),
        Weighted(name="b", cin=16, cout=32, height=8, width=8, kernel=3, stride=2, padding=1),
        Vector(name="b.relu", kind="relu", elements=512),
        Weighted(name="c", cin=512, cout=10),
    ),
)  # fmt: skip


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
    """All ways to cut a product: every number of parts of each axis, k at whole panels and groups."""
    turned = dataflow.turned(gemm)
    sizes = [sorted({-(-length // parts) for parts in range(1, length + 1)}) for length in
             (turned.m, turned.k, turned.n)]  # fmt: skip
    step = max(turned.group or 1, config.panel)
    depths = sorted({min(turned.k, -(-k // step) * step) for k in sizes[1]})
    for k in depths:
        for n in sizes[2]:
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
        best = min(
            cost(SMALL, port, gemm, OS[0], block, moment).cycles for block in every(SMALL, gemm, OS[0])
        )
        found = plan(SMALL, port, gemm, OS, PRUNING[:1])
        assert fits(SMALL, OS[0], gemm, found.blocks)
        assert best <= found.cycles <= 1.02 * best, gemm


def timed(config, port, gemm, dataflow, blocks_, moment):
    """Cycles by running through the jobs one by one: loads two ahead at most, then the array, then the stores."""
    turned = dataflow.turned(gemm)
    jobs = [job for job in blocks._jobs(config, turned, blocks_) for _ in range(job.count)]
    pattern = None if gemm.keep is None else (gemm.keep, gemm.group)
    loaded, computed, stored = [], [], []
    for i, job in enumerate(jobs):
        data = 2 * job.m * job.k * job.loads_a
        data += job.loads_b * job.n * (2.5 * kept_of(turned, job.k) if moment else 2 * job.k)
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


def test_more_bandwidth_is_never_slower():
    for gemm in gemms(6):
        last = inf
        for width in (0.5, 1, 3, 8, 30, 1000):
            cycles = plan(SMALL, MemoryPort(bytes_per_cycle=width), gemm, device_dataflows(SMALL)).cycles
            assert cycles <= last
            last = cycles
    last = inf
    for gbps in (0.1, 1, 10, 100):
        cycles = schedule(NET, SMALL, MemoryPort.of_bandwidth(gbps, 200)).cycles
        assert cycles <= last
        last = cycles


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
    """Dense products of few columns are done transposed; sparse ones can't be."""
    dense = Gemm(m=512, k=64, n=4, run=64)
    port = MemoryPort(bytes_per_cycle=64)
    assert plan(SMALL, port, dense, device_dataflows(SMALL)).dataflow == "os-t"
    assert plan(SMALL, port, replace(dense, keep=2, group=8), device_dataflows(SMALL)).dataflow == "os"
    assert (
        plan(SMALL, port, replace(dense, keep=2, group=8), find_dataflows("os,os-fold")).dataflow == "os-fold"
    )


def test_moments_of_pruning():
    port = MemoryPort(bytes_per_cycle=16)
    gemm = Gemm(m=64, k=256, n=64, run=256, keep=2, group=8, weights=True)
    early, late = (plan(SMALL, port, gemm, OS, (moment,)) for moment in PRUNING)
    assert early.cycles < late.cycles and early.read < late.read
    assert plan(SMALL, port, gemm, OS).pruning == PRUNING[0]


@pytest.mark.parametrize(
    "method, sparsity", [("dense", None), ("bdwp", (2, 8)), ("sdwp", (1, 4)), ("srste", (2, 4))]
)
def test_a_schedule(method, sparsity):
    found = schedule(NET, SMALL, MemoryPort(bytes_per_cycle=8), method=method, sparsity=sparsity)
    stages = {(entry.layer, entry.stage) for entry in found.entries}
    expected = {(name, stage) for name in "abc" for stage in ("ff", "bp", "wu", "update")} - {("a", "bp")}
    expected |= {("a.norm", "forward"), ("a.norm", "backward"), ("b.relu", "backward"), ("others", "update")}
    assert stages == expected
    sparse = {"ff": method in ("bdwp", "srste"), "bp": method in ("bdwp", "sdwp")}
    for entry in found.entries:
        for each in entry.plans:
            divides = sparsity is not None and {"a": 3, "b": 16, "c": 512}[entry.layer] % sparsity[1] == 0
            if entry.stage == "bp":
                divides = sparsity is not None and {"b": 32, "c": 10}[entry.layer] % sparsity[1] == 0
            assert (each.gemm.keep is not None) == (sparse.get(entry.stage, False) and divides)
    # Sums.
    assert found.macs == sum(each.macs for entry in found.entries for each in entry.plans)
    assert found.product_cycles == sum(each.cycles for entry in found.entries for each in entry.plans)
    assert found.bytes == sum(entry.read + entry.written for entry in found.entries)
    assert found.cycles <= found.product_cycles + found.vector_cycles + len(found.entries)
    assert found.cycles >= max(found.product_cycles, found.vector_cycles, found.bytes / 8) - 1
    # One thing at a time on each unit, and no layer before the one that it waits for.
    for unit in ("array", "vector"):
        own = sorted((entry for entry in found.entries if entry.unit == unit), key=lambda entry: entry.start)
        assert all(a.end <= b.start + 1e-3 for a, b in pairwise(own))
    at = {(entry.layer, entry.stage): entry for entry in found.entries}
    chain = [("a", "ff"), ("a.norm", "forward"), ("b", "ff"), ("c", "ff"), ("c", "bp"), ("b.relu", "backward"),
             ("b", "bp"), ("a.norm", "backward"), ("a", "wu"), ("a", "update")]  # fmt: skip
    assert all(at[a].end <= at[b].start + 1e-3 for a, b in pairwise(chain))
    assert at["b", "wu"].start >= at["b.relu", "backward"].end - 1e-3


def test_an_update_writes_both_copies():
    found = schedule(NET, SMALL, MemoryPort(bytes_per_cycle=8), sparsity=(2, 8))
    update = next(entry for entry in found.entries if (entry.layer, entry.stage) == ("b", "update"))
    weights = 9 * 16 * 32
    assert update.read == UPDATE.read * weights
    assert update.written == pytest.approx((UPDATE.written + 2 * 2.5 * 2 / 8) * weights)


def test_two_tasks_share_memory():
    """Each could use all of it for all of its time: together they take the sum."""
    slots = run([Task(unit=unit, cycles=100, memory=100) for unit in ("array", "vector")])
    assert [slot.end for slot in slots] == [200, 200]
    slots = run([Task(unit=unit, cycles=100, memory=40) for unit in ("array", "vector")])
    assert [slot.end for slot in slots] == [100, 100]
    chain, rest = Task(unit="array", cycles=5, memory=0), Task(unit="array", cycles=7, memory=0, urgent=False)
    assert [slot.start for slot in run([rest, chain])] == [5, 0]


def test_scale_sim():
    """The form by hand for one layer: ⌈16/4⌉ · ⌈10/4⌉ tiles of 64·2/8 and of 64."""
    net = Network(name="x", title="x", batch=16, layers=(Weighted(name="a", cin=64, cout=10, first=False),))
    sparse = scale_sim_cycles(net, 4, 4, batch=16, method="srste", sparsity=(2, 8))
    dense = scale_sim_cycles(net, 4, 4, batch=16, method="dense", sparsity=None)
    assert dense - sparse == 4 * 3 * (64 - 16)


def test_the_paper():
    """At the paper's size every network gains, and less than operations allow."""
    config = preset("paper-32x32")
    port = default_port(config, 200)
    assert port.bytes_per_cycle * 200e6 == pytest.approx(4 * 64 / 8 * 2400e6)
    for name in ("vgg19", "vit"):
        found = compare(NETWORKS[name], config, port, (2, 8))
        assert 1 < found.speedup < found.ideal_speedup
        assert 1 < found.product_speedup < found.ideal_speedup
        assert found.paper_speedup == 1.75
        assert compare(NETWORKS[name], config, port, (2, 4), dense=found.dense).paper_speedup is None


def test_refusals():
    port = MemoryPort(bytes_per_cycle=8)
    with pytest.raises(ConfigError, match="`method` must be one of dense, bdwp, sdwp, srste, not 'sdgp'"):
        schedule(NET, SMALL, port, method="sdgp")
    with pytest.raises(ConfigError, match="M must be one of 2, 4, 8"):
        schedule(NET, SMALL, port, sparsity=(2, 16))
    with pytest.raises(ConfigError, match="needs a sparsity"):
        schedule(NET, SMALL, port, sparsity=None)
    with pytest.raises(ConfigError, match="`bytes_per_cycle` must be over 0, not 0"):
        MemoryPort(bytes_per_cycle=0)
    with pytest.raises(ConfigError, match="no dataflow 'is'; choose of os, os-t, ws"):
        find_dataflows("os,is")
    with pytest.raises(ConfigError, match="can't be done by ws"):
        plan(SMALL, port, Gemm(m=8, k=8, n=8, keep=2, group=8), find_dataflows("ws"))
