"""Networks as tables of layers, for scheduling them without running them: by name, with a usual batch size, from
layer lists, and from PyTorch's modules."""

import difflib
from pathlib import Path

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.imported import find_python
from sat_hdl.compiler.layers import Model
from sat_hdl.compiler.models import MODELS, model
from sat_hdl.compiler.networks.layered import layered
from sat_hdl.compiler.networks.table import Network
from sat_hdl.compiler.networks.transformers import bert, gpt2, vit
from sat_hdl.compiler.networks.vision import resnet9, resnet18, resnet50, vgg19
from sat_hdl.config import ConfigError, require

__all__ = ["NETWORKS", "PAPER_NETWORKS", "network"]

_ALL = (
    resnet9(),
    vit(),
    vgg19(),
    resnet18(),
    resnet50(),
    bert(),
    gpt2(),
)

#: Networks by name.
NETWORKS: dict[str, Network] = {each.name: each for each in _ALL}

#: Those over which arXiv 2309.13015 averages its speedup.
PAPER_NETWORKS = ("resnet9", "vit", "vgg19", "resnet18", "resnet50")


def network(name: str) -> Network:
    """The network called ``name``: one of :data:`NETWORKS`; a model that the device trains, by name or from a TOML
    file of layers; or, as ``FILE.py:NAME``, a model or a PyTorch module in a Python file.

    Raises :class:`ConfigError` if there is none, or it can't be made a table.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    path, colon, what = name.rpartition(":")
    if colon and path.endswith(".py"):
        found, shape = find_python(Path(path), what)
        if isinstance(found, Model):
            return layered(build(found), what)
        from sat_hdl.compiler.networks.torch_network import network_of_module

        return network_of_module(found, shape, what)
    require(
        not name.endswith(".py"),
        f"Say which model of {name!r} is meant: {name}:NAME, where NAME is a variable in it.",
    )
    if name in MODELS or name.endswith(".toml"):
        return layered(build(model(name)), Path(name).stem)
    known = [*NETWORKS, *MODELS]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no network {name!r}; choose one of {', '.join(known)}, a TOML file of layers, or "
        f"FILE.py:NAME.{hint}"
    )
