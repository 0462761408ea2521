"""The first training step of a network as a program image, with parameters and a batch of random samples."""

import numpy as np

from sat_hdl.compiler.cycle_model import Memory
from sat_hdl.compiler.graph import Graph
from sat_hdl.compiler.vectors import scalar_parameters
from sat_hdl.config import Config
from sat_hdl.driver import Accelerator, Transport
from sat_hdl.image import Image, ImageProgram
from sat_hdl.sim.device_train import compiled_step, parameters_of
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.network_train import NetworkTrainer

__all__ = ["step_image"]


class _Memory(Transport):
    """Plain memory, for a driver to fill."""

    def __init__(self, config: Config, size: int):
        self.octets = np.zeros(size, np.uint8)
        self._config = config

    @property
    def config(self) -> Config:
        return self._config

    @property
    def memory_size(self) -> int:
        return len(self.octets)

    def read(self, address: int, size: int) -> np.ndarray:
        return self.octets[address : address + size].copy()

    def write(self, address: int, octets: np.ndarray):
        self.octets[address : address + len(octets)] = octets

    def csr_read(self, address: int) -> int:
        raise ValueError("Plain memory has no registers")

    def csr_write(self, address: int, value: int):
        raise ValueError("Plain memory has no registers")

    def wait(self, limit: int):
        raise ValueError("Plain memory runs no programs")


def step_image(
    graph: Graph,
    trainer: NetworkTrainer,
    device: Config,
    batch: int,
    *,
    dataflow: str = "auto",
    parts: int | str = "auto",
    memory: Memory | None = None,
) -> Image:
    """A step of ``trainer``, from its parameters, on ``batch`` samples: normal inputs and labels, drawn by its seed.

    "forward" and "backward" run one after the other: the logits' gradient that the host would compute in between is
    there already, from the golden model. ``dataflow``, ``parts``, ``memory``: see
    :func:`~sat_hdl.compiler.lower.compile_step`.
    """
    config = trainer.config
    step = compiled_step(graph, config, device, batch, dataflow=dataflow, parts=parts, memory=memory)
    filled = _Memory(device, -(-step.size // 4096) * 4096)
    host = Accelerator(filled)
    host.load(step)
    for name, value in parameters_of(trainer).items():
        host.write(name, value)
    rng = np.random.default_rng([config.seed, 1])
    x = narrow(
        rng.standard_normal((batch, *graph.input_shape)).astype(np.float32), trainer.network.engine.operand
    )
    logits, _ = trainer.network.forward(x)
    _, dy = trainer.loss_gradient(logits, rng.integers(0, graph.classes, batch))
    host.write("input", x)
    host.write("logits_gradient", dy.reshape(batch, 1, 1, -1))
    scalars = scalar_parameters(
        inv_scale=1 / trainer.scaler.scale, learning_rate=config.lr, momentum=config.momentum,
        weight_decay=config.weight_decay, bias_decay=config.weight_decay if config.decay_biases else 0.0,
    )  # fmt: skip
    programs = (
        ImageProgram(
            name="forward", address=step.forward_address, size=len(step.forward),
            labels=tuple(step.forward_labels),
        ),
        ImageProgram(
            name="backward", address=step.backward_address, size=len(step.backward), parameters=tuple(scalars),
            labels=tuple(step.backward_labels),
        ),
    )  # fmt: skip
    tensors = {name: (tensor.place.address, tensor.size) for name, tensor in step.tensors.items()}
    return Image(
        config=device, size=len(filled.octets), programs=programs, pieces={0: filled.octets}, tensors=tensors
    )
