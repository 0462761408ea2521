"""Several components as one design, so that a test of many small ones compiles once."""

from collections.abc import Mapping

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

__all__ = ["Bundle"]


class Bundle(wiring.Component):
    """The components side by side, unconnected; port ``p`` of component ``name`` is called ``name__p``.

    Arguments
    ---------
    parts: name → component.
    """

    def __init__(self, parts: Mapping[str, wiring.Component]):
        if not parts:
            raise ValueError("parts must hold at least one component")
        self._parts = dict(parts)
        super().__init__({name: Out(part.signature) for name, part in parts.items()})

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            connect(m, flipped(getattr(self, name)), part)
        return m
