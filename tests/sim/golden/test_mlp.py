"""Forward and backward passes against a float64 reference with the same selections; the reference against
finite differences, and the layers against PyTorch's autograd where it is installed."""

import numpy as np
import pytest

from sat_hdl.sim.golden import convert
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.mlp import METHODS, LayerPlan, Mlp, plan_layers
from sat_hdl.sim.golden.prune import prune
from sat_hdl.sim.golden.sdgp import rescale
from sat_hdl.sim.golden.train import cross_entropy

from . import oracle, reference

WIDTHS = [24, 32, 16, 10]
#: Relative error of a gradient's norm that operands of 11 (fp16) or 8 significant bits may cause in 3 layers.
TOLERANCE = {"fp16": 3e-3, "bf16": 3e-2}
SCALE = 1024.0


class Recorder(GoldenEngine):
    """Keeps what was pruned and which products ran."""

    def __init__(self, operand="fp16"):
        super().__init__(operand)
        self.pruned, self.calls = [], []

    def matmul(self, a, b, acc=None, stage="ff"):
        self.calls.append((stage, "dense"))
        return super().matmul(a, b, acc, stage)

    def sparse_matmul(self, a, pruned, acc=None, stage="ff"):
        self.calls.append((stage, "sparse"))
        return super().sparse_matmul(a, pruned, acc, stage)

    def prune(self, w, keep, group, axis, stage="prune"):
        assert stage == "prune"
        self.pruned.append(super().prune(w, keep, group, axis, stage))
        return self.pruned[-1]


def run(method, operand="fp16", seed=3):
    """One forward and backward pass: (model, engine, x as operands, labels, tape, logits, gradients)."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    engine = Recorder(operand)
    model = Mlp(WIDTHS, method=method, keep=2, group=8, engine=engine, rng=rng)
    model.biases = [rng.normal(size=b.shape).astype(np.float32) for b in model.biases]
    x = convert.narrow(rng.normal(size=(29, 24)).astype(np.float32), operand)
    labels = rng.integers(0, 10, 29)
    engine.pruned.clear()
    engine.calls.clear()
    logits, tape = model.forward(x)
    dy = convert.narrow((cross_entropy(logits, labels)[1] * SCALE).astype(np.float32), operand)
    return model, engine, x, labels, tape, logits, model.backward(tape, dy)


def effective(model, operand):
    """(FF's weights, BP's weights), float64, by the table in mlp.py, from masks of its own."""
    full = [convert.widen(c, operand).astype(np.float64) for c in model.copies]
    along_cin = [w * prune(c, 2, 8, 0).mask() for w, c in zip(full, model.copies)]
    along_cout = [w * prune(c, 2, 8, 1).mask() for w, c in zip(full, model.copies)]
    along_cout[-1] = full[-1]  # 10 classes are no multiple of 8
    return {
        "dense": (full, full),
        "bdwp": (along_cin, along_cout),
        "sdwp": (full, along_cout),
        "srste": (along_cin, along_cin),
        "sdgp": (full, full),
    }[model.method]


@pytest.mark.parametrize("operand", ["fp16", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_against_float64(method, operand):
    model, engine, x, labels, tape, logits, got = run(method, operand)
    ff, bp = effective(model, operand)
    x64 = convert.widen(x, operand).astype(np.float64)
    # In SDGP only the middle layer prunes its dY: the first needs no dX, the last has 10 channels.
    selections = [None, reference.Selection(engine.pruned[0].mask()) if method == "sdgp" else None, None]
    expected = reference.gradients(x64, labels, ff, bp, model.biases, tape.masks, selections)
    value = reference.loss(x64, labels, ff, model.biases, tape.masks)
    assert cross_entropy(logits, labels)[0] == pytest.approx(value, rel=TOLERANCE[operand])
    for got_pair, expected_pair in zip(got, expected):
        for g, e in zip(got_pair, expected_pair):
            assert g.shape == e.shape and g.dtype == np.float32
            assert np.linalg.norm(g / SCALE - e) <= TOLERANCE[operand] * np.linalg.norm(e)


@pytest.mark.parametrize("method", ["dense", "srste"])
def test_reference_against_finite_differences(method):
    """These two differentiate a real loss (by the weights that FF sees); the others replace dX on purpose."""
    model, _, x, labels, tape, _, _ = run(method)
    ff, bp = effective(model, "fp16")
    ff = [w.copy() for w in ff]
    x64, biases = x.astype(np.float64), [b.astype(np.float64) for b in model.biases]
    exact = reference.gradients(
        x64, labels, ff, bp if method == "dense" else ff, biases, tape.masks, [None] * 3
    )
    rng = np.random.default_rng(4)
    for number in range(3):
        for parameter, gradient in zip((ff[number], biases[number]), exact[number]):
            for _ in range(10):
                where = tuple(rng.integers(0, s) for s in parameter.shape)
                old, values = parameter[where], []
                for step in (1e-5, -1e-5):
                    parameter[where] = old + step
                    values.append(reference.loss(x64, labels, ff, biases, tape.masks))
                parameter[where] = old
                assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[where], rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_makes_its_products_sparse_and_no_others(method):
    _, engine, *_ = run(method)
    sparse_ff = method in ("bdwp", "srste")
    sparse_bp = method in ("bdwp", "sdwp", "sdgp")
    ff = [("ff", "sparse" if sparse_ff else "dense")] * 3
    backward = [
        ("wu", "dense"),
        ("bp", "dense"),
        ("wu", "dense"),
        ("bp", "sparse" if sparse_bp else "dense"),
        ("wu", "dense"),
    ]
    assert engine.calls == ff + backward


def test_plan():
    assert plan_layers([3, 16, 24, 10], "bdwp", 8) == [
        LayerPlan(ff=False, bp=False),
        LayerPlan(ff=True, bp=True),
        LayerPlan(ff=True, bp=False),
    ]
    assert plan_layers([16, 16, 16], "srste", 16) == [LayerPlan(ff=True, bp=False)] * 2
    assert plan_layers([16, 16], "dense", 2) == [LayerPlan(ff=False, bp=False)]


def test_weight_gradient_bits_are_a_chain_over_the_batch():
    model, _, x, labels, _, logits, got = run("bdwp")
    dy = convert.narrow((cross_entropy(logits, labels)[1] * SCALE).astype(np.float32)).view(np.uint16)
    bias = [oracle.chain(0, [(0x3C00, d) for d in dy[:, c]]) for c in range(10)]
    assert got[-1][1].view(np.uint32).tolist() == bias
    hidden = model.forward(x)[1].inputs[-1].view(np.uint16)
    for row, column in ((0, 0), (7, 3), (15, 9)):
        expected = oracle.chain(0, zip(hidden[:, row], dy[:, column]))
        assert int(got[-1][0].view(np.uint32)[row, column]) == expected


def test_sdgp_rescaling_keeps_each_samples_sum_of_magnitudes():
    rng = np.random.default_rng(5)
    dy = rng.normal(size=(6, 16)).astype(np.float16)
    dy[3] = 0
    dy[4] = [np.inf, 1] + [0] * 14
    scaled = rescale(prune(dy, 2, 8, 1), dy, "fp16").dense().astype(np.float64)
    sums = np.abs(dy.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(np.abs(scaled[:3]).sum(axis=1), sums[:3], rtol=1e-3)
    assert (scaled[3] == 0).all() and scaled[4, 0] == np.inf and scaled[4, 1] == 1


@pytest.mark.parametrize("method", ["dense", "bdwp", "sdwp", "srste"])
def test_gradients_against_torch(method):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Linear(torch.autograd.Function):
        """A linear layer whose dX sees other weights than its output did."""

        @staticmethod
        def forward(ctx, x, ff, bp, bias):
            ctx.save_for_backward(x, bp)
            return x @ ff + bias

        @staticmethod
        def backward(ctx, dy):
            x, bp = ctx.saved_tensors
            return dy @ bp.T, x.T @ dy, None, dy.sum(0)

    model, _, x, labels, tape, _, got = run(method)
    ff, bp = ([torch.tensor(w) for w in weights] for weights in effective(model, "fp16"))
    parameters = [
        (w.clone().requires_grad_(), torch.tensor(b).double().requires_grad_())
        for w, b in zip(ff, model.biases)
    ]
    y = torch.tensor(x.astype(np.float64))
    for number, (w, b) in enumerate(parameters):
        y = Linear.apply(y, w, bp[number], b)
        if number < 2:
            y = y * torch.tensor(tape.masks[number])
    torch.nn.functional.cross_entropy(y, torch.tensor(labels)).backward()
    for got_pair, pair in zip(got, parameters):
        for g, parameter in zip(got_pair, pair):
            e = parameter.grad.numpy()
            assert np.linalg.norm(g / SCALE - e) <= TOLERANCE["fp16"] * np.linalg.norm(e)
