"""``sat-hdl compare``: schedules beside SCALE-Sim's closed form, the paper's speedup, and the operations' ceiling."""

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config, preset_name
from sat_hdl.cli.output import console, print_json
from sat_hdl.cli.scheduling import (
    DataflowOption,
    LatencyOption,
    MemoryOption,
    MhzOption,
    chosen_dataflows,
    chosen_port,
    port_told,
)
from sat_hdl.compiler.compare import Comparison, compare
from sat_hdl.compiler.networks import NETWORKS, PAPER_NETWORKS, network
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import ConfigError, parse_sparsity

__all__ = ["command"]

SPARSITIES = "2:4,2:8,2:16,1:8,4:16"
_DEFAULT = "paper-32x32"


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Of {', '.join(NETWORKS)}; else the paper's five.", metavar="[NETWORKS]..."),
    ] = None,
    sparsity: Annotated[str, typer.Option(help="N:M, with commas.", metavar="N:M,...")] = SPARSITIES,
    memory_gbps: MemoryOption = None,
    mhz: MhzOption = 200.0,
    latency: LatencyOption = 40,
    dataflow: DataflowOption = "auto",
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """One table of networks and sparsities under BDWP: cycles of a training step, speedup over the best dense
    schedule of the same device, that of the products alone, SCALE-Sim v3's closed form for an output-stationary
    array of the same size with memory that never stalls, the paper's published mean, and what operations allow.

    Where M is more than the configuration's max_m, the same array is taken with a larger one.
    """
    used = chosen_config(preset, config, default=_DEFAULT)
    tables = [network(name) for name in names or PAPER_NETWORKS]
    pairs = []
    for text in sparsity.split(","):
        pair = parse_sparsity(text)
        if pair is None:
            raise ConfigError(
                "`--sparsity` must be N:M such as 2:8, or several with commas; dense is the reference."
            )
        pairs.append(pair)
    port = chosen_port(used, memory_gbps, mhz, latency)
    flows = chosen_dataflows(used, dataflow)
    rows: list[dict[str, Any]] = []
    log = Console(stderr=True)
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task("Scheduling", total=len(tables) * (len(pairs) + 1))
        for table in tables:
            dense = schedule(table, used, port, method="dense", dataflows=flows)
            bar.advance(task)
            for pair in pairs:
                wide = used
                if pair[1] > used.max_m:
                    wide = msgspec.structs.replace(used, max_m=pair[1])
                found = compare(table, wide, port, pair, dataflows=flows, dense=dense)
                rows.append({"network": table.name, "max_m": wide.max_m} | _told(found))
                bar.advance(task)
    means = [_mean(rows, f"{n}:{m}") for n, m in pairs]
    result = {
        "preset": preset_name(preset or (None if config else _DEFAULT), config),
        "rows": used.rows,
        "cols": used.cols,
        "mhz": mhz,
        "memory": port_told(port, mhz),
        "dataflows": [each.name for each in flows],
        "networks": {table.name: table.title for table in tables},
        "comparisons": rows,
        "means": means,
    }
    if json:
        return print_json(result)
    _print(result)
    return None


def _told(found: Comparison) -> dict[str, Any]:
    sparse, sparsity = found.sparse, found.sparse.sparsity
    assert sparsity is not None
    return {
        "sparsity": f"{sparsity[0]}:{sparsity[1]}",
        "cycles": sparse.cycles,
        "product_cycles": sparse.product_cycles,
        "dense_cycles": found.dense.cycles,
        "dense_product_cycles": found.dense.product_cycles,
        "scale_sim_cycles": found.scale_sim,
        "scale_sim_dense_cycles": found.scale_sim_dense,
        "ideal_cycles": sparse.ideal_cycles,
        "speedup": found.speedup,
        "product_speedup": found.product_speedup,
        "scale_sim_speedup": found.scale_sim_speedup,
        "paper_mean_speedup": found.paper_speedup,
        "ideal_speedup": found.ideal_speedup,
        "bound": sparse.bound,
    }


def _mean(rows: list[dict[str, Any]], sparsity: str) -> dict[str, Any]:
    chosen = [row for row in rows if row["sparsity"] == sparsity]
    names = ("speedup", "product_speedup", "scale_sim_speedup", "ideal_speedup")
    mean: dict[str, Any] = {name: sum(row[name] for row in chosen) / len(chosen) for name in names}
    return {"sparsity": sparsity, **mean, "paper_mean_speedup": chosen[0]["paper_mean_speedup"]}


def _print(result: dict[str, Any]):
    memory = result["memory"]
    table = Table(
        title=f"{result['rows']} × {result['cols']} at {result['mhz']:g} MHz, memory {memory['gbps']:.1f} GB/s; "
        f"dataflows {', '.join(result['dataflows'])}; cycles in millions",
        title_justify="left",
    )
    table.add_column("network")
    table.add_column("N:M")
    heads = (
        "step",
        "products",
        "SCALE-Sim",
        "ideal",
        "speedup",
        "of products",
        "SCALE-Sim",
        "paper",
        "ideal",
    )
    for head in heads:
        table.add_column(head, justify="right")
    table.add_column("bound by")

    def ratios(row: dict[str, Any]) -> list[str]:
        names = ("speedup", "product_speedup", "scale_sim_speedup", "paper_mean_speedup", "ideal_speedup")
        return ["-" if row[name] is None else f"{row[name]:.2f}" for name in names]

    for row in result["comparisons"]:
        counts = ("cycles", "product_cycles", "scale_sim_cycles", "ideal_cycles")
        cycles = [f"{row[name] / 1e6:,.1f}" for name in counts]
        table.add_row(row["network"], row["sparsity"], *cycles, *ratios(row), row["bound"])
    table.add_section()
    for row in result["means"]:
        table.add_row("mean", row["sparsity"], *[""] * 4, *ratios(row), "")
    console().print(table)
