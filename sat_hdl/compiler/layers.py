"""The layer list: a network as users write it. Compiler and golden model both start here.

In Python it is a :class:`Model`; in TOML (see :func:`~sat_hdl.compiler.models.load_model`):

    input = [8, 8, 1]

    [[layers]]
    kind = "conv2d"
    out = 8
    kernel = 3
    padding = 1

    [[layers]]
    kind = "flatten"

    [[layers]]
    kind = "linear"
    out = 10

A layer takes the one before it, or the one that ``input`` names; ``"input"`` is the network's input. The last
layer is linear, and its outputs are the logits of a softmax cross-entropy. :func:`~sat_hdl.compiler.graph.build`
infers the shapes and says what does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sat_hdl.config import require

__all__ = [
    "KINDS", "MAX_CHANNELS", "Add", "AvgPool", "Conv2d", "Flatten", "Layer", "Linear", "MaxPool", "Model", "Pair",
    "Relu",
]  # fmt: skip

#: Most channels, and most rows or columns of pixels: what an affine stream's registers hold.
MAX_CHANNELS = (1 << 16) - 1
MAX_PIXELS = (1 << 15) - 1
#: Largest kernel, stride and padding: an affine stream steps through pixels by signed bytes.
MAX_STEP = 127

Pair = tuple[int, int]


def _integer(name: str, value: Any, low: int, high: int) -> int:
    require(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"`{name}` must be an integer from {low} to {high}, not {value!r}.",
    )
    return value


def _pair(name: str, value: Any, low: int) -> Pair:
    """``3`` → (3, 3); ``[3, 1]`` → (3, 1): of rows first, then of columns."""
    if isinstance(value, list | tuple):
        require(
            len(value) == 2, f"`{name}` must be one integer, or two: of rows and of columns, not {value!r}."
        )
        return _integer(name, value[0], low, MAX_STEP), _integer(name, value[1], low, MAX_STEP)
    both = _integer(name, value, low, MAX_STEP)
    return both, both


def _boolean(name: str, value: Any):
    require(isinstance(value, bool), f"`{name}` must be true or false, not {value!r}.")


@dataclass(frozen=True)
class Layer:
    """What every layer has.

    Arguments
    ---------
    name: how others refer to it and how its parameters are called; if None, its kind and which of that kind it
        is, "conv2d1".
    input: name of the layer whose output it takes; the layer before it if None.
    """

    name: str | None = field(default=None, kw_only=True)
    input: str | None = field(default=None, kw_only=True)

    @property
    def kind(self) -> str:
        """Its name in a layer list."""
        return type(self).__name__.lower()

    def __post_init__(self):
        for key in ("name", "input"):
            value = getattr(self, key)
            require(
                value is None or (isinstance(value, str) and value != ""),
                f"`{key}` must be a layer's name, not {value!r}.",
            )
        require(self.name != "input", "`name` must not be 'input', which is the network's own input.")

    def _set_pair(self, name: str, low: int):
        object.__setattr__(self, name, _pair(name, getattr(self, name), low))


@dataclass(frozen=True)
class Linear(Layer):
    """Y = X · W + b. Its input is one pixel (a vector): after images, flatten first.

    Arguments
    ---------
    out: outputs, at least 1.
    bias: whether b is there.
    """

    out: int
    bias: bool = True

    def __post_init__(self):
        super().__post_init__()
        _integer("out", self.out, 1, MAX_CHANNELS)
        _boolean("bias", self.bias)


@dataclass(frozen=True)
class Conv2d(Layer):
    """A 2-D convolution over NHWC images (a cross-correlation, as everywhere in this field).

    Arguments
    ---------
    out: output channels, at least 1.
    kernel, stride, padding: an integer, or a pair of rows and columns; padding is with +0, on every side.
    bias: whether a bias is added.
    """

    out: int
    kernel: int | Pair
    stride: int | Pair = 1
    padding: int | Pair = 0
    bias: bool = True

    def __post_init__(self):
        super().__post_init__()
        _integer("out", self.out, 1, MAX_CHANNELS)
        self._set_pair("kernel", 1)
        self._set_pair("stride", 1)
        self._set_pair("padding", 0)
        _boolean("bias", self.bias)


@dataclass(frozen=True)
class Relu(Layer):
    """x where x > 0, else +0."""


@dataclass(frozen=True)
class _Pool(Layer):
    """Pooling windows.

    Arguments
    ---------
    kernel: an integer, or a pair of rows and columns; None is the whole image (global pooling).
    stride: likewise; the kernel if None.
    padding: likewise, on every side, less than the kernel.
    """

    kernel: int | Pair | None = None
    stride: int | Pair | None = None
    padding: int | Pair = 0

    def __post_init__(self):
        super().__post_init__()
        self._set_pair("padding", 0)
        if self.kernel is None:
            require(
                self.stride is None and self.padding == (0, 0),
                "Global pooling (no `kernel`) takes neither `stride` nor `padding`.",
            )
            return
        self._set_pair("kernel", 1)
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel)
        self._set_pair("stride", 1)
        require(
            all(p < k for p, k in zip(_pair("padding", self.padding, 0), _pair("kernel", self.kernel, 1))),
            f"`padding` must be less than `kernel`, not {self.padding} at {self.kernel}: a window would hold "
            "nothing.",
        )


@dataclass(frozen=True)
class MaxPool(_Pool):
    __doc__ = f"The largest of each window; padding is no candidate. {_Pool.__doc__}"


@dataclass(frozen=True)
class AvgPool(_Pool):
    __doc__ = f"The mean of each window, in which padding counts as +0. {_Pool.__doc__}"


@dataclass(frozen=True)
class Flatten(Layer):
    """An image's pixels, row by row, each with its channels, as one pixel."""


@dataclass(frozen=True)
class Add(Layer):
    """The sum of its input and another layer's output of the same shape (a residual connection).

    Arguments
    ---------
    of: name of that other, earlier layer.
    """

    of: str

    def __post_init__(self):
        super().__post_init__()
        require(isinstance(self.of, str) and self.of != "", f"`of` must be a layer's name, not {self.of!r}.")


#: Layers by their name in a layer list.
KINDS: dict[str, type[Layer]] = {
    cls.__name__.lower(): cls for cls in (Linear, Conv2d, Relu, MaxPool, AvgPool, Flatten, Add)
}


@dataclass(frozen=True)
class Model:
    """A network: the shape of its input and its layers, first to last.

    Arguments
    ---------
    input: (height, width, channels), or (n,) or n for a vector, which is one pixel of n channels.
    layers: at least one.
    """

    input: Sequence[int] | int
    layers: Sequence[Layer]

    def __post_init__(self):
        given = self.input
        shape = tuple(given) if isinstance(given, list | tuple) else (given,)
        require(
            len(shape) in (1, 3),
            f"`input` must be [height, width, channels], or one number of inputs, not {given!r}.",
        )
        shape = shape if len(shape) == 3 else (1, 1, *shape)
        for name, value, high in zip(
            ("height", "width", "channels"), shape, (MAX_PIXELS, MAX_PIXELS, MAX_CHANNELS)
        ):
            _integer(f"input ({name})", value, 1, high)
        object.__setattr__(self, "input", shape)
        object.__setattr__(self, "layers", tuple(self.layers))
        require(len(self.layers) > 0, "A network needs at least one layer.")
        for number, layer in enumerate(self.layers, 1):
            require(isinstance(layer, Layer), f"Layer {number} must be a layer, not {layer!r}.")
