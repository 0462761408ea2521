"""What `run`, `profile` and `compile` share: how the simulated memory behaves, and images made of models."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from sat_hdl.cli.operands import sparsity_of
from sat_hdl.cli.options import Dataflow, check_dataflow, chosen_parts
from sat_hdl.config import Config, ConfigError, require
from sat_hdl.image import Image, ImageProgram

__all__ = [
    "BatchOption", "DeviceOption", "LatencyOption", "LimitOption", "Method", "MethodOption", "SeedOption",
    "SparsityOption", "StallOption", "StepDataflowOption", "StepPartsOption", "checked_limit", "counter_rows",
    "expected_memory", "memory_config", "model_image", "number", "predicted_cycles",
]  # fmt: skip

#: Of memory that an image or a program may ask for: what 32-bit addresses reach.
MOST_MEMORY = 1 << 32


class Method(StrEnum):
    """What is sparse, in which product."""

    dense = "dense"
    bdwp = "bdwp"
    sdwp = "sdwp"


MethodOption = Annotated[
    Method, typer.Option("--method", help="bdwp: N:M weights in FF and BP; sdwp: in BP alone.")
]
SparsityOption = Annotated[
    str, typer.Option("--sparsity", help="N:M; of no effect for `dense`.", metavar="N:M")
]
BatchOption = Annotated[int, typer.Option("--batch", help="Samples a step.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of weights, samples, and the memory's behaviour.")]
LatencyOption = Annotated[
    str,
    typer.Option(
        "--latency",
        help="Cycles from a read's address, or a write's last data, to memory's answer; LOW:HIGH draws them.",
        metavar="N|LOW:HIGH",
    ),
]
StallOption = Annotated[
    float, typer.Option("--stall", help="Probability per cycle that a channel of memory rests, 0 to below 1.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Where the device is: serial:///dev/PORT?baud=RATE, socket://HOST:PORT, sim://PRESET. By default it is "
        "simulated here.",
        metavar="URL",
    ),
]
StepDataflowOption = Annotated[
    Dataflow,
    typer.Option(
        "--dataflow",
        help="Of the products: output-stationary alone; weight-stationary wherever it is possible; or, product by "
        "product, the faster one by the cycle model. The bits are the same.",
    ),
]
StepPartsOption = Annotated[
    str,
    typer.Option(
        "--parts",
        help="How many parts the batch is cut into, so that vector work runs beside products; `auto` is one, two or "
        "four, by the cycle model. The bits are the same.",
        metavar="NUMBER",
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", help="Cycles after which a program is ended as failed.")]


def number(text: str, what: str) -> int:
    """An integer, decimal or 0x…, that is not negative. ``what``: to begin the sentence with if it is none."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    require(value >= 0, f"{what} must be a number such as 4096 or 0x1000, not {text!r}.")
    return value


def _latencies(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    least = number(low, "--latency")
    pair = (least, number(high, "--latency") if colon else least)
    require(
        1 <= pair[0] <= pair[1] < 1 << 16,
        f"--latency must be 1 to 65535 cycles, the least first, not {text!r}.",
    )
    return pair


def expected_memory(latency: str) -> Any:
    """The memory that a step is compiled for, a :class:`~sat_hdl.compiler.cycle_model.Memory`: of what ``--latency``
    draws, the mean."""
    from sat_hdl.compiler.cycle_model import Memory

    mean = sum(_latencies(latency)) // 2
    return Memory(read_latency=mean, write_latency=mean)


def memory_config(size: int, latency: str, stall: float, seed: int) -> Any:
    """A :class:`~sat_hdl.sim.memory.MemoryConfig` of at least ``size`` bytes."""
    from sat_hdl.sim.memory import MemoryConfig

    require(0 < size <= MOST_MEMORY, f"A device addresses up to 4 GiB of memory, not {size} bytes.")
    pair = _latencies(latency)
    require(0 <= stall < 1, f"--stall must be from 0 to below 1, not {stall:g}.")
    return MemoryConfig(
        size=-(-size // 4096) * 4096, read_latency=pair, write_latency=pair, stall=stall, seed=seed,
        order="fifo" if stall == 0 and pair[0] == pair[1] else "interleave",
    )  # fmt: skip


def checked_limit(limit: int) -> int:
    """``limit``, if the device's register takes it."""
    require(1 <= limit < 1 << 32, f"--limit must be 1 to {(1 << 32) - 1} cycles, not {limit}.")
    return limit


def model_image(
    name: str,
    method: Method,
    sparsity: str,
    batch: int,
    seed: int,
    config: Config,
    dataflow: Dataflow,
    parts: str,
    memory: Any,
) -> Image:
    """A training step of the model called ``name``, in a TOML file, or in a Python file.

    ``dataflow``, ``parts``, ``memory``: see :func:`~sat_hdl.compiler.lower.compile_step`."""
    check_dataflow(dataflow, config)
    count = chosen_parts(parts)
    from sat_hdl.compiler.graph import build
    from sat_hdl.compiler.imported import chosen_model
    from sat_hdl.sim.golden.engine import GoldenEngine
    from sat_hdl.sim.golden.network_train import NetworkConfig, NetworkTrainer
    from sat_hdl.sim.step_image import step_image

    pair = None if method is Method.dense else sparsity_of(sparsity, config, dense=True)
    if pair is None and method is not Method.dense:
        raise ConfigError(f"Method {method.value} needs N:M such as 2:8; a dense step is --method dense.")
    keep, group = pair or (config.max_m, config.max_m)
    settings = NetworkConfig(method=method.value, keep=keep, group=group, batch=batch, seed=seed)
    imported = chosen_model(name, seed)
    graph = build(imported.model)
    trainer = NetworkTrainer(graph, settings, GoldenEngine(config.operand_format))
    trainer.network.begin_with(imported.weights, imported.biases)
    return step_image(
        graph, trainer, config, batch, dataflow=dataflow.value, parts=count or "auto", memory=memory
    )


def predicted_cycles(
    image: Image, program: ImageProgram, config: Config, memory: Any, *, overflow: bool = False
) -> int | None:
    """What the cycle model says of a program of ``image``; None if ``memory`` is random.

    Arguments
    ---------
    memory: a :class:`~sat_hdl.sim.memory.MemoryConfig`, or as the model takes it.
    overflow: whether the overflow flag makes it skip runs.
    """
    from sat_hdl.compiler.cycle_model import Memory, predict

    model = memory
    if not isinstance(memory, Memory):
        if any(least != most for least, most in memory.latencies) or any(memory.stalls):
            return None
        model = memory.expected
    words = image.words(program).tolist()
    found = predict(
        words, config, model, address=program.address, parameters=program.parameters, overflow=overflow
    )
    return found.cycles


def counter_rows(counters: dict[str, int]) -> list[tuple[str, str]]:
    """Counters for a table: each with its share of the cycles, where it is one."""
    cycles = counters["cycles"]
    shares = {name for name in counters if name.endswith(("_busy", "_blocked", "_stalls", "_cycles"))}
    return [
        (name, f"{value:,}" + (f"  {100 * value / cycles:5.1f} %" if name in shares and cycles else ""))
        for name, value in counters.items()
    ]
