"""The two passes of a training step over a network's table: which products and which vector work, in which order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from sat_hdl.compiler.blocks import PRUNING, Plan, cost, plan, update_bytes
from sat_hdl.compiler.dataflows import DATAFLOWS, Dataflow
from sat_hdl.compiler.memory_port import MemoryPort
from sat_hdl.compiler.networks.table import METHODS, Gemm, Matmul, Network, Vector, Weighted
from sat_hdl.compiler.networks.vector_costs import COSTS, UPDATE, Sweep
from sat_hdl.compiler.parts import Pass, shares
from sat_hdl.config import Config

__all__ = ["Passes"]

#: Slices of a weight gradient that are tried, and what they may cost of the whole.
_SLICES, _DEARER = (4, 2), 1.004


@dataclass(frozen=True, kw_only=True)
class Passes:
    """A network's passes on a device; arguments as of :func:`~sat_hdl.compiler.schedule.schedule`."""

    network: Network
    config: Config
    port: MemoryPort
    method: str
    sparsity: tuple[int, int] | None
    dataflows: tuple[Dataflow, ...]
    pruning: tuple[str, ...]

    def _plan(self, gemm: Gemm) -> Plan:
        return plan(self.config, self.port, gemm, self.dataflows, self.pruning)

    def _plans(self, layer: Weighted | Matmul, stage: str, samples: int) -> list[Plan]:
        pattern = self.sparsity if stage in METHODS[self.method] else None
        return [self._plan(gemm) for gemm in layer.products(stage, samples, pattern)]

    def _shares(self, layer: Weighted | Matmul, stage: str, parts: Iterable[int]) -> list[Plan]:
        """Of parts of each size."""
        return [each for samples in dict.fromkeys(parts) for each in self._plans(layer, stage, samples)]

    def _gradient(self, layer: Weighted, samples: int, *, whole: bool) -> list[Plan]:
        """WU of a layer, whole or in slices: each sums over the whole batch. Between slices the array can turn to
        what is more urgent."""
        (gemm,) = layer.products("wu", samples)
        found = self._plan(gemm)
        for cut in () if whole else self._slices(found):
            if sum(each.cycles for each in cut) <= _DEARER * found.cycles:
                return cut
        return [found]

    def _slices(self, found: Plan) -> Iterator[list[Plan]]:
        """A product in slices of rows or columns, of whole blocks if there are enough, each done like the whole."""
        flow, cut = DATAFLOWS[found.dataflow], found.blocks
        turned = flow.turned(found.gemm)
        assert turned is not None
        names = ("m", "n") if turned is found.gemm else ("n", "m")
        axes = [(names[0], turned.m, cut.m), (names[1], turned.n, cut.n)]
        edge = max(self.config.rows, self.config.cols)
        for count, (name, size, block) in product(_SLICES, axes if cut.rows_outer else axes[::-1]):
            step = block if size > (count - 1) * block else edge
            each = -(-size // (count * step)) * step
            if each < size:
                gemms = [replace(found.gemm, **{name: min(each, size - at)}) for at in range(0, size, each)]
                yield [cost(self.config, self.port, gemm, flow, cut) for gemm in gemms]

    def foresee(self, layer: Weighted | Matmul, batch: int, counts: Sequence[int]):
        """Plans a layer's products in so many parts, which takes time the first time."""
        for count in counts:
            for stage in ("ff", "bp"):
                self._shares(layer, stage, shares(batch, count))
        self._plans(layer, "wu", batch)

    def forward(self, parts: tuple[int, ...]) -> Pass:
        """In parts of so many samples."""
        found = Pass(self.config, self.port, parts)
        for layer in self.network.layers:
            if isinstance(layer, Vector):
                found.vector(layer.name, "forward", layer.elements, COSTS[layer.kind].forward)
            else:
                found.products(layer.name, "ff", partial(self._plans, layer, "ff"))
        found.finish()
        return found

    def backward(self, before: tuple[int, ...], parts: tuple[int, ...]) -> Pass:
        """Likewise, updates included. ``before``: the parts of the forward pass."""
        found = Pass(self.config, self.port, parts)
        small = self.network.other_parameters  # beside weights, which one update sweeps over at the end
        for layer in reversed(self.network.layers):
            if isinstance(layer, Vector):
                add = found.summed_vector if layer.kind == "bias" else found.vector
                add(layer.name, "backward", layer.elements, COSTS[layer.kind].backward)
                small += layer.parameters
                continue
            back = self._shares(layer, "bp", parts)
            if isinstance(layer, Weighted):
                # WU waits for dY alone.
                slices = self._gradient(layer, sum(parts), whole=len(parts) == 1)
                ended = found.summed_products(layer.name, "wu", slices)
                copies = _copies(self._shares(layer, "ff", before)) + _copies(back)
                sweep = Sweep(UPDATE.passes, UPDATE.read, UPDATE.written + copies)
                found.update(layer.name, layer.weights, sweep, ended)
                small += layer.parameters - layer.weights
            if back:
                found.products(layer.name, "bp", partial(self._plans, layer, "bp"))
        found.finish()
        if small:
            found.update("others", small, UPDATE)
        return found


def _copies(plans: list[Plan]) -> float:
    """Bytes that the update of a weight writes for the copy that the products of a stage read. They share it; if any
    of them prunes on the fly, it is whole."""
    if not plans:
        return 0.0
    longest = max(plans, key=lambda each: each.gemm.k)
    fly = any(each.pruning == PRUNING[1] for each in plans)
    return update_bytes(longest.gemm, PRUNING[1] if fly else longest.pruning) / (
        longest.gemm.k * longest.gemm.n
    )
