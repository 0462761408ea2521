"""Lock-step components on cocotb: the arithmetic, one element of the array, the array."""

from pathlib import Path

import numpy as np
import pytest

from sat_hdl.arith.add import Add
from sat_hdl.arith.convert import Narrow, Widen
from sat_hdl.arith.multiply import Multiply
from sat_hdl.config import Config
from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32
from sat_hdl.sim.aligned_mac import AlignedMac
from sat_hdl.sim.bench.plan import LockstepPlan
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.cocotb_runner import run_bench
from sat_hdl.sim.oracle import numpy_add, numpy_mac, numpy_multiply, numpy_narrow, numpy_widen
from sat_hdl.sim.run import SimulationError
from sat_hdl.sim.vectors import fp32_for_narrow, fp32_pairs, mac_triples, operand_pairs, words
from sat_hdl.stce.stce import Stce

from ...stce.array_model import Traffic
from ...stce.beats import edge_vectors

BENCH = "sat_hdl.sim.bench.lockstep"
SEED = 9
CYCLES = 300


def play(design, plan: LockstepPlan, folder: Path):
    plan.write(folder / "plan.json")
    print(f"seed {SEED}")
    run_bench(design, "dut", BENCH, parameters={"PLAN": folder / "plan.json"})


def quiet(acc: np.ndarray) -> np.ndarray:
    nan = (acc & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    return np.where(nan, acc | np.uint32(1 << 22), acc)


def arithmetic_plan() -> tuple[Bundle, LockstepPlan]:
    """All units side by side, each with hard operands every cycle."""
    rng = np.random.default_rng(SEED)
    parts, inputs, outputs = {}, {}, {}

    def unit(name, part, output, want, **operands):
        parts[name] = part
        inputs.update({f"{name}__{port}": values.tolist() for port, values in operands.items()})
        rows = [(i + part.latency, int(value)) for i, value in enumerate(want)]
        outputs[f"{name}__{output}"] = [row for row in rows if row[0] < CYCLES]

    for fmt in (BINARY16, BFLOAT16):
        a, b, acc = mac_triples(fmt, CYCLES, rng)
        acc = quiet(acc)
        want = numpy_mac(a, b, acc, fmt)
        unit(f"mac_{fmt.name}", AlignedMac(format=fmt), "o", want, a=a, b=b, acc=acc)
        a, b = operand_pairs(fmt, CYCLES, rng)
        unit(f"multiply_{fmt.name}", Multiply(format=fmt), "p", numpy_multiply(a, b, fmt), a=a, b=b)
        x = fp32_for_narrow(fmt, CYCLES, rng)
        unit(f"narrow_{fmt.name}", Narrow(format=fmt), "o", numpy_narrow(x, fmt), i=x)
        x = words(fmt, CYCLES, rng)
        unit(f"widen_{fmt.name}", Widen(format=fmt), "o", numpy_widen(x, fmt), i=x)
    a, b = fp32_pairs(CYCLES, rng)
    unit("add", Add(), "o", numpy_add(a, b), a=a, b=b)
    return Bundle(parts), LockstepPlan(inputs=inputs, outputs=outputs)


def array_plan() -> tuple[Stce, LockstepPlan]:
    """Random traffic; the results of column 0, which are the low bits of the port, and all others beside."""
    config = Config(rows=2, cols=1)
    stce = Stce(config)
    rng = np.random.default_rng(SEED)
    traffic = Traffic(config, CYCLES, stce.result_latency, rng)
    inputs = {port: values.tolist() for port, values in edge_vectors(config, traffic.steps, rng).items()}
    rows = [(now + stce.exchange_latency, int(want[0])) for now, want in traffic.results.items()]
    return stce, LockstepPlan(inputs=inputs, outputs={"results": [row for row in rows if row[0] < CYCLES]})


def test_arithmetic(tmp_path):
    play(*arithmetic_plan(), tmp_path)


def test_array(tmp_path):
    design, plan = array_plan()
    assert len(plan.outputs["results"]) > 20
    play(design, plan, tmp_path)


def test_a_wrong_result_fails(tmp_path):
    """The bench compares: one expected value changed, and it says where."""
    design, plan = array_plan()
    cycle, value = plan.outputs["results"][5]
    plan.outputs["results"][5] = cycle, value ^ 1
    with pytest.raises(SimulationError, match=f"results in cycle {cycle}: "):
        play(design, plan, tmp_path)
