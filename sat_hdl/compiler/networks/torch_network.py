"""PyTorch modules → tables for the scheduler, whatever they consist of: what a forward pass does is recorded.

The module runs once on tensors without values (the device "meta"), so neither time nor memory go into it. Every
operation that reaches PyTorch's core is told apart: a product with a parameter is a layer with weights, one of two
activations a product without, and the rest is vector work. Views, copies, concatenations, dropout and look-ups in
embeddings cost nothing here. PyTorch is needed only by those who call :func:`network_of_module`.
"""

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

from sat_hdl.compiler.imported import first_line, torch_modules
from sat_hdl.compiler.networks.layered import USUAL_BATCH
from sat_hdl.compiler.networks.table import Layer, Matmul, Network, Vector, Weighted
from sat_hdl.config import ConfigError, require

__all__ = ["network_of_module"]

#: Samples that the recorded pass takes: of one, batch normalisation has no variance.
_SAMPLES = 2
#: Operations by the vector work that they are; in place they end in "_".
_KINDS = {
    "relu": "relu hardtanh leaky_relu threshold clamp clamp_min clamp_max prelu _prelu_kernel",
    "batchnorm": "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional cudnn_batch_norm "
    "_batch_norm_with_update",
    "layernorm": "native_layer_norm native_group_norm _fused_rms_norm",
    "gelu": "gelu silu sigmoid tanh hardswish hardsigmoid elu celu selu softplus mish log_sigmoid_forward exp log "
    "pow sqrt rsqrt reciprocal erf sin cos",
    "softmax": "_softmax _log_softmax _safe_softmax",
    "add": "add sub rsub",
    "multiply": "mul div",
    "scale": "masked_fill where neg",
    "avgpool": "avg_pool2d _adaptive_avg_pool2d mean",
}
_OPERATIONS = {name: kind for kind, names in _KINDS.items() for name in names.split()}
#: What only moves data, or makes it from nothing.
_FREE = set(
    "clone copy_ _to_copy cat stack embedding native_dropout bernoulli bernoulli_ constant_pad_nd repeat "
    "index select slice gather index_select new_zeros new_ones zeros_like ones_like empty_like full_like "
    "empty zeros ones full arange scalar_tensor lift_fresh_copy detach fill_ zero_ bitwise_not expand_copy "
    "roll flip lift_fresh pixel_shuffle tril triu".split()
)
#: Kinds that have parameters of their own.
_NORMS = ("batchnorm", "layernorm")


def network_of_module(module: Any, input_shape: Sequence[int] | int, name: str) -> Network:
    """The table of ``module``, whose forward() takes one tensor.

    Arguments
    ---------
    module: a torch.nn.Module.
    input_shape: of a sample: (channels, height, width), (tokens, width), (n,) or n. If forward() takes no binary32
        and the module has an embedding, it is given integers.
    name: of the network.

    The first layer stays dense, as in the paper. Weights that are used twice are counted twice.

    Raises
    ------
    ConfigError: PyTorch is not installed; the pass can't be recorded; it holds a product that the scheduler
        doesn't know, such as a transposed convolution, or none at all.
    """
    torch, dispatch, trees = torch_modules("torch", "torch.utils._python_dispatch", "torch.utils._pytree")
    leaves = trees.tree_leaves
    require(isinstance(module, torch.nn.Module), f"A torch.nn.Module is needed, not {module!r}.")
    shape: tuple[Any, ...] = tuple(input_shape) if isinstance(input_shape, list | tuple) else (input_shape,)
    require(
        len(shape) > 0 and all(isinstance(n, int) and n > 0 for n in shape),
        f"The input's shape must be positive integers, those of a sample, not {input_shape!r}.",
    )
    looks_up = any(isinstance(part, torch.nn.Embedding) for part in module.modules())
    first_error: Exception | None = None
    for dtype in (torch.float32, torch.int64) if not looks_up else (torch.int64, torch.float32):
        recorder = _Recorder(torch)

        class Mode(dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None, *, to=recorder):
                out = func(*args, **(kwargs or {}))
                to.record(func, leaves((args, kwargs)), args, leaves(out))
                return out

        try:
            # Trained, dropout would be there as what it consists of; all else is the same.
            bare = copy.deepcopy(module).to("meta").eval()
            recorder.follow(bare)
            with _slow_attention(torch), torch.no_grad(), Mode():
                bare(torch.empty((_SAMPLES, *shape), dtype=dtype, device="meta"))
        except ConfigError:
            raise
        except Exception as error:  # whatever a user's forward() raises when its tensors have no values
            first_error = first_error or error
            continue
        return recorder.network(name, shape, sum(each.numel() for each in module.parameters()))
    assert first_error is not None
    raise ConfigError(
        f"{type(module).__name__} can't be run on a tensor of {' × '.join(map(str, shape))} without values: "
        f"{first_line(first_error)}. Its forward() must take one tensor, of `input_shape` behind the batch, and not "
        "depend on its values."
    )


@contextlib.contextmanager
def _slow_attention(torch: Any) -> Iterator[None]:
    """PyTorch's encoders run their layers one by one, not as one operation."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


class _Recorder:
    """What a forward pass does, operation by operation."""

    def __init__(self, torch: Any):
        self._torch = torch
        self._layers: list[Layer] = []
        self._names: set[str] = set()
        self._where = [""]
        self._uncounted: dict[str, None] = {}
        #: Storages of parameters, and those whose values depend on one; tensors are kept so that none is used anew.
        self._weights: dict[int, Any] = {}
        self._reached: set[int] = set()
        self._kept: list[Any] = []

    def follow(self, module: Any):
        """Has its parameters known, and the names of its parts."""
        for parameter in module.parameters():
            self._weights[self._storage(parameter)] = parameter
        for name, part in module.named_modules():
            part.register_forward_pre_hook(lambda *_, name=name: self._where.append(name))
            part.register_forward_hook(lambda *_: self._leave())

    def _leave(self):
        self._where.pop()

    def _storage(self, tensor: Any) -> int:
        return tensor.untyped_storage()._cdata

    def _is_weight(self, tensor: Any) -> bool:
        return isinstance(tensor, self._torch.Tensor) and self._storage(tensor) in self._weights

    def _name(self, kind: str = "") -> str:
        """Of the module that runs, and what it does; numbered from the second on."""
        base = ".".join(part for part in (self._where[-1], kind) if part) or "product"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}#{number}"
        self._names.add(name)
        return name

    def record(self, func: Any, inputs: list[Any], args: Any, outputs: list[Any]):
        tensors, outputs = (
            [each for each in found if isinstance(each, self._torch.Tensor)] for found in (inputs, outputs)
        )
        if not outputs:
            return
        self._kept += outputs
        places, made = {self._storage(each) for each in tensors}, self._storage(outputs[0])
        depends = any(place in self._weights or place in self._reached for place in places)
        operation = func._schema.name.removeprefix("aten::")
        in_place = operation.endswith("_") and made in places
        if depends and made not in self._weights:
            self._reached |= {self._storage(each) for each in outputs}
        if (made in places and not in_place) or operation in _FREE or not outputs[0].is_floating_point():
            return
        self._operation(operation.removesuffix("_"), tensors, args, outputs[0])

    def _operation(self, operation: str, tensors: list[Any], args: Any, out: Any):
        if operation == "convolution":
            self._convolution(args, out)
        elif operation in ("mm", "addmm", "bmm", "baddbmm"):
            self._product(operation, args, out)
        elif "scaled_dot_product" in operation:
            self._attention(args)
        elif operation == "max_pool2d_with_indices":
            kernel = args[1] if len(args[1]) > 1 else [args[1][0]] * 2
            self._vector("maxpool", "maxpool", math.prod(kernel) * out.numel())
        elif (kind := _OPERATIONS.get(operation)) is not None:
            self._simple(operation, kind, tensors, out)
        else:
            self._uncounted[operation] = None

    def _simple(self, operation: str, kind: str, tensors: list[Any], out: Any):
        weights = [each for each in tensors if self._is_weight(each)]
        elements = tensors[0].numel() if kind == "avgpool" else out.numel()
        if out.dim() == 0:
            return  # a counter, or a number
        if operation == "add" and len(weights) == 1 and weights[0].dim() == 1:
            self._vector("bias", "bias", elements, weights[0].numel())
        elif kind in ("add", "multiply") and len(tensors) < 2:
            self._vector(operation, "scale", elements)
        else:
            parameters = sum(each.numel() for each in weights) if kind in _NORMS else 0
            self._vector(operation if kind == "gelu" else kind, kind, elements, parameters)

    def _vector(self, label: str, kind: str, elements: int, parameters: int = 0):
        self._layers.append(
            Vector(name=self._name(label), kind=kind, elements=_sample(elements), parameters=parameters)
        )

    def _weighted(self, given: Any, bias: Any, out: Any, **measures: Any):
        first = self._storage(given) not in self._reached
        self._layers.append(Weighted(name=self._name(), bias=bias is not None, first=first, **measures))
        if bias is not None:
            self._vector("bias", "bias", out.numel())

    def _convolution(self, args: Any, out: Any):
        given, weight, bias, stride, padding, dilation, transposed, _, groups = args[:9]
        require(
            not transposed and weight.dim() <= 4 and self._is_weight(weight),
            f"{self._where[-1] or 'The module'} is a convolution that the scheduler does not know: it may not be "
            "transposed, nor three-dimensional, and its kernel must be a parameter.",
        )
        pairs = [tuple(each) if len(each) == 2 else (neutral, each[0]) for each, neutral in (
            (weight.shape[2:], 1), (stride, 1), (padding, 0), (dilation, 1))]  # fmt: skip
        height, width = given.shape[2:] if given.dim() == 4 else (1, given.shape[2])
        self._weighted(
            given, bias, out, cin=given.shape[1], cout=weight.shape[0], height=height, width=width, groups=groups,
            kernel=pairs[0], stride=pairs[1], padding=pairs[2], dilation=pairs[3],
        )  # fmt: skip

    def _product(self, operation: str, args: Any, out: Any):
        *bias, a, b = args[:3] if "add" in operation else args[:2]
        weights = [self._is_weight(each) for each in (a, b)]
        if operation.endswith("bmm") or not any(weights):
            batch = math.prod(out.shape[:-2])
            m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
            if not operation.endswith("bmm"):  # a product of two activations over the whole batch
                m = _sample(m)
                batch = _SAMPLES
            self._layers.append(Matmul(name=self._name("product"), m=m, k=k, n=n, count=_sample(batch)))
            return
        given, weight = (a, b) if weights[1] else (b.t(), a.t())
        tokens = _sample(given.shape[0])
        bias = bias[0] if bias and self._is_weight(bias[0]) else None
        self._weighted(given, bias, out, cin=weight.shape[0], cout=weight.shape[1], width=tokens)

    def _attention(self, args: Any):
        query, key, value = args[:3]
        heads = _sample(math.prod(query.shape[:-2]))
        rows, columns, width = query.shape[-2], key.shape[-2], query.shape[-1]
        self._layers.append(Matmul(name=self._name("qk"), m=rows, k=width, n=columns, count=heads))
        self._vector("softmax", "softmax", _SAMPLES * heads * rows * columns)
        self._layers.append(
            Matmul(name=self._name("pv"), m=rows, k=columns, n=value.shape[-1], count=heads)
        )  # fmt: skip

    def network(self, name: str, shape: tuple[int, ...], parameters: int) -> Network:
        """All that was recorded, of a module of so many ``parameters``."""
        require(
            any(isinstance(layer, Weighted) for layer in self._layers),
            f"{name}'s forward pass has no product with weights, so there is nothing to schedule.",
        )
        counted = sum(layer.parameters for layer in self._layers)
        return Network(
            name=name,
            title=f"{name} ({' × '.join(map(str, shape))}), batch {USUAL_BATCH}",
            batch=USUAL_BATCH,
            layers=tuple(self._layers),
            other_parameters=max(0, parameters - counted),
            uncounted=tuple(self._uncounted),
        )


def _sample(count: int) -> int:
    """Of a sample, of what is there for all of the recorded pass."""
    return -(-count // _SAMPLES)
