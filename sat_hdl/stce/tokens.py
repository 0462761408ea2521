"""What travels inside the array, one hop a cycle. All of it is lock-step: nothing in the array waits.

``valid`` is the lowest bit of every token, and the only one that a reset clears.
"""

from amaranth.lib import data

from sat_hdl.arith.normalise import operand_layout
from sat_hdl.config import Config

__all__ = [
    "element_control",
    "exchange_control",
    "exchange_layout",
    "north_control",
    "placed_layout",
    "weight_layout",
    "west_control",
    "west_token",
]


def west_control(config: Config) -> data.StructLayout:
    """Where a row's elements go: ``address`` counts beats of E elements in half of the group memory, ``bank`` is the
    half."""
    depth = config.group_depth // config.west_elements
    return data.StructLayout({"valid": 1, "bank": 1, "address": max(1, (depth - 1).bit_length())})


def west_token(config: Config) -> data.StructLayout:
    """West to east: elements of a group of activations, with their place."""
    operand = operand_layout(config.format)
    return data.StructLayout(
        {"control": west_control(config), "elements": data.ArrayLayout(operand, config.west_elements)}
    )


def north_control(config: Config) -> data.StructLayout:
    """What to do with a weight.

    ``entry`` is the sum that it belongs to, ``bank`` the half of the group memory that holds its
    activations. ``first`` starts a sum at the initial accumulator if ``accumulate``, else at +0.

    Weight-stationary, ``held``: the weight is the one that the element holds at ``place``; ``offset`` is added to
    its index. ``hold``, whether ``valid`` or not: the value and index, or, without ``keeps``, that there is
    none, are to be held there by the element ``row`` rows further south, and from then on. ``clear``: that nothing
    is, from then on; so an element that holds weights hands on its sums.
    """
    fields = {
        "valid": 1,
        "entry": config.entry_bits,
        "bank": 1,
        "first": 1,
        "accumulate": 1,
    }
    if config.ring:
        fields |= {"final": 1}
    if config.weight_stationary:
        fields |= {
            "held": 1,
            "place": (config.held - 1).bit_length(),
            "offset": config.element_bits,
            "hold": 1,
            "keeps": 1,
            "row": config.row_bits,
            "clear": 1,
        }
    return data.StructLayout(fields)


def element_control(config: Config) -> data.StructLayout:
    """What an element does in a cycle, for up to four weights of other cycles: the parts of their
    :func:`north_control`, each late by as much as the element needs it late. So these waits are registers of the
    edge, once, and not of every element; see :attr:`~sat_hdl.stce.uspe.Uspe.waits`.

    ``valid``, ``sum``: a sum is written there. ``start``: the sum that is added to, or, by ``first`` and
    ``accumulate``, what else; ``ahead``: whose initial accumulator is asked for. ``bank``: half of the group memory.
    What holds weights is as it came.

    In a ring, where sums are read and written only when they begin or are final, ``read`` and ``write`` are the
    places for that or for the exchange token of the cycle. ``feeds``: there is a weight; else -0 is added, which
    changes no sum.
    """
    if config.ring:
        fields = {"valid": 1, "write": config.entry_bits, "read": config.entry_bits}
        return data.StructLayout(fields | {"first": 1, "accumulate": 1, "bank": 1, "feeds": 1})
    given = dict(north_control(config))
    fields = {"valid": 1, "sum": config.entry_bits, "start": config.entry_bits, "first": 1, "accumulate": 1}
    fields |= {"ahead": config.entry_bits, "bank": 1}
    held = {name: field.shape for name, field in given.items() if name not in ("valid", "entry", *fields)}
    return data.StructLayout(fields | held)


def weight_layout(config: Config) -> data.StructLayout:
    """North to south: a kept weight with its index in half of the group memory, and what to do with it and with those
    before."""
    return data.StructLayout(
        {
            "control": element_control(config),
            "value": operand_layout(config.format),
            "index": config.element_bits,
        }
    )


def placed_layout(config: Config) -> data.ArrayLayout:
    """What enters the north edge: for each column, a raw weight and its index in half of the group memory."""
    weight = data.StructLayout({"value": config.format.width, "index": config.element_bits})
    return data.ArrayLayout(weight, config.cols)


def exchange_control(config: Config) -> data.StructLayout:
    """A place on the way south that an element fills with its result, and whose word it may keep.

    In a round, one a slot, as many places pass as rows take part; ``start`` marks the first. The first row
    takes the first place, the second row the next, and so on. ``load``: the word is an initial
    accumulator. ``entry``: the sum.

    Weight-stationary, ``passes``: every element takes its word for the initial accumulator; those that hold weights
    put their sum in its place.
    """
    fields = {
        "valid": 1,
        "taken": 1,
        "start": 1,
        "load": 1,
        "entry": config.entry_bits,
    }
    if config.weight_stationary:
        fields |= {"passes": 1}
    return data.StructLayout(fields)


def exchange_layout(config: Config) -> data.StructLayout:
    """North to south: initial accumulators on their way in, results on their way out. In a ring the weights' tokens
    tell the places."""
    control = exchange_control(config)
    if config.ring:
        control = data.StructLayout({name: field.shape for name, field in control if name != "entry"})
    return data.StructLayout({"control": control, "word": 32})
