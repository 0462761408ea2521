"""Training a network on a device, simulated or real, held to the golden model bit for bit.

The host writes a batch, starts the forward program, computes the loss and its gradient from the logits, and starts
the backward program, which leaves new weights, momentum and pruned copies in memory."""

from dataclasses import dataclass, field

import numpy as np

from sat_hdl.compiler.cycle_model import Memory
from sat_hdl.compiler.graph import Graph
from sat_hdl.compiler.lower import Step, compile_step
from sat_hdl.config import Config
from sat_hdl.driver import Accelerator, Counters, Transport
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
from sat_hdl.sim.golden.prune import Pruned
from sat_hdl.sim.memory import MemoryConfig
from sat_hdl.sim.transport import SimTransport

__all__ = ["PROGRAMS", "DeviceTrainer", "Totals", "compiled_step", "parameters_of"]

#: The two programs of a step.
PROGRAMS = ("forward", "backward")


def compiled_step(
    graph: Graph, config: NetworkConfig, device: Config, batch: int, *, dataflow: str = "auto",
    parts: int | str = "auto", memory: Memory | None = None,
) -> Step:  # fmt: skip
    """A step of training by ``config`` with ``batch`` samples. ``dataflow``, ``parts``, ``memory``: see
    :func:`compile_step`."""
    return compile_step(
        graph, device, batch=batch, method=config.method, keep=config.keep, group=config.group,
        nesterov=config.nesterov, dataflow=dataflow, parts=parts, memory=memory,
    )  # fmt: skip


def parameters_of(trainer: NetworkTrainer) -> dict[str, np.ndarray | Pruned]:
    """All that a step leaves in memory, by the device's names, as the golden model of ``trainer`` has it."""
    network = trainer.network
    state: dict[str, np.ndarray | Pruned] = {}
    for name in network.weights:
        state |= {f"{name}.w": network.weights[name], f"{name}.v": trainer.weight_momentum[name]}
        state[f"{name}.ff"] = network.ff[name]
        if name in network.bp:
            state[f"{name}.bp"] = network.bp[name]
        if name in network.biases:
            state |= {f"{name}.b": network.biases[name], f"{name}.bv": trainer.bias_momentum[name]}
    return state


@dataclass
class Totals:
    """Counters summed over steps, by program and by their names."""

    counters: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in PROGRAMS})

    def add(self, program: str, found: Counters):
        sums = self.counters[program]
        for name, value in found.values.items():
            sums[name] = sums.get(name, 0) + value

    def cycles(self, program: str) -> int:
        return self.counters[program].get("cycles", 0)


class DeviceTrainer(NetworkTrainer):
    """:class:`~sat_hdl.sim.golden.network_train.NetworkTrainer` whose steps run on the device, beside the golden
    model.

    Everything that the device computes and the host reads is compared at every step; weights, momentum and copies by
    :meth:`compare`. Training goes on with the device's logits. Accuracy is the golden model's, whose weights are the
    device's as long as nothing differs.

    Arguments
    ---------
    graph, config: see :class:`NetworkTrainer`.
    device: configuration of the hardware.
    memory: how its memory behaves; its size is made to fit. None: as :class:`MemoryConfig` does by itself.
    transport: to a device that was built with ``device``; None: it is simulated with ``memory``.
    dataflow: of the products, see :func:`~sat_hdl.compiler.lower.compile_step`.
    design: text of the device's Verilog, such as a netlist of it, in place of what ``device`` makes.

    Members
    -------
    totals: counters of all steps.
    mismatch: the first difference from the golden model, in a sentence, or None.
    """

    def __init__(
        self,
        graph: Graph,
        config: NetworkConfig,
        device: Config,
        memory: MemoryConfig | None = None,
        dataflow: str = "auto",
        transport: Transport | None = None,
        design: str | None = None,
    ):
        super().__init__(graph, config, GoldenEngine(device.operand_format))
        self._transport = transport
        self.totals = Totals()
        self.mismatch: str | None = None
        self._graph, self._device, self._memory, self._dataflow = graph, device, memory, dataflow
        self._design = design
        self._steps: dict[int, Step] = {}
        self._loaded: Step | None = None
        self._accelerator: Accelerator | None = None
        self._taken = 0

    # --- the device -------------------------------------------------------------------------------------

    def _compiled(self, batch: int) -> Step:
        if batch not in self._steps:
            self._steps[batch] = compiled_step(
                self._graph, self.config, self._device, batch, dataflow=self._dataflow,
                memory=self._memory and self._memory.expected,
            )  # fmt: skip
        return self._steps[batch]

    def _ready(self, batch: int) -> Accelerator:
        """The device with the programs for ``batch`` samples, and the parameters that it has or begins with."""
        step = self._compiled(batch)
        if self._accelerator is None:
            # Later batches are of this size or smaller, and take no more memory.
            size = -(-step.size // 4096) * 4096
            memory = MemoryConfig(size=size) if self._memory is None else self._memory
            transport = self._transport or SimTransport(self._device, memory, design=self._design)
            self._accelerator = Accelerator(transport)
        accelerator = self._accelerator
        if step is not self._loaded:
            first = self._loaded is None
            accelerator.load(step, keep_parameters=not first)
            self._loaded = step
            if first:
                for name, value in parameters_of(self).items():
                    accelerator.write(name, value)
        return accelerator

    # --- a step -----------------------------------------------------------------------------------------

    def step(self, x: np.ndarray, labels: np.ndarray, lr: float) -> tuple[float, int]:
        config = self.config
        accelerator = self._ready(len(x))
        accelerator.write("input", x.reshape(len(x), *self._graph.input_shape))
        self.totals.add("forward", accelerator.forward())
        logits = np.asarray(accelerator.read("logits")).view(np.float32).reshape(len(x), -1)
        golden_logits, tape = self.network.forward(x)
        self._compare("logits", logits, golden_logits)
        loss, dy = self.loss_gradient(logits, labels)
        accelerator.write("logits_gradient", dy.reshape(len(x), 1, 1, -1))
        done = accelerator.backward(
            inv_scale=1 / self.scaler.scale,
            learning_rate=lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            bias_decay=config.weight_decay if config.decay_biases else 0.0,
        )
        self.totals.add("backward", done)
        taken = self.apply(self.network.backward(tape, dy), lr)
        if done.overflow == taken and self.mismatch is None:
            self.mismatch = (
                f"In step {self._taken + 1} the device and the golden model differ on the overflow."
            )
        self._taken += 1
        return loss, int((logits.argmax(axis=1) == labels).sum())

    # --- comparing --------------------------------------------------------------------------------------

    def _compare(self, name: str, found: np.ndarray, wanted: np.ndarray):
        different = _bits(found) != _bits(wanted)
        if different.any() and self.mismatch is None:
            count = f"{int(different.sum())} of {different.size}"
            self.mismatch = f"In step {self._taken + 1}, {count} values of {name} differ."

    def compare(self) -> str | None:
        """Compares all parameters, momentum and copies in the device's memory; returns :attr:`mismatch`."""
        if self._accelerator is not None:
            for name, wanted in parameters_of(self).items():
                found = self._accelerator.read(name)
                if isinstance(wanted, Pruned):
                    self._compare(name, found, wanted.values)
                    indices = self._accelerator.read(f"{name}_indices")
                    self._compare(f"{name}_indices", indices, np.asarray(wanted.indices))
                else:
                    self._compare(name, found, np.asarray(wanted))
        return self.mismatch


def _bits(x: np.ndarray) -> np.ndarray:
    x = np.ascontiguousarray(x)
    return x.ravel().view({2: np.uint16, 4: np.uint32}[x.itemsize]) if x.dtype.kind == "f" else x.ravel()
