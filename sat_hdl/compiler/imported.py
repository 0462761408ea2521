"""Models with weights to begin with, from wherever they come."""

import contextlib
import importlib
import runpy
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sat_hdl.compiler.layers import Layer, Model
from sat_hdl.compiler.models import model
from sat_hdl.config import ConfigError, require

__all__ = ["Imported", "chosen_model", "find_python", "first_line", "load_python", "torch_modules"]


@dataclass(frozen=True)
class Imported:
    """A model, and the weights it begins with.

    Arguments
    ---------
    model: the layers.
    weights, biases: float32 (Q, Cin, Cout) and (Cout,), by layer name; empty if they are to be drawn.
    """

    model: Model
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)


def torch_modules(*names: str) -> list[Any]:
    """PyTorch's modules of these names. Raises :class:`ConfigError` if it is not installed."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError:
        raise ConfigError(
            "PyTorch modules need PyTorch, which is not installed: run `pip install torch`, or give a .toml file of "
            "layers."
        ) from None


def chosen_model(name: str, seed: int = 0) -> Imported:
    """A model by its name, from a TOML file, or as ``FILE.py:NAME`` from a Python file; see :func:`load_python`."""
    path, colon, what = name.rpartition(":")
    if colon and path.endswith(".py"):
        return load_python(Path(path), what, seed)
    require(
        not name.endswith(".py"),
        f"Say which model of {name!r} is meant: {name}:NAME, where NAME is a variable in it.",
    )
    return Imported(model(name))


def load_python(path: Path, name: str, seed: int = 0) -> Imported:
    """What :func:`find_python` finds, as the device can train it. Raises :class:`ConfigError` if it can't."""
    found, shape = find_python(path, name, seed)
    if isinstance(found, Model):
        return Imported(found)
    from sat_hdl.compiler.torch_import import from_torch

    return from_torch(found, shape)


def find_python(path: Path, name: str, seed: int = 0) -> tuple[Any, Any]:
    """What is called ``name`` in a Python file, which is run: a Model, or a module and the shape of its input.

    It is a :class:`~sat_hdl.compiler.layers.Model`, a list of layers, a torch.nn.Module, or a class or function
    without arguments that makes one. A list of layers and a module need to know their input: the file's
    ``input_shape``, of a list as a Model takes it, of a module (channels, height, width) or (n,). PyTorch's generator
    begins with ``seed``.

    Raises :class:`ConfigError` if the file can't be run, or holds no such thing.
    """
    require(path.is_file(), f"There is no file {str(path)!r}.")
    with contextlib.suppress(ImportError):  # modules can't be made without, which the file will tell
        importlib.import_module("torch").manual_seed(seed)
    try:
        names = runpy.run_path(str(path))
        found = names.get(name)
        if callable(found) and not _is_module(found):
            found = found()
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise ConfigError(
                f"{path} can't be run: {_where(error, path)}there is no module {error.name!r}."
            ) from None
        raise ConfigError(
            f"{path} needs PyTorch, which is not installed: run `pip install torch`, or give a list of layers."
        ) from None
    except Exception as error:
        raise ConfigError(
            f"{path} can't be run: {_where(error, path)}{type(error).__name__}: {error}"
        ) from None
    require(name in names, f"There is no {name!r} in {path}; it defines {_public(names)}.")
    if isinstance(found, Model):
        return found, found.input
    layers = list(found) if isinstance(found, list | tuple) else []
    listed = len(layers) > 0 and all(isinstance(layer, Layer) for layer in layers)
    if not listed and not _is_module(found):
        raise ConfigError(
            f"{name!r} in {path} must be a Model, a list of layers or a torch.nn.Module, not {found!r}."
        )
    require(
        "input_shape" in names,
        f"{path} must say what goes into {name!r}: `input_shape = (channels, height, width)`, or `(n,)`; of a "
        "list of layers (height, width, channels).",
    )
    shape = names["input_shape"]
    return (Model(shape, layers) if listed else found), shape


def first_line(error: Exception) -> str:
    """What it says, for a sentence; its kind, if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")


def _is_module(value: Any) -> bool:
    """Whether it is a torch.nn.Module, by its class's name: PyTorch may be missing."""
    return any(
        f"{base.__module__}.{base.__qualname__}" == "torch.nn.modules.module.Module"
        for base in type(value).__mro__
    )


def _public(names: dict[str, Any]) -> str:
    return ", ".join(sorted(name for name in names if not name.startswith("_"))) or "nothing"


def _where(error: Exception, path: Path) -> str:
    """The line of the user's file at which it went wrong."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"line {lines[-1]}: " if lines else ""
