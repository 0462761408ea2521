"""Passes in parts of the batch: by hand where it is easy, beside a chain of whole tensors, and what must wait."""

from itertools import pairwise

import pytest

from sat_hdl.compiler.blocks import plan
from sat_hdl.compiler.dataflows import device_dataflows
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import METHODS, Matmul, Network, Vector, Weighted
from sat_hdl.compiler.networks.vector_costs import COSTS
from sat_hdl.compiler.overlap import Task, run
from sat_hdl.compiler.parts import shares
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import Config

SMALL = Config(rows=4, cols=4, sore_lanes=4, west_depth=64, north_depth=64, result_depth=128)
#: Memory that nothing waits for, beside its latency.
FAST = MemoryPort(bytes_per_cycle=1e6, latency=40)
COMMAND = FAST.latency + 30
PLAIN = Network(
    name="plain", title="plain", batch=8,
    layers=(
        Weighted(name="a", cin=16, cout=32, height=4, width=4, first=True),
        Vector(name="gelu", kind="gelu", elements=512),
        Weighted(name="b", cin=32, cout=16, height=4, width=4, bias=True),
        Vector(name="b.bias", kind="bias", elements=256),
    ),
)  # fmt: skip
NORM = Network(
    name="norm", title="norm", batch=8,
    layers=(
        Weighted(name="a", cin=16, cout=32, height=4, width=4, first=True),
        Vector(name="a.norm", kind="batchnorm", elements=512, parameters=64),
        Vector(name="a.relu", kind="relu", elements=512),
        Weighted(name="b", cin=32, cout=64, height=4, width=4, kernel=3, padding=1),
        Vector(name="b.norm", kind="batchnorm", elements=1024, parameters=128),
        Matmul(name="c", m=4, k=8, n=16, count=2),
        Vector(name="d.add", kind="add", elements=128),
        Weighted(name="d", cin=128, cout=10),
    ),
)  # fmt: skip


def found_in(net, parts, port=FAST, **options):
    found = schedule(net, SMALL, port, parts=parts, **options)
    return found, {(entry.layer, entry.stage): entry for entry in found.entries}


def lengths(entry):
    return [slot.end - slot.start for slot in entry.slots]


def whole_tensors(net, port, method, sparsity):
    """A step of layers that wait for whole tensors, told here by itself: slots, tasks, and WU of each layer."""
    flows, tasks = device_dataflows(SMALL), list[Task]()

    def add(unit, cycles, memory, after, urgent=True):
        tasks.append(Task(unit=unit, cycles=cycles, memory=min(memory, cycles), after=after, urgent=urgent))
        return (len(tasks) - 1,)

    def multiply(layer, stage, after, urgent=True):
        gemms = layer.products(stage, net.batch, sparsity if stage in METHODS[method] else None)
        plans = [plan(SMALL, port, gemm, flows) for gemm in gemms]
        memory = sum(port.cycles(each.read, each.written) for each in plans)
        return add("array", sum(each.cycles for each in plans), memory, after, urgent) if plans else after

    def sweep(elements, phases, after, urgent=True):
        passes, read, written = (sum(getattr(p, x) for p in phases) for x in ("passes", "read", "written"))
        memory = port.cycles(elements * read, elements * written)
        cycles = max(elements * passes / SMALL.vector_lanes, memory) + port.latency + 30
        return add("vector", cycles, memory, after, urgent)

    last = ()
    for layer in net.layers:
        if not isinstance(layer, Vector):
            last = multiply(layer, "ff", last)
        elif phases := COSTS[layer.kind].forward:
            last = sweep(net.batch * layer.elements, phases, last)
    updates = []
    for layer in reversed(net.layers):
        if isinstance(layer, Vector):
            urgent = layer.kind != "bias"
            done = sweep(net.batch * layer.elements, COSTS[layer.kind].backward, last, urgent)
            last = done if urgent else last
            continue
        if isinstance(layer, Weighted):
            updates.append((layer, multiply(layer, "wu", last, False)))
        last = multiply(layer, "bp", last)
    return run(tasks), tasks, updates


@pytest.mark.parametrize("net", [PLAIN, NORM], ids=lambda net: net.name)
@pytest.mark.parametrize("method, sparsity", [("dense", None), ("bdwp", (2, 8)), ("sdwp", (1, 4))])
def test_one_part_waits_for_whole_tensors(net, method, sparsity):
    port = MemoryPort(bytes_per_cycle=16)
    found, _ = found_in(net, 1, port, method=method, sparsity=sparsity)
    assert found.parts == (1, 1) and all(len(entry.slots) == 1 for entry in found.entries)
    slots, tasks, _ = whole_tensors(net, port, method, sparsity)
    told = sorted(
        (entry.unit, entry.cycles, entry.memory_cycles) for entry in found.entries if entry.stage != "update"
    )
    assert told == sorted((task.unit, task.cycles, task.memory) for task in tasks)
    forward = max(entry.end for entry in found.entries if entry.stage in ("ff", "forward"))
    count = sum(entry.stage in ("ff", "forward") for entry in found.entries)
    assert forward == pytest.approx(slots[count - 1].end)
    # With memory for all, updates delay nothing that an array does.
    _, fast = found_in(net, 1, method=method, sparsity=sparsity)
    slots, _, updates = whole_tensors(net, FAST, method, sparsity)
    for layer, (number,) in updates:
        assert fast[layer.name, "wu"].slots[0].end == pytest.approx(slots[number].end)


def test_overlap_by_hand():
    """Two parts of a product, and vector work: its first half runs beside the second half of the product."""
    _, at = found_in(PLAIN, 2)
    (gemm,) = PLAIN.layers[0].products("ff", 4)
    c = plan(SMALL, FAST, gemm, device_dataflows(SMALL)).cycles
    v = 4 * 512 * 4 / SMALL.vector_lanes + COMMAND  # four passes
    (gemm,) = PLAIN.layers[2].products("ff", 4, (2, 8))
    d = plan(SMALL, FAST, gemm, device_dataflows(SMALL)).cycles
    assert [(s.start, s.end) for s in at["a", "ff"].slots] == [(0, c), (c, 2 * c)]
    # The second half of the vector work waits for its product, and for the first half.
    second = max(2 * c, c + v)
    assert [slot.start for slot in at["gelu", "forward"].slots] == pytest.approx([c, second])
    assert at["gelu", "forward"].end == pytest.approx(second + v)
    # The next product waits for the array, and for the first half of the vector work.
    begin = max(2 * c, c + v)
    assert at["b", "ff"].slots[0].start == pytest.approx(begin)
    assert at["b", "ff"].slots[1].start == pytest.approx(max(begin + d, second + v))


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_an_application_waits_for_all_sums(parts):
    _, at = found_in(NORM, parts)
    sizes = shares(8, parts)
    for name, stage, elements, passes in (
        ("a.norm", "forward", 512, (2, 1)), ("b.norm", "forward", 1024, (2, 1)),
        ("b.norm", "backward", 1024, (2, 2)), ("a.norm", "backward", 512, (2, 2)),
    ):  # fmt: skip
        wanted = [each * elements * p / SMALL.vector_lanes + COMMAND for p in passes for each in sizes]
        assert lengths(at[name, stage]) == pytest.approx(wanted)
    # Sums run beside products, part by part, and so do applications.
    sums, products = at["b.norm", "forward"].slots[:parts], at["b", "ff"].slots
    assert all(b.start >= a.end - 1e-6 for a, b in zip(products, sums))
    applied = at["a.norm", "forward"].slots[parts:]
    assert all(b.start >= a.end - 1e-6 for a, b in zip(applied, products))
    assert sums[0].start < products[-1].end and products[0].start < applied[-1].end
    assert at["b.norm", "backward"].start >= max(
        at["d.add", "backward"].slots[0].end, at["d", "bp"].slots[0].end
    )


def test_backward_waits_for_all_of_forward():
    for parts in (2, 8):
        found, _ = found_in(NORM, parts)
        end = max(entry.end for entry in found.entries if entry.stage in ("ff", "forward"))
        begin = min(entry.start for entry in found.entries if entry.stage not in ("ff", "forward"))
        assert begin >= end - 1e-6


def test_gradients_of_biases_go_on():
    _, at = found_in(PLAIN, 4)
    slots = at["b.bias", "backward"].slots
    assert len(slots) == 4 and all(a.end <= b.start + 1e-6 for a, b in pairwise(slots))
    assert at["others", "update"].start >= slots[-1].end - 1e-6


@pytest.mark.parametrize("parts", [2, 3, 8, 100])
def test_work_is_conserved(parts):
    port = MemoryPort(bytes_per_cycle=64)
    one, ones = found_in(NORM, 1, port)
    more, found = found_in(NORM, parts, port)
    assert more.parts == (min(parts, 8),) * 2
    assert ones.keys() == found.keys()
    assert more.macs == one.macs and more.bytes >= one.bytes
    for key, entry in ones.items():
        other = found[key]
        assert other.macs == entry.macs and other.unit == entry.unit
        if entry.unit == "array" and key[1] != "wu":
            assert other.cycles >= entry.cycles and len(other.slots) == min(parts, 8)
        elif entry.unit == "vector":
            assert (other.read, other.written) == pytest.approx((entry.read, entry.written))
            assert other.cycles >= entry.cycles + (len(other.slots) - 1) * (port.latency + 30) - 1e-6
    assert sum(e.cycles for e in found.values()) > sum(e.cycles for e in ones.values())


@pytest.mark.parametrize("net", [PLAIN, NORM], ids=lambda net: net.name)
@pytest.mark.parametrize("bandwidth", [1, 16, 1e6])
def test_the_best_number_is_no_worse_than_one(net, bandwidth):
    port = MemoryPort(bytes_per_cycle=bandwidth)

    def halves(parts):
        found, _ = found_in(net, parts, port)
        forward = max(entry.end for entry in found.entries if entry.stage in ("ff", "forward"))
        return found, forward, found.cycles - forward

    best, forward, backward = halves(None)
    one = halves(1)
    assert forward <= one[1] + 1 and backward <= one[2] + 1
    # Each is that of its own number of parts.
    assert forward == pytest.approx(halves(best.parts[0])[1])
    if best.parts[0] == best.parts[1]:
        assert best.cycles == halves(best.parts[1])[0].cycles
    # Twice as many are no better.
    assert forward <= halves(2 * best.parts[0])[1] + 1


def test_parts_pay():
    """Most of the forward pass's vector work hides behind products."""
    one, at = found_in(NORM, 1)
    best, _ = found_in(NORM, None)
    vector = sum(entry.cycles for key, entry in at.items() if key[1] == "forward")
    assert best.cycles < one.cycles - vector / 2


def test_shares():
    for batch in range(1, 20):
        for parts in range(1, 25):
            sizes = shares(batch, parts)
            assert sum(sizes) == batch and len(sizes) == min(parts, batch)
            assert max(sizes) - min(sizes) <= 1 and list(sizes) == sorted(sizes, reverse=True)


def test_phases():
    """Each phase reads what it works on; the last one writes. Only batch normalisation needs the whole batch."""
    for kind, cost in COSTS.items():
        assert (len(cost.backward) > 1) == (len(cost.forward) > 1) == (kind == "batchnorm")
    norm = COSTS["batchnorm"]
    assert all(phase.read == 2 for phase in norm.forward) and all(phase.read == 4 for phase in norm.backward)
    for phases in (norm.forward, norm.backward):
        assert [phase.written for phase in phases] == [0, 2]
