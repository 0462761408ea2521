"""PyTorch modules as tables: their operations as PyTorch's own counter has them, their parameters, and a network
whose table is here already."""

import sys
from collections import Counter

import pytest

from sat_hdl.compiler.networks import network
from sat_hdl.compiler.networks.table import Matmul, Vector, Weighted
from sat_hdl.compiler.networks.torch_network import network_of_module
from sat_hdl.compiler.networks.vector_costs import COSTS
from sat_hdl.compiler.networks.vision import resnet18
from sat_hdl.config import ConfigError

#: As a user has them.
FILE = """
import torch
from torch import nn
from torch.nn import functional as F

class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Identity()
        if stride > 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))
    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)

class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nn.Sequential(*(
            Block(cin, cout, 2 if cin != cout else 1) for cin, cout in zip(widths, widths[1:])))
        self.pool, self.average = nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(512, 1000)
    def forward(self, x):
        x = self.blocks(self.pool(F.relu(self.norm(self.stem(x)))))
        return self.classifier(torch.flatten(self.average(x), 1))

class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.classifier = nn.Conv2d(3, 64, 4, 4), nn.Linear(64, 10)
        self.positions, self.token = nn.Parameter(torch.zeros(1, 65, 64)), nn.Parameter(torch.zeros(1, 1, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.classifier(self.encoder(x)[:, 0])

class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.qkv = nn.Embedding(100, 32), nn.LayerNorm(32), nn.Linear(32, 96)
        self.out, self.head = nn.Linear(32, 32, bias=False), nn.Linear(32, 100, bias=False)
        self.head.weight = self.embedding.weight
    def forward(self, tokens):
        x = self.embedding(tokens)
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, t, 3, 4, 8).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) * 8 ** -0.5
        hidden = torch.ones(t, t, device=x.device).tril() == 0
        x = x + self.out((scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v).transpose(1, 2).reshape(b, t, c))
        return self.head(F.silu(x) * torch.sigmoid(x))

class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.depthwise = nn.Conv2d(16, 16, (3, 5), (1, 2), (1, 2), groups=16)
        self.grouped = nn.Conv2d(16, 32, 3, dilation=2, groups=2)
        self.line, self.out = nn.Conv1d(32, 8, 3, padding=1), nn.Linear(8, 4)
    def forward(self, x):
        x = self.grouped(F.relu6(self.depthwise(F.hardswish(self.first(x))))).flatten(2)
        return self.out(F.dropout(F.gelu(self.line(x)), 0.5).mean(-1))

class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(24, 72)
    def forward(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 4, 6).permute(2, 0, 3, 1, 4)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k[:, :, :5], v[:, :, :5])[0]

class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(6, 6)
    def forward(self, x):
        return torch.cumsum(self.weight(x), 1)

class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 2, 2)
    def forward(self, x):
        return self.up(x)

class Peeks(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(6, 6)
    def forward(self, x):
        return self.weight(x) if x.sum() > 0 else x

input_shape = (3, 32, 40)
"""
SHAPES = {"ResNet18": (3, 224, 224), "Transformer": (3, 32, 32), "Language": (17,), "Mobile": (3, 32, 40)}


@pytest.fixture(scope="module")
def modules():
    """The file's classes by name, beside PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    names: dict = {}
    exec(FILE, names)
    return torch, names


def made(modules, name, shape=None):
    return network_of_module(modules[1][name](), shape or SHAPES[name], name)


@pytest.mark.parametrize("name", SHAPES)
def test_operations_and_parameters(modules, name):
    from torch.utils.flop_counter import FlopCounterMode

    torch, names = modules
    module = names[name]().train()
    batch = 3
    x = torch.zeros((batch, *SHAPES[name]), dtype=torch.int64 if name == "Language" else torch.float32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    table = made(modules, name)
    assert 2 * batch * table.macs == counter.get_total_flops()
    assert table.parameters == sum(each.numel() for each in module.parameters())
    assert table.uncounted == ()
    labels = [layer.name for layer in table.layers]
    assert len(set(labels)) == len(labels)
    assert all(layer.kind in COSTS for layer in table.layers if isinstance(layer, Vector))


def test_a_network_that_is_known(modules):
    """Layer by layer, but for names and order."""

    def told(layer):
        if isinstance(layer, Vector):
            return layer.kind, layer.elements, layer.parameters
        return (
            layer.cin,
            layer.cout,
            layer.positions,
            layer.outputs,
            layer.first,
            layer.products("bp", 4, (2, 8)),
        )

    here, known = made(modules, "ResNet18"), resnet18(size=224, classes=1000)
    assert Counter(map(str, map(told, here.layers))) == Counter(map(str, map(told, known.layers)))


def test_what_is_what(modules):
    layers = made(modules, "Language").layers
    assert [layer.name for layer in layers if isinstance(layer, Weighted)] == ["qkv", "out", "head"]
    assert not any(
        layer.first for layer in layers if isinstance(layer, Weighted)
    )  # embeddings want gradients
    assert [(layer.m, layer.k, layer.n, layer.count) for layer in layers if isinstance(layer, Matmul)] == [
        (17, 8, 17, 4), (17, 17, 8, 4)]  # fmt: skip
    kinds = Counter(layer.kind for layer in layers if isinstance(layer, Vector))
    assert kinds == {"layernorm": 1, "bias": 1, "scale": 2, "softmax": 1, "add": 1, "gelu": 2, "multiply": 1}
    attention = made(modules, "Transformer").layers
    assert sum(isinstance(layer, Matmul) for layer in attention) == 4
    assert next(layer for layer in attention if isinstance(layer, Weighted)).first
    # Dropout costs nothing.
    assert not any("dropout" in layer.name for layer in attention)


def test_attention_as_one_operation(modules):
    layers = made(modules, "Fused", (7, 24)).layers
    found = [(layer.m, layer.k, layer.n, layer.count) for layer in layers if isinstance(layer, Matmul)]
    assert found == [(7, 6, 5, 4), (7, 5, 6, 4)]
    assert [layer.elements for layer in layers if getattr(layer, "kind", "") == "softmax"] == [4 * 7 * 5]


def test_what_has_no_cost_is_named(modules):
    assert made(modules, "Strange", (6,)).uncounted == ("cumsum",)


@pytest.mark.parametrize(
    "name, shape, match",
    [
        ("Transposed", (3, 4, 4), "^up is a convolution that the scheduler does not know"),
        ("Peeks", (6,), "^Peeks can't be run on a tensor of 6 without values"),
        ("Mobile", (3, 2, 2), "^Mobile can't be run on a tensor of 3 × 2 × 2 without values"),
        ("Mobile", (3, 0, 2), r"positive integers, those of a sample, not \(3, 0, 2\)"),
    ],
)
def test_refused(modules, name, shape, match):
    with pytest.raises(ConfigError, match=match):
        made(modules, name, shape)


def test_without_products(modules):
    with pytest.raises(ConfigError, match="no product with weights"):
        network_of_module(modules[0].nn.ReLU(), 4, "relu")
    with pytest.raises(ConfigError, match=r"A torch\.nn\.Module is needed, not 3"):
        network_of_module(3, 4, "three")


def test_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match="PyTorch, which is not installed"):
        network_of_module(object(), 4, "net")


def test_from_a_file(modules, tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(FILE)
    assert network(f"{file}:Mobile") == made(modules, "Mobile")
