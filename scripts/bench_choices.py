"""Tables of what the compiler chooses, for `scripts/bench`: beside every other way, and on the simulated device."""

from collections.abc import Callable

import numpy as np

from sat_hdl.compiler.choose import best
from sat_hdl.compiler.models import MODELS
from sat_hdl.compiler.tiling import candidates
from sat_hdl.config import Config, preset
from sat_hdl.sim.choice_check import Net, check, combinations, measured, products, step_programs
from sat_hdl.sim.cycle_check import CONFIGS, Watched
from sat_hdl.sim.estimate_check import LAYERS, estimates

__all__ = ["choices_table", "estimate_table", "run_table"]

DEVICES = {
    "4 × 4, 128 bits": CONFIGS["4x4"],
    "8 × 8": Config(),
    "8 × 8, small buffers": Config(west_depth=128, north_depth=512, result_depth=256),
}


def choices_table(say: Callable[[str], None]) -> list[str]:
    """Products of training steps, by the model."""
    rows = [
        "| step, batch of 16 | on | products | ways to do them | chosen over the best of all: mean, worst | "
        "output-stationary alone | weight-stationary where it can be |",
        "|---|---|---|---|---|---|---|",
    ]
    for where, config in DEVICES.items():
        for name, model in MODELS.items():
            for method in ("dense", "bdwp"):
                say(f"{name} {method} on {where}")
                net = Net(model=model, config=config, batch=16, method=method)
                found = [check(net, job) for job in products(net)]
                total = sum(each.cycles for each in found)
                excess = [each.excess for each in found]
                alone = (sum(getattr(each, flow) for each in found) / total for flow in ("os", "ws"))
                rows.append(
                    f"| {name}, {method} | {where} | {len(found)} | {sum(each.of for each in found):,} "
                    f"| {np.mean(excess):.2%}, {max(excess):.2%} | {' | '.join(f'× {each:.3f}' for each in alone)} |"
                )
    return rows


def run_table(say: Callable[[str], None]) -> list[str]:
    rows = [
        "| on RTL | chosen, cycles | output-stationary alone | weight-stationary where it can be |",
        "|---|---|---|---|",
    ]
    device = Watched(DEVICES["8 × 8"])
    for name, model in MODELS.items():
        for method in ("dense", "bdwp"):
            say(f"{name} {method}, RTL")
            net = Net(model=model, config=DEVICES["8 × 8"], batch=16, method=method)
            cycles = [_step(device, net, dataflow) for dataflow in ("auto", "os", "ws")]
            rows.append(
                f"| step of {name}, {method}, batch of 16 on 8 × 8 | {cycles[0]:,} "
                f"| × {cycles[1] / cycles[0]:.3f} | × {cycles[2] / cycles[0]:.3f} |"
            )
    return [*rows, "", _whole_table(say)]


def _whole_table(say: Callable[[str], None]) -> str:
    """All ways of some products on RTL, and combinations of good ways of whole steps by the model."""
    small = Net(model=MODELS["mlp"], config=CONFIGS["2x2"], batch=4)
    device = Watched(small.config)
    worst, count = 1.0, 0
    for job in products(small):
        say(f"all ways of {job.shape().m} × {job.shape().k} × {job.shape().n}, RTL")
        plans = list(candidates(small.config, job.shape()))
        cycles = measured(device, small, job, plans)
        chosen = cycles[plans.index(best(small.config, small.memory, job, "auto").plan)]
        worst, count = max(worst, chosen / min(cycles)), count + len(plans)
    say("combinations")
    chosen, least, ways = combinations(small, 3)
    return (
        f"Of the products of the mlp, dense, batch of 4 on 2 × 2, {count:,} ways were run on RTL: what is chosen "
        f"takes {worst - 1:.2%} more than the best, at worst. Of its step, {ways:,} combinations of good ways for "
        f"each product were predicted as whole programs: what is chosen takes {chosen / least - 1:.2%} more than the "
        "best."
    )


def _step(device: Watched, net: Net, dataflow: str) -> int:
    return sum(
        device.run(dataflow, program, 1 << 21, net.memory, [0] * 5).measured
        for program in step_programs(net, dataflow)
    )


def estimate_table(say: Callable[[str], None]) -> list[str]:
    """The schedule's estimate beside the cycle model."""
    rows = ["| layer | on | products | error: mean, mean of sizes, lowest, highest |", "|---|---|---|---|"]
    for name in LAYERS:
        for where in ("4x4", "8x8", "16x16"):
            say(f"{name} on {where}")
            errors = [found.error for found in estimates(name, preset(where), 40)]
            figures = np.mean(errors), np.mean(np.abs(errors)), min(errors), max(errors)
            rows.append(f"| {name} | {where} | {len(errors)} | {', '.join(f'{x:+.1%}' for x in figures)} |")
    return rows
