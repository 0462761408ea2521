"""Whole networks' gradients in float64: against finite differences of the loss, and PyTorch's autograd with the same
masks. Selections (ReLU's, max-pooling's, N:M's) are given, so that no rounding decides them."""

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.sim.golden import convert
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network import Network
from sat_hdl.sim.golden.train import cross_entropy

from . import scalar

#: Relative error of a gradient's norm that operands of 11 (fp16) or 8 significant bits may cause in 4 layers.
TOLERANCE = {"fp16": 3e-3, "bf16": 3e-2}
SCALE = 1024.0

MODELS = {
    "cnn": Model(
        (9, 8, 3),
        [
            Conv2d(8, 3, padding=1),
            Relu(),
            MaxPool(3, stride=2, padding=1),
            Conv2d(16, (3, 2), stride=(2, 1), bias=False),
            Relu(),
            AvgPool(2, stride=1, padding=1),
            Flatten(),
            Linear(16),
            Relu(),
            Linear(10),
        ],
    ),
    "resnet": Model(
        (6, 6, 2),
        [
            Conv2d(8, 3, padding=1, name="stem"),
            Relu(name="x"),
            Conv2d(16, 3, stride=2, padding=1),
            Relu(),
            Conv2d(16, 3, padding=1, name="long"),
            Conv2d(16, 1, stride=2, input="x", name="short"),
            Add(of="long"),
            Relu(name="block"),
            Conv2d(16, 3, padding=1),
            Add(of="block"),
            Relu(),
            AvgPool(),
            Linear(10),
        ],
    ),
}


def run(name, method, operand="fp16", seed=3):
    """One forward and backward pass: (network, x in float64, labels, tape, logits, gradients over the scale)."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    engine = GoldenEngine(operand)
    net = Network(build(MODELS[name]), method=method, keep=2, group=8, engine=engine, rng=rng)
    for bias in net.biases.values():
        bias += rng.normal(size=bias.shape).astype(np.float32) / 4
    x = convert.narrow(rng.normal(size=(13, *net.graph.input_shape)).astype(np.float32), operand)
    labels = rng.integers(0, 10, 13)
    logits, tape = net.forward(x)
    dy = convert.narrow((cross_entropy(logits, labels)[1] * SCALE).astype(np.float32), operand)
    gradients = {
        key: [None if g is None else g.astype(np.float64) / SCALE for g in pair]
        for key, pair in net.backward(tape, dy).items()
    }
    return net, convert.widen(x, operand).astype(np.float64), labels, tape, logits, gradients


def effective(net):
    """(FF's weights, BP's weights) by name, float64 (Q, Cin, Cout), by the table in network.py, with masks of the
    reference."""
    ff, bp = {}, {}
    for node in net.graph.weighted:
        copy = net.copies[node.name]
        full = convert.widen(copy, net.engine.operand).astype(np.float64)
        ff[node.name] = bp[node.name] = full
        if net.method in ("bdwp", "srste") and copy.shape[1] % 8 == 0:
            ff[node.name] = full * scalar.kept(copy.view(np.uint16), 2, 8, 1)
        if net.method == "srste":
            bp[node.name] = ff[node.name]
        elif net.method != "dense" and copy.shape[2] % 8 == 0:
            bp[node.name] = full * scalar.kept(copy.view(np.uint16), 2, 8, 2)
    return ff, bp


def pixels(x, node, position):
    """What the kernel's position (kh, kw) sees for every window, +0 beyond the image."""
    (ph, pw), (sh, sw), (rows, columns) = node.window.padding, node.window.stride, node.shape[:2]
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    kh, kw = position
    return padded[:, kh:, kw:][:, : (rows - 1) * sh + 1 : sh, : (columns - 1) * sw + 1 : sw]


def loss(net, x, labels, weights, biases, tape):
    """The mean cross-entropy in float64, every selection as the tape has it."""
    y = {0: x}
    for node in net.graph.nodes[1:]:
        a = y[node.inputs[0]]
        taps = [] if node.window is None else [
            pixels(a, node, divmod(q, node.window.kernel[1])) for q in range(node.window.positions)
        ]  # fmt: skip
        if node.has_weights:
            out = sum(tap @ w for tap, w in zip(taps, weights[node.name])) + biases.get(node.name, 0)
        elif isinstance(node.layer, Relu):
            out = a * (convert.widen(tape.tensors[node.number], net.engine.operand) > 0)
        elif isinstance(node.layer, MaxPool):
            out = sum(tap * (tape.argmax[node.number] == q) for q, tap in enumerate(taps))
        elif isinstance(node.layer, AvgPool):
            out = sum(taps) / len(taps)
        elif isinstance(node.layer, Flatten):
            out = a.reshape(len(a), 1, 1, -1)
        else:
            out = a + y[node.inputs[1]]
        y[node.number] = out
    return cross_entropy(out.reshape(len(x), -1), labels)[0]


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_dense_gradients_against_finite_differences(name, operand):
    """The loss's slope along a gradient is the gradient's length, and along others what they have in common."""
    net, x, labels, tape, logits, gradients = run(name, "dense", operand)
    weights, _ = effective(net)
    biases = {key: b.astype(np.float64) for key, b in net.biases.items()}
    assert cross_entropy(logits, labels)[0] == pytest.approx(
        loss(net, x, labels, weights, biases, tape), rel=TOLERANCE[operand]
    )
    rng = np.random.default_rng(5)
    for key, pair in gradients.items():
        for parameters, gradient in zip((weights, biases), pair):
            if gradient is None:
                continue
            length = np.linalg.norm(gradient)
            ways = [gradient / length]
            ways += [v / np.linalg.norm(v) for v in rng.normal(size=(4, *gradient.shape))]
            for way in ways:
                old, values = parameters[key], []
                for step in (1e-5, -1e-5):
                    parameters[key] = old + step * way
                    values.append(loss(net, x, labels, weights, biases, tape))
                parameters[key] = old
                slope = (values[0] - values[1]) / 2e-5
                assert slope == pytest.approx((gradient * way).sum(), abs=TOLERANCE[operand] * length)


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("method", ["dense", "bdwp", "sdwp", "srste"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_against_torch(name, method, operand):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Conv(torch.autograd.Function):
        """A convolution whose dX sees other weights than its output did."""

        @staticmethod
        def forward(ctx, x, ff, bp, stride, padding):
            ctx.save_for_backward(x, bp)
            ctx.window = dict(stride=stride, padding=padding)
            return torch.nn.functional.conv2d(x, ff, None, stride, padding)

        @staticmethod
        def backward(ctx, dy):
            x, bp = ctx.saved_tensors
            dx = torch.nn.grad.conv2d_input(x.shape, bp, dy, **ctx.window)
            return dx, torch.nn.grad.conv2d_weight(x, bp.shape, dy, **ctx.window), None, None, None

    net, x, labels, tape, _, got = run(name, method, operand)
    ff, bp = effective(net)

    def kernel(node, weights):
        shaped = weights[node.name].reshape(*node.window.kernel, *node.weight_shape[1:])
        return torch.tensor(shaped).permute(3, 2, 0, 1).contiguous()

    y, parameters = {0: torch.tensor(x).permute(0, 3, 1, 2)}, {}
    for node in net.graph.nodes[1:]:
        a, window = y[node.inputs[0]], node.window
        if node.has_weights:
            w = kernel(node, ff).requires_grad_()
            b = torch.tensor(net.biases.get(node.name, np.zeros(node.shape[2]))).double().requires_grad_()
            parameters[node.name] = w, b
            out = Conv.apply(a, w, kernel(node, bp), window.stride, window.padding) + b[:, None, None]
        elif isinstance(node.layer, Relu):
            mask = convert.widen(tape.tensors[node.number], operand) > 0
            out = a * torch.tensor(mask).permute(0, 3, 1, 2)
        elif isinstance(node.layer, MaxPool):
            out = torch.nn.functional.pad(a, [p for p in reversed(window.padding) for _ in range(2)])
            out = torch.nn.functional.unfold(out, window.kernel, stride=window.stride)
            out = out.reshape(len(a), a.shape[1], window.positions, *node.shape[:2])
            chosen = torch.tensor(tape.argmax[node.number]).long().permute(0, 3, 1, 2)
            out = out.gather(2, chosen[:, :, None])[:, :, 0]
        elif isinstance(node.layer, AvgPool):
            out = torch.nn.functional.avg_pool2d(a, window.kernel, window.stride, window.padding)
        elif isinstance(node.layer, Flatten):
            out = a.permute(0, 2, 3, 1).reshape(len(a), -1, 1, 1)
        else:
            out = a + y[node.inputs[1]]
        y[node.number] = out
    torch.nn.functional.cross_entropy(out.flatten(1), torch.tensor(labels)).backward()
    for key, (w, b) in parameters.items():
        dw, db = got[key]
        expected = w.grad.permute(2, 3, 1, 0).reshape(dw.shape).numpy()
        assert np.linalg.norm(dw - expected) <= TOLERANCE[operand] * np.linalg.norm(expected)
        assert (db is None) == (key not in net.biases)
        if db is not None:
            assert np.linalg.norm(db - b.grad.numpy()) <= TOLERANCE[operand] * np.linalg.norm(b.grad)
