"""Networks as tables of layers, for scheduling them without running them: by name, with a usual batch size."""

import difflib

from sat_hdl.compiler.networks.table import Network
from sat_hdl.compiler.networks.transformers import bert, gpt2, vit
from sat_hdl.compiler.networks.vision import resnet9, resnet18, resnet50, vgg19
from sat_hdl.config import ConfigError

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
    """The network called ``name``. Raises :class:`ConfigError` if there is none."""
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no network {name!r}; choose one of {', '.join(NETWORKS)}.{hint}")
    return NETWORKS[name]
