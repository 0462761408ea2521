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
from sat_hdl.wuve.pregenerate import Pregenerate, copies_latency, pregenerate_layout
from sat_hdl.wuve.transpose import Transpose

STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
ARGUMENTS = {
    4: {"cols": 4, "max_m": 4},
    8: {"cols": 8, "max_m": 8},
    16: {"cols": 16, "max_m": 16},
    32: {"cols": 32, "max_m": 2, "operand_format": "bf16"},
}
#: (E, L, D): few, since SORE takes long to compile. K of 1, of several, of E; vectors of parts of a row, of a row, of
#: several; beats of parts of a line, of a line, of a block's copy and more; more words than a block RAM has.
SHAPES = [
    (4, 1, 128), (4, 2, 64), (4, 8, 32), (4, 16, 512), (8, 4, 64), (8, 4, 128), (8, 8, 128), (16, 8, 32),
    (16, 16, 256), (32, 4, 32), (32, 16, 512),
]  # fmt: skip


class Unit:
    """One Pregenerate in a simulation, with what it must give."""

    def __init__(self, sim: Simulation, edge: int, lanes: int, bits: int):
        self.sim, self.prefix = sim, f"e{edge}l{lanes}d{bits}"
        self.config, self.edge, self.lanes, self.bits = config_of(edge, lanes, bits), edge, lanes, bits

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

    def wanted(self, blocks: np.ndarray, sparsity: tuple[int, int], copies: str) -> list[np.ndarray]:
        runs = []
        for block in blocks:
            for letter, matrix in (("f", block), ("b", block.T)):
                if letter in copies:
                    runs.append(self.beats(matrix, 16))
                elif letter.upper() in copies:
                    pruned = prune(matrix, *sparsity)
                    runs += [self.beats(pruned.values, 16), self.beats(pruned.indices, 4)]
        return runs

    def run(self, jobs, stall=NONE):
        """``jobs``: (blocks, sparsity, copies) each, run one after the other; all beats compared."""
        starts = np.array([self.start(len(blocks), *rest) for blocks, *rest in jobs])
        flat = np.concatenate([blocks.reshape(-1, self.lanes) for blocks, *_ in jobs])
        last = np.random.default_rng(0).integers(0, 2, len(flat))  # says nothing
        half = pack_lanes(flat, 16)
        if half.shape[1] * 32 == 16 * self.lanes:
            half = np.hstack([half, last[:, None].astype(np.uint32)])
        else:
            half[:, -1] |= (last << 16).astype(np.uint32)
        wanted = [np.zeros((0, self.bits // 32), np.uint32)]
        for job in jobs:
            wanted += self.wanted(*job)
        wanted = np.concatenate(wanted)
        result = self.sim.run(
            {f"{self.prefix}__start": starts, f"{self.prefix}__half": half},
            {f"{self.prefix}__beats": len(wanted)},
            stall=stall,
            idle_timeout=10_000,
            quiet=60,
        )
        got = result.outputs[f"{self.prefix}__beats"]
        wrong = np.flatnonzero((got != wanted).any(axis=1))
        assert wrong.size == 0, f"beat {wrong[0]} of {len(got)}: {got[wrong[0]]}, not {wanted[wrong[0]]}"
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


def config_of(edge: int, lanes: int, bits: int) -> Config:
    return Config(**ARGUMENTS[edge], vector_lanes=lanes, memory_bits=bits)


class Units(dict):
    """By shape. SORE's lane is one module a design, so a design for each E, built when it is asked for."""

    def __init__(self):
        super().__init__()
        self.sims = []

    def __missing__(self, shape: tuple[int, int, int]) -> Unit:
        shapes = [other for other in SHAPES if other[0] == shape[0]]
        parts = {f"e{e}l{lanes}d{bits}": Pregenerate(config_of(e, lanes, bits)) for e, lanes, bits in shapes}
        self.sims.append(Simulation(Bundle(parts)))
        self.update({other: Unit(self.sims[-1], *other) for other in shapes})
        return self[shape]


@pytest.fixture(scope="module")
def units():
    units = Units()
    yield units
    for sim in units.sims:
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


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cycles_of_a_block(units, shape, rng):
    """In steady state: what the docstring says, and what the update itself takes at least."""
    unit = units[shape]
    edge, lanes, bits = shape
    area, copy_lanes = edge * edge, unit.config.copy_lanes
    update = max(4 * area / lanes, 96 * area / bits, 2 * edge)
    for copies in COPIES:
        for sparsity in unit.sparsities():
            short, long = (
                max(unit.run([(unit.weights(blocks, rng), sparsity, copies)]).last.values())
                for blocks in (8, 24)
            )
            comes = area // min(copy_lanes, max(1, lanes // 4))
            bound = max(comes, len(copies) * area // copy_lanes)
            assert (long - short) / 16 <= bound <= update, (copies, sparsity)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_copy_lanes_are_as_few_as_keep_up(shape):
    config = config_of(*shape)
    edge, lanes, bits = shape
    update = max(4 / lanes, 96 / bits)
    assert config.copy_lanes == edge or 2 / config.copy_lanes <= update
    assert config.copy_lanes == 1 or 2 / (config.copy_lanes // 2) > update


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_latency(units, shape, rng):
    """Of a block alone, to its last beat."""
    unit = units[shape]
    for copies in COPIES[:-1]:
        for keep, group in unit.sparsities():
            result = unit.run([(unit.weights(1, rng), (keep, group), copies)])
            keeps = {c.lower(): keep if c.isupper() else 0 for c in copies}
            group = 2 if copies.islower() else group
            wanted = copies_latency(unit.config, ff=keeps.get("f"), bp=keeps.get("b"), group=group)
            taken, last = (result.last[f"{unit.prefix}__{name}"] for name in ("half", "beats"))
            assert last - taken == wanted, (copies, keep, group)


@pytest.mark.parametrize(
    "sparsity", [(0, 8), (9, 8), (3, 2), (1, 0), (1, 1), (1, 3), (2, 6), (4, 15)], ids=str
)
def test_an_impossible_sparsity_takes_no_weight(units, sparsity, rng):
    unit = units[8, 4, 64]
    name = f"{unit.prefix}__start"
    for copies in ("FB", "Fb", "B"):
        unit.sim.run({name: unit.start(3, sparsity, copies)[None]}, {}, quiet=100, idle_timeout=200)
        assert unit.sim.get(f"{unit.prefix}__error") == 1
        assert unit.sim.get(f"{unit.prefix}__busy") == 0
        assert unit.sim.get(f"{unit.prefix}__half__ready") == 0
        unit.run([(unit.weights(2, rng), (2, 4), copies)], LIGHT)
        assert unit.sim.get(f"{unit.prefix}__error") == 0
    unit.run([(unit.weights(2, rng), sparsity, "fb")])  # says nothing then
    assert unit.sim.get(f"{unit.prefix}__error") == 0


def test_done_is_one_cycle_after_the_last_beat(units, rng):
    """Stepped by hand: no ``done`` while a beat is still offered, then exactly one."""
    unit = units[4, 2, 64]
    sim, prefix = unit.sim, unit.prefix
    blocks = unit.weights(1, rng)
    for copies in ("FB", "fB", "fb", "B"):
        many = sum(len(beats) for beats in unit.wanted(blocks, (1, 4), copies))
        for held in range(many):
            vectors = [int(low) | int(high) << 16 for low, high in blocks.reshape(-1, 2)]
            sim.reset()
            start = unit.start(1, (1, 4), copies)
            sim.set(f"{prefix}__start__payload", sum(int(word) << 32 * i for i, word in enumerate(start)))
            sim.set(f"{prefix}__start__valid", 1)
            dones = taken = 0
            for cycle in range(300):
                if vectors:
                    sim.set(f"{prefix}__half__payload", vectors[0])
                sim.set(f"{prefix}__half__valid", bool(vectors))
                ready = taken != held or cycle >= 150
                sim.set(f"{prefix}__beats__ready", ready)
                if vectors and sim.get(f"{prefix}__half__ready"):
                    vectors.pop(0)
                offered = sim.get(f"{prefix}__beats__valid")
                assert cycle != 149 or (offered and not dones)
                taken += offered and ready
                done, busy = sim.get(f"{prefix}__done"), sim.get(f"{prefix}__busy")
                assert not done or (busy and not offered and not vectors)
                dones += done
                sim.step()
                sim.set(f"{prefix}__start__valid", 0)
            assert dones == 1 and taken == many and not sim.get(f"{prefix}__busy")


def test_refuses():
    with pytest.raises(ValueError, match="power of two, not 12"):
        Pregenerate(Config(cols=12))


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"lanes": 3}, "lanes must be a power of two from 1 to 16, not 3"),
        ({"lanes": 32}, "lanes must be a power of two from 1 to 16, not 32"),
        ({"edge": 2}, "edge must be a power of two from 4 to 32, not 2"),
        ({"copy_lanes": 16}, "copy_lanes must be a power of two from 1 to 8, not 16"),
        ({"width": 0}, "width must be a positive integer, not 0"),
    ],
    ids=str,
)
def test_transpose_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        Transpose(**{"lanes": 4, "edge": 8, "width": 16, "copy_lanes": 2} | arguments)
