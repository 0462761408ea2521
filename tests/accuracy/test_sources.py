"""Models that fit the data, by name."""

import pytest

from sat_hdl.accuracy.sources import MODEL_NAMES, architecture, load, recipe
from sat_hdl.config import ConfigError
from sat_hdl.sim.golden.vit import VitShape


@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 10), ((32, 32, 3), 10), ((32, 32, 3), 100)])
def test_every_model_fits_every_image(name, shape, classes):
    graph = architecture(name, shape, classes)
    height, width, channels = graph.input_shape
    assert height * width * channels == shape[0] * shape[1] * shape[2] and graph.classes == classes
    assert isinstance(graph, VitShape) == (name == "vit")


def test_every_model_has_a_layer_whose_gradient_any_m_prunes():
    """But `mlp`, which is the device's preset: methods that differ in BP alone could not differ."""
    for name in ("mlp2", "cnn", "resnet"):
        graph = architecture(name, (8, 8, 1), 10)
        assert any(graph.needs_input_gradient(node) and node.shape[2] % 16 == 0 for node in graph.weighted), (
            name
        )


def test_files_and_vectors(tmp_path):
    (tmp_path / "net.toml").write_text('input = 7\n[[layers]]\nkind = "linear"\nout = 2\n')
    assert architecture(str(tmp_path / "net.toml"), (1, 1, 7), 2).classes == 2
    assert architecture("mlp", (1, 1, 7), 2).input_shape == (1, 1, 7)
    with pytest.raises(ConfigError, match="The data are vectors of 7 inputs: `cnn` wants images"):
        architecture("cnn", (1, 1, 7), 2)
    with pytest.raises(ConfigError, match="There is no model 'vgg': choose of mlp, mlp2, cnn"):
        architecture("vgg", (8, 8, 1), 10)


def test_data():
    flat, image = load("digits", "mlp2")[0], load("digits", "vit")[0]
    assert (flat.x_train != image.x_train).any() and (flat.y_train == image.y_train).all()
    assert recipe("digits", "cnn") != recipe("cifar10:x", "cnn") == recipe("cifar10:x", "my.toml")
    for data, message in (
        ("digit", "Data must be `digits`, cifar10:FOLDER, .* not 'digit'"),
        ("cifar10:", "lacks the folder"),
        ("cifar10:/none", "There is no folder '/none'"),
        ("none.npz", "There is no file 'none.npz'"),
    ):
        with pytest.raises(ConfigError, match=message):
            load(data, "cnn")
