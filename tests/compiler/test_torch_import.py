"""PyTorch modules as layer lists: the same network, the same weights, the same gradients; and what is refused."""

import sys

import numpy as np
import pytest

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.imported import chosen_model, load_python
from sat_hdl.compiler.torch_import import from_torch
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network import Network

REASON = "PyTorch is not installed"
#: Of binary16 between layers against binary32, relative to the largest logit, and to a gradient's length.
TOLERANCE = 5e-3

#: Modules as a user's file has them: name → (source of the class's body, shape of the input).
MODULES = {
    "perceptron": (
        """
        self.hidden, self.out, self.relu = nn.Linear(12, 16), nn.Linear(16, 5, bias=False), nn.ReLU()
    def forward(self, x):
        return self.out(self.relu(self.hidden(x)))""",
        (12,),
    ),
    "flattened input": (
        """
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(24, 9), nn.ReLU(inplace=True), nn.Identity(),
            nn.Linear(9, 5))
    def forward(self, x):
        return self.net(x)""",
        (3, 4, 2),
    ),
    "convolutions": (
        """
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=(1, 0)), nn.ReLU(), nn.MaxPool2d(2, 1, 1),
            nn.Conv2d(8, 4, 3, padding="same", bias=False), nn.AvgPool2d((1, 2)), nn.Dropout(0.0))
        self.classifier = nn.Linear(4 * 5 * 3, 5)
    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))""",
        (3, 7, 6),
    ),
    "functions": (
        """
        self.a, self.b = nn.Conv2d(2, 8, 3, padding="valid"), nn.Conv2d(8, 8, 1)
        self.c, self.d = nn.Linear(8 * 2 * 3, 10), nn.Linear(10, 5)
    def forward(self, x):
        x = F.relu(self.a(x))
        x = F.max_pool2d(x, 2, stride=1, padding=1)
        x = torch.relu(self.b(x)) + x
        x = F.avg_pool2d(x, kernel_size=2)
        x = F.dropout(x, p=0.0).reshape(x.shape[0], -1).relu()
        return self.d(self.c(x).relu_())""",
        (2, 6, 7),
    ),
    "residual": (
        """
        self.stem, self.one = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.two = nn.Conv2d(8, 8, 3, padding=1)
        self.down, self.fc, self.act = nn.Conv2d(8, 16, 1, stride=2), nn.Linear(16, 5), nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
    def forward(self, x):
        x = self.stem(x)
        out = self.two(self.act(self.one(self.act(x))))
        out += x
        out = torch.add(self.act(out), other=x)
        out = self.down(out)
        out = self.pool(self.act(out))
        return self.fc(out.view(out.size(0), -1))""",
        (3, 8, 8),
    ),
    "adaptive function": (
        """
        self.c, self.f = nn.Conv2d(1, 8, 3), nn.Linear(8, 5)
    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.c(x), (1, 1))
        return self.f(x.view(-1, 8))""",
        (1, 5, 4),
    ),
    "added after flattening": (
        """
        self.a, self.b, self.f = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1), nn.Linear(24, 5)
    def forward(self, x):
        return self.f(F.relu(self.a(x).flatten(1) + self.b(x).flatten(1)))""",
        (2, 3, 2),
    ),
}


def source(body: str) -> str:
    head = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\nclass Net(nn.Module):\n"
    return f"{head}    def __init__(self):\n        super().__init__(){body}\n"


def module(torch, body: str):
    names: dict = {}
    exec(source(body), names)
    torch.manual_seed(7)
    return names["Net"]()


def network(imported) -> Network:
    net = Network(
        build(imported.model),
        method="dense",
        keep=2,
        group=8,
        engine=GoldenEngine(),
        rng=np.random.default_rng(0),
    )
    net.begin_with(imported.weights, imported.biases)
    return net


@pytest.mark.parametrize("name", MODULES)
def test_logits_and_gradients(name):
    torch = pytest.importorskip("torch", reason=REASON)
    body, shape = MODULES[name]
    net = module(torch, body)
    imported = from_torch(net, shape)
    golden = network(imported)
    rng = np.random.default_rng(11)
    x = rng.standard_normal((6, *shape)).astype(np.float16)
    nhwc = x if x.ndim == 2 else x.transpose(0, 2, 3, 1)
    logits, tape = golden.forward(nhwc.reshape(6, -1))
    outputs = net(torch.tensor(x.astype(np.float32)))
    expected = outputs.detach().numpy()
    assert np.abs(logits - expected).max() <= TOLERANCE * np.abs(expected).max()

    dy = rng.standard_normal(logits.shape).astype(np.float16)
    outputs.backward(torch.tensor(dy.astype(np.float32)))
    modules = {key.replace(".", "_"): value for key, value in net.named_modules()}
    gradients = golden.backward(tape, dy)
    assert set(gradients) == {
        key for key, value in modules.items() if isinstance(value, torch.nn.Linear | torch.nn.Conv2d)
    }
    # Gradients come back in the order of the weights: an import of the gradients' values orders them alike.
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.grad)
    wanted = from_torch(net, shape)
    for key, (dw, db) in gradients.items():
        for found, want in ((dw, wanted.weights[key]), (db, wanted.biases.get(key))):
            assert (found is None) == (want is None)
            if want is not None:
                assert np.linalg.norm(found - want) <= TOLERANCE * np.linalg.norm(want)


REFUSED = {
    "a layer": ("self.a = nn.BatchNorm2d(3)", "self.a(x)", "Node 'a' is a BatchNorm2d, .* supported are Linear"),
    "a function": ("", "torch.sigmoid(x)", "Node 'sigmoid' is the function sigmoid, which is not supported"),
    "a method": ("", "x.exp()", "Node 'exp' is the function exp"),
    "a parameter": ("self.p = nn.Parameter(torch.ones(1))", "x + self.p", "Node 'p' takes 'p'"),
    "a number": ("", "x + 1", "Node 'add' takes 1, which is not a layer's output"),
    "alpha": ("", "torch.add(x, x, alpha=2)", "alpha = 2"),
    "groups": ("self.a = nn.Conv2d(3, 3, 1, groups=3)", "self.a(x)", r"Node 'a' \(Conv2d\) has groups = 3"),
    "dilation": ("self.a = nn.Conv2d(3, 3, 2, dilation=2)", "self.a(x)", "dilation"),
    "padding mode": ("self.a = nn.Conv2d(3, 3, 3, padding=1, padding_mode='reflect')", "self.a(x)", "padding_mode"),
    "even same": ("self.a = nn.Conv2d(3, 3, 2, padding='same')", "self.a(x)", "even kernel"),
    "dropout": ("self.a = nn.Dropout(0.5)", "self.a(x)", r"Node 'a' \(Dropout\) has p = 0.5; only 0 is supported"),
    "dropout's default": ("", "F.dropout(x)", "has p = 0.5"),
    "ceil mode": ("", "F.max_pool2d(x, 2, ceil_mode=True)", "ceil_mode"),
    "uncounted padding": ("", "F.avg_pool2d(x, 2, padding=1, count_include_pad=False)", "count_include_pad"),
    "adaptive": ("self.a = nn.AdaptiveAvgPool2d((2, 1))", "self.a(x)", "only 1 is supported"),
    "a flatten": ("", "torch.flatten(x)", "dimensions 0 to -1"),
    "a view": ("", "x.view(x.size(0), 2, -1)", "only .batch, -1. is supported"),
    "part of a sample": ("", "x.view(-1, 4)", "samples of 48 values to rows of 4"),
    "shared parameters": ("self.a = nn.Conv2d(3, 3, 1)", "self.a(self.a(x))", "share the parameters of 'a'"),
    "channels": ("self.a = nn.Conv2d(4, 3, 1)", "self.a(x)", "Node 'a' takes 4 channels, but its input has 3"),
    "order": (
        "self.a, self.b = nn.Linear(48, 48), nn.Conv2d(3, 3, 1)", "self.a(x.flatten(1)) + self.b(x).flatten(1)",
        "Node 'add' adds a flattened image",
    ),
    "a slice": ("", "x[:, :1]", "Node 'getitem' is the function getitem"),
    "another attribute": ("", "x.T", "Node 'getattr_1' is the attribute 'T'"),
    "control flow": ("", "x if x.sum() > 0 else -x", "can't be followed by torch.fx"),
    "not the last": ("self.a, self.b = nn.ReLU(), nn.ReLU()", "(self.a(x), self.b(x))[0]", "not its last layer"),
    "two outputs": ("", "(x, x)", "must return one tensor"),
}  # fmt: skip


@pytest.mark.parametrize("init, expression, sentence", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(init, expression, sentence):
    """By name, with what would do. What follows makes the rest of the module a network."""
    torch = pytest.importorskip("torch", reason=REASON)
    whole = expression.startswith("(")
    rest = f"return {expression}" if whole else f"return self.last(torch.flatten({expression}, 1))"
    body = f"""
        {init or "pass"}
        self.last = nn.Linear(48, 5)
    def forward(self, x):
        {rest}"""
    with pytest.raises(ConfigError, match=sentence):
        from_torch(module(torch, body), (3, 4, 4))


@pytest.mark.parametrize("shape", [(3, 4), (0,), "3,4,4", (3, 4, 4.0), None])
def test_shapes_that_are_none(shape):
    torch = pytest.importorskip("torch", reason=REASON)
    with pytest.raises(ConfigError, match=r"must be \(channels, height, width\), or \(n,\)"):
        from_torch(torch.nn.Linear(3, 4), shape)


def test_what_is_no_module():
    pytest.importorskip("torch", reason=REASON)
    with pytest.raises(ConfigError, match=r"A torch\.nn\.Module is needed, not 3"):
        from_torch(3, (4,))


def test_without_torch(monkeypatch):
    """A sentence says what to install."""
    import importlib

    real = importlib.import_module

    def absent(name, *rest):
        if name.startswith("torch"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigError, match="run `pip install torch`"):
        from_torch(object(), (3,))


def test_a_file_with_a_module(tmp_path):
    """The class, an instance, and a function; the seed chooses its weights."""
    pytest.importorskip("torch", reason=REASON)
    body, shape = MODULES["residual"]
    path = tmp_path / "net.py"
    path.write_text(
        f"{source(body)}\n\ninput_shape = {shape}\nnet = Net()\n\n\ndef make():\n    return Net()\n"
    )
    found = [
        chosen_model(f"{path}:{name}", seed)
        for name, seed in (("Net", 3), ("make", 3), ("net", 3), ("net", 4))
    ]
    assert all(each.model == found[0].model for each in found)
    same = [all((each.weights[k] == found[2].weights[k]).all() for k in each.weights) for each in found]
    assert same[2:] == [True, False]
    again = chosen_model(f"{path}:net", 3)
    assert all((again.weights[k] == found[2].weights[k]).all() for k in again.weights)
    path.write_text(source(body))
    with pytest.raises(ConfigError, match="`input_shape = "):
        load_python(path, "Net")


def test_a_file_that_needs_torch(tmp_path, monkeypatch):
    path = tmp_path / "net.py"
    for name, sentence in (
        ("torch", "needs PyTorch, .*: run `pip install torch`"),
        ("t0rch", "no module 't0rch'"),
    ):
        monkeypatch.setitem(sys.modules, "torch", None)
        path.write_text(f"import {name}\n")
        with pytest.raises(ConfigError, match=sentence):
            load_python(path, "net")


LAYERS = """from sat_hdl.compiler.layers import Flatten, Linear, Model, Relu

layers = [Flatten(), Linear(8), Relu(), Linear(3)]
net = Model((4, 4, 8), layers)
number = 3
"""


def test_a_file_of_layers(tmp_path):
    """PyTorch is not needed."""
    path = tmp_path / "net.py"
    path.write_text(LAYERS + "input_shape = (4, 4, 8)\n")
    assert chosen_model(f"{path}:layers").model == chosen_model(f"{path}:net").model
    assert chosen_model(f"{path}:net").weights == {}


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("nest", LAYERS, "There is no 'nest' in .*; it defines .*net, number"),
        ("number", LAYERS, "'number' in .* must be a Model, a list of layers or a torch.nn.Module, not 3"),
        ("layers", LAYERS, "must say what goes into 'layers'"),
        ("net", "x = 1\nnet = x / 0\n", "can't be run: line 2: ZeroDivisionError"),
        ("net", "net = (\n", "can't be run: .*SyntaxError"),
        ("make", "def make():\n    return None.net\n", "line 2: AttributeError"),
    ],
)
def test_files_that_do_not_do(tmp_path, name, text, sentence):
    path = tmp_path / "net.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_python(path, name)
    with pytest.raises(ConfigError, match="There is no file"):
        load_python(tmp_path / "none.py", name)
