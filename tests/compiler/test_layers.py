"""Layer lists, in Python and in TOML, and the sentences that refuse them."""

import dataclasses

import pytest

from sat_hdl.compiler import layers, models
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.config import ConfigError

TOML = """
input = [9, 7, 3]
[[layers]]
kind = "conv2d"
name = "stem"
out = 8
kernel = [3, 1]
stride = 2
padding = [1, 0]
bias = false
[[layers]]
kind = "relu"
[[layers]]
kind = "maxpool"
kernel = 3
stride = 1
padding = 1
[[layers]]
kind = "add"
of = "stem"
[[layers]]
kind = "avgpool"
[[layers]]
kind = "flatten"
[[layers]]
kind = "linear"
input = "flatten1"
out = 4
"""

SAME = Model(
    (9, 7, 3),
    [
        Conv2d(8, (3, 1), (2, 2), (1, 0), bias=False, name="stem"),
        Relu(),
        MaxPool(3, stride=1, padding=1),
        Add(of="stem"),
        AvgPool(),
        Flatten(),
        Linear(4, input="flatten1"),
    ],
)


def test_toml_and_python_give_the_same_model(tmp_path):
    (tmp_path / "net.toml").write_text(TOML)
    assert models.load_model(tmp_path / "net.toml") == models.model(str(tmp_path / "net.toml")) == SAME


def test_integers_stand_for_pairs_and_vectors_for_one_pixel():
    assert Conv2d(4, 3, padding=1) == Conv2d(4, [3, 3], [1, 1], (1, 1))
    assert MaxPool(2).stride == (2, 2) and AvgPool((2, 3)).stride == (2, 3)
    assert Model(5, [Linear(2)]) == Model([5], [Linear(2)]) == Model((1, 1, 5), [Linear(2)])


def test_every_layer_is_of_one_kind_and_documented():
    assert set(layers.KINDS) == {"linear", "conv2d", "relu", "maxpool", "avgpool", "flatten", "add"}
    for kind, cls in layers.KINDS.items():
        required = {f.name: 1 for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
        if "of" in required:
            required["of"] = "x"
        assert cls(**required).kind == kind and cls.__doc__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(0), "`out` must be an integer from 1 to 65535, not 0"),
        (lambda: Linear(True), "`out` must be an integer"),
        (lambda: Linear(4, bias=1), "`bias` must be true or false, not 1"),
        (lambda: Conv2d(4, 0), "`kernel` must be an integer from 1 to 127, not 0"),
        (lambda: Conv2d(4, (3, 3, 3)), "`kernel` must be one integer, or two"),
        (lambda: Conv2d(4, "3"), "`kernel` must be an integer"),
        (lambda: Conv2d(4, 3, stride=0), "`stride` must be an integer from 1"),
        (lambda: Conv2d(4, 3, padding=-1), "`padding` must be an integer from 0 to 127, not -1"),
        (lambda: MaxPool(2, padding=2), "`padding` must be less than `kernel`"),
        (lambda: AvgPool((3, 1), padding=1), "`padding` must be less than `kernel`"),
        (lambda: AvgPool(stride=2), "Global pooling .* takes neither `stride` nor `padding`"),
        (lambda: Add(of=""), "`of` must be a layer's name, not ''"),
        (lambda: Relu(name=3), "`name` must be a layer's name, not 3"),
        (lambda: Relu(name="input"), "must not be 'input'"),
        (lambda: Relu(input=0), "`input` must be a layer's name, not 0"),
        (lambda: Model((8, 8), [Relu()]), r"`input` must be \[height, width, channels\], or one number"),
        (lambda: Model((8, 0, 1), [Relu()]), r"`input \(width\)` must be an integer from 1 to 32767, not 0"),
        (lambda: Model("8", [Relu()]), r"`input \(channels\)` must be an integer"),
        (lambda: Model(8, []), "at least one layer"),
        (lambda: Model(8, ["relu"]), "Layer 1 must be a layer, not 'relu'"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input = 4", "A network needs `layers`"),
        ("layers = []", "A network needs `input`"),
        ("input = 4\nlayers = 3", "`layers` must be a list of layers, not 3"),
        ("input = 4\nlayers = [3]", "Layer 1 must be a table of settings, not 3"),
        ("input = 4\nlayers = []", "at least one layer"),
        ("input = 4\nname = 3\nlayers = []", "A network has no setting 'name'; it has `input` and `layers`"),
        ("input = 4\nlayers = [{out = 3}]", "Layer 1 needs `kind`, one of linear, conv2d"),
        ('input = 4\nlayers = [{kind = "lstm"}]', "Layer 1 is of kind 'lstm', which is not supported; the k"),
        ('input = 4\nlayers = [{kind = "conv3d"}]', "Did you mean 'conv2d'?"),
        ("input = 4\nlayers = [{kind = 3}]", "Layer 1 is of kind 3"),
        ('input = 4\nlayers = [{kind = "conv2d", out = 1}]', r"Layer 1 \(conv2d\) needs `kernel`"),
        (
            'input = 4\nlayers = [{kind = "linear", outs = 1}]',
            r"Layer 1 \(linear\) has no setting 'outs'; .*out, bias.*Did you mean 'out'\?",
        ),
        ('input = 4\nlayers = [{kind = "linear", out = 1.5}]', r"Layer 1 \(linear\): `out` must be an int"),
        ("input = ", "is no TOML"),
    ],
)
def test_toml_refusals(tmp_path, text, message):
    path = tmp_path / "net.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        models.load_model(path)
    assert str(path) in str(caught.value) and str(caught.value).rstrip("?").endswith((".", "'"))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="There is no model file"):
        models.load_model(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        models.load_model(tmp_path)
    with pytest.raises(ConfigError, match=r"There is no model 'resnet50'.*Did you mean 'resnet'\?"):
        models.model("resnet50")
