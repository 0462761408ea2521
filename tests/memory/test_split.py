"""Runs into bursts, against cutting at every multiple of the longest burst."""

import random

import numpy as np
import pytest

from sat_hdl.memory.affine import run_layout
from sat_hdl.memory.split import BurstSplit, burst_layout
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation

STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
#: name → data bits, beats of the longest burst.
SHAPES = {"w16": (16, 2), "w64": (64, 16), "w512": (512, 64)}


@pytest.fixture(scope="module")
def simulation():
    splits = {name: BurstSplit(data_bits=bits, burst_beats=most) for name, (bits, most) in SHAPES.items()}
    with Simulation(Bundle(splits)) as sim:
        yield sim


def words(layout, rows: list[dict[str, int]]) -> np.ndarray:
    values = [layout.const(row).as_bits() for row in rows]
    return np.array([[value & 0xFFFFFFFF, value >> 32] for value in values], np.uint32)


def bursts_of(run: dict[str, int], beats: int, size: int, most: int) -> list[dict[str, int]]:
    """By the definition."""
    first = run["address"] // size
    starts = [beat for beat in range(first, first + beats) if beat == first or beat % most == 0]
    ends = [*starts[1:], first + beats]
    return [
        {
            "address": start * size % 2**32, "length": end - start - 1, "begins": start == first,
            "ends": end == first + beats, "padding": run["padding"], "last": run["last"],
        }
        for start, end in zip(starts, ends, strict=True)
    ]  # fmt: skip


def cut(simulation, name: str, runs: list[dict[str, int]], beats: int, stall):
    bits, most = SHAPES[name]
    want = [burst for run in runs for burst in bursts_of(run, beats, bits // 8, most)]
    simulation.set(f"{name}__run", beats * bits // 8 - random.Random(beats).randrange(bits // 8))
    simulation.step(2)
    result = simulation.run(
        {f"{name}__runs": words(run_layout(), runs)}, {f"{name}__bursts": len(want)}, stall=stall,
        idle_timeout=1000, quiet=20,
    )  # fmt: skip
    for row, fields in zip(result.outputs[f"{name}__bursts"], want, strict=True):
        got = burst_layout().from_bits(int(row[0]) | int(row[1]) << 32)
        assert {field: int(got[field]) for field in fields} == fields
        if not fields["padding"]:
            last = fields["address"] + (fields["length"] + 1) * bits // 8 - 1
            assert fields["address"] // 4096 == last // 4096
    return result


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", SHAPES)
def test_random_runs(simulation, name, stall):
    seed = 60
    print(f"seed {seed}")
    rng = random.Random(f"{seed} {name} {stall}")
    size = SHAPES[name][0] // 8
    for beats in (1, 2, 3, 15, 16, 17, 64, 65, 300):
        runs = [
            {
                "address": rng.choice([rng.randrange(2**32), 2**32 - rng.randrange(2**12)]) // size * size,
                "padding": int(rng.random() < 0.3), "last": rng.randrange(2),
            }
            for _ in range(40)
        ]  # fmt: skip
        cut(simulation, name, runs, beats, STALLS[stall].with_seed(seed))


@pytest.mark.parametrize("beats", [1, 2, 16, 100])
def test_one_burst_a_cycle(simulation, beats):
    runs = [{"address": i * 8 * 104, "padding": 0, "last": 0} for i in range(50)]
    result = cut(simulation, "w64", runs, beats, NONE)
    bursts = "w64__bursts"
    assert result.last[bursts] - result.first[bursts] == result.beats[bursts] - 1
    assert result.first[bursts] - result.first["w64__runs"] == BurstSplit.latency


@pytest.mark.parametrize(
    ("wrong", "name"), [({"data_bits": 24}, "data_bits"), ({"burst_beats": 512}, "burst_beats")]
)
def test_arguments_are_checked(wrong, name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        BurstSplit(**{"data_bits": 64, "burst_beats": 16, **wrong})
