"""Shapes, links and sparsity that a layer list implies; PyTorch's shapes where it is installed."""

import itertools

import pytest

from sat_hdl.compiler.graph import Window, build, sparse_products
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.models import MODELS, model
from sat_hdl.config import ConfigError


def test_a_window_fits_as_often_as_it_can():
    """Counted pixel by pixel."""
    for size, k, s, p in itertools.product(range(1, 9), range(1, 5), range(1, 4), range(0, 3)):
        starts = range(-p, size + p - k + 1, s)
        rows, columns = Window((k, 1), (s, 1), (p, 0)).output(size, 5)
        assert (max(rows, 0), columns) == (len(starts), 5)


def test_shapes_against_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for size, k, s, p in itertools.product((5, 8, 11), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2)):
        if size + 2 * p < k:
            continue
        graph = build(Model((size, 9, 3), [Conv2d(4, (k, 3), (s, 2), (p, 1)), Flatten(), Linear(2)]))
        y = torch.nn.Conv2d(3, 4, (k, 3), (s, 2), (p, 1))(torch.zeros(1, 3, size, 9))
        assert graph.nodes[1].shape == (*y.shape[2:], 4)


def test_links():
    layers = [
        Conv2d(4, 3, padding=1, name="a"),
        Relu(),
        Add(of="a"),
        Add(input="relu1", of="relu1"),
        Add(of="add1"),
        AvgPool(),
        Linear(3),
    ]
    graph = build(Model((5, 6, 2), layers))
    names = ["input", "a", "relu1", "add1", "add2", "add3", "avgpool1", "linear1"]
    assert [node.name for node in graph.nodes] == names
    assert [node.number for node in graph.nodes] == list(range(8))
    assert [node.inputs for node in graph.nodes] == [(), (0,), (1,), (2, 1), (2, 2), (4, 3), (5,), (6,)]
    assert [node.consumers for node in graph.nodes] == [(1,), (2, 3), (3, 4, 4), (5,), (5,), (6,), (7,), ()]
    assert graph.nodes[6].window == Window((5, 6), (5, 6)) and graph.nodes[6].shape == (1, 1, 4)
    assert graph.nodes[1].weight_shape == (9, 2, 4) and graph.nodes[7].weight_shape == (1, 4, 3)
    assert graph.input_shape == (5, 6, 2) and graph.classes == 3


def test_flatten_keeps_every_value():
    graph = build(Model((3, 5, 2), [Flatten(), Linear(4)]))
    assert graph.nodes[1].shape == (1, 1, 30)


def test_gradients_are_needed_behind_the_first_weights_alone():
    layers = [
        MaxPool(2, name="p"),
        Conv2d(8, 1, name="a"),
        Conv2d(8, 1, input="p", name="b"),
        Add(of="a"),
        Relu(),
        Flatten(),
        Linear(8, name="c"),
    ]
    graph = build(Model((4, 4, 8), layers))
    assert [node.differentiable for node in graph.nodes] == [False, False] + [True] * 6
    needed = {node.name: graph.needs_input_gradient(node) for node in graph.weighted}
    assert needed == {"a": False, "b": False, "c": True}
    plan = sparse_products(graph, "bdwp", 8)
    assert {n: (p.ff, p.bp) for n, p in plan.items()} == {"a": (1, 0), "b": (1, 0), "c": (1, 1)}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("dense", [(0, 0), (0, 0), (0, 0)]),
        ("bdwp", [(0, 0), (1, 1), (1, 0)]),
        ("sdwp", [(0, 0), (0, 1), (0, 0)]),
    ],
)
def test_the_presets_first_layer_is_dense_and_the_rest_is_sparse(method, expected):
    plan = sparse_products(build(model("cnn")), method, 8)
    assert [(p.ff, p.bp) for p in plan.values()] == expected


def test_presets_build():
    for name in MODELS:
        graph = build(model(name))
        assert graph.classes == 10 and len(graph.weighted) == {"mlp": 2, "cnn": 3, "resnet": 4}[name]


IMAGE = (4, 4, 2)


@pytest.mark.parametrize(
    ("shape", "layers", "message"),
    [
        (IMAGE, [Linear(3)], r"Layer 1 \(linear\) takes a vector, but .* 4 × 4 pixels; put a `flatten`"),
        (
            IMAGE,
            [Conv2d(1, 5), Linear(1)],
            r"Layer 1 \(conv2d\): its kernel of 5 × 5 doesn't fit its input of 4",
        ),
        (
            IMAGE,
            [Relu(), MaxPool((1, 5), name="m")],
            r"Layer 2 \(maxpool, 'm'\): its kernel of 1 × 5 doesn't fit",
        ),
        (
            IMAGE,
            [Relu(name="r"), Conv2d(3, 1), Add(of="r")],
            r"Layer 3 \(add\) adds .* its input is 4 × 4 × 3 and 'r' is 4 × 4 × 2",
        ),
        (
            4,
            [Relu(input="b")],
            r"Layer 1 \(relu\) names 'b' as `input`, but no layer before it .*; those are input\.",
        ),
        (4, [Relu(), Add(of="relu2")], r"Layer 2 \(add\) names 'relu2' as `of`, .* those are input, relu1"),
        (4, [Relu(name="a"), Relu(name="a")], "Layers 1 and 2 are both called 'a'; name them apart"),
        (4, [Linear(3), Relu()], r"Layer 2 \(relu\) is the last layer, which must be `linear`"),
        (
            4,
            [Relu(name="r"), Linear(3), Linear(3, input="r")],
            r"Layer 2 \(linear\) is taken by no other layer",
        ),
        ((300, 300, 2), [Flatten(), Linear(3)], "would make a vector of 180000 channels; at most 65535"),
    ],
)
def test_refusals(shape, layers, message):
    with pytest.raises(ConfigError, match=message):
        build(Model(shape, layers))


def test_methods_that_networks_do_not_have():
    with pytest.raises(ConfigError, match="`method` must be one of dense, bdwp, sdwp, not 'srste'"):
        sparse_products(build(model("mlp")), "srste", 8)
