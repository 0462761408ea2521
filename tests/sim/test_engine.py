"""Training's products on the RTL: the golden model's bits, cycles where they are due, every fault noticed."""

import numpy as np
import pytest

from sat_hdl.config import Config, preset
from sat_hdl.sim.device import Device
from sat_hdl.sim.engine import RtlEngine
from sat_hdl.sim.golden.data import Dataset
from sat_hdl.sim.golden.engine import STAGES, GoldenEngine
from sat_hdl.sim.golden.mlp import METHODS
from sat_hdl.sim.golden.train import TrainConfig, train

from ..fake_device import FakeDevice
from .golden import oracle


@pytest.fixture(scope="module")
def device():
    return Device(preset("tiny"))


def same_bits(x, y):
    assert x.dtype == y.dtype
    unsigned = f"u{x.itemsize}"
    np.testing.assert_array_equal(
        np.ascontiguousarray(x).view(unsigned), np.ascontiguousarray(y).view(unsigned)
    )


def operands(rng, shape, operand):
    return oracle.random16(rng, shape).view(np.float16 if operand == "fp16" else np.uint16)


@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 13, 5), (20, 8, 3), (3, 8, 20), (5, 17, 17)])
def test_any_bits_on_the_hardware(device, m, k, n):
    seed = 100 * m + 10 * k + n
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    rtl, golden = RtlEngine(device), GoldenEngine()
    a, b = operands(rng, (m, k), "fp16"), operands(rng, (k, n), "fp16")
    acc = oracle.random32(rng, m * n).reshape(m, n).view(np.float32)
    for initial in (None, acc, np.broadcast_to(acc[0], (m, n))):
        same_bits(rtl.matmul(a, b, initial, "wu"), golden.matmul(a, b, initial, "wu"))
    for axis, w in ((0, b), (1, b.T)):
        pruned, expected = (engine.prune(w, 2, 4, axis) for engine in (rtl, golden))
        same_bits(pruned.values, expected.values)
        same_bits(pruned.indices, expected.indices)
        sparse = pruned if axis == 0 else pruned.T
        same_bits(rtl.sparse_matmul(a, sparse, acc, "bp"), golden.sparse_matmul(a, sparse, acc, "bp"))
    assert rtl.bit_exact is True and rtl.mismatch is None
    assert rtl.macs == golden.macs
    assert [stage for stage in STAGES if rtl.cycles[stage]] == ["bp", "wu", "prune"]


def test_training_on_the_hardware(device):
    seed = 7
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((24, 8)).astype(np.float32)
    data = Dataset(x[:20], np.arange(20) % 3, x[20:], np.arange(4) % 3, 3)
    config = TrainConfig(hidden=[8, 8], epochs=1, batch=7, keep=1, group=4)
    rtl, golden = RtlEngine(device), GoldenEngine()
    got, want = (train(data, config, engine) for engine in (rtl, golden))
    for x, y in zip(got.weights + got.biases, want.weights + want.biases):
        same_bits(x, y)
    assert got.history == want.history
    assert rtl.bit_exact is True
    assert rtl.macs == golden.macs
    assert all(rtl.cycles[stage] for stage in STAGES)


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_each_method_and_format_through_the_engine(method, operand):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((24, 8)).astype(np.float32)
    data = Dataset(x[:20], np.arange(20) % 3, x[20:], np.arange(4) % 3, 3)
    config = TrainConfig(method=method, hidden=[8, 8], epochs=2, batch=7, keep=2, group=4)
    engine = RtlEngine(FakeDevice(Config(operand_format=operand)))
    got, want = train(data, config, engine), train(data, config, GoldenEngine(operand))
    for x, y in zip(got.weights, want.weights):
        same_bits(x, y)
    assert engine.bit_exact is True


def test_dense_products_take_the_shorter_orientation():
    rng = np.random.default_rng(5)
    a, b = operands(rng, (64, 9), "fp16"), operands(rng, (9, 10), "fp16")
    acc = rng.standard_normal((64, 10)).astype(np.float32)
    for x, y, initial in ((a, b, acc), (b.T, a.T, acc.T)):
        device = FakeDevice(Config())
        engine = RtlEngine(device)
        same_bits(engine.matmul(x, y, initial), GoldenEngine().matmul(x, y, initial))
        [(shape, _, cycles)] = device.products
        assert shape == {"m": 10, "k": 9, "n": 64}
        assert engine.cycles == dict.fromkeys(STAGES, 0) | {"ff": cycles}


@pytest.mark.parametrize("kind", ["product", "values", "indices"])
def test_a_wrong_bit_is_noticed(kind):
    faults = []

    def corrupt(of, array):
        if of == kind and len(faults) < 2:
            array[-1, -1] ^= 1
            faults.append(array[-1, -1])

    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 4, 4)).astype(np.float16)
    engine = RtlEngine(FakeDevice(preset("tiny"), corrupt))
    for _ in range(3):
        pruned = engine.prune(b, 2, 4, 0)
        y = engine.matmul(a, b, stage="wu")
        if kind == "product" and len(faults) == 1:
            assert y.view(np.uint32)[-1, -1] == faults[0]  # what the hardware said is what goes on
        if kind != "product" and len(faults) == 1:
            assert getattr(pruned, kind).view(f"u{getattr(pruned, kind).itemsize}")[-1, -1] == faults[0]
        assert engine.bit_exact is False
        assert engine.mismatch is not None and "1 of " in engine.mismatch
        first = engine.mismatch
    assert len(faults) == 2 and engine.mismatch == first  # the first is kept


def test_zeros_of_another_sign_and_nans_differ():
    def corrupt(kind, array):
        array[0, 0] ^= 0x80000000

    zero, nan = np.zeros((1, 1), np.float16), np.full((1, 1), np.nan, np.float16)
    for a in (zero, nan):
        engine = RtlEngine(FakeDevice(preset("tiny"), corrupt))
        engine.matmul(a, zero)
        assert engine.bit_exact is False


def test_unchecked():
    engine = RtlEngine(FakeDevice(preset("tiny")), check=False)
    engine.matmul(np.ones((2, 2), np.float16), np.ones((2, 2), np.float16))
    assert engine.bit_exact is None and engine.mismatch is None


def test_refusals():
    engine = RtlEngine(FakeDevice(preset("tiny")))
    half = np.ones((4, 4), np.float16)
    with pytest.raises(ValueError, match="pruned along axis 0, not 1"):
        engine.sparse_matmul(half, engine.prune(half, 1, 2, 1))
    with pytest.raises(ValueError, match="must be 0 or 1, not 2"):
        engine.prune(half, 1, 2, 2)
