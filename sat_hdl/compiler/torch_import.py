"""PyTorch modules → layer lists, with their weights. PyTorch is needed only by those who call :func:`from_torch`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.imported import Imported, first_line, torch_modules
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Layer, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.torch_weights import parameters
from sat_hdl.config import ConfigError, require

__all__ = ["SUPPORTED", "from_torch"]

#: What a module may consist of, for messages.
SUPPORTED = (
    "Linear, Conv2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Flatten, Dropout(p=0) and Identity, their "
    "functions, view and reshape to (batch, -1), and the sum of two tensors"
)
#: Functions and methods by what they are called.
_FUNCTIONS = {
    "relu": "relu", "relu_": "relu", "max_pool2d": "max_pool2d", "_max_pool2d": "max_pool2d",
    "avg_pool2d": "avg_pool2d", "adaptive_avg_pool2d": "adaptive_avg_pool2d", "flatten": "flatten",
    "add": "add", "add_": "add", "iadd": "add", "view": "view", "reshape": "view", "dropout": "dropout",
}  # fmt: skip
#: What only finds out the batch's size.
_SIZES = {"size", "getattr", "getitem"}


def from_torch(module: Any, input_shape: Sequence[int] | int) -> Imported:
    """The network that ``module`` computes, followed by torch.fx, and its weights.

    Arguments
    ---------
    module: a torch.nn.Module of what :data:`SUPPORTED` lists, whose last layer is Linear. Layers are called as
        torch.fx calls its nodes.
    input_shape: of a sample: (channels, height, width), as PyTorch has it, or (n,) or n.

    The network takes samples in the order (height, width, channels); weights behind a Flatten are put in that order.

    Raises
    ------
    ConfigError: PyTorch is not installed, or the module holds what is not supported: the text names it.
    """
    torch, fx = torch_modules("torch", "torch.fx")
    require(isinstance(module, torch.nn.Module), f"A torch.nn.Module is needed, not {module!r}.")
    shape: tuple[Any, ...] = tuple(input_shape) if isinstance(input_shape, list | tuple) else (input_shape,)
    require(
        len(shape) in (1, 3) and all(isinstance(n, int) and n > 0 for n in shape),
        f"The input's shape must be (channels, height, width), or (n,), not {input_shape!r}.",
    )
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # whatever a user's forward() raises when its tensors have no values
        raise ConfigError(
            f"{type(module).__name__} can't be followed by torch.fx: {first_line(error)}. Its forward() must not "
            "depend on the values in tensors."
        ) from None
    return _Importer(traced, shape).run()


class _Importer:
    """Goes through a traced module, node by node.

    Arguments
    ---------
    traced: a torch.fx.GraphModule.
    shape: (C, H, W), or (n,).
    """

    def __init__(self, traced: Any, shape: tuple[int, ...]):
        self._traced, self._shape = traced, shape
        self._modules = dict(traced.named_modules())
        self._layers: list[Layer] = []
        #: The layer whose output a node's is, by the node's name; "input" is the network's.
        self._of: dict[str, str] = {}
        self._parameters: dict[str, Any] = {}
        self._used: dict[str, str] = {}

    def run(self) -> Imported:
        nodes = list(self._traced.graph.nodes)
        inputs = [node for node in nodes if node.op == "placeholder"]
        require(len(inputs) == 1, f"A network has one input; the module's forward() takes {len(inputs)}.")
        for node in nodes:
            match node.op:
                case "placeholder":
                    self._of[node.name] = "input"
                case "call_module":
                    self._module(node)
                case "call_function" | "call_method":
                    self._function(node)
                case "output":
                    returned = node.args[0]
                    require(
                        getattr(returned, "name", None) in self._of,
                        f"The module must return one tensor, its logits, not {returned!r}.",
                    )
                    require(
                        bool(self._layers) and self._of[returned.name] == self._layers[-1].name,
                        f"The module returns the output of {returned.name!r}, which is not its last layer.",
                    )
                case _:
                    raise ConfigError(
                        f"Node {node.name!r} takes {node.target!r}, which is no layer's parameter; supported are "
                        f"{SUPPORTED}."
                    )
        model = self._model()
        graph = build(model)
        weights, biases = parameters(
            graph, self._parameters, self._shape if model.input != self._image() else None
        )
        return Imported(model, weights, biases)

    # --- the network ------------------------------------------------------------------------------------

    def _image(self) -> tuple[int, int, int]:
        """The input as NHWC has it."""
        if len(self._shape) == 1:
            return 1, 1, self._shape[0]
        channels, height, width = self._shape
        return height, width, channels

    def _model(self) -> Model:
        """The layer list. An input that is flattened at once is a vector from the start: that moves no pixels."""
        takers = [
            layer for layer in self._layers if layer.input == "input" or getattr(layer, "of", "") == "input"
        ]
        if len(takers) == 1 and isinstance(takers[0], Flatten):
            name = takers[0].name
            rest = [
                replace(layer, input="input") if layer.input == name else layer
                for layer in self._layers
                if layer is not takers[0]
            ]
            if not any(getattr(layer, "of", "") == name for layer in rest):
                return Model(int(np.prod(self._shape)), rest)
        return Model(self._image(), self._layers)

    def _add(self, node: Any, layer: Callable[..., Layer], *arguments: Any, **settings: Any):
        source = self._source(node, 0)
        try:
            self._layers.append(layer(*arguments, name=node.name, input=source, **settings))
        except ConfigError as error:
            raise ConfigError(f"Node {node.name!r}: {error}") from None
        self._of[node.name] = node.name

    def _source(self, node: Any, number: int) -> str:
        """The layer whose output an argument of ``node`` is."""
        source = node.args[number] if number < len(node.args) else None
        name = getattr(source, "name", None)
        if name not in self._of:
            raise ConfigError(f"Node {node.name!r} takes {source!r}, which is not a layer's output.")
        return self._of[name]

    def _in_place(self, node: Any, done: bool):
        """Whoever takes what ``node`` has changed takes its result."""
        source = self._layers[-1].input
        for name in [name for name, layer in self._of.items() if done and layer == source]:
            self._of[name] = node.name

    def _same(self, node: Any):
        """A node that changes nothing."""
        self._of[node.name] = self._source(node, 0)

    def _refuse(self, node: Any, what: str):
        raise ConfigError(f"Node {node.name!r} is {what}, which is not supported; supported are {SUPPORTED}.")

    def _want(self, node: Any, what: str, given: dict[str, Any], **wanted: Any):
        """Settings that must have one value."""
        for name, value in wanted.items():
            have = given.get(name, value)
            require(
                have == value or have in ((value,) * 2, [value] * 2),
                f"Node {node.name!r} ({what}) has {name} = {have!r}; only {value!r} is supported.",
            )

    # --- nodes ------------------------------------------------------------------------------------------

    def _module(self, node: Any):
        module = self._modules[node.target]
        kind, given = type(module).__name__, vars(module)
        if kind in ("Linear", "Conv2d"):
            before = self._used.setdefault(node.target, node.name)
            require(
                before == node.name,
                f"Nodes {before!r} and {node.name!r} share the parameters of {node.target!r}, which is not "
                "supported: give each its own.",
            )
            self._parameters[node.name] = module
        match kind:
            case "Linear":
                self._add(node, Linear, module.out_features, bias=module.bias is not None)
            case "Conv2d":
                self._want(node, kind, given, groups=1, dilation=1, padding_mode="zeros")
                self._add(
                    node, Conv2d, module.out_channels, kernel=module.kernel_size, stride=module.stride,
                    padding=self._padding(node, module), bias=module.bias is not None,
                )  # fmt: skip
            case "ReLU":
                self._add(node, Relu)
                self._in_place(node, module.inplace)
            case "MaxPool2d":
                self._pool(node, kind, given)
            case "AvgPool2d":
                self._pool(node, kind, given)
            case "AdaptiveAvgPool2d":
                self._global(node, module.output_size)
            case "Flatten":
                self._flatten(node, module.start_dim, module.end_dim)
            case "Identity":
                self._same(node)
            case "Dropout" | "Dropout1d" | "Dropout2d":
                self._want(node, kind, given, p=0)
                self._same(node)
            case _:
                self._refuse(node, f"a {kind}")

    def _function(self, node: Any):
        target = (
            node.target
            if isinstance(node.target, str)
            else getattr(node.target, "__name__", str(node.target))
        )
        if target in _SIZES:
            self._size(node, target)
            return
        kind = _FUNCTIONS.get(target)
        arguments, given = list(node.args[1:]), dict(node.kwargs)

        def settings(*names: str) -> dict[str, Any]:
            return dict(zip(names, arguments)) | given

        match kind:
            case "relu":
                self._add(node, Relu)
                self._in_place(node, target == "relu_" or bool(settings("inplace").get("inplace")))
            case "max_pool2d":
                names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
                self._pool(node, "MaxPool2d", settings(*names))
            case "avg_pool2d":
                names = (
                    "kernel_size",
                    "stride",
                    "padding",
                    "ceil_mode",
                    "count_include_pad",
                    "divisor_override",
                )
                self._pool(node, "AvgPool2d", settings(*names))
            case "adaptive_avg_pool2d":
                self._global(node, settings("output_size").get("output_size"))
            case "flatten":
                dims = settings("start_dim", "end_dim")
                self._flatten(node, dims.get("start_dim", 0), dims.get("end_dim", -1))
            case "add":
                self._want(node, "add", given, alpha=1)
                if len(node.args) < 2 and "other" in given:
                    node.args = (*node.args, given["other"])
                self._add(node, Add, of=self._source(node, 1))
                self._in_place(node, target in ("add_", "iadd"))
            case "view":
                self._view(node, arguments[0] if len(arguments) == 1 else arguments)
            case "dropout":
                self._want(node, "dropout", settings("p") if "p" in settings("p") else {"p": 0.5}, p=0)
                self._same(node)
            case _:
                self._refuse(node, f"the function {target}")

    def _size(self, node: Any, target: str):
        """A node that asks for a tensor's sizes; what takes a part of a tensor looks like one."""
        of_tensor = getattr(node.args[0], "name", None) in self._of
        if target == "getattr" and node.args[1] != "shape":
            self._refuse(node, f"the attribute {node.args[1]!r}")
        if target == "getitem" and of_tensor:
            self._refuse(node, "the function getitem")

    def _padding(self, node: Any, module: Any) -> Any:
        if module.padding == "valid":
            return 0
        if module.padding != "same":
            return module.padding
        require(
            all(k % 2 for k in module.kernel_size),
            f"Node {node.name!r} (Conv2d) has padding = 'same' and an even kernel of {module.kernel_size}: its sides "
            "would be padded unequally, which is not supported.",
        )
        return tuple(k // 2 for k in module.kernel_size)

    def _pool(self, node: Any, kind: str, given: dict[str, Any]):
        self._want(node, kind, given, ceil_mode=False)
        padding = given.get("padding", 0)
        if kind == "MaxPool2d":
            self._want(node, kind, given, dilation=1, return_indices=False)
        else:
            self._want(node, kind, given, divisor_override=None)
            if padding not in (0, (0, 0), [0, 0]):
                self._want(node, kind, given, count_include_pad=True)
        self._add(
            node, MaxPool if kind == "MaxPool2d" else AvgPool, kernel=given["kernel_size"],
            stride=given.get("stride") or given["kernel_size"], padding=padding,
        )  # fmt: skip

    def _global(self, node: Any, size: Any):
        require(
            size in (1, (1, 1), [1, 1]),
            f"Node {node.name!r} (AdaptiveAvgPool2d) makes {size!r} pixels; only 1 is supported.",
        )
        self._add(node, AvgPool)

    def _flatten(self, node: Any, start: int, end: int):
        require(
            start == 1 and end in (-1, 3),
            f"Node {node.name!r} flattens dimensions {start} to {end}; only all but the first, 1 to -1, is "
            "supported.",
        )
        self._add(node, Flatten)

    def _view(self, node: Any, sizes: Any):
        sizes = list(sizes) if isinstance(sizes, list | tuple) else [sizes]
        # The batch is -1, or a node that has asked for it.
        batch, rest = sizes if len(sizes) == 2 else (None, 0)
        whole = isinstance(rest, int) and rest != 0 and (batch == -1 or hasattr(batch, "op"))
        require(
            whole,
            f"Node {node.name!r} reshapes to {tuple(sizes)!r}; only (batch, -1) is supported, which flattens.",
        )
        self._add(node, Flatten)
        if rest != -1:
            self._want_size(node, rest)

    def _want_size(self, node: Any, size: int):
        """(-1, n) is a flatten only if n is all that a sample has."""
        shapes = build(Model(self._image(), [*self._layers, Linear(1, input=node.name)]))
        found = next(n.shape[2] for n in shapes.nodes if n.name == node.name)
        require(
            found == size,
            f"Node {node.name!r} reshapes samples of {found} values to rows of {size}; only whole samples are "
            "supported.",
        )
