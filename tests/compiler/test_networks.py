"""The tables against published counts of parameters and operations, and each layer's products against a direct count.

Published figures, none of them from here:

- torchvision's model pages (https://pytorch.org/vision/stable/models.html: num_params and GFLOPS, which count
  multiply-accumulates): resnet18, resnet50, vgg19_bn, vit_b_16.
- Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017, table 1: VGGNet on
  CIFAR-100, 20.08 M parameters and 7.97e8 operations (two a multiply-accumulate).
- The ResNet-9 of the course "Deep Learning with PyTorch: Zero to GANs" prints 6,575,370 parameters.
- Sun et al., "MobileBERT", ACL 2020, table 4: BERT-base has 22.5 G operations at sequences of 128.
- Hugging Face's bert-base-uncased has 109,482,240 parameters and gpt2 124,439,808.
- Kaplan et al., "Scaling Laws for Neural Language Models", 2020, table 1: 2·N + 2·layers·context·width operations
  a token forward.
"""

import itertools
import random

import pytest

from sat_hdl.compiler.graph import build, sparse_products
from sat_hdl.compiler.models import MODELS
from sat_hdl.compiler.networks import NETWORKS, PAPER_NETWORKS, network
from sat_hdl.compiler.networks.table import METHODS, STAGES, Matmul, Vector, Weighted
from sat_hdl.compiler.networks.transformers import vit
from sat_hdl.compiler.networks.vector_costs import COSTS
from sat_hdl.compiler.networks.vision import resnet18, resnet50, vgg19
from sat_hdl.config import ConfigError

VIT_B_16 = vit(
    size=224, patch=16, width=768, depth=12, heads=12, hidden=3072, classes=1000, qkv_bias=True
)  # fmt: skip
TORCHVISION = [
    (resnet18(size=224, classes=1000), 11_689_512, 1.81),
    (resnet50(), 25_557_032, 4.09),
    (vgg19(size=224, classes=1000, hidden=(4096, 4096)), 143_678_248, 19.63),
    (VIT_B_16, 86_567_656, 17.56),
]


@pytest.mark.parametrize(
    "table, parameters, gmacs", TORCHVISION, ids=lambda value: getattr(value, "name", None)
)
def test_torchvision(table, parameters, gmacs):
    assert table.parameters == parameters
    assert table.macs / 1e9 == pytest.approx(gmacs, abs=0.006)


def test_vgg_of_cifar():
    table = NETWORKS["vgg19"]
    assert table.parameters / 1e6 == pytest.approx(20.08, abs=0.005)
    assert 2 * table.macs / 1e8 == pytest.approx(7.97, rel=0.002)


def test_resnet9():
    assert NETWORKS["resnet9"].parameters == 6_575_370


def test_bert():
    table = NETWORKS["bert-base"]
    embeddings = (30_522 + 512 + 2) * 768 + 2 * 768
    pooler = 768 * 768 + 768
    assert table.parameters + embeddings + pooler == 109_482_240
    assert 2 * table.macs / 1e9 == pytest.approx(22.5, rel=0.01)


def test_gpt2():
    table = NETWORKS["gpt2-small"]
    assert table.parameters + (50_257 + 1024) * 768 + 2 * 768 == 124_439_808
    weights = sum(layer.weights for layer in table.layers if isinstance(layer, Weighted))
    tokens = 1024
    # The form counts the causal half of attention as the full square for one of its two products.
    operations = tokens * (2 * weights + 2 * 12 * tokens * 768)
    attention = sum(layer.macs for layer in table.layers if isinstance(layer, Matmul))
    assert 2 * table.macs == operations + attention


def direct(layer, batch):
    """Pairs of an output pixel and a position of the kernel that sees it or its padding, one by one."""
    rows, columns = layer.outputs
    pairs = itertools.product(range(rows), range(columns), range(layer.kernel), range(layer.kernel))
    return batch * sum(1 for _ in pairs)


def counted(size, kernel, stride, padding, dilation):
    """Along an axis, one by one: outputs; and how often an input pixel meets a position of its phase."""
    outputs, start = 0, -padding
    while start + dilation * (kernel - 1) < size + padding:
        outputs, start = outputs + 1, start + stride
    seen = sum((at + padding - i * dilation) % stride == 0 for at in range(size) for i in range(kernel))
    return outputs, seen


@pytest.mark.parametrize("seed", range(20))
def test_products_of_any_convolution(seed):
    """Measures of rows and of columns apart, dilation, groups."""
    rng = random.Random(seed)
    groups, cin, cout = rng.choice([1, 2, 4]), 4 * rng.randint(1, 4), 4 * rng.randint(1, 4)
    axes = []
    while len(axes) < 2:
        axis = (
            rng.randint(3, 12),
            rng.randint(1, 4),
            rng.randint(1, 3),
            rng.randint(0, 2),
            rng.randint(1, 3),
        )
        if counted(*axis)[0]:
            axes.append(axis)
    (height, width), kernel, stride, padding, dilation = zip(*axes, strict=True)
    layer = Weighted(
        name="x", cin=cin, cout=cout, height=height, width=width, kernel=kernel, stride=stride, padding=padding,
        dilation=dilation, groups=groups,
    )  # fmt: skip
    (rows, seen_y), (columns, seen_x) = (counted(*axis) for axis in axes)
    assert layer.outputs == (rows, columns)
    weights = kernel[0] * kernel[1] * (cin // groups) * (cout // groups) * groups
    assert (layer.weights, layer.macs) == (weights, rows * columns * weights)
    for stage in ("ff", "wu"):
        (gemm,) = layer.products(stage, 3)
        assert gemm.dense_macs == 3 * layer.macs and gemm.count == groups
    seen = seen_y * seen_x * cin * (cout // groups)
    assert sum(gemm.dense_macs for gemm in layer.products("bp", 3)) == 3 * seen
    for stage, channels in (("ff", cin), ("bp", cout)):
        sparse = [gemm.keep is not None for gemm in layer.products(stage, 3, (2, 4))]
        assert all(each == (channels // groups % 4 == 0) for each in sparse)


@pytest.mark.parametrize("size", [1, 5, 8, 9])
@pytest.mark.parametrize(
    "kernel, stride, padding", [(1, 1, 0), (3, 1, 1), (3, 2, 1), (1, 2, 0), (5, 3, 2), (4, 4, 0)]
)
def test_products_of_a_convolution(size, kernel, stride, padding):
    if size + 2 * padding < kernel:
        pytest.skip("the kernel doesn't fit")
    layer = Weighted(
        name="x", cin=6, cout=10, height=size, width=size, kernel=kernel, stride=stride, padding=padding
    )
    pairs = direct(layer, 3)
    for stage in ("ff", "wu"):
        (gemm,) = layer.products(stage, 3)
        assert gemm.dense_macs == pairs * 6 * 10 == 3 * layer.macs
    # BP: every input pixel sees each position of its phase, those beyond the output as +0.
    seen = sum(
        sum((y + padding - i) % stride == 0 for i in range(kernel))
        * sum((x + padding - i) % stride == 0 for i in range(kernel))
        for y in range(size) for x in range(size)
    )  # fmt: skip
    assert sum(gemm.dense_macs for gemm in layer.products("bp", 3)) == 3 * seen * 60


def test_products_of_attention():
    layer = Matmul(name="x", m=7, k=3, n=5, count=2)
    assert [gemm.dense_macs for gemm in layer.products("bp", 4)] == [4 * layer.macs] * 2
    assert layer.products("wu", 4) == []
    assert all(gemm.keep is None for stage in STAGES for gemm in layer.products(stage, 4, (2, 8)))


def test_what_is_sparse():
    layer = Weighted(name="x", cin=16, cout=20)
    assert layer.products("ff", 2, (2, 8))[0].keep == 2
    assert layer.products("bp", 2, (2, 8))[0].keep is None  # 8 doesn't divide 20
    assert layer.products("bp", 2, (2, 4))[0].group == 4
    assert layer.products("wu", 2, (2, 8))[0].keep is None
    first = Weighted(name="x", cin=16, cout=16, first=True)
    assert first.products("ff", 2, (2, 8))[0].keep is None
    assert first.products("bp", 2, (2, 8)) == []


@pytest.mark.parametrize("table", NETWORKS.values(), ids=lambda table: table.name)
def test_tables(table):
    names = [layer.name for layer in table.layers]
    assert len(set(names)) == len(names)
    weighted = [layer for layer in table.layers if isinstance(layer, Weighted)]
    assert all(layer.kind in COSTS for layer in table.layers if isinstance(layer, Vector))
    if table.name in PAPER_NETWORKS:
        assert [layer.first for layer in weighted] == [True] + [False] * (len(weighted) - 1)


@pytest.mark.parametrize("method", ["dense", "bdwp", "sdwp"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_device(name, method):
    """The same products as the compiler plans, sparse where the device has them sparse."""
    graph, table = build(MODELS[name]), network(name)
    layers = [layer for layer in table.layers if isinstance(layer, Weighted)]
    wanted = sparse_products(graph, method, 8)
    for node, layer in zip(graph.weighted, layers, strict=True):
        positions, cin, cout = node.weight_shape
        pixels = node.shape[0] * node.shape[1]
        assert (layer.name, layer.weights, layer.pixels) == (node.name, positions * cin * cout, pixels)
        for stage in ("ff", "bp"):
            pattern = (2, 8) if stage in METHODS[method] else None
            found = layer.products(stage, 4, pattern)
            assert (found == []) == (stage == "bp" and not graph.needs_input_gradient(node))
            assert all((gemm.keep is not None) == getattr(wanted[node.name], stage) for gemm in found)
    kinds = [layer.kind for layer in table.layers if isinstance(layer, Vector)]
    assert kinds.count("bias") == len(layers) and set(kinds) <= set(COSTS)
    assert table.uncounted == ()


def test_a_file_of_layers(tmp_path):
    file = tmp_path / "net.toml"
    file.write_text(
        'input = [9, 7, 3]\n[[layers]]\nkind = "conv2d"\nout = 8\nkernel = [3, 2]\nstride = [2, 1]\n'
        '[[layers]]\nkind = "avgpool"\n[[layers]]\nkind = "linear"\nout = 5\nbias = false\n'
    )
    table = network(str(file))
    assert (table.name, table.parameters) == ("net", 3 * 2 * 3 * 8 + 8 + 8 * 5)
    pool = next(layer for layer in table.layers if getattr(layer, "kind", "") == "avgpool")
    assert pool.elements == 4 * 6 * 8
    python = tmp_path / "net.py"
    python.write_text(
        "from sat_hdl.compiler.layers import Linear, Relu\ninput_shape = 24\n"
        "wide = [Linear(16), Relu(), Linear(4)]\n"
    )
    assert network(f"{python}:wide").macs == 24 * 16 + 16 * 4


def test_an_unknown_name():
    with pytest.raises(ConfigError, match=r"no network 'resnet51'.*Did you mean 'resnet50'"):
        network("resnet51")
    with pytest.raises(ConfigError, match=r"Say which model of 'nets.py' is meant: nets.py:NAME"):
        network("nets.py")
    with pytest.raises(ConfigError, match=r"no file 'nowhere.py'"):
        network("nowhere.py:Net")
    with pytest.raises(ConfigError, match=r"no model file 'nowhere.toml'"):
        network("nowhere.toml")
