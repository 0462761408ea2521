"""Runs training steps on the netlist of a small device, as it is after synthesis for an ECP5, and holds every bit of
them to the golden model. Synthesis and the model's compilation take minutes each; both are cached."""

import time
from typing import Annotated

import numpy as np
import typer

from sat_hdl.compiler.graph import build
from sat_hdl.compiler.layers import Conv2d, Flatten, Linear, MaxPool, Model, Relu
from sat_hdl.config import Config
from sat_hdl.fpga.gate_level import gate_level
from sat_hdl.sim.device_train import DeviceTrainer
from sat_hdl.sim.golden.network_train import NetworkConfig
from sat_hdl.sim.memory import MemoryConfig
from sat_hdl.system import SatTop

#: As little of everything as there can be.
CONFIG = Config(
    rows=2, cols=2, max_m=4, memory_bits=32, vector_lanes=1, sore_lanes=1, west_depth=256, north_depth=512,
    result_depth=128, weight_stationary=False, target="ecp5",
)  # fmt: skip
SHAPE = (4, 4, 4)
MODEL = Model(SHAPE, [Conv2d(8, 3, padding=1), Relu(), Conv2d(8, 1), MaxPool(2), Flatten(), Linear(5)])
BATCH = 2


def main(
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Of parameters and samples.")] = 1,
):
    """Ends with status 1 at the first bit that differs."""

    def say(text: str):
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    started = time.monotonic()
    say("synthesis")
    netlist = gate_level(SatTop(CONFIG), whole=True)
    say(f"{netlist.count('TRELLIS_FF #')} registers, {netlist.count('LUT4 #')} LUTs; compiling")
    config = NetworkConfig(method="bdwp", keep=2, group=4, batch=BATCH, seed=seed)
    memory = MemoryConfig(size=1 << 18, read_latency=(1, 20), seed=seed)
    trainer = DeviceTrainer(build(MODEL), config, CONFIG, memory, design=netlist)
    rng = np.random.default_rng(seed)
    for number in range(steps):
        x = rng.standard_normal((BATCH, *SHAPE)).astype(np.float16)
        trainer.step(x, rng.integers(0, 5, BATCH), config.lr)
        if trainer.compare():
            print(trainer.mismatch)
            raise typer.Exit(1)
        cycles = sum(trainer.totals.cycles(name) for name in ("forward", "backward"))
        say(f"step {number + 1} is the golden model's, bit for bit; {cycles:,} cycles so far")


if __name__ == "__main__":
    typer.run(main)
