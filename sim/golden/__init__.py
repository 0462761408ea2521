"""The golden model: the accelerator's arithmetic and BDWP training in numpy, written from the numerics
contract alone. It imports nothing of the hardware, so that the two can be compared."""

from sat_hdl.sim.golden.convert import (
    bf16_to_fp32,
    fp16_to_fp32,
    fp32_to_bf16,
    fp32_to_fp16,
    narrow,
    widen,
)
from sat_hdl.sim.golden.data import Dataset, load_digits, load_npz
from sat_hdl.sim.golden.engine import STAGES, Engine, GoldenEngine
from sat_hdl.sim.golden.formats import canonicalize
from sat_hdl.sim.golden.mlp import METHODS, LayerPlan, plan_layers
from sat_hdl.sim.golden.product import matmul, sparse_matmul
from sat_hdl.sim.golden.prune import Pruned, prune
from sat_hdl.sim.golden.train import TrainConfig, TrainResult, train

__all__ = [
    "METHODS", "STAGES", "Dataset", "Engine", "GoldenEngine", "LayerPlan", "Pruned", "TrainConfig",
    "TrainResult", "bf16_to_fp32", "canonicalize", "fp16_to_fp32", "fp32_to_bf16", "fp32_to_fp16",
    "load_digits", "load_npz", "matmul", "narrow", "plan_layers", "prune", "sparse_matmul", "train", "widen",
]  # fmt: skip
