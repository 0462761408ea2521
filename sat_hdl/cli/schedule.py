"""``sat-hdl schedule``: how a network's training step is best done on a device, and how long it takes."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sat_hdl.cli.operands import sparsity_of
from sat_hdl.cli.options import ConfigFile, Json, Preset, chosen_config, chosen_parts, preset_name
from sat_hdl.cli.output import atomic_file, console, print_json
from sat_hdl.cli.scheduling import (
    NETWORK_HELP,
    BatchOption,
    DataflowOption,
    LatencyOption,
    MemoryOption,
    MhzOption,
    Moment,
    MomentOption,
    PartsOption,
    chosen_dataflows,
    chosen_moments,
    chosen_port,
    port_told,
)
from sat_hdl.compiler.blocks import PRUNING
from sat_hdl.compiler.compare import Comparison, compare
from sat_hdl.compiler.networks import network
from sat_hdl.compiler.networks.table import METHODS, STAGES, Vector
from sat_hdl.compiler.schedule import Entry, Schedule, schedule

__all__ = ["command"]

Method = StrEnum("Method", list(METHODS))
_DEFAULT = "paper-32x32"
_LAYER_HEAD = ("layer", "stage", "flow", "pruning", "m × k × n", "blocks", "cycles", "use", "MB", "bound")
_TOTAL_HEAD = ("", "million cycles", "use of the array", "GB", "bound")
#: Stages in the order of a table: products, then vector work.
_STAGES = (*STAGES, "forward", "backward", "update")


def command(
    name: Annotated[str, typer.Argument(help=NETWORK_HELP, metavar="NETWORK")],
    method: Annotated[
        Method, typer.Option(help="What is sparse: bdwp: FF and BP; sdwp: BP; srste: FF; or dense.")
    ] = Method["bdwp"],
    sparsity: Annotated[str, typer.Option(help="N:M; of no effect for `dense`.", metavar="N:M")] = "2:8",
    batch: BatchOption = None,
    parts: PartsOption = "auto",
    memory_gbps: MemoryOption = None,
    mhz: MhzOption = 200.0,
    latency: LatencyOption = 40,
    dataflow: DataflowOption = "auto",
    pruning: MomentOption = Moment.auto,
    page: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with roofline and timeline.", metavar="FILE"),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    json: Json = False,
):
    """Chooses dataflow, blocks, order of loops and moment of pruning for every product of a network's training step,
    and predicts its cycles, beside the best dense schedule on the same device. Nothing is simulated.

    The configuration is paper-32x32 unless told otherwise. `use` is the share of the array's multipliers that do
    what counts. `blocks` are rows × k × columns, and the order of loops, outermost first. "8 ×" are eight equal
    products, as of eight parts of the batch, "+2" two more kinds: those of the classes of pixels of a layer with a
    stride, say.

    A network of your own is a list of layers, as `train --model` takes it, or a PyTorch module in a Python file,
    which says its `input_shape`: `sat-hdl schedule nets.py:MyNet`. The module's forward pass is recorded without
    values, so any module will do whose forward() takes one tensor.
    """
    table = network(name)
    used = chosen_config(preset, config, default=_DEFAULT)
    port = chosen_port(used, memory_gbps, mhz, latency)
    flows = chosen_dataflows(used, dataflow)
    common: dict[str, Any] = {"batch": batch, "parts": chosen_parts(parts), "dataflows": flows}
    layers = [layer.name for layer in table.layers if not isinstance(layer, Vector)]
    log = Console(stderr=True)
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task("Scheduling", total=len(layers) * (1 if method == "dense" else 2))

        def progress(_: str):
            bar.advance(task)

        if method == "dense":
            dense = schedule(table, used, port, method="dense", progress=progress, **common)
            done = None
        else:
            pair = sparsity_of(sparsity, used, dense=False)
            assert pair is not None
            done = compare(
                table,
                used,
                port,
                pair,
                method=method,
                pruning=chosen_moments(pruning),
                progress=progress,
                **common,
            )
            dense = done.dense
    best = dense if done is None else done.sparse
    result = {
        "network": name,
        "title": table.title,
        "uncounted": list(table.uncounted),
        "method": str(method),
        "sparsity": None if done is None else sparsity,
        "batch": best.batch,
        "preset": preset_name(preset or (None if config else _DEFAULT), config),
        "rows": used.rows,
        "cols": used.cols,
        "mhz": mhz,
        "memory": port_told(port, mhz),
        "dataflows": [each.name for each in flows],
        **_told(best, mhz),
        "dense": None if done is None else _told(dense, mhz),
        "speedup": None if done is None else done.speedup,
        "product_speedup": None if done is None else done.product_speedup,
        "ideal_speedup": None if done is None else done.ideal_speedup,
        "html": None if page is None else str(page),
    }
    lead = _lead(best, done, mhz)
    if table.uncounted:
        lead += f" Not counted: {', '.join(table.uncounted)}."
    if page is not None:
        from sat_hdl.schedule_page import page as rendered

        text = rendered(
            best,
            lead=lead,
            totals=(_TOTAL_HEAD, _totals(best)),
            layers=(_LAYER_HEAD, [_row(entry, best) for entry in _ordered(best)]),
        )
        with atomic_file(page) as partial:
            partial.write_text(text)
    if json:
        return print_json(result | {"entries": [_entry_told(entry, best) for entry in _ordered(best)]})
    _print(best, lead)
    return None


def _told(found: Schedule, mhz: float) -> dict[str, Any]:
    return {
        "cycles": found.cycles,
        "seconds": found.cycles / (mhz * 1e6),
        "product_cycles": found.product_cycles,
        "vector_cycles": found.vector_cycles,
        "ideal_cycles": found.ideal_cycles,
        "macs": found.macs,
        "utilisation": found.utilisation(),
        "parts": dict(zip(("forward", "backward"), found.parts)),
        "bytes": round(found.bytes),
        "bound": found.bound,
    }


def _entry_told(entry: Entry, found: Schedule) -> dict[str, Any]:
    return {
        "layer": entry.layer,
        "stage": entry.stage,
        "unit": entry.unit,
        "cycles": round(entry.cycles),
        "start": round(entry.start),
        "end": round(entry.end),
        "slots": [[round(slot.start), round(slot.end)] for slot in entry.slots],
        "macs": entry.macs,
        "utilisation": found.utilisation(entry),
        "read": round(entry.read),
        "written": round(entry.written),
        "bound": entry.bound,
        "products": [
            {
                "times": times, "m": plan.gemm.m, "k": plan.gemm.k, "n": plan.gemm.n, "count": plan.gemm.count,
                "keep": plan.gemm.keep, "group": plan.gemm.group, "dataflow": plan.dataflow, "pruning": plan.pruning,
                "block": [plan.blocks.m, plan.blocks.k, plan.blocks.n],
                "order": "rows, columns, k" if plan.blocks.rows_outer else "columns, rows, k", "jobs": plan.jobs,
                "cycles": plan.cycles, "bound": plan.bound,
            }
            for plan, times in Counter(entry.plans).items()
        ],
    }  # fmt: skip


def _ordered(found: Schedule) -> list[Entry]:
    """By layer, as the forward pass goes, and stage."""
    numbers = {layer.name: number for number, layer in enumerate(found.network.layers)}
    return sorted(
        found.entries,
        key=lambda entry: (numbers.get(entry.layer, len(numbers)), _STAGES.index(entry.stage)),
    )


def _row(entry: Entry, found: Schedule) -> list[str]:
    longest = max(entry.plans, key=lambda plan: plan.cycles, default=None)
    shape = blocks = ""
    if longest is not None:
        gemm, cut = longest.gemm, longest.blocks
        pattern = "" if gemm.keep is None else f" {gemm.keep}:{gemm.group}"
        count, kinds = gemm.count * entry.plans.count(longest), len(set(entry.plans))
        many = "" if count == 1 else f"{count:,} × "
        other = "" if kinds == 1 else f" +{kinds - 1}"
        shape = f"{many}{gemm.m}×{gemm.k}×{gemm.n}{pattern}{other}"
        blocks = f"{cut.m}×{cut.k}×{cut.n} {'mnk' if cut.rows_outer else 'nmk'}"
    use = f"{100 * found.utilisation(entry):.1f}%" if entry.macs else ""
    return [
        entry.layer, entry.stage, longest.dataflow if longest else "", (longest.pruning or "") if longest else "",
        shape, blocks, f"{entry.cycles:,.0f}", use, f"{(entry.read + entry.written) / 1e6:,.1f}", entry.bound,
    ]  # fmt: skip


def _totals(found: Schedule) -> list[list[str]]:
    rows = []
    for stage in _STAGES:
        chosen = [entry for entry in found.entries if entry.stage == stage]
        cycles = sum(entry.cycles for entry in chosen)
        macs = sum(entry.macs for entry in chosen)
        bounds: dict[str, float] = {}
        for entry in chosen:
            bounds[entry.bound] = bounds.get(entry.bound, 0.0) + entry.cycles
        title = {"forward": "vector, forward", "backward": "vector, backward"}.get(stage, stage)
        rows.append([
            title, f"{cycles / 1e6:,.3f}", f"{100 * macs / (cycles * found.peak):.1f} %" if macs else "",
            f"{sum(entry.read + entry.written for entry in chosen) / 1e9:,.3f}",
            max(bounds, key=lambda bound: bounds[bound]) if bounds else "",
        ])  # fmt: skip
    rows.append([
        "step, units side by side", f"{found.cycles / 1e6:,.3f}", f"{100 * found.utilisation():.1f} %",
        f"{found.bytes / 1e9:,.3f}", found.bound,
    ])  # fmt: skip
    return rows


def _lead(best: Schedule, done: Comparison | None, mhz: float) -> str:
    what = "dense" if best.sparsity is None else f"{best.method} {best.sparsity[0]}:{best.sparsity[1]}"
    memory = f"{best.port.bytes_per_cycle * mhz / 1e3:.1f} GB/s{' each way' if best.port.duplex else ''}"
    text = (
        f"{what} on {best.config.rows} × {best.config.cols} at {mhz:g} MHz with {memory}: {best.cycles:,} cycles a "
        f"step, {best.cycles / mhz / 1e3:,.1f} ms, {best.batch / (best.cycles / mhz / 1e6):,.1f} samples/s"
    )
    if done is not None:
        text += (
            f"; {done.speedup:.2f} times as fast as dense (products alone {done.product_speedup:.2f}, by operations "
            f"{done.ideal_speedup:.2f})"
        )
    forward, backward = best.parts
    return f"{text}. The batch goes forward in {_count(forward)}, and back in {_count(backward)}."


def _count(parts: int) -> str:
    return "one part" if parts == 1 else f"{parts} parts"


def _print(best: Schedule, lead: str):
    out = console()
    out.print(f"{best.network.title}\n{lead}\n")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    # When a product is pruned is told where it is not the usual moment.
    heads = [head for head in _LAYER_HEAD if head != "pruning"]
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number >= 3 else "left", no_wrap=True)
    for entry in _ordered(best):
        if entry.unit == "array":
            layer, stage, dataflow, pruning, *rest = _row(entry, best)
            fly = f", {pruning}" if pruning == PRUNING[1] else ""
            table.add_row(layer, stage, dataflow + fly, *rest)
    out.print(table)
    table = Table(title="Each stage by itself, and the step", title_justify="left")
    for number, head in enumerate(_TOTAL_HEAD):
        table.add_column(head, justify="right" if number else "left")
    for row in _totals(best):
        table.add_row(*row)
    out.print(table)
