"""Schedules of training steps: what is sparse, sums, what waits for what, and comparisons."""

from itertools import pairwise
from math import inf

import pytest

from sat_hdl.compiler.compare import compare
from sat_hdl.compiler.memory_port import MemoryPort, default_port
from sat_hdl.compiler.networks import NETWORKS
from sat_hdl.compiler.networks.table import Network, Vector, Weighted
from sat_hdl.compiler.networks.vector_costs import UPDATE
from sat_hdl.compiler.overlap import Task, run
from sat_hdl.compiler.scale_sim import step_cycles
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import Config, ConfigError, preset

SMALL = Config(rows=4, cols=4, sore_lanes=4, west_depth=64, north_depth=64, result_depth=128)
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


def test_more_bandwidth_is_never_slower():
    last = inf
    for gbps in (0.1, 1, 10, 100):
        cycles = schedule(NET, SMALL, MemoryPort.of_bandwidth(gbps, 200)).cycles
        assert cycles <= last
        last = cycles


@pytest.mark.parametrize(
    "method, sparsity", [("dense", None), ("bdwp", (2, 8)), ("sdwp", (1, 4)), ("srste", (2, 4))]
)
@pytest.mark.parametrize("parts", [1, 3, None])
def test_a_schedule(method, sparsity, parts):
    found = schedule(NET, SMALL, MemoryPort(bytes_per_cycle=8), method=method, sparsity=sparsity, parts=parts)
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
        slots = [slot for entry in found.entries if entry.unit == unit for slot in entry.slots]
        own = sorted(slots, key=lambda slot: slot.start)
        assert all(a.end <= b.start + 1e-3 for a, b in pairwise(own))
    at = {(entry.layer, entry.stage): entry for entry in found.entries}
    chain = [("a", "ff"), ("a.norm", "forward"), ("b", "ff"), ("c", "ff"), ("c", "bp"), ("b.relu", "backward"),
             ("b", "bp"), ("a.norm", "backward"), ("a", "wu"), ("a", "update")]  # fmt: skip
    if parts == 1:
        assert all(at[a].end <= at[b].start + 1e-3 for a, b in pairwise(chain))
    for a, b in pairwise(chain):
        assert at[a].slots[0].end <= at[b].start + 1e-3 and at[a].end < at[b].end
    for wu, dy in (("a", "a.norm"), ("b", "b.relu")):
        assert at[wu, "wu"].start >= at[dy, "backward"].end - 1e-3
        assert at[wu, "update"].start >= at[wu, "wu"].end - 1e-3


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
    sparse = step_cycles(net, SMALL, batch=16, method="srste", sparsity=(2, 8))
    dense = step_cycles(net, SMALL, batch=16, method="dense", sparsity=None)
    assert dense.cycles - sparse.cycles == 4 * 3 * (64 - 16)


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
    with pytest.raises(ConfigError, match="`parts` must be at least 1, not 0"):
        schedule(NET, SMALL, port, parts=0)
