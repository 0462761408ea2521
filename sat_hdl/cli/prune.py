"""``sat-hdl prune``: N:M selection by the hardware."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sat_hdl.cli.arrays import save_arrays
from sat_hdl.cli.errors import FAILED
from sat_hdl.cli.operands import Backend, BackendOption, bits, load_operand, operands_of, sparsity_of
from sat_hdl.cli.options import ConfigFile, Json, OutputFile, Preset, chosen_config, preset_name
from sat_hdl.cli.output import console, print_json, progress
from sat_hdl.config import Config, ConfigError

__all__ = ["command", "prune_matrix"]


def command(
    w: Annotated[Path, typer.Argument(help="Weights: float16 (rows, columns), .npy.", metavar="W.npy")],
    output: OutputFile,
    sparsity: Annotated[str, typer.Option(help="N:M, such as 2:8.", metavar="N:M")],
    axis: Annotated[int, typer.Option(help="Axis along which groups of M lie: 0 or 1.")] = 0,
    preset: Preset = None,
    config: ConfigFile = None,
    backend: BackendOption = Backend.rtl,
    json: Json = False,
):
    """Prunes a matrix to N:M: keeps the N largest magnitudes of every M consecutive elements along an axis.

    Writes an .npz with `values` and `indices` (in the group, uint8), groups in order along the axis; a short
    last group keeps min(N, its length).
    """
    if axis not in (0, 1):
        raise ConfigError(f"--axis must be 0 or 1, not {axis}.")
    wanted = chosen_config(preset, config)
    pair = sparsity_of(sparsity, wanted, dense=False)
    assert pair is not None
    matrix = load_operand(w, wanted)
    with progress("Pruning"):
        values, indices, figures = prune_matrix(matrix, pair, axis, wanted, backend)
    save_arrays(output, values=values, indices=indices)
    result: dict[str, Any] = {
        "output": str(output),
        "sparsity": sparsity,
        "axis": axis,
        "shape": list(matrix.shape),
        "kept": int(values.size),
        **figures,
        "preset": preset_name(preset, config),
        "sore_lanes": wanted.sore_lanes,
        "backend": backend.value,
    }
    if json:
        print_json(result)
    else:
        cycles = "" if result["cycles"] is None else f" in {result['cycles']} cycles"
        console().print(f"Kept {result['kept']} of {matrix.size} elements{cycles}: {output}")
    return 0 if result["bit_exact"] in (True, None) else FAILED


def prune_matrix(
    matrix: np.ndarray, sparsity: tuple[int, int], axis: int, config: Config, backend: Backend
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """(values, indices, {cycles, bit_exact}); the two are None of the golden model alone."""
    from sat_hdl.sim.golden import prune as golden_prune

    golden = golden_prune(matrix, *sparsity, axis)
    if backend is Backend.golden:
        return golden.values, golden.indices, {"cycles": None, "bit_exact": None}

    from sat_hdl.sim.device import Device

    pattern = bits(matrix)
    pruned = Device(config).prune(pattern if axis == 0 else pattern.T, sparsity)
    values, indices = pruned.values, pruned.indices
    if axis == 1:
        values, indices = np.ascontiguousarray(values.T), np.ascontiguousarray(indices.T)
    exact = np.array_equal(values, bits(golden.values)) and np.array_equal(indices, golden.indices)
    return operands_of(values, config), indices, {"cycles": pruned.cycles, "bit_exact": exact}
