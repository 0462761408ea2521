"""Training steps on a device, simulated or emulated, beside the golden model."""

import numpy as np

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import Add, AvgPool, Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.compiler.lower import Step, compile_step
from sat_hdl.compiler.models import MODELS
from sat_hdl.config import Config
from sat_hdl.driver import Accelerator, Counters
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.prune import Pruned

#: Strides beyond 1 and beyond the kernel, kernels of unequal sides, paddings, channels that fill no word, a tensor
#: that two layers take.
ODD = Model(
    (7, 9, 3),
    [
        Conv2d(12, (3, 2), stride=(2, 1), padding=(1, 0)),
        Relu(),
        Conv2d(12, 3, stride=2, padding=1),
        AvgPool(2, 1, padding=1),
        Conv2d(24, 1, stride=2, name="part"),
        Relu(),
        Conv2d(24, 3, padding=1, bias=False),
        Add(of="part"),
        Relu(),
        MaxPool(3, 2, padding=1),
        Conv2d(16, 1),
        AvgPool(),
        Flatten(),
        Linear(7),
    ],
)
NETWORKS = {**MODELS, "odd": ODD}


class Training:
    """A network on the device behind ``accelerator`` and in the golden model, both with the same parameters.

    Arguments
    ---------
    batch: samples of a step. settings: of a NetworkConfig.
    """

    def __init__(
        self, model: Model, accelerator: Accelerator, step: Step, settings: NetworkConfig, seed: int
    ):
        self.accelerator, self.step, self.settings = accelerator, step, settings
        self.golden = NetworkTrainer(build(model), settings, GoldenEngine())
        self.rng = np.random.default_rng(seed)
        network = self.golden.network
        for group in (network.biases, self.golden.weight_momentum, self.golden.bias_momentum):
            for x in group.values():
                x[:] = 0.1 * self.rng.standard_normal(x.shape)
        accelerator.load(step)
        for name in network.weights:
            for part, values in self._parameters(name).items():
                accelerator.write(f"{name}.{part}", values)

    def _parameters(self, name: str) -> dict[str, np.ndarray | Pruned]:
        golden, network = self.golden, self.golden.network
        found = {
            "w": network.weights, "v": golden.weight_momentum, "b": network.biases, "bv": golden.bias_momentum,
            "ff": network.ff, "bp": network.bp,
        }  # fmt: skip
        return {part: values[name] for part, values in found.items() if name in values}

    def run(self, *, scale: float = 1.0) -> tuple[Counters, Counters, bool]:
        """A step on random samples, compared bit for bit; returns the counters, and whether it was taken."""
        golden, settings, device = self.golden, self.settings, self.accelerator
        graph = golden.network.graph
        batch = settings.batch
        x = self.rng.standard_normal((batch, *graph.input_shape)).astype(np.float16)
        device.write("input", x)
        forward = device.forward()
        logits, tape = golden.network.forward(x)
        same(device.read("logits"), logits, "logits")
        _, dy = golden.loss_gradient(logits, self.rng.integers(0, graph.classes, batch))
        with np.errstate(over="ignore"):
            dy = (dy * np.float16(scale)).astype(np.float16)
        device.write("logits_gradient", dy)
        backward = device.backward(
            inv_scale=1 / golden.scaler.scale, learning_rate=0.05, momentum=settings.momentum,
            weight_decay=settings.weight_decay, bias_decay=settings.weight_decay,
        )  # fmt: skip
        gradients = golden.network.backward(tape, dy)
        for name, pair in gradients.items():
            for part, gradient in zip(("dw", "db"), pair):
                if gradient is not None:
                    same(device.read(f"{name}.{part}"), gradient, f"{name}.{part}")
        taken = golden.apply(gradients, 0.05)
        assert backward.overflow != taken
        self.check_parameters()
        return forward, backward, taken

    def check_parameters(self):
        for name in self.golden.network.weights:
            for part, values in self._parameters(name).items():
                key = f"{name}.{part}"
                if isinstance(values, Pruned):
                    same(self.accelerator.read(f"{key}_indices"), values.indices, f"{key}_indices")
                    values = values.values
                same(self.accelerator.read(key), values, key)


def same(got: np.ndarray, want: np.ndarray, what: str):
    """Equal bits."""
    bits = {1: np.uint8, 2: np.uint16, 4: np.uint32}[want.itemsize]
    got, want = (np.ascontiguousarray(x).view(bits).ravel() for x in (got, want))
    assert got.shape == want.shape, f"{what}: {got.shape}, not {want.shape}"
    assert (got == want).all(), f"{what}: {(got != want).sum()} of {want.size} differ"


def settings(method: str, keep: int, group: int, batch: int, *, nesterov: bool = False) -> NetworkConfig:
    return NetworkConfig(method=method, keep=keep, group=group, batch=batch, nesterov=nesterov)


def compiled(model: Model, config: Config, given: NetworkConfig, dataflow: str = "auto", **options) -> Step:
    return compile_step(
        build(model), config, batch=given.batch, method=given.method, keep=given.keep, group=given.group,
        nesterov=given.nesterov, dataflow=dataflow, **options,
    )  # fmt: skip
