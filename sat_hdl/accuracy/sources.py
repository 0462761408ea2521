"""Data sets and models of the accuracy runs, by name."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sat_hdl.compiler.graph import Graph, build
from sat_hdl.compiler.layers import Add, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.models import MODELS, load_model
from sat_hdl.config import ConfigError, require
from sat_hdl.sim.golden.cifar import SHAPE, load_cifar
from sat_hdl.sim.golden.data import Dataset, load_digits, load_npz
from sat_hdl.sim.golden.images import load_digit_images
from sat_hdl.sim.golden.vit import VitShape

__all__ = ["MODEL_NAMES", "Recipe", "architecture", "load", "recipe"]

MODEL_NAMES = ("mlp", "mlp2", "cnn", "resnet", "vit")
Shape = tuple[int, int, int]


class Recipe(NamedTuple):
    """How a model is trained, the same by every method: passes over the data, samples a step, peak rate, decay."""

    epochs: int
    batch: int
    lr: float
    weight_decay: float


_DIGITS = {
    "mlp": Recipe(16, 16, 0.02, 5e-3),
    "mlp2": Recipe(16, 16, 0.02, 5e-3),
    "cnn": Recipe(8, 16, 0.02, 5e-3),
    # Without batch normalisation, by BDWP: some seeds fall apart within 16 epochs from 0.0075 on.
    "resnet": Recipe(16, 16, 0.005, 5e-3),
    "vit": Recipe(16, 32, 0.05, 5e-4),
}
_IMAGES = {
    "mlp": Recipe(20, 64, 0.02, 5e-4),
    "mlp2": Recipe(20, 64, 0.02, 5e-4),
    "cnn": Recipe(20, 64, 0.02, 5e-4),
    "resnet": Recipe(20, 64, 0.02, 5e-4),
    "vit": Recipe(20, 64, 0.05, 5e-4),
}


def recipe(data: str, model: str) -> Recipe:
    """The usual one; a model from a file gets the CNN's."""
    return (_DIGITS if data == "digits" else _IMAGES).get(model, _IMAGES["cnn"])


def _kind(data: str) -> tuple[str, str]:
    """``cifar10:PATH`` → ("cifar10", "PATH"), ``digits`` → ("digits", ""), ``FILE.npz`` → ("npz", "FILE.npz")."""
    kind, colon, path = data.partition(":")
    if kind in ("cifar10", "cifar100") and colon:
        require(path != "", f"`--data {data}` lacks the folder: {kind}:FOLDER.")
        return kind, path
    if data == "digits":
        return "digits", ""
    if Path(data).suffix == ".npz":
        return "npz", data
    raise ConfigError(f"Data must be `digits`, cifar10:FOLDER, cifar100:FOLDER or a .npz file, not {data!r}.")


@lru_cache(maxsize=2)
def load(data: str, model: str) -> tuple[Dataset, Shape]:
    """The data set, and the shape of a sample as ``model`` is to see it. Kept for the next run.

    Raises :class:`ConfigError`.
    """
    kind, path = _kind(data)
    match kind:
        case "digits":
            # Pixel by pixel where each has weights of its own; one scale where a kernel meets all of them.
            return (load_digits() if model in ("mlp", "mlp2") else load_digit_images()), (8, 8, 1)
        case "npz":
            found = load_npz(path)
            return found, (1, 1, found.inputs)
    return load_cifar(path, 10 if kind == "cifar10" else 100), SHAPE


def _of_images(model: str, shape: Shape, classes: int) -> Model | VitShape:
    """For images of 32 × 32 pixels or about as many."""

    def stage(out: int) -> list:
        return [Conv2d(out, 3, padding=1), Relu(), MaxPool(2)]

    def block(out: int, name: str) -> list:
        inside = [Conv2d(out, 3, padding=1), Relu(), Conv2d(out, 3, padding=1), Add(of=name), Relu()]
        return [Conv2d(out, 3, padding=1), Relu(name=name), *inside, MaxPool(2)]

    match model:
        case "mlp":
            layers = [Flatten(), Linear(256), Relu(), Linear(classes)]
        case "mlp2":
            layers = [Flatten(), Linear(256), Relu(), Linear(256), Relu(), Linear(classes)]
        case "cnn":
            layers = [*stage(32), *stage(64), *stage(128), Flatten(), Linear(classes)]
        case "resnet":
            layers = [*stage(32), *block(64, "a"), *block(128, "b"), Flatten(), Linear(classes)]
        case _:
            return VitShape(shape, classes, patch=4, width=64, heads=4, blocks=4, hidden=128)
    return Model(shape, layers)


def architecture(model: str, shape: Shape, classes: int) -> Graph | VitShape:
    """The model called so that fits the data, or that in a TOML file. Raises :class:`ConfigError`."""
    if Path(model).suffix == ".toml":
        return build(load_model(model))
    require(
        model in MODEL_NAMES,
        f"There is no model {model!r}: choose of {', '.join(MODEL_NAMES)}, or a .toml file.",
    )
    if shape == (8, 8, 1) and classes == 10:
        if model == "vit":
            return VitShape(shape, classes, patch=2, width=32, heads=4, blocks=2, hidden=64)
        if model == "mlp2":
            # With one hidden layer no layer that needs a dX has channels to prune: SDGP and SDWP would be dense.
            return build(Model(64, [Linear(64), Relu(), Linear(64), Relu(), Linear(10)]))
        return build(MODELS[model])
    require(
        model in ("mlp", "mlp2") or shape[:2] != (1, 1),
        f"The data are vectors of {shape[2]} inputs: `{model}` wants images; take `mlp`, or a model in a .toml file.",
    )
    found = _of_images(model, shape, classes)
    return found if isinstance(found, VitShape) else build(found)
