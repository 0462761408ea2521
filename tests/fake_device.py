"""A device without hardware: the golden model behind the methods of ``sat_hdl.sim.device.Device``.

Cycles are the closed form's. ``corrupt`` is asked with the kind of each result ("product", "values" or
"indices") and its array, and may change it: an injected fault.
"""

from types import SimpleNamespace

import numpy as np

from sat_hdl.compiler.cycles import product_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.sim.golden import matmul, prune, sparse_matmul

__all__ = ["FakeDevice"]


class FakeDevice:
    def __init__(self, config, corrupt=lambda kind, array: None):
        self.config, self.corrupt = config, corrupt
        self.products = []

    def product(self, a, values, indices=None, *, sparsity=None, acc=None, dataflow="os"):
        assert a.dtype == values.dtype == np.uint16
        operand = self.config.operand_format
        keep, group = sparsity or (None, None)
        shape = dict(m=a.shape[0], k=a.shape[1], n=values.shape[1])
        product = Product(config=self.config, **shape, keep=keep, group=group)
        initial = None if acc is None else acc.view(np.float32)
        if sparsity is None:
            y = matmul(a, values, acc=initial, operand=operand)
        else:
            y = sparse_matmul(
                a, values, indices, k=shape["k"], keep=keep, group=group, acc=initial, operand=operand
            )
        y = y.view(np.uint32)
        self.corrupt("product", y)
        cycles = product_cycles(product, accumulate=acc is not None)
        self.products.append((shape, sparsity, cycles))
        return SimpleNamespace(
            y=y,
            dataflow=dataflow,
            cycles=cycles,
            macs=product.macs,
            busy=cycles,
            input_stalls=0,
            output_stalls=0,
        )

    def prune(self, w, sparsity):
        assert w.dtype == np.uint16
        pruned = prune(w, *sparsity, 0)
        values, indices = pruned.values.copy(), pruned.indices.copy()
        self.corrupt("values", values)
        self.corrupt("indices", indices)
        return SimpleNamespace(values=values, indices=indices, cycles=w.size)
