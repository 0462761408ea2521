"""Tables of networks for `scripts/bench`: predictions of the scheduler; nothing is simulated."""

from collections.abc import Callable
from statistics import mean

from sat_hdl.compiler.blocks import PRUNING
from sat_hdl.compiler.compare import PAPER_SPEEDUP, Comparison, compare
from sat_hdl.compiler.dataflows import find_dataflows
from sat_hdl.compiler.memory_port import default_port
from sat_hdl.compiler.networks import PAPER_NETWORKS, network
from sat_hdl.config import Config, preset

__all__ = ["ablation_table", "network_table"]

PRESET, MHZ = "paper-32x32", 200.0
SPARSITIES = ("2:4", "2:8", "1:8", "4:16", "2:16")


def _compared(name: str, sparsity: str, **options) -> Comparison:
    config: Config = preset(PRESET)
    keep, group = map(int, sparsity.split(":"))
    return compare(network(name), config, default_port(config, MHZ), (keep, group), **options)


def network_table(say: Callable[[str], None]) -> list[str]:
    """The paper's networks on the paper's array: dense, and BDWP at several sparsities."""
    heads = [f"{text}: whole step, products, operations" for text in SPARSITIES]
    rows = [
        f"| network | dense, million cycles | {' | '.join(heads)} | bound at 2:8 |",
        "|---|---|" + "---|" * len(SPARSITIES) + "---|",
    ]
    speedups: dict[str, list[float]] = {text: [] for text in SPARSITIES}
    for name in PAPER_NETWORKS:
        cells, dense, bound = [], None, ""
        for text in SPARSITIES:
            say(f"{name} {text}")
            done = _compared(name, text, dense=dense)
            dense = done.dense
            speedups[text].append(done.speedup)
            cells.append(f"**{done.speedup:.2f}**, {done.product_speedup:.2f}, {done.ideal_speedup:.2f}")
            if text == "2:8":
                bound = done.sparse.bound
        assert dense is not None
        rows.append(f"| {name} | {dense.cycles / 1e6:,.1f} | {' | '.join(cells)} | {bound} |")
    means = [f"**{mean(speedups[text]):.2f}**" for text in SPARSITIES]
    rows.append(f"| mean | | {' | '.join(means)} | |")
    return [*rows, "", f"The paper states a mean of {PAPER_SPEEDUP[2, 8]} at 2:8."]


def ablation_table(say: Callable[[str], None]) -> list[str]:
    """What each choice of the scheduler is worth: BDWP at 2:8, without it, in cycles of the step."""
    variants: dict[str, dict[str, object]] = {
        "all of it": {},
        "a batch in one part": {"parts": 1},
        "pruned on the fly, never ahead": {"pruning": PRUNING[1:]},
        "never folded": {"dataflows": find_dataflows("os,os-t,ws")},
        "output-stationary alone, not folded": {"dataflows": find_dataflows("os")},
        "never transposed": {"dataflows": find_dataflows("os,ws,os-fold")},
    }
    rows = [
        f"| BDWP 2:8, million cycles a step | {' | '.join(PAPER_NETWORKS)} | of all, mean |",
        "|---|" + "---|" * (len(PAPER_NETWORKS) + 1),
    ]
    base: dict[str, int] = {}
    for title, options in variants.items():
        cells, shares = [], []
        for name in PAPER_NETWORKS:
            say(f"{title}: {name}")
            cycles = _compared(name, "2:8", **options).sparse.cycles
            shares.append(cycles / base.setdefault(name, cycles))
            cells.append(f"{cycles / 1e6:,.1f}")
        rows.append(f"| {title} | {' | '.join(cells)} | {mean(shares):.3f} |")
    return rows
