"""``sat-hdl gemm``: a matrix product by the hardware."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from sat_hdl.cli.arrays import load_array
from sat_hdl.cli.errors import FAILED
from sat_hdl.cli.operands import Backend, BackendOption, bits, load_operand, sparsity_of
from sat_hdl.cli.options import (
    ConfigFile,
    Dataflow,
    Json,
    OutputFile,
    Preset,
    check_dataflow,
    chosen_config,
    preset_name,
)
from sat_hdl.cli.output import atomic_file, console, print_json, progress
from sat_hdl.cli.prune import prune_matrix
from sat_hdl.config import Config, ConfigError

__all__ = ["command"]


def command(
    a: Annotated[Path, typer.Argument(help="A: float16 (m, k), .npy.", metavar="A.npy")],
    b: Annotated[Path, typer.Argument(help="B: float16 (k, n), dense, .npy.", metavar="B.npy")],
    output: OutputFile,
    acc: Annotated[
        Path | None,
        typer.Option(help="Initial accumulators: float32 (m, n), .npy; else +0.", metavar="C.npy"),
    ] = None,
    sparsity: Annotated[
        str, typer.Option(help="`dense`, or N:M to prune B to along k first.", metavar="dense|N:M")
    ] = "dense",
    dataflow: Annotated[
        Dataflow,
        typer.Option(help="Output- or weight-stationary (the bits are the same), or whichever is faster."),
    ] = Dataflow.os,
    preset: Preset = None,
    config: ConfigFile = None,
    backend: BackendOption = Backend.rtl,
    json: Json = False,
):
    """Y = C + A · B, float32, on the simulated array, compared bit for bit with the golden model.

    With N:M sparsity B is first pruned along k by the pruner hardware. `cycles` are those of the product
    alone, from the first operand in to the last result out.
    """
    wanted = chosen_config(preset, config)
    check_dataflow(dataflow, wanted)
    pair = sparsity_of(sparsity, wanted, dense=True)
    left, right = load_operand(a, wanted), load_operand(b, wanted)
    if left.shape[1] != right.shape[0]:
        raise ConfigError(
            f"A is {_shape(left)} and B is {_shape(right)}: A's columns and B's rows must be equally many."
        )
    initial = None if acc is None else load_array(acc, dtype=np.float32, ndim=2)
    if initial is not None and initial.shape != (left.shape[0], right.shape[1]):
        raise ConfigError(
            f"The initial accumulators are {_shape(initial)}, but the product is "
            f"{left.shape[0]} × {right.shape[1]}."
        )
    with atomic_file(output) as partial, progress("Simulating"):
        y, figures = _product(left, right, initial, pair, wanted, backend, dataflow)
        with open(partial, "wb") as file:
            np.save(file, y, allow_pickle=False)
    result: dict[str, Any] = {
        "output": str(output),
        "m": left.shape[0],
        "k": left.shape[1],
        "n": right.shape[1],
        "sparsity": sparsity,
        **figures,
        "preset": preset_name(preset, config),
        "rows": wanted.rows,
        "cols": wanted.cols,
        "interleave": wanted.interleave,
        "backend": backend.value,
    }
    if json:
        print_json(result)
    else:
        table = Table(
            title=f"{result['m']} × {result['k']} × {result['n']}, {sparsity}", title_justify="left"
        )
        table.add_column("figure")
        table.add_column("value", justify="right")
        for key in (*figures, "output"):
            value = result[key]
            table.add_row(key, f"{value:.4f}" if isinstance(value, float) else str(value))
        console().print(table)
    return 0 if result["bit_exact"] in (True, None) else FAILED


def _product(
    a: np.ndarray,
    b: np.ndarray,
    acc: np.ndarray | None,
    sparsity: tuple[int, int] | None,
    config: Config,
    backend: Backend,
    dataflow: Dataflow,
) -> tuple[np.ndarray, dict[str, Any]]:
    """(Y, figures). Figures that the golden model alone can't know are None."""
    from sat_hdl.compiler.product import Product
    from sat_hdl.sim.golden import matmul, sparse_matmul

    operand = config.operand_format
    if sparsity is None:
        keep = group = None
        values, indices, pruning = b, None, {"cycles": 0, "bit_exact": True}
        golden = matmul(a, b, acc=acc, operand=operand)
    else:
        keep, group = sparsity
        values, indices, pruning = prune_matrix(b, sparsity, 0, config, backend)
        golden = sparse_matmul(
            a, values, indices, k=a.shape[1], keep=keep, group=group, acc=acc, operand=operand
        )
    product = Product(config=config, m=a.shape[0], k=a.shape[1], n=b.shape[1], keep=keep, group=group)
    if backend is Backend.golden:
        unknown = dict.fromkeys(("cycles", "prune_cycles", "utilization", "bit_exact"))
        return golden, {"dataflow": dataflow.value, "macs": product.macs} | unknown

    from sat_hdl.sim.device import Device

    run = Device(config).product(
        bits(a),
        bits(values),
        indices,
        sparsity=sparsity,
        acc=None if acc is None else acc.view(np.uint32),
        dataflow=dataflow.value,
    )
    exact = pruning["bit_exact"] and np.array_equal(run.y, golden.view(np.uint32))
    return run.y.view(np.float32), {
        "dataflow": run.dataflow,
        "cycles": run.cycles,
        "prune_cycles": pruning["cycles"],
        "macs": run.macs,
        "utilization": run.macs / (run.cycles * config.rows * config.cols),
        "busy_cycles": run.busy,
        "input_stalls": run.input_stalls,
        "output_stalls": run.output_stalls,
        "bit_exact": bool(exact),
    }


def _shape(matrix: np.ndarray) -> str:
    return " × ".join(map(str, matrix.shape))
