"""Models: by name, for scikit-learn's digits (8 × 8 pixels, 10 classes); and from TOML."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sat_hdl.compiler.layers import (
    KINDS,
    Add,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Model,
    Relu,
)
from sat_hdl.config import ConfigError, require

__all__ = ["MODELS", "load_model", "model", "parse_model"]

MODELS: dict[str, Model] = {
    "mlp": Model(64, [Linear(64), Relu(), Linear(10)]),
    "cnn": Model(
        (8, 8, 1),
        [
            Conv2d(16, 3, padding=1),
            Relu(),
            MaxPool(2),
            Conv2d(32, 3, padding=1),
            Relu(),
            MaxPool(2),
            Flatten(),
            Linear(10),
        ],
    ),
    "resnet": Model(
        (8, 8, 1),
        [
            Conv2d(16, 3, padding=1),
            Relu(),
            MaxPool(2),
            Conv2d(32, 3),
            Relu(name="block"),
            Conv2d(32, 3, padding=1),
            Add(of="block"),
            Relu(),
            MaxPool(2),
            Flatten(),
            Linear(10),
        ],
    ),
}


def _near(word: Any, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), words, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _layer(number: int, record: Any) -> Layer:
    require(isinstance(record, Mapping), f"Layer {number} must be a table of settings, not {record!r}.")
    settings = dict(record)
    require("kind" in settings, f"Layer {number} needs `kind`, one of {', '.join(KINDS)}.")
    kind = settings.pop("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(
            f"Layer {number} is of kind {kind!r}, which is not supported; the kinds are {', '.join(KINDS)}."
            f"{_near(kind, list(KINDS))}"
        )
    fields = {f.name: f for f in dataclasses.fields(KINDS[kind])}
    for name in settings:
        require(
            name in fields,
            f"Layer {number} ({kind}) has no setting {name!r}; its settings are {', '.join(fields)}."
            f"{_near(name, list(fields))}",
        )
    for name, known in fields.items():
        optional = known.default is not dataclasses.MISSING
        require(optional or name in settings, f"Layer {number} ({kind}) needs `{name}`.")
    try:
        return KINDS[kind](**settings)
    except ConfigError as error:
        raise ConfigError(f"Layer {number} ({kind}): {error}") from None


def parse_model(record: Mapping[str, Any]) -> Model:
    """A model from plain data, as TOML gives it: ``input`` and ``layers``, a list of tables with a ``kind``.

    Raises :class:`ConfigError`, naming the layer, for what is not known or not possible.
    """
    for name in record:
        require(
            name in ("input", "layers"), f"A network has no setting {name!r}; it has `input` and `layers`."
        )
    for name in ("input", "layers"):
        require(name in record, f"A network needs `{name}`.")
    layers = record["layers"]
    require(isinstance(layers, list), f"`layers` must be a list of layers, not {layers!r}.")
    return Model(record["input"], [_layer(number, layer) for number, layer in enumerate(layers, 1)])


def load_model(path: str | Path) -> Model:
    """Reads a model from a TOML file. Raises :class:`ConfigError` if it can't be read or won't do."""
    path = Path(path)
    try:
        return parse_model(msgspec.toml.decode(path.read_bytes()))
    except FileNotFoundError:
        raise ConfigError(f"There is no model file {str(path)!r}.") from None
    except OSError as error:
        raise ConfigError(f"{str(path)!r} can't be read: {error.strerror}.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path} is no TOML: {str(error).removesuffix('.')}.") from None


def model(name: str) -> Model:
    """The model called ``name``, or the one in the TOML file of that name (which ends in .toml)."""
    if name in MODELS:
        return MODELS[name]
    if Path(name).suffix == ".toml":
        return load_model(name)
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no model {name!r}; choose one of {', '.join(MODELS)}, or a .toml file.{hint}"
    )
