"""Whole networks bit by bit: against the layers composed by hand, and against the perceptron."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import Window, build
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden import conv, convert, pooling, tensors
from sat_hdl.sim.golden.elementwise import bias_gradient
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.mlp import METHODS, Mlp
from sat_hdl.sim.golden.network import Network
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.prune import Pruned, prune
from sat_hdl.sim.golden.train import TrainConfig, Trainer

#: "p" goes to three layers, so the order in which its gradients are added shows.
FAN_OUT = Model(
    (7, 5, 3),
    [
        Conv2d(8, 3, padding=1, name="a"),
        Relu(),
        MaxPool(3, stride=2, padding=1, name="p"),
        Conv2d(8, (3, 1), padding=(1, 0), bias=False, name="b"),
        Relu(name="r"),
        Add(of="p", name="s"),
        Add(of="p", name="t"),
        AvgPool(2, stride=1),
        Flatten(),
        Linear(5, name="c"),
    ],
)


class Recorder(GoldenEngine):
    """Notes which products ran, and how."""

    def __init__(self, operand="fp16"):
        super().__init__(operand)
        self.calls = []

    def matmul(self, a, b, acc=None, stage="ff"):
        self.calls.append((stage, "dense"))
        return super().matmul(a, b, acc, stage)

    def sparse_matmul(self, a, pruned, acc=None, stage="ff"):
        self.calls.append((stage, "sparse"))
        return super().sparse_matmul(a, pruned, acc, stage)


def network(model=FAN_OUT, method="bdwp", operand="fp16", seed=1, ratio=(2, 8)):
    print(f"seed {seed}")
    rng, engine = np.random.default_rng(seed), Recorder(operand)
    net = Network(build(model), method=method, keep=ratio[0], group=ratio[1], engine=engine, rng=rng)
    net.biases = {name: rng.normal(size=b.shape).astype(np.float32) for name, b in net.biases.items()}
    x = convert.narrow(rng.normal(size=(6, *net.graph.input_shape)).astype(np.float32), operand)
    dy = convert.narrow(rng.normal(size=(6, net.graph.classes)).astype(np.float32), operand)
    return net, x, dy


def same(got, expected):
    assert got.dtype == expected.dtype and got.shape == expected.shape
    unsigned = {2: np.uint16, 4: np.uint32}[got.dtype.itemsize]
    np.testing.assert_array_equal(got.view(unsigned), expected.view(unsigned))


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_layers_composed_by_hand(operand):
    net, x, dy = network(operand=operand)
    engine = GoldenEngine(operand)
    w = {name: convert.narrow(master, operand) for name, master in net.weights.items()}
    first, square, tall = (
        Window((3, 3), padding=(1, 1)),
        Window((3, 3), (2, 2), (1, 1)),
        Window((3, 1), padding=(1, 0)),
    )
    mean = Window((2, 2))
    a = conv.conv2d(x, conv.ff_weights(w["a"]), first, bias=net.biases["a"], engine=engine)
    relu1 = tensors.relu(convert.narrow(a, operand), operand)
    p, argmax = pooling.maxpool(relu1, square, operand)
    b_ff, b_bp = prune(conv.ff_weights(w["b"]), 2, 8), prune(conv.bp_weights(w["b"]), 2, 8)
    b = convert.narrow(conv.conv2d(p, b_ff, tall, engine=engine), operand)
    r = tensors.relu(b, operand)
    s = tensors.add(r, p, operand)
    t = tensors.add(s, p, operand)
    flat = pooling.avgpool(t, mean, operand).reshape(6, -1)
    # 3 × 2 means of 8 channels: M = 8 divides 48.
    c = prune(w["c"][0], 2, 8)
    y = engine.sparse_matmul(flat, c, np.broadcast_to(net.biases["c"], (6, 5)))
    logits, tape = net.forward(x)
    same(logits, y)

    got = net.backward(tape, dy)
    d_flat = convert.narrow(engine.matmul(dy, w["c"][0].T), operand)  # 5 classes are no multiple of 8
    d_t = pooling.avgpool_gradient(d_flat.reshape(6, 3, 2, 8), mean, (4, 3), operand)
    d_b = tensors.relu_gradient(d_t, b, operand)
    to_p = convert.narrow(conv.input_gradient(d_b, b_bp, tall, (4, 3), engine=engine), operand)
    d_p = tensors.add(tensors.add(to_p, d_t, operand), d_t, operand)
    other_order = tensors.add(tensors.add(d_t, d_t, operand), to_p, operand)
    assert (d_p.view(np.uint16) != other_order.view(np.uint16)).any()
    d_relu1 = pooling.maxpool_gradient(d_p, argmax, square, (7, 5), operand)
    d_a = tensors.relu_gradient(d_relu1, relu1, operand)
    same(got["c"][0][0], engine.matmul(flat.T, dy))
    same(got["c"][1], bias_gradient(dy, operand))
    same(got["b"][0], conv.weight_gradient(p, d_b, tall, engine=engine))
    assert got["b"][1] is None and list(got) == ["a", "b", "c"]
    same(got["a"][0], conv.weight_gradient(x, d_a, first, engine=engine))
    same(got["a"][1], bias_gradient(d_a.reshape(-1, 8), operand))


def test_a_layer_that_takes_one_tensor_twice():
    model = Model(3, [Linear(4, name="a"), Add(of="a"), Linear(2)])
    net, x, dy = network(model, "dense")
    _, tape = net.forward(x)
    d_sum = convert.narrow(net.engine.matmul(dy, net.copies["linear2"][0].T))
    d_a = tensors.add(d_sum, d_sum)
    same(net.backward(tape, dy)["a"][0][0], net.engine.matmul(x.reshape(6, 3).T, d_a))


@pytest.mark.parametrize(
    ("method", "ff", "bp"), [("dense", 0, 0), ("bdwp", 1, 1), ("sdwp", 0, 1), ("srste", 1, 0), ("sdgp", 0, 1)]
)
def test_each_method_makes_its_products_sparse_and_no_others(method, ff, bp):
    net, x, dy = network(method=method)
    net.backward(net.forward(x)[1], dy)
    kinds = ["dense", "sparse"]
    # Layer a has 3 input channels and nothing needs its dX; layer c has 5 output channels.
    forward = [("ff", "dense"), ("ff", kinds[ff]), ("ff", kinds[ff])]
    backward = [("wu", "dense"), ("bp", "dense"), ("wu", "dense"), ("bp", kinds[bp]), ("wu", "dense")]
    assert net.engine.calls == forward + backward
    assert set(net.bp) == {"b", "c"} and isinstance(net.ff["b"], Pruned) == bool(ff)


def test_the_sparse_products_count_their_kept_entries_alone():
    net, x, dy = network()
    net.backward(net.forward(x)[1], dy)
    pixels = {"a": 35, "b": 12, "c": 1}
    full = {name: 6 * pixels[name] * w.size for name, w in net.weights.items()}
    assert net.engine.macs["ff"] == full["a"] + (full["b"] + full["c"]) // 4
    assert net.engine.macs["bp"] == full["b"] // 4 + full["c"]
    assert net.engine.macs["wu"] == sum(full.values())


def test_samples_may_come_flat_and_must_fit():
    net, x, _ = network()
    same(net.forward(x.reshape(6, -1))[0], net.forward(x)[0])
    with pytest.raises(ConfigError, match=r"must have shape \(7, 5, 3\), or as many values, not \(4,\)"):
        net.forward(x[0, 0, :, :1].reshape(1, -1)[:, :4])


def test_first_weights_are_he_normal():
    """Standard deviation √(2 / fan-in), of which a kernel's positions are a part."""
    net, _, _ = network(Model((4, 4, 16), [Conv2d(64, 3), Flatten(), Linear(256), Linear(2)]))
    for name, fan_in in (("conv2d1", 9 * 16), ("linear1", 256)):
        w = net.weights[name]
        assert w.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.03) and abs(w.mean()) < 0.03 * w.std()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operand", ["fp16", "bf16"])
def test_a_perceptron_is_a_network_bit_for_bit(method, operand):
    """Where no positive activation rounds to +0: see the test below."""
    rng = np.random.default_rng(4)
    settings = dict(method=method, keep=2, group=8, seed=7, weight_decay=1e-2)
    widths = [24, 32, 16, 10]
    perceptron = Trainer(widths, TrainConfig(**settings), GoldenEngine(operand))
    layers = [Linear(32), Relu(), Linear(16), Relu(), Linear(10)]
    net = NetworkTrainer(build(Model(24, layers)), NetworkConfig(**settings), GoldenEngine(operand))
    for _ in range(6):
        x = convert.narrow(rng.normal(size=(19, 24)).astype(np.float32), operand)
        labels = rng.integers(0, 10, 19)
        tape = perceptron.model.forward(x)[1]
        for mask, rounded in zip(tape.masks, tape.inputs[1:]):
            np.testing.assert_array_equal(mask, convert.widen(rounded, operand) > 0)
        assert perceptron.step(x, labels, 0.1) == net.step(x, labels, 0.1)
        for number, name in enumerate(["linear1", "linear2", "linear3"]):
            same(net.network.weights[name][0], perceptron.model.weights[number])
            same(net.network.biases[name], perceptron.model.biases[number])
            same(net.weight_momentum[name][0], perceptron.momentum[number][0])
            same(net.bias_momentum[name], perceptron.momentum[number][1])
            for got, expected in (
                (net.network.ff, perceptron.model.ff),
                (net.network.bp, perceptron.model.bp),
            ):
                if expected[number] is not None:
                    same(got[name].values, expected[number].values)
                    np.testing.assert_array_equal(got[name].indices, expected[number].indices)


def test_an_activation_that_underflows_passes_no_gradient_in_a_network():
    """A network's ReLU sees operands, so that its mask can be had from what is stored; the perceptron's sees
    binary32. Below half the smallest binary16, 2^−25, the one is 0 and the other positive."""
    layers, x, dy = [Linear(1), Relu(), Linear(2)], np.zeros((1, 1), np.float16), np.ones((1, 2), np.float16)
    for bias, differs in ((2.0**-26, True), (2.0**-25, True), (2.0**-24, False), (-1.0, False)):
        engine, rng = GoldenEngine(), np.random.default_rng(1)
        net = Network(build(Model(1, layers)), method="dense", keep=1, group=1, engine=engine, rng=rng)
        perceptron = Mlp(
            [1, 1, 2], method="dense", keep=1, group=1, engine=engine, rng=np.random.default_rng(1)
        )
        net.biases["linear1"] = perceptron.biases[0] = np.array([bias], np.float32)
        a = net.backward(net.forward(x)[1], dy)["linear1"][1]
        b = perceptron.backward(perceptron.forward(x)[1], dy)[0][1]
        assert (a != b).any() == differs and (a == 0 if differs else a == b).all()
