"""Convolutional networks."""

from sat_hdl.compiler.networks.table import Layer, Network, Vector, Weighted

__all__ = ["resnet9", "resnet18", "resnet50", "vgg19"]


class _Builder:
    """Adds layers to a list and keeps the shape of the last one's output."""

    def __init__(self, size: int, channels: int = 3):
        self.layers: list[Layer] = []
        self.size, self.channels = size, channels

    @property
    def elements(self) -> int:
        return self.size * self.size * self.channels

    def conv(
        self, name: str, out: int, kernel: int, stride: int = 1, *, bias: bool = False, relu: bool = True
    ):
        """A convolution that keeps the size (but for its stride), batch normalisation, and ReLU."""
        layer = Weighted(
            name=name, cin=self.channels, cout=out, height=self.size, width=self.size, kernel=kernel,
            stride=stride, padding=kernel // 2, bias=bias, first=not self.layers,
        )  # fmt: skip
        self.layers.append(layer)
        self.size, self.channels = layer.outputs[0], out
        if bias:
            self.vector(name, "bias")
        self.vector(name, "batchnorm", parameters=2 * out)
        if relu:
            self.vector(name, "relu")

    def vector(self, name: str, kind: str, *, parameters: int = 0):
        self.layers.append(
            Vector(name=f"{name}.{kind}", kind=kind, elements=self.elements, parameters=parameters)
        )

    def maxpool(self, name: str, kernel: int, stride: int, padding: int = 0):
        self.size = (self.size + 2 * padding - kernel) // stride + 1
        self.layers.append(Vector(name=name, kind="maxpool", elements=kernel * kernel * self.elements))

    def avgpool(self, name: str):
        """Over the whole image."""
        self.layers.append(Vector(name=name, kind="avgpool", elements=self.elements))
        self.size = 1

    def linear(self, name: str, out: int, *, relu: bool = False):
        """After flattening."""
        self.layers.append(Weighted(name=name, cin=self.elements, cout=out, bias=True))
        self.size, self.channels = 1, out
        self.vector(name, "bias")
        if relu:
            self.vector(name, "relu")

    def residual(self, name: str):
        """The sum with a branch, and ReLU."""
        self.vector(name, "add")
        self.vector(name, "relu")

    def network(self, name: str, title: str, batch: int) -> Network:
        return Network(name=name, title=title, batch=batch, layers=tuple(self.layers))


def resnet9(*, classes: int = 10, batch: int = 512) -> Network:
    """ResNet-9 as of the DAWNBench entries, with biases: channels 64, 128, 256, 512, two residual blocks."""
    net = _Builder(32)

    def block(name: str, channels: int):
        net.conv(f"{name}.conv1", channels, 3, bias=True)
        net.conv(f"{name}.conv2", channels, 3, bias=True)
        net.vector(name, "add")

    net.conv("conv1", 64, 3, bias=True)
    net.conv("conv2", 128, 3, bias=True)
    net.maxpool("pool2", 2, 2)
    block("res1", 128)
    net.conv("conv3", 256, 3, bias=True)
    net.maxpool("pool3", 2, 2)
    net.conv("conv4", 512, 3, bias=True)
    net.maxpool("pool4", 2, 2)
    block("res2", 512)
    net.maxpool("pool5", 4, 4)
    net.linear("classifier", classes)
    return net.network("resnet9", f"ResNet-9, CIFAR-10 (32 × 32), batch {batch}", batch)


def vgg19(*, size: int = 32, classes: int = 100, hidden: tuple[int, ...] = (), batch: int = 128) -> Network:
    """VGG-19 with batch normalisation; at 32 × 32 usually with a single linear layer (Liu et al., ICCV 2017)."""
    net = _Builder(size)
    bias = bool(hidden)  # the original has biases, the usual one for CIFAR none
    for stage, (count, channels) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)), 1):
        for number in range(1, count + 1):
            net.conv(f"conv{stage}_{number}", channels, 3, bias=bias)
        if stage < 5 or hidden:
            net.maxpool(f"pool{stage}", 2, 2)
    if not hidden:
        net.avgpool("pool5")
    for number, width in enumerate(hidden, 1):
        net.linear(f"hidden{number}", width, relu=True)
    net.linear("classifier", classes)
    return net.network("vgg19", f"VGG-19, CIFAR-100 ({size} × {size}), batch {batch}", batch)


def _stem(net: _Builder, large: bool):
    """7 × 7 by steps of two and max-pooling for large images; 3 × 3 for small ones, as is usual there."""
    if large:
        net.conv("stem", 64, 7, 2)
        net.maxpool("pool", 3, 2, 1)
    else:
        net.conv("stem", 64, 3)


def _shortcut(net: _Builder, name: str, size: int, channels: int, out: int, stride: int):
    """A 1 × 1 convolution from what came into a block to what leaves it."""
    here = net.size, net.channels
    net.size, net.channels = size, channels
    net.conv(f"{name}.shortcut", out, 1, stride, relu=False)
    assert (net.size, net.channels) == here


def resnet18(*, size: int = 64, classes: int = 200, batch: int = 128) -> Network:
    """ResNet-18 (He et al., 2016): two basic blocks in each of four stages; a 3 × 3 stem below 128 pixels."""
    net = _Builder(size)
    _stem(net, size >= 128)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for number in range(1, 3):
            name, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 1 else 1
            came = net.size, net.channels
            net.conv(f"{name}.conv1", channels, 3, stride)
            net.conv(f"{name}.conv2", channels, 3, relu=False)
            if stride != 1 or came[1] != channels:
                _shortcut(net, name, *came, channels, stride)
            net.residual(name)
    net.avgpool("average")
    net.linear("classifier", classes)
    return net.network(
        "resnet18", f"ResNet-18, Tiny ImageNet ({size} × {size}, 3 × 3 stem), batch {batch}", batch
    )


def resnet50(*, size: int = 224, classes: int = 1000, batch: int = 32) -> Network:
    """ResNet-50, version 1.5 (the step of two in the 3 × 3 convolution), as torchvision has it."""
    net = _Builder(size)
    _stem(net, size >= 128)
    for stage, (count, channels) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for number in range(1, count + 1):
            name, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 1 else 1
            came = net.size, net.channels
            net.conv(f"{name}.conv1", channels, 1)
            net.conv(f"{name}.conv2", channels, 3, stride)
            net.conv(f"{name}.conv3", 4 * channels, 1, relu=False)
            if number == 1:
                _shortcut(net, name, *came, 4 * channels, stride)
            net.residual(name)
    net.avgpool("average")
    net.linear("classifier", classes)
    return net.network("resnet50", f"ResNet-50 v1.5, ImageNet ({size} × {size}), batch {batch}", batch)
