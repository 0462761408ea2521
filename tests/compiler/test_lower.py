"""Whole training steps in the emulator, bit for bit the golden model's, on many devices; and what is refused."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.lower import compile_step
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.isa import Op, decode
from sat_hdl.driver import Accelerator
from sat_hdl.sim.emulator import EmulatedTransport

from .training import NETWORKS, Training, compiled, settings

CONFIGS = {
    "2x2": Config(rows=2, cols=2, west_depth=512, north_depth=1024, result_depth=256),
    "4x1, one column": Config(rows=4, cols=1, memory_bits=32, north_depth=2048),
    "4x4, small buffers": Config(
        rows=4, cols=4, memory_bits=128, west_depth=64, north_depth=128, result_depth=256
    ),
    "2x8, a panel as wide as the array": Config(
        rows=2,
        cols=8,
        memory_bits=32,
        max_m=4,
        vector_lanes=2,
        west_depth=64,
        north_depth=128,
        result_depth=128,
    ),
    "8x8, 256 bits": Config(memory_bits=256, max_m=16, interleave=16),
    "8x8, the least buffers": Config(west_depth=64, north_depth=64, result_depth=64),
    "8x8, folding": Config(fold=2, west_lanes=2, result_depth=512),
    "16x16, 512 bits": Config(rows=16, cols=16, memory_bits=512, west_depth=64, north_depth=256),
}


def training(model: Model, config: Config, given, seed: int = 0, dataflow: str = "auto") -> Training:
    step = compiled(model, config, given, dataflow)
    return Training(model, Accelerator(EmulatedTransport(config, step.size + 64)), step, given, seed)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, config):
    if name == "odd" and config.memory_bits > 256:
        pytest.skip("its flattened pixels have 16 channels, half a beat")
    given = settings("bdwp", 2, 4, batch=3)
    steps = training(NETWORKS[name], config, given)
    steps.run()
    steps.run()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("method", ["dense", "bdwp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_held_wherever_possible(name, method, config):
    if name == "odd" and config.memory_bits > 256:
        pytest.skip("its flattened pixels have 16 channels, half a beat")
    steps = training(NETWORKS[name], config, settings(method, 2, 4, batch=3), dataflow="ws")
    held = [
        operation
        for program in (steps.step.forward, steps.step.backward)
        for operation in map(decode, program.view(np.uint64).tolist())
        if operation.register == "sparsity" and operation.op == Op.SET and operation.immediate >> 16 & 1
    ]
    assert held
    steps.run()


@pytest.mark.parametrize(
    "method, keep, group", [("dense", 2, 8), ("sdwp", 1, 8), ("bdwp", 1, 2), ("bdwp", 3, 8)]
)
def test_methods(method, keep, group):
    """1:8 makes blocks of indices that fill no beat; 12 channels fill no block, and hold no whole groups of 8."""
    for config in (CONFIGS["2x2"], CONFIGS["4x4, small buffers"]):
        training(NETWORKS["odd"], config, settings(method, keep, group, 2, nesterov=True)).run()


def test_bf16_programs_are_those_of_fp16():
    """But for how many parts the batch is cut into: its conversions are a cycle shorter, which may decide that."""
    given = settings("bdwp", 2, 8, batch=2)
    one, two = (
        compiled(NETWORKS["cnn"], Config(rows=4, cols=4, operand_format=name), given, parts=1)
        for name in ("fp16", "bf16")
    )
    assert (one.backward == two.backward).all()


def test_an_overflow_skips_the_step():
    given = settings("bdwp", 2, 4, batch=2)
    steps = training(NETWORKS["cnn"], CONFIGS["2x2"], given)
    assert not steps.run(scale=6e4)[2]
    assert steps.run()[2]


def test_another_batch_keeps_the_parameters():
    """The last batch of an epoch is smaller: its step finds the parameters where the other's left them."""
    model, config = NETWORKS["odd"], CONFIGS["2x2"]
    one, two = (compiled(model, config, settings("bdwp", 2, 4, batch)) for batch in (3, 2))
    accelerator = Accelerator(EmulatedTransport(config, max(one.size, two.size) + 64))
    steps = Training(model, accelerator, one, settings("bdwp", 2, 4, 3), 0)
    steps.run()
    accelerator.load(two, keep_parameters=True)
    steps.settings = settings("bdwp", 2, 4, 2)
    steps.run()


def test_pixels_that_no_window_sees():
    """A stride beyond the kernel, of a convolution and of both poolings."""
    model = Model(
        (9, 8, 4),
        [
            Conv2d(8, 1),
            MaxPool(2, 3),
            Conv2d(8, 1, stride=2),
            Conv2d(8, 1),
            AvgPool(1, 2),
            Flatten(),
            Linear(3),
        ],
    )
    training(model, CONFIGS["2x2"], settings("dense", 2, 4, 2)).run()


def test_long_pixels():
    """More channels than a chunk of the vector unit holds, and more than a block of k."""
    model = Model((2, 2, 8), [Conv2d(300, 1), MaxPool(2), Flatten(), Relu(), Linear(3)])
    training(model, CONFIGS["4x4, small buffers"], settings("bdwp", 2, 4, 2)).run()


def test_programs_are_small():
    """A step of the CNN on the default device: what a kernel position or a tile costs is not an instruction."""
    step = compile_step(build(NETWORKS["cnn"]), Config(), batch=64, method="bdwp")
    assert len(step.forward) + len(step.backward) < 40_000


@pytest.mark.parametrize(
    "config, text",
    [
        (Config(cols=2, memory_bits=128), "at most 32 bits a column"),
        (Config(cols=8, interleave=9, max_m=16), "`cols` × `interleave`"),
    ],
)
def test_devices_that_cannot(config, text):
    with pytest.raises(ConfigError, match=text):
        compile_step(build(NETWORKS["cnn"]), config, batch=2)


@pytest.mark.parametrize("channels, bits", [(6, 64), (12, 256)])
def test_a_flatten_that_would_move_pixels(channels, bits):
    """Of 2 × 1 pixels of 12 channels on 256 bits, the bytes would be as many as those of one of 24."""
    model = Model((4, 3, 1), [Conv2d(channels, 3, name="c"), Flatten(name="f"), Linear(3)])
    with pytest.raises(ConfigError, match="'f' flattens pixels"):
        compile_step(build(model), Config(memory_bits=bits), batch=2)


def test_sparsity_beyond_the_device():
    with pytest.raises(ConfigError, match="M must be one of"):
        compile_step(build(NETWORKS["cnn"]), Config(max_m=4), batch=2, method="bdwp", keep=2, group=8)


def test_emulated_memory_beyond_the_step_stays():
    config, given = CONFIGS["2x2"], settings("bdwp", 2, 4, 2)
    step = compiled(NETWORKS["cnn"], config, given)
    transport = EmulatedTransport(config, step.size + 4096)
    steps = Training(NETWORKS["cnn"], Accelerator(transport), step, given, 0)
    transport.emulator.memory[step.size :] = 0xA5
    steps.run()
    assert (transport.emulator.memory[step.size :] == 0xA5).all()
    programs = transport.emulator.memory[step.backward_address : step.backward_address + len(step.backward)]
    assert np.array_equal(programs, step.backward)
