"""Traffic as the values of ports, one row a cycle."""

from collections.abc import Sequence

import numpy as np
from amaranth.lib import data

from sat_hdl.config import Config
from sat_hdl.sim.packing import pack_lanes
from sat_hdl.stce.tokens import exchange_control, north_control, west_control

from .array_model import Step


def packed(layout: data.StructLayout, fields: dict[str, np.ndarray]) -> np.ndarray:
    """Arrays of fields → array of words; fields not given are 0."""
    total = np.zeros(len(next(iter(fields.values()))), np.uint64)
    for name, values in fields.items():
        total |= values.astype(np.uint64) << np.uint64(layout[name].offset)
    return total


def port_values(lanes: np.ndarray, width: int) -> np.ndarray:
    """Lanes (n, lanes) as ``Simulation.vectors`` takes a port that holds them."""
    beats = pack_lanes(lanes, width)
    if lanes.shape[1] * width > 64:
        return beats
    shifts = np.uint64(32) * np.arange(beats.shape[1], dtype=np.uint64)
    return (beats.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)


def controls(
    layout: data.StructLayout, tokens: Sequence[dict[str, int] | None], rng: np.random.Generator
) -> np.ndarray:
    """Tokens with ``valid`` unless they say otherwise; without one, all fields that don't act by themselves are
    random."""
    fields = {name: rng.integers(0, 1 << field.width, len(tokens)) for name, field in layout}
    for name in fields.keys() & {"valid", "taken", "hold", "clear"}:
        fields[name][:] = 0
    for cycle, token in enumerate(tokens):
        for name, value in ({"valid": 1} | token if token else {}).items():
            fields[name][cycle] = value
    return packed(layout, fields)


def edge_vectors(config: Config, steps: Sequence[Step], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ports of :class:`~sat_hdl.stce.stce.Stce`; where no token comes, the data are random."""
    n, width = len(steps), config.format.width
    pair = width + config.element_bits
    west = rng.integers(0, 1 << width, (n, config.rows * config.west_elements))
    north = rng.integers(0, 1 << pair, (n, config.cols))
    initial = rng.integers(0, 1 << 32, (n, config.cols))
    for cycle, step in enumerate(steps):
        if step.west:
            west[cycle] = step.west[1].ravel()
        if step.north:
            north[cycle] = step.north[1] | step.north[2] << width
        if step.exchange:
            initial[cycle] = step.exchange[1]
    tokens = {
        name: [token[0] if (token := getattr(step, name)) else None for step in steps]
        for name in ("west", "north", "exchange")
    }
    return {
        "west_control": controls(west_control(config), tokens["west"], rng),
        "north_control": controls(north_control(config), tokens["north"], rng),
        "exchange_control": controls(exchange_control(config), tokens["exchange"], rng),
        "west": port_values(west, width),
        "north": port_values(north, pair),
        "initial": port_values(initial, 32),
    }


def normalised(bits: np.ndarray, config: Config) -> np.ndarray:
    """Raw operands as elements get them (``operand_layout``), computed from their values."""
    if config.operand_format != "fp16":
        return bits.astype(np.uint64)
    value = bits.astype(np.uint16).view(np.float16).astype(np.float64)
    fraction, exponent = np.frexp(np.where(np.isfinite(value), value, 0.0))
    sig = np.where(np.isinf(value), 1 << 10, np.abs(fraction) * 2**11).astype(np.uint64)
    exp = np.where((sig != 0) & np.isfinite(value), exponent - 1 + 32, 0).astype(np.uint64)
    sign, special = (bits >> 15).astype(np.uint64), (~np.isfinite(value)).astype(np.uint64)
    return sig | exp << np.uint64(11) | sign << np.uint64(17) | special << np.uint64(18)
