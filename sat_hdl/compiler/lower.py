"""A network → the programs of a training step: forward; then, from the logits' gradient, backward and update."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np

from sat_hdl.compiler.backward import Backward
from sat_hdl.compiler.choose import Chooser
from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.compiler.forward import Forward
from sat_hdl.compiler.graph import Graph
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.placed import Placed
from sat_hdl.compiler.program import Label, Program
from sat_hdl.config import Config, require

__all__ = ["Step", "compile_step"]

#: Parts of a batch that are tried. Each lengthens the program, and loads the weights again.
_PARTS = (1, 2, 4)


@dataclass(frozen=True, kw_only=True)
class Step:
    """The programs of a training step, and where everything is.

    Arguments
    ---------
    config: the device that they are for.
    tensors: by name. Of a layer "L": "L.w" (weights), "L.v" (their momentum), "L.dw", "L.b", "L.bv", "L.db", and the
        copies "L.ff", "L.ff_indices", "L.bp", "L.bp_indices". "input" and "logits_gradient" are the host's to write,
        "logits" its to read.
    forward, backward: programs, uint8. forward_address, backward_address: where they go.
    forward_labels, backward_labels: what each run of a program is for, in the order in which they are begun.
    parameters_end: where the parameters' addresses end, which are the same for every batch.
    size: bytes of memory, all told.
    """

    config: Config
    tensors: dict[str, Tensor]
    forward: np.ndarray
    forward_address: int
    forward_labels: list[Label]
    backward: np.ndarray
    backward_address: int
    backward_labels: list[Label]
    parameters_end: int
    size: int


def compile_step(
    graph: Graph,
    config: Config,
    *,
    batch: int,
    method: str = "dense",
    keep: int = 2,
    group: int = 8,
    nesterov: bool = False,
    dataflow: str = "auto",
    parts: int | str = "auto",
    memory: Memory | None = None,
) -> Step:
    """Compiles a training step of ``batch`` samples.

    Parameters lie at the same addresses for every batch.

    Arguments
    ---------
    graph: the network.
    config: the device.
    method, keep, group: what is sparse, see :func:`~sat_hdl.compiler.graph.sparse_products`; N and M.
    nesterov: whether the momentum is Nesterov's.
    dataflow: of the products: "os"; "ws", wherever it is possible; or "auto", both. Of all ways of cutting a product
        with these, it is the one of fewest cycles by the cycle model, see :mod:`~sat_hdl.compiler.choose`.
    parts: of the batch, at most one a sample, so that vector work runs beside products; "auto" is one, two or four,
        for each pass what takes the fewest cycles by the cycle model. The bits are the same.
    memory: that the device is to work with; by default as :class:`Memory` is by itself.

    Raises
    ------
    ConfigError: what the device or its memory can't do; the text names the layer where there is one.
    """
    require(
        parts == "auto" or (isinstance(parts, int) and parts >= 1),
        f"`parts` must be auto or a number from 1 on, not {parts!r}.",
    )
    choose = Chooser(config, memory, dataflow)
    placed = Placed(graph, config, batch=batch, method=method, keep=keep, group=group, choose=choose)
    forward = _best(Forward(placed).lower, placed, parts, memory)
    backward = _best(partial(Backward(placed).lower, nesterov=nesterov), placed, parts, memory)
    images = [program.image() for program in (forward, backward)]
    addresses = [placed.memory.take(len(image)) for image in images]
    return Step(
        config=config, tensors=placed.memory.tensors, forward=images[0], forward_address=addresses[0],
        forward_labels=forward.labels, backward=images[1], backward_address=addresses[1],
        backward_labels=backward.labels, parameters_end=placed.parameters_end,
        size=placed.memory.next,
    )  # fmt: skip


def _best(
    lower: Callable[[int], Program], placed: Placed, parts: int | str, memory: Memory | None
) -> Program:
    """A pass with its batch in ``parts``, or in the best number of them."""
    if isinstance(parts, int):
        return lower(parts)
    programs = [lower(count) for count in _PARTS if count <= placed.batch]
    best, least = programs[0], inf
    for program in programs if len(programs) > 1 else ():
        cycles = predict(program.words(), placed.config, memory, limit=least).cycles
        if cycles < least:
            best, least = program, cycles
    return best
