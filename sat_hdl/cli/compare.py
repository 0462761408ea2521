"""``sat-hdl compare``: schedules beside SCALE-Sim's cycles, the paper's speedup, and the operations' ceiling."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config, preset_name
from sat_hdl.cli.output import console, print_json
from sat_hdl.cli.scheduling import (
    NETWORK_HELP,
    BatchOption,
    DataflowOption,
    LatencyOption,
    MemoryOption,
    MhzOption,
    chosen_dataflows,
    chosen_port,
    port_told,
)
from sat_hdl.compiler.compare import Comparison, compare
from sat_hdl.compiler.networks import PAPER_NETWORKS, network
from sat_hdl.compiler.scale_sim import LIMIT, ScaleSim, find_scale_sim
from sat_hdl.compiler.schedule import schedule
from sat_hdl.config import Config, ConfigError, parse_sparsity, require

__all__ = ["command"]

SPARSITIES = "2:4,2:8,2:16,1:8,4:16"
_DEFAULT = "paper-32x32"


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"{NETWORK_HELP} Else the paper's five.", metavar="[NETWORKS]..."),
    ] = None,
    sparsity: Annotated[str, typer.Option(help="N:M, with commas.", metavar="N:M,...")] = SPARSITIES,
    memory_gbps: MemoryOption = None,
    mhz: MhzOption = 200.0,
    latency: LatencyOption = 40,
    batch: BatchOption = None,
    dataflow: DataflowOption = "auto",
    scale_sim: Annotated[
        str | None,
        typer.Option(
            help="A Python interpreter with the package `scalesim` (and numpy below 2.4), to run SCALE-Sim v3 in; "
            "else this one if it has it, else SCALE-Sim's closed form is taken.",
            metavar="PYTHON",
            envvar="SAT_HDL_SCALE_SIM",
        ),
    ] = None,
    scale_sim_limit: Annotated[
        int,
        typer.Option(
            help="Cycles of the largest product that is run in SCALE-Sim (0: none), some 7,000 a second; the "
            "closed form is taken beyond.",
            metavar="CYCLES",
        ),
    ] = LIMIT,
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """One table of networks and sparsities under BDWP: cycles of a training step, speedup over the best dense
    schedule of the same device, that of the products alone, SCALE-Sim v3's for an output-stationary array of the
    same size with memory that never stalls, the paper's published mean, and what operations allow.

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
    for table in tables:
        if table.uncounted:
            typer.echo(f"Of {table.name} is not counted: {', '.join(table.uncounted)}.", err=True)
    log = Console(stderr=True, highlight=False, soft_wrap=True)
    bar = Progress(console=log, transient=True, disable=not log.is_terminal)
    task = bar.add_task("Scheduling", total=len(tables) * (len(pairs) + 1))

    def say(text: str):
        if log.is_terminal:
            bar.update(task, description=text)
        else:
            log.print(text)

    tool = _tool(scale_sim, scale_sim_limit, used, say)
    with tool or nullcontext(), bar:
        for table in tables:
            dense = schedule(table, used, port, method="dense", batch=batch, dataflows=flows)
            bar.advance(task)
            for pair in pairs:
                wide = used
                if pair[1] > used.max_m:
                    wide = msgspec.structs.replace(used, max_m=pair[1])
                found = compare(table, wide, port, pair, batch=batch, dataflows=flows, dense=dense, tool=tool)
                rows.append({"network": table.name, "max_m": wide.max_m} | _told(found))
                bar.update(task, advance=1, description="Scheduling")
    means = [_mean(rows, f"{n}:{m}") for n, m in pairs]
    result = {
        "preset": preset_name(preset or (None if config else _DEFAULT), config),
        "rows": used.rows,
        "cols": used.cols,
        "mhz": mhz,
        "memory": port_told(port, mhz),
        "dataflows": [each.name for each in flows],
        "scale_sim": _tool_told(tool),
        "networks": {table.name: table.title for table in tables},
        "comparisons": rows,
        "means": means,
    }
    if json:
        return print_json(result)
    _print(result)
    return None


def _tool(python: str | None, limit: int, config: Config, say: Callable[[str], None]) -> ScaleSim | None:
    """SCALE-Sim as the options say, or None if its closed form is to do."""
    require(limit >= 0, f"`--scale-sim-limit` must be at least 0, not {limit}.")
    found = find_scale_sim(python) if limit else None
    return ScaleSim(*found, config.rows, config.cols, limit=limit, progress=say) if found else None


def _tool_told(tool: ScaleSim | None) -> dict[str, Any] | None:
    """For JSON. ``products`` and ``live`` count distinct ones."""
    if tool is None:
        return None
    return {
        "version": tool.version,
        "limit": tool.limit,
        "products": len(tool.products),
        "live": tool.runs,
        "largest_difference": tool.difference,
    }


def _told(found: Comparison) -> dict[str, Any]:
    sparse, sparsity = found.sparse, found.sparse.sparsity
    assert sparsity is not None
    return {
        "sparsity": f"{sparsity[0]}:{sparsity[1]}",
        "cycles": sparse.cycles,
        "product_cycles": sparse.product_cycles,
        "dense_cycles": found.dense.cycles,
        "dense_product_cycles": found.dense.product_cycles,
        "scale_sim_cycles": found.scale_sim.cycles,
        "scale_sim_dense_cycles": found.scale_sim_dense.cycles,
        "scale_sim_source": found.scale_sim_source,
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


def _caption(tool: dict[str, Any] | None) -> str:
    if tool is None:
        return "SCALE-Sim: v3's closed form; `--scale-sim PYTHON` runs it."
    off, live, products = tool["largest_difference"], tool["live"], tool["products"]
    text = f"SCALE-Sim {tool['version']} ran {live:,} of {products:,} distinct products (N:M by its sparsity mode)"
    if live:
        text += (
            f", at most {off:,} cycles off its closed form"
            if off
            else ", to the cycle as its closed form says"
        )
    if live < products:
        text += f". * partly or wholly by that form: products of over {tool['limit']:,} cycles"
    return f"{text}."


def _print(result: dict[str, Any]):
    memory = result["memory"]
    table = Table(
        title=f"{result['rows']} × {result['cols']} at {result['mhz']:g} MHz, memory {memory['gbps']:.1f} GB/s; "
        f"dataflows {', '.join(result['dataflows'])}; cycles in millions",
        title_justify="left",
        caption=_caption(result["scale_sim"]),
        caption_justify="left",
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
        if result["scale_sim"] and row["scale_sim_source"] != "live":
            cycles[2] += "*"
        table.add_row(row["network"], row["sparsity"], *cycles, *ratios(row), row["bound"])
    table.add_section()
    for row in result["means"]:
        table.add_row("mean", row["sparsity"], *[""] * 4, *ratios(row), "")
    console().print(table)
