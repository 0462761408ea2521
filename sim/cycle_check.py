"""The cycle model beside the device: random products and programs, and whole training steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from sat_hdl.compiler.array_cycles import run_product
from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.compiler.cycles import pieces
from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import Linear, Model
from sat_hdl.compiler.lower import Step, compile_step
from sat_hdl.compiler.models import MODELS
from sat_hdl.compiler.product import Product
from sat_hdl.compiler.turn_cycles import run_stationary
from sat_hdl.config import Config, ConfigError
from sat_hdl.driver import Accelerator
from sat_hdl.sim.device import Device
from sat_hdl.sim.fuzz.programs import SIZE, make
from sat_hdl.sim.fuzz.runner import CONFIGS as FUZZED
from sat_hdl.sim.memory_config import MemoryConfig
from sat_hdl.sim.transport import SimTransport

__all__ = ["CONFIGS", "LATENCIES", "STEPS", "Check", "StepCase", "Watched", "array_products"]

#: Latencies of memory, reads and writes.
LATENCIES = (1, 5, 10, 30, 80, 200)


@dataclass(frozen=True)
class Check:
    """What was run, and its cycles: by the device's counter and by the model."""

    name: str
    measured: int
    predicted: int

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was measured."""
        return self.predicted / self.measured - 1


def array_products(config: Config, count: int, seed: int) -> Iterator[Check]:
    """Random products on the array alone, dense and sparse, with and without initial accumulators, by both dataflows
    if the array has them."""
    device, rng = Device(config), Random(f"array {seed}")
    for number in range(count):
        m, k = rng.randint(1, 4 * config.rows), rng.randint(1, rng.choice((8, 40, 200)))
        n = rng.randint(1, config.cols * rng.choice((1, 4, 12, 40)))
        if config.fold > 1:
            m, n = rng.randint(1, 20 * config.rows), -(-n // 4)  # few columns, and more than a tile
        sparsity = None
        if rng.random() < 0.6:
            group = rng.choice(config.group_lengths())
            sparsity = rng.randint(1, group), group
        accumulate = rng.random() < 0.4
        keep, group = sparsity or (None, None)
        product = Product(config=config, m=m, k=k, n=n, keep=keep, group=group)
        held = config.weight_stationary and number % 4 == 3
        fold = rng.choice(Product.folds(config, n, product.group)) if config.fold > 1 and not held else 1
        product = replace(product, fold=fold)
        if held:
            predicted = sum(
                run_stationary(piece.job, accumulate or piece.k.start > 0).cycles for piece in pieces(product)
            )
        else:
            predicted = run_product(product, accumulate).cycles
        indices = None
        if sparsity is not None:
            indices = np.repeat((np.arange(product.kept) % sparsity[0])[:, None], n, axis=1).astype(np.uint8)
        done = device.product(
            np.zeros((m, k), np.uint16), np.zeros((product.kept, n), np.uint16), indices, sparsity=sparsity,
            acc=np.zeros((m, n), np.uint32) if accumulate else None, dataflow="ws" if held else "os",
            fold=fold,
        )  # fmt: skip
        how = "dense" if sparsity is None else f"{keep}:{group}"
        form = " held" if held else f" folded {fold}" if fold > 1 else ""
        name = f"{m} × {k} × {n} {how}{' accumulated' if accumulate else ''}{form}"
        yield Check(name, done.cycles, predicted)


@dataclass(frozen=True, kw_only=True)
class StepCase:
    """A training step. ``latency``: of memory; keep, group, method, dataflow, parts: see
    ``compile_step``."""

    model: str
    batch: int
    method: str = "bdwp"
    keep: int = 2
    group: int = 8
    dataflow: str = "auto"
    parts: int | str = "auto"
    latency: int = 10
    bandwidth: float | None = None

    def __str__(self) -> str:
        how = "dense" if self.method == "dense" else f"{self.method} {self.keep}:{self.group}"
        memory = f"latency {self.latency}" + (f", {self.bandwidth} beats a cycle" if self.bandwidth else "")
        batch = f"batch {self.batch}" + ("" if self.parts == "auto" else f" in {self.parts}")
        return f"{self.model}, {how}, {batch}, {self.dataflow}, {memory}"


#: Devices that are compared: those that random programs run on, and that of 8 × 8.
CONFIGS = FUZZED | {"8x8": Config()}
#: Steps of each, shorter ones first.
STEPS: dict[str, list[StepCase]] = {
    "2x2": [
        StepCase(model="mlp", batch=4),
        StepCase(model="mlp", batch=16, method="dense", latency=100),
        StepCase(model="cnn", batch=4, method="sdwp"),
        StepCase(model="resnet", batch=4, latency=100),
        StepCase(model="cnn", batch=4, method="dense", dataflow="os", latency=1),
        StepCase(model="mlp", batch=8, keep=4, bandwidth=0.5),
    ],
    "2x8": [
        StepCase(model="mlp", batch=8, group=4, keep=1, latency=1),
        StepCase(model="mlp", batch=32, method="dense", latency=200),
        StepCase(model="cnn", batch=4, group=4),
        StepCase(model="resnet", batch=4, method="dense", latency=50),
        StepCase(model="cnn", batch=2, method="sdwp", group=4, dataflow="ws", latency=30),
    ],
    "2x4": [
        StepCase(model="mlp", batch=16),
        StepCase(model="cnn", batch=4, keep=1, latency=1),
        StepCase(model="resnet", batch=4, dataflow="os", latency=100),
        StepCase(model="mlp", batch=32, method="dense", latency=200),
    ],
    "4x2": [
        StepCase(model="mlp", batch=4),
        StepCase(model="cnn", batch=4, method="sdwp", latency=30),
        StepCase(model="mlp", batch=16, method="dense", latency=100),
        StepCase(model="resnet", batch=4, latency=1),
    ],
    "4x4": [
        StepCase(model="mlp", batch=8, group=16, latency=1),
        StepCase(model="mlp", batch=32, method="dense", latency=200),
        StepCase(model="cnn", batch=4),
        StepCase(model="resnet", batch=4, method="dense", latency=50),
        StepCase(model="cnn", batch=8, method="dense", latency=200),
    ],
    "2x16": [
        StepCase(model="mlp", batch=8, group=16, latency=1),
        StepCase(model="mlp", batch=32, method="dense", latency=200),
        StepCase(model="cnn", batch=4),
        StepCase(model="resnet", batch=4, method="dense", latency=50),
    ],
    "8x8": [
        StepCase(model="mlp", batch=16),
        StepCase(model="mlp", batch=64, method="dense", latency=200),
        StepCase(model="cnn", batch=4, keep=1),
        StepCase(model="cnn", batch=8, method="dense", latency=50),
        StepCase(model="resnet", batch=4, method="sdwp", latency=1),
        StepCase(model="resnet", batch=8, dataflow="os", latency=30),
        StepCase(model="cnn", batch=16, method="dense", dataflow="ws"),
    ],
}  # fmt: skip


class Watched:
    """A simulated device beside the cycle model.

    Arguments
    ---------
    config: of both. size: bytes of memory.
    """

    def __init__(self, config: Config, *, size: int = 1 << 22):
        self.config, self._size = config, size
        transport = SimTransport(config, MemoryConfig(size=size))
        self._system, self._device = transport.system, Accelerator(transport, limit=1 << 24)

    def run(
        self, name: str, words: Sequence[int], address: int, memory: Memory, parameters: Sequence[int] = ()
    ) -> Check:
        """Runs a program; memory is 0 but for it."""
        self._system.configure(
            MemoryConfig(
                size=self._size, read_latency=memory.read_latency, write_latency=memory.write_latency,
                outstanding=memory.outstanding, bandwidth=memory.bandwidth,
            )
        )  # fmt: skip
        self._system.memory[:] = 0
        self._device.write_bytes(address, np.array(words, np.uint64))
        measured = self._device.run(address, parameters)["cycles"]
        predicted = predict(words, self.config, memory, address=address, parameters=parameters)
        return Check(name, measured, predicted.cycles)

    def product(self, rng: Random) -> Check:
        """A random product with biases, from memory to memory: the forward program of a linear layer."""
        while True:
            try:
                name, step = self._linear(rng)
                break
            except ConfigError:  # it doesn't fit the buffers
                continue
        memory = Memory(read_latency=rng.choice(LATENCIES), write_latency=rng.choice(LATENCIES))
        return self.run(f"{name}, {memory}", *next(_programs(step)), memory)

    def _linear(self, rng: Random) -> tuple[str, Step]:
        config = self.config
        m, k = rng.randint(1, 6 * config.rows), rng.randint(8, rng.choice((40, 200)))
        n = rng.randint(1, config.cols * rng.choice((4, 12)))
        group = rng.choice([length for length in config.group_lengths() if length > 1])
        keep, method = rng.randint(1, group), rng.choice(("dense", "bdwp"))
        if keep == group or method == "dense":
            keep, group, method = config.max_m, config.max_m, "dense"
        elif rng.random() < 0.8:
            k = -(-k // group) * group
        dataflow = rng.choice(("auto", "os", "ws"))
        graph = build(Model(k, [Linear(n)]))
        step = compile_step(graph, config, batch=m, method=method, keep=keep, group=group, dataflow=dataflow)
        return f"{m} × {k} × {n} {method} {keep}:{group} {dataflow}", step

    def program(self, seed: str) -> Check:
        """A random program: everything that the units do, side by side."""
        rng = Random(seed)
        case = make(rng, self.config)
        memory = Memory(read_latency=rng.choice(LATENCIES), write_latency=rng.choice(LATENCIES))
        assert self._size >= SIZE
        return self.run(f"program {seed}", case.words, case.address, memory, case.parameters)

    def step(self, case: StepCase) -> Check:
        """A whole training step: its two programs."""
        step = compile_step(
            build(MODELS[case.model]), self.config, batch=case.batch, method=case.method, keep=case.keep,
            group=case.group, dataflow=case.dataflow, parts=case.parts,
        )  # fmt: skip
        memory = Memory(read_latency=case.latency, write_latency=case.latency, bandwidth=case.bandwidth)
        parts = [self.run(str(case), *program, memory) for program in _programs(step)]
        return Check(str(case), sum(p.measured for p in parts), sum(p.predicted for p in parts))


def _programs(step: Step) -> Iterator[tuple[list[int], int]]:
    yield step.forward.view(np.uint64).tolist(), step.forward_address
    yield step.backward.view(np.uint64).tolist(), step.backward_address
