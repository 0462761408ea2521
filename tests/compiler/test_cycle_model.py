"""The cycle model against what the hardware counts: the array alone to the cycle, programs within 1 %."""

from random import Random

import pytest
from msgspec.structs import replace

from sat_hdl.arith.convert import Narrow, Widen
from sat_hdl.compiler.array_cycles import conversions, latencies
from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.isa import Instruction, Op, encode
from sat_hdl.sim.cycle_check import CONFIGS, STEPS, StepCase, Watched, array_products
from sat_hdl.stce.drain import Drain
from sat_hdl.stce.stce import Stce

CORES = {
    "2x2": Config(rows=2, cols=2),
    "2x2-os": Config(rows=2, cols=2, weight_stationary=False),
    "1x4-bf16": Config(rows=1, cols=4, operand_format="bf16"),
    "3x5-m4-j11": Config(rows=3, cols=5, max_m=4, interleave=11),
    "2x3-m16": Config(rows=2, cols=3, max_m=16),  # two elements a beat
    "2x2-m16-j16": Config(
        rows=2, cols=2, max_m=16, interleave=16
    ),  # a group may take longer to come than to use
    "2x2-fold2": Config(rows=2, cols=2, fold=2),
    "2x3-ring": Config(rows=2, cols=3, weight_stationary=False, ring=True),
    "1x2-m4-ring-bf16": Config(
        rows=1, cols=2, max_m=4, operand_format="bf16", weight_stationary=False, ring=True, group_ram="block"
    ),
    "3x2-m4-j13-fold8": Config(rows=3, cols=2, max_m=4, interleave=13, fold=8, west_lanes=2),
    "1x3-m16-j16-fold4-bf16": Config(rows=1, cols=3, max_m=16, interleave=16, fold=4, operand_format="bf16"),
}
#: Devices that other tests have, too.
DEVICES = ("2x2", "2x8", "2x4")


@pytest.fixture(scope="module", params=DEVICES)
def watched(request):
    return Watched(CONFIGS[request.param]), request.param


@pytest.mark.parametrize("name", CORES)
def test_the_array_is_exact(name):
    for check in array_products(CORES[name], 40, 1):
        assert check.predicted == check.measured, check


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_latencies_are_the_components(config):
    stce = Stce(config)
    drain = Drain(config, exchange_latency=stce.exchange_latency)
    assert latencies(config) == (stce.result_latency, drain.latency)
    assert conversions(config) == tuple(part(format=config.format).latency for part in (Widen, Narrow))


def test_products_within_a_hundredth(watched):
    device, name = watched
    for number in range(20):
        check = device.product(Random(f"product {name} {number}"))
        assert abs(check.error) < 0.01, check


def test_random_programs(watched):
    """Commands of odd shapes, a few elements each, side by side: nearly all as exact, some are off by more."""
    device, name = watched
    checks = [device.program(f"program {name} {number}") for number in range(20)]
    assert all(abs(check.error) < 0.1 for check in checks), checks
    assert sum(abs(check.error) for check in checks) / len(checks) < 0.015, checks


def test_steps_within_a_hundredth(watched):
    device, name = watched
    for case in STEPS[name][:3]:
        check = device.step(case)
        assert abs(check.error) < 0.01, check


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_steps_in_parts_within_a_hundredth(watched, parts):
    device, _ = watched
    check = device.step(StepCase(model="cnn", batch=5, group=4, parts=parts, latency=30))
    assert abs(check.error) < 0.01, check


def test_a_ring_is_waited_for():
    """A device whose sums go round: what comes late is waited for in whole rounds."""
    device = Watched(replace(CONFIGS["2x2"], weight_stationary=False, ring=True))
    for number in range(30):
        check = device.product(Random(f"ring {number}"))
        assert abs(check.error) < 0.02, check
    for case in STEPS["2x2"][:2]:
        check = device.step(case)
        assert abs(check.error) < 0.01, check


@pytest.mark.parametrize("model, batch", [("mlp", 16), ("cnn", 4)])
def test_an_update_that_lanes_bound(model, batch):
    """A port so wide that passes through the lanes, and copies that are as fast as these, bound the update: the model
    knows no cycle beside them."""
    device = Watched(replace(CONFIGS["4x4"], vector_lanes=4))
    check = device.step(StepCase(model=model, batch=batch))
    assert abs(check.error) < 0.01, check


def test_every_device_has_steps():
    assert STEPS.keys() == CONFIGS.keys()


def _words(*instructions: Instruction) -> list[int]:
    return [encode(instruction) for instruction in instructions]


def test_a_program_without_an_end_is_told():
    wait = Instruction(Op.RUN, "compute", action="from_zero", wait=(0,))
    for words in (_words(wait, Instruction(Op.HALT)), _words(Instruction(Op.SET, "load", "base", 4))):
        with pytest.raises(ConfigError, match="The program doesn't end"):
            predict(words, Config())


def test_a_skipped_run_takes_no_time():
    words = [encode(Instruction(Op.HALT))]
    fast = predict(words, Config(), Memory(read_latency=1))
    slow = predict(words, Config(), Memory(read_latency=101))
    assert slow.cycles == fast.cycles + 100


@pytest.mark.parametrize("given", [{"read_latency": 0}, {"outstanding": 1.5}, {"bandwidth": 3}])
def test_memories_that_are_none_are_refused(given):
    with pytest.raises(ValueError, match=f"A memory's {next(iter(given))} must be"):
        Memory(**given)
