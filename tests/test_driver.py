"""The driver on the simulated device: whole training steps bit for bit, whatever the memory does, and what fails."""

import functools
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.config import Config
from sat_hdl.control.isa import Instruction, Op, decode, encode
from sat_hdl.driver import Accelerator, DeviceError
from sat_hdl.sim.memory import MemoryConfig
from sat_hdl.sim.transport import SimTransport
from sat_hdl.sim.verilog import emit
from sat_hdl.system import SatTop

from .compiler.training import NETWORKS, ODD, Training, compiled, settings
from .device import CONFIG

#: Few words in each buffer, so that everything is cut; a panel as wide as the array, fewer lanes, 32 bits.
SMALL = Config(
    rows=2, cols=8, memory_bits=32, max_m=4, vector_lanes=2, west_depth=64, north_depth=128, result_depth=128
)  # fmt: skip
#: Sparse products of few columns are folded.
FOLDING = Config(rows=2, cols=4, fold=2, west_lanes=2, west_depth=256, north_depth=512, result_depth=256)
#: Sums go round in the adders; 11 slots of columns are two bands.
RING = Config(
    rows=2,
    cols=4,
    weight_stationary=False,
    ring=True,
    group_ram="block",
    west_depth=256,
    north_depth=512,
    result_depth=256,
)
#: Every kind of layer at least once, and few cycles.
TINY = Model(
    (5, 4, 4),
    [
        Conv2d(8, 3, stride=2, padding=1),
        Relu(),
        Conv2d(8, (1, 3), padding=(0, 1), bias=False, name="part"),
        Add(of="relu1"),
        MaxPool(2, 1, padding=1),
        AvgPool(2, 2),
        Flatten(),
        Linear(5),
    ],
)


@functools.cache
def design(config: Config) -> str:
    return emit(SatTop(config), "top")


def start(
    name_or_model, config: Config, given, dataflow: str = "auto", parts: int | str = "auto", **memory
) -> Training:
    model = NETWORKS[name_or_model] if isinstance(name_or_model, str) else name_or_model
    step = compiled(model, config, given, dataflow, parts=parts)
    size = -(-step.size // 64) * 64
    outside = MemoryConfig(size=size, **memory)
    accelerator = Accelerator(SimTransport(config, outside, design=design(config)), limit=5_000_000)
    return Training(model, accelerator, step, given, seed=1)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_training(name):
    """Two steps: the second takes what the first one's update left. In parts, a layer begins while results of the one
    before wait to be stored, and the results' buffer is not divided alike for both."""
    steps = start(name, CONFIG, settings("bdwp", 2, 8, batch=3), parts=2, read_latency=20)
    steps.run()
    steps.run()


@pytest.mark.parametrize("name", ["mlp", "odd"])
def test_folded(name):
    steps = start(name, FOLDING, settings("bdwp", 2, 8, batch=5), "os", read_latency=20)
    folds = [
        instruction.immediate >> 19 & 3
        for program in (steps.step.forward, steps.step.backward)
        for instruction in map(decode, program.view(np.uint64).tolist())
        if instruction.op == Op.SET and instruction.register == "sparsity"
    ]
    assert any(folds)
    steps.run()
    steps.run()


@pytest.mark.parametrize("memory", [{"read_latency": 1}, {"read_latency": (1, 80), "stall": 0.5}], ids=str)
@pytest.mark.parametrize("model", ["mlp", TINY], ids=["mlp", "tiny"])
def test_ring(model, memory):
    """Weights that come late are waited for, and no bit changes."""
    steps = start(model, RING, settings("bdwp", 2, 8, batch=5), "os", **memory)
    steps.run()
    steps.run()


@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize("config", [CONFIG, SMALL], ids=["2x2", "2x8"])
def test_dataflows(config, dataflow):
    """Every dense product one way or the other."""
    start(TINY, config, settings("bdwp", 1, 4, batch=3), dataflow, read_latency=20).run()


@pytest.mark.parametrize("parts", [1, 2, 3, "auto"])
@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_parts(dataflow, parts):
    """Two parts of three samples are unequal; memory is slow, so that what must wait and doesn't comes too early."""
    start(
        TINY, CONFIG, settings("bdwp", 1, 4, batch=3), dataflow, parts, read_latency=60, write_latency=60
    ).run()


@pytest.mark.parametrize("name, batch, parts", [("cnn", 5, 2), ("cnn", 4, "auto"), ("resnet", 5, 3)])
def test_parts_of_networks(name, batch, parts):
    start(name, SMALL, settings("bdwp", 2, 4, batch), parts=parts, read_latency=20).run()


def test_a_part_waits_for_what_it_needs(monkeypatch):
    """Were tensors' parts not told apart by name, units would take what is not there yet."""
    names = count()

    def samples(tensor: Tensor, which: range) -> Tensor:
        found = whole(tensor, which)
        return replace(found, place=replace(found.place, name=f"nobody's {next(names)}"))

    whole = Tensor.samples
    monkeypatch.setattr(Tensor, "samples", samples)
    steps = start(TINY, CONFIG, settings("bdwp", 1, 4, batch=3), parts=3, read_latency=60, write_latency=60)
    with pytest.raises(AssertionError, match="logits: "):
        steps.run()


@pytest.mark.parametrize("model, batch", [(TINY, 3), (ODD, 2)], ids=["tiny", "odd"])
def test_everything_is_cut(model, batch):
    steps = start(model, SMALL, settings("bdwp", 2, 4, batch, nesterov=True), read_latency=20)
    steps.run()
    steps.run()


@pytest.mark.parametrize("latency, stall", [(1, 0.0), ((1, 60), 0.5), (300, 0.0)])
def test_any_memory(latency, stall):
    steps = start(
        TINY, CONFIG, settings("sdwp", 1, 4, batch=2), read_latency=latency, write_latency=latency, stall=stall,
        order="interleave",
    )  # fmt: skip
    steps.run()


def test_an_overflow_skips_the_step_on_the_device():
    steps = start(TINY, CONFIG, settings("bdwp", 2, 4, batch=2))
    assert not steps.run(scale=6e4)[2]
    assert steps.run()[2]


def test_only_its_own_memory_is_written():
    """What the programs may change: gradients, activations, parameters; not the programs, and nothing beyond."""
    given = settings("bdwp", 2, 4, batch=2)
    step = compiled(TINY, CONFIG, given)
    steps = start(TINY, CONFIG, given, writable=((0, step.forward_address),))
    steps.run()


def test_a_fault_is_a_sentence():
    steps = start(TINY, CONFIG, settings("dense", 2, 4, batch=2))
    device, step = steps.accelerator, steps.step
    bad = np.array([encode(Instruction(Op.SET, "load", "take", 3)), 0xF0000000], np.uint64)
    device.write_bytes(step.forward_address, bad)
    with pytest.raises(
        DeviceError, match=r"ILLEGAL_INSTRUCTION in the front end, at 0.*\.word 0x00000000f0000000"
    ):
        device.forward()
    device.reset()
    device.load(step, keep_parameters=True)
    steps.run()


def test_a_program_without_end_ends():
    steps = start(TINY, CONFIG, settings("dense", 2, 4, batch=2))
    words = [
        Instruction(Op.LOOP, immediate=0xFFFFFFFF),
        Instruction(Op.SET, "load", "take"),
        Instruction(Op.END),
    ]
    short = Accelerator(steps.accelerator._transport, limit=2000)
    short.write_bytes(steps.step.forward_address, np.array([encode(word) for word in words], np.uint64))
    with pytest.raises(DeviceError, match="TIMEOUT"):
        short.run(steps.step.forward_address)


def test_counters():
    """Cycles of the array are those of its products, and no unit works longer than the program."""
    steps = start("mlp", CONFIG, settings("dense", 2, 8, batch=4))
    forward, _, _ = steps.run()
    # Two tiles of rows, 64 inputs, and 64 and 10 outputs in slots of two.
    assert forward["array_busy"] == 2 * 64 * (32 + 5)
    assert all(
        forward[f"{unit}_busy"] <= forward["cycles"] for unit in ("load", "compute", "store", "vector")
    )


def test_names_that_there_are_not():
    steps = start(TINY, CONFIG, settings("dense", 2, 4, batch=2))
    with pytest.raises(ValueError, match=r"A tensor's name must be one of conv2d1\.w"):
        steps.accelerator.read("conv")
    with pytest.raises(ValueError, match="must be loaded"):
        Accelerator(steps.accelerator._transport).forward()
