"""What a product costs on an array whose streams never stall: a closed form, for choosing before running."""

from dataclasses import replace

from sat_hdl.compiler.array_cycles import latencies
from sat_hdl.compiler.product import Product
from sat_hdl.compiler.stationary import Piece, StationaryJob, cuts

__all__ = ["best_dataflow", "expected_cycles", "fastest", "pieces", "product_cycles", "stationary_cycles"]


def product_cycles(product: Product, *, accumulate: bool = False) -> int:
    """Cycles of ``product``, from the first operand in to the last result out, if no stream stalls.

    A tile takes kept · span cycles, where span is its slots, at least the adder's loop. Its results leave,
    one a row and slot, while others compute; two banks of accumulators take turns, so with short chains the
    exchange sets the pace; folded, with few slots, the west edge may. A tile of more than J slots takes both banks
    and overlaps with no other. Exact where tiles of up to J slots compute for longer than their exchange takes; an
    estimate elsewhere (within 15 %, and a few cycles):
    :func:`~sat_hdl.compiler.array_cycles.run_product` is exact always, but takes its time.

    Arguments
    ---------
    accumulate: whether initial accumulators are loaded, the first tile's before it can start.
    """
    config = product.config
    latency, drain = latencies(config)
    full, rest = divmod(product.m, product.height)
    step, group = config.west_elements, product.job["group"]
    total = exchange = span = 0
    for band in product.bands():
        across = -(-(band.stop - band.start) // config.cols)
        for tiles, rows in ((full, product.height), (1 if rest else 0, rest)):
            if tiles == 0:
                continue
            bands = -(-rows // config.rows)
            slots = across * bands
            span = max(slots, config.least_span)
            # The edge brings a group of each band while an element takes the kept weights of each slot.
            edge = bands * (product.k // group * -(-group // step) + -(-(product.k % group) // step))
            compute = max(product.kept * span, edge)
            exchange = across * rows
            if total == 0:
                # The first group of activations, and the first accumulators.
                beats = bands * -(-min(product.k, group) // step)
                total += max(beats - 1, exchange - 1 if accumulate else 0)
            # A bank's tile computes, waits for its first sums and is exchanged, then the next; two banks do so.
            alone = compute - span + latency + exchange + 3
            if slots > config.interleave:
                total += tiles * (alone + (exchange - 1 if accumulate else 0))  # it takes both banks
            else:
                total += tiles * max(compute, exchange, alone // 2)
    # The last exchange follows the last sums slot by slot; its results pass the rows, then wait for all columns.
    return total - (span - 1) + exchange + latency + drain


def fastest(product: Product, *, accumulate: bool = False) -> Product:
    """``product`` folded so that it takes the fewest cycles."""
    folds = Product.folds(product.config, product.n, product.group)
    ways = [replace(product, fold=fold) for fold in folds]
    return min(ways, key=lambda way: product_cycles(way, accumulate=accumulate))


def stationary_cycles(job: StationaryJob) -> int:
    """Cycles of a weight-stationary job, likewise; whether it takes initial accumulators makes no difference.

    Every turn takes 8·N cycles, or as long as its activations come. Exact for binary16 operands.
    """
    config = job.config
    span, keep = config.least_span, job.keep
    beats = -(-job.samples * job.group // config.west_elements)
    last_slot = ((job.m - 1) % job.samples << job.slots) + job.columns - 1
    # The first two turns' sums are passed on before any is there, so 2·8 cycles later at the earliest.
    latency, drain = latencies(config)
    if span * keep >= beats:
        latency = max(latency, 2 * span - 1 - span * (keep - 1))
    last_turn = (job.turns - 1) * max(span * keep, beats) + span * (keep - 1) + last_slot
    return last_turn + 1 + latency + drain


def pieces(product: Product) -> list[Piece]:
    """Cuts ``product`` for the weight-stationary dataflow in the way that takes the fewest cycles.

    Raises
    ------
    ConfigError: if the array can't hold weights.
    """
    return min(cuts(product), key=_sum)


def _sum(parts: list[Piece]) -> int:
    return sum(stationary_cycles(part.job) for part in parts)


def expected_cycles(product: Product, dataflow: str, *, accumulate: bool = False) -> int:
    """Cycles of ``product`` with the dataflow "os", "ws", or "auto", the one that takes fewer."""
    if dataflow == "auto":
        dataflow = best_dataflow(product, accumulate=accumulate)
    if dataflow == "os":
        return product_cycles(fastest(product, accumulate=accumulate), accumulate=accumulate)
    return _sum(pieces(product))


def best_dataflow(product: Product, *, accumulate: bool = False) -> str:
    """ "os" or "ws": the dataflow that takes fewer cycles."""
    if not product.config.weight_stationary:
        return "os"
    return "ws" if _sum(pieces(product)) < expected_cycles(product, "os", accumulate=accumulate) else "os"
