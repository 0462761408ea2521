"""What `gemm` and `prune` share: matrices of operands, in files and as bits."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sat_hdl.cli.arrays import load_array
from sat_hdl.config import Config, ConfigError, parse_sparsity

__all__ = ["Backend", "BackendOption", "bits", "load_operand", "operands_of", "sparsity_of"]


class Backend(StrEnum):
    """What computes: the simulated RTL, checked against the golden model, or the golden model alone."""

    rtl = "rtl"
    golden = "golden"


BackendOption = Annotated[
    Backend,
    typer.Option("--backend", help="rtl: simulated, and compared with the golden model. golden: it alone."),
]


def load_operand(path: Path, config: Config) -> np.ndarray:
    """A matrix of operands: float16, or uint16 bit patterns where the operands are bfloat16, for which
    .npy files have no type."""
    return load_array(path, dtype=np.uint16 if config.operand_format == "bf16" else np.float16, ndim=2)


def bits(matrix: np.ndarray) -> np.ndarray:
    """The bit patterns of a matrix of operands, uint16."""
    return np.ascontiguousarray(matrix).view(np.uint16)


def operands_of(pattern: np.ndarray, config: Config) -> np.ndarray:
    """What :func:`load_operand` would give for these bit patterns."""
    return pattern if config.operand_format == "bf16" else pattern.view(np.float16)


def sparsity_of(text: str, config: Config, *, dense: bool) -> tuple[int, int] | None:
    """(N, M) that ``config`` can run, or None for `dense` where that is allowed."""
    sparsity = parse_sparsity(text)
    if sparsity is not None:
        config.check_sparsity(*sparsity)
    elif not dense:
        raise ConfigError("Pruning needs N:M such as 2:8, not `dense`.")
    return sparsity
