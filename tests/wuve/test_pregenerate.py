"""Pre-generation against the golden model's pruning: every shape, sparsity and stall; the cycles that it takes."""

import zlib

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation
from sat_hdl.sim.golden.prune import prune
from sat_hdl.sim.packing import pack_lanes, words_of
from sat_hdl.sim.vectors import specials
from sat_hdl.wuve.pregenerate import Pregenerate, pregenerate_layout

OUTPUTS = ("ff_values", "ff_indices", "bp_values", "bp_indices")
STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
ARGUMENTS = {
    4: {"cols": 4, "max_m": 4},
    8: {"cols": 8, "max_m": 8},
    16: {"cols": 16, "max_m": 16, "interleave": 16, "operand_format": "bf16"},
}
#: (E, L, D): every L with every D, and more lanes than a block has columns.
SHAPES = [
    *((4, lanes, bits) for lanes, bits in ((1, 32), (2, 64), (4, 128), (8, 32), (16, 64))),
    *((8, lanes, bits) for lanes, bits in ((1, 64), (2, 128), (4, 64), (4, 32), (8, 64), (16, 512))),
    *((16, lanes, bits) for lanes, bits in ((1, 128), (2, 32), (8, 128))),
]
DENSE = None


class Unit:
    """One Pregenerate in a simulation, with what it must give."""

    def __init__(self, sim: Simulation, edge: int, lanes: int, bits: int):
        self.sim, self.prefix = sim, f"e{edge}l{lanes}d{bits}"
        self.config, self.edge, self.lanes, self.bits = config_of(edge, bits), edge, lanes, bits

    def start(self, blocks: int, sparsity: tuple[int, int], copies: str) -> np.ndarray:
        """``copies``: "f" or "F" for W_FF dense or sparse, "b" or "B" for W_BP."""
        fields = {"blocks": blocks, "keep": sparsity[0], "group": sparsity[1]}
        fields |= {"ff": "f" in copies.lower(), "ff_sparse": "F" in copies}
        fields |= {"bp": "b" in copies.lower(), "bp_sparse": "B" in copies}
        layout = pregenerate_layout(self.config)
        value = layout.const({name: int(field) for name, field in fields.items()}).as_bits()
        words = words_of(layout.size)
        return np.array([value >> 32 * i & 0xFFFFFFFF for i in range(words)], np.uint32)

    def beats(self, rows: np.ndarray, width: int) -> np.ndarray:
        """A run: rows one after the other, then zeros to a whole beat."""
        flat = rows.ravel()
        per_beat = self.bits // width
        padded = np.zeros(-(-flat.size // per_beat) * per_beat, flat.dtype)
        padded[: flat.size] = flat
        return pack_lanes(padded.reshape(-1, per_beat), width)

    def wanted(
        self, blocks: np.ndarray, sparsity: tuple[int, int], copies: str
    ) -> dict[str, list[np.ndarray]]:
        outputs = {name: [] for name in OUTPUTS}
        for block in blocks:
            for letter, name, matrix in (("f", "ff", block), ("b", "bp", block.T)):
                if letter in copies:
                    outputs[f"{name}_values"].append(self.beats(matrix, 16))
                elif letter.upper() in copies:
                    pruned = prune(matrix, *sparsity)
                    outputs[f"{name}_values"].append(self.beats(pruned.values, 16))
                    outputs[f"{name}_indices"].append(self.beats(pruned.indices, 4))
        return outputs

    def run(self, jobs, stall=NONE):
        """``jobs``: (blocks, sparsity, copies) each, run one after the other; all outputs compared."""
        starts = np.array([self.start(len(blocks), *rest) for blocks, *rest in jobs])
        flat = np.concatenate([blocks.reshape(-1, self.lanes) for blocks, *_ in jobs])
        last = np.random.default_rng(0).integers(0, 2, len(flat))  # says nothing
        half = pack_lanes(flat, 16)
        if half.shape[1] * 32 == 16 * self.lanes:
            half = np.hstack([half, last[:, None].astype(np.uint32)])
        else:
            half[:, -1] |= (last << 16).astype(np.uint32)
        wanted = {name: [np.zeros((0, self.bits // 32), np.uint32)] for name in OUTPUTS}
        for job in jobs:
            for name, runs in self.wanted(*job).items():
                wanted[name] += runs
        wanted = {name: np.concatenate(runs) for name, runs in wanted.items()}
        result = self.sim.run(
            {f"{self.prefix}__start": starts, f"{self.prefix}__half": half},
            {f"{self.prefix}__{name}": len(beats) for name, beats in wanted.items()},
            stall=stall,
            idle_timeout=2000,
            quiet=60,
        )
        for name, beats in wanted.items():
            got = result.outputs[f"{self.prefix}__{name}"]
            wrong = np.flatnonzero((got != beats).any(axis=1))
            assert wrong.size == 0, (
                f"{name} beat {wrong[0]} of {len(beats)}: {got[wrong[0]]}, not {beats[wrong[0]]}"
            )
        assert self.sim.get(f"{self.prefix}__busy") == 0
        return result

    def weights(self, blocks: int, rng: np.random.Generator) -> np.ndarray:
        """Blocks of uniform patterns, special values, few distinct ones (ties), equal magnitudes of both signs."""
        shape = (blocks, self.edge, self.edge)
        uniform = rng.integers(0, 1 << 16, shape)
        special = rng.choice(specials(self.config.format).astype(np.int64), shape)
        few = rng.choice(rng.integers(0, 1 << 15, 3), shape) | rng.integers(0, 2, shape) << 15
        equal = np.full(shape, rng.integers(0, 1 << 15)) | rng.integers(0, 2, shape) << 15
        kinds = rng.integers(0, 4, (blocks, 1, 1))
        return np.choose(kinds, [uniform, special, few, equal]).astype(np.uint16)

    def sparsities(self) -> list[tuple[int, int]]:
        return [(keep, group) for group in self.config.group_lengths() for keep in range(1, group + 1)]


def config_of(edge: int, bits: int) -> Config:
    return Config(**ARGUMENTS[edge], memory_bits=bits)


@pytest.fixture(scope="module")
def units():
    """By shape. SORE's lane is one module a design, so a design for each E."""
    found, sims = {}, []
    for edge in ARGUMENTS:
        shapes = [shape for shape in SHAPES if shape[0] == edge]
        parts = {f"e{e}l{lanes}d{bits}": Pregenerate(config_of(e, bits), lanes) for e, lanes, bits in shapes}
        sims.append(Simulation(Bundle(parts)))
        found |= {shape: Unit(sims[-1], *shape) for shape in shapes}
    yield found
    for sim in sims:
        sim.close()


@pytest.fixture
def rng(request) -> np.random.Generator:
    seed = zlib.crc32(request.node.name.encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)


COPIES = ("FB", "fB", "Fb", "fb", "F", "B", "f", "b", "")


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_starts_in_a_row(units, shape, stall, rng):
    """Every N:M with both copies sparse, and with any; 0 to 5 blocks each."""
    unit = units[shape]
    jobs = []
    for sparsity in unit.sparsities():
        jobs.append((unit.weights(int(rng.integers(1, 6)), rng), sparsity, "FB"))
        copies = str(rng.choice(COPIES))
        jobs.append((unit.weights(int(rng.integers(0, 6)), rng), sparsity, copies))
    jobs += [(unit.weights(2, rng), (1, 2), copies) for copies in COPIES]
    rng.shuffle(jobs)
    unit.run(jobs, STALLS[stall].with_seed(int(rng.integers(1 << 30))))
