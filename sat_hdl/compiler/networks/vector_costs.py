"""What vector work costs: passes through the lanes, and bytes, for each element.

A lane multiplies and adds once a pass. Passes beyond the first over the same loaded elements cost no bytes. Tensors
between layers are binary16 (2 bytes). These are stated costs, of algorithms that suit lanes with one multiplier and
one adder each; of the kinds here the vector unit itself has ``relu``, ``add``, ``maxpool``, ``avgpool``, ``bias``
and ``update`` (:mod:`sat_hdl.wuve`), whose passes are the hardware's.
"""

from dataclasses import dataclass

__all__ = ["COSTS", "UPDATE", "Cost", "Sweep"]


@dataclass(frozen=True)
class Sweep:
    """Of one element: passes through a lane, bytes read, bytes written."""

    passes: float
    read: float
    written: float

    def __add__(self, other: "Sweep") -> "Sweep":
        return Sweep(self.passes + other.passes, self.read + other.read, self.written + other.written)


@dataclass(frozen=True)
class Cost:
    """Forward and backward, each in phases, and why. A phase goes over a sample as soon as that is there; the next
    one begins when it has gone over the whole batch."""

    forward: tuple[Sweep, ...]
    backward: tuple[Sweep, ...]
    reason: str


#: By kind of work. Elements are those of the output, but of pooling those of all windows.
COSTS: dict[str, Cost] = {
    "relu": Cost((), (Sweep(1, 4, 2),), "forward in the store of what came before; backward reads dY and Y"),
    "bias": Cost((), (Sweep(1, 2, 0),), "forward the product starts from it; backward a sum over pixels"),
    "batchnorm": Cost(
        (Sweep(2, 2, 0), Sweep(1, 2, 2)),
        (Sweep(2, 4, 0), Sweep(2, 4, 2)),
        "forward sums of x and of x², then a·x + b; backward sums of dy and of dy·x, then a·dy + b·x + c",
    ),
    "layernorm": Cost(
        (Sweep(4, 4, 2),),
        (Sweep(7, 8, 2),),
        "as batchnorm along channels, with gain and offset of each channel, and their gradients",
    ),
    "gelu": Cost(
        (Sweep(4, 2, 2),),
        (Sweep(5, 4, 2),),
        "and any other smooth function: a table's segment and its cubic; backward times dY",
    ),
    "softmax": Cost(
        (Sweep(6, 6, 4),),
        (Sweep(3, 8, 2),),
        "greatest, exponential (table and cubic) with its sum, scaling; backward Σ dy·y, then (dy − Σ)·y",
    ),
    "add": Cost((Sweep(1, 4, 2),), (Sweep(1, 4, 2),), "a residual; backward its gradients meet"),
    "multiply": Cost((Sweep(1, 4, 2),), (Sweep(2, 6, 4),), "two tensors; backward dY times each"),
    "scale": Cost((Sweep(1, 2, 2),), (Sweep(1, 2, 2),), "by a number or a mask; backward the same"),
    "maxpool": Cost(
        (Sweep(1, 2, 1),),
        (Sweep(1, 4, 1),),
        "windows of 2 × 2 and more; backward by the place of the maximum",
    ),
    "avgpool": Cost(
        (Sweep(1, 2, 0),), (Sweep(1, 0, 2),), "its few results, or their gradients, are not counted"
    ),
}

#: Momentum SGD of one parameter, without its pruned copies: reads w, v and dW, writes w and v, all binary32.
UPDATE = Sweep(4, 12, 8)
