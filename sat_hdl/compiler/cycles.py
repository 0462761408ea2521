"""What a product costs on an array whose streams never stall: a closed form, for choosing before running."""

from sat_hdl.compiler.product import Product

__all__ = ["product_cycles"]

#: From a sum's last weight to the exchange that may fetch it, and the array's edge.
_RESULT_LATENCY, _EDGE_LATENCY = 10, 2


def product_cycles(product: Product, *, accumulate: bool = False) -> int:
    """Cycles of ``product``, from the first operand in to the last result out, if no stream stalls.

    A tile takes kept · span cycles, where span is its slots, at least the adder's loop. Its results leave,
    one a row and slot, while others compute; two banks of accumulators take turns, so with short chains the
    exchange sets the pace. A tile of more than J slots takes both banks and overlaps with no other. Exact for
    binary16 operands where tiles of up to J slots compute for longer than their exchange takes; an estimate
    elsewhere (within 15 %, and a few cycles).

    Arguments
    ---------
    accumulate: whether initial accumulators are loaded, the first tile's before it can start.
    """
    config = product.config
    full, rest = divmod(product.m, config.rows)
    total = exchange = span = 0
    for band in product.bands():
        slots = -(-(band.stop - band.start) // config.cols)
        span = max(slots, config.least_span)
        compute = product.kept * span
        for tiles, rows in ((full, config.rows), (1 if rest else 0, rest)):
            if tiles == 0:
                continue
            exchange = slots * rows
            if total == 0:
                # The first group of activations, and the first accumulators.
                beats = -(-min(product.k, product.job["group"]) // config.west_elements)
                total += max(beats - 1, exchange - 1 if accumulate else 0)
            # A bank's tile computes, waits for its first sums and is exchanged, then the next; two banks do so.
            alone = compute - span + _RESULT_LATENCY + exchange + 3
            if slots > config.interleave:
                total += tiles * (alone + (exchange - 1 if accumulate else 0))  # it takes both banks
            else:
                total += tiles * max(compute, exchange, alone // 2)
    # The last exchange follows the last sums slot by slot; its results pass the rows, then wait for all columns.
    tail = _RESULT_LATENCY + _EDGE_LATENCY + config.rows + config.cols
    return total - (span - 1) + exchange + tail
