"""Buffers, product unit, scatter and gather together: random products on random places, bit for bit."""

import itertools

import numpy as np
import pytest

from sat_hdl.compiler.product import Product
from sat_hdl.config import Config, ConfigError
from sat_hdl.control.gather import Form, gather_layout
from sat_hdl.control.load import Target, scatter_layout
from sat_hdl.control.product_run import Initial, product_run_layout
from sat_hdl.datapath import Datapath
from sat_hdl.layouts import job_layout
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.golden.convert import narrow
from sat_hdl.sim.golden.product import matmul, sparse_matmul
from sat_hdl.sim.golden.prune import prune
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.packing import words_of
from sat_hdl.sim.run import HEAVY, NONE, Stall

CONFIGS = {
    "r2c2": Config(rows=2, cols=2, west_depth=512, north_depth=1024),
    "r4c8_d32": Config(rows=4, cols=8, memory_bits=32, west_depth=512),
    "r4c1_d32": Config(rows=4, cols=1, memory_bits=32, west_depth=512, north_depth=1024),
    "r2c4_os": Config(rows=2, cols=4, weight_stationary=False),
    "r8c4_m16_d128": Config(rows=8, cols=4, max_m=16, memory_bits=128),
    "r2c2_fold4": Config(rows=2, cols=2, fold=4, west_depth=512, north_depth=1024),
    "r4c2_m4_j16_fold2_os": Config(
        rows=4, cols=2, max_m=4, interleave=16, fold=2, west_lanes=2, west_depth=512, weight_stationary=False
    ),
    "r4c2_ecp5": Config(rows=4, cols=2, target="ecp5", west_depth=512, north_depth=1024),
    "r2c2_ring": Config(
        rows=2,
        cols=2,
        weight_stationary=False,
        ring=True,
        group_ram="block",
        west_depth=512,
        north_depth=1024,
    ),
}
FOLDING = [name for name in CONFIGS if CONFIGS[name].fold > 1]


def fields(layout, **values) -> int:
    return sum(
        (int(getattr(v, "value", v)) & ((1 << layout[k].width) - 1)) << layout[k].offset
        for k, v in values.items()
    )


def words(value: int, bits: int) -> np.ndarray:
    return np.array([[value >> 32 * i & 0xFFFFFFFF for i in range(words_of(bits))]], np.uint32)


class Rig:
    """A datapath that is driven by whole loads, products and stores."""

    def __init__(self, config: Config):
        self.config = config
        self.sim = Simulation(Datapath(config), extra_sources=[ECP5.read_text()])
        self.per_beat = config.memory_bits // 16

    def _start(self, name: str, value: int):
        self.sim.set(name, value)
        self.sim.set(f"{name}_start", 1)
        self.sim.step()
        self.sim.set(f"{name}_start", 0)

    def load(self, rows, stall: Stall, **what):
        """``rows``: lists of runs, each 16-bit elements; what fills up a run's last beat is garbage."""
        config, bits = self.config, self.config.memory_bits
        beats = []
        for run in itertools.chain(*rows):
            full = np.full(-(-len(run) // self.per_beat) * self.per_beat, 0xDEAD, np.uint16)
            full[: len(run)] = run
            parts = full.reshape(-1, self.per_beat)
            for i, part in enumerate(parts):
                value = int.from_bytes(part.tobytes(), "little") | (i == len(parts) - 1) << bits
                beats.append(words(value, bits + 2)[0])
        self._start("load", fields(scatter_layout(config), **what))
        self.sim.run({"beats": np.array(beats)}, {}, stall=stall, timeout=200_000)
        while self.sim.get("loading"):
            self.sim.step()
        assert not self.sim.get("load_error")

    def product(self, job: dict[str, int], **run):
        layout = product_run_layout(self.config)
        value = fields(layout, job=fields(job_layout(self.config), **job), **run)
        done = self.sim.run({"run": words(value, layout.size)}, {"status": 1}, timeout=1_000_000)
        assert done.outputs["status"][0, 0] & 15 == 0

    def store(self, beats: int, stall: Stall, **what) -> np.ndarray:
        """Bytes, (beats, D / 8)."""
        self._start("store", fields(gather_layout(self.config), **what))
        done = self.sim.run({}, {"stored": beats}, stall=stall, timeout=200_000)
        self.sim.step(30)
        assert not self.sim.get("storing")
        octets = np.ascontiguousarray(done.outputs["stored"]).view(np.uint8)
        return octets[:, : self.config.memory_bits // 8]


@pytest.fixture(scope="module")
def rigs():
    return {}


def operands(rng, shape):
    x = rng.standard_normal(shape).astype(np.float16)
    # All bit patterns now and then: NaN, infinities, subnormals.
    return rng.integers(0, 1 << 16, shape, dtype=np.uint16).view(np.float16) if rng.random() < 0.2 else x


def load_a(rig, rng, a, transposed: bool, stall) -> tuple[int, int]:
    """Returns the first word and the pitch."""
    config, (m, k) = rig.config, a.shape
    tiles = -(-m // config.rows)
    pitch = -(-k // config.ingest) + int(rng.integers(0, 3))
    at = int(rng.integers(0, config.west_depth - tiles * pitch))
    where = dict(to=at, pitch=pitch)
    if transposed:
        rig.load([[column] for column in a.T], stall, target=Target.WEST_COLUMNS, take=m, inner=1, **where)
        return at, pitch
    # Rows of one or of several runs, of lengths that are no multiple of anything.
    inner = next(n for n in (3, 2, 1) if k % n == 0) if rng.random() < 0.5 else 1
    rows = [list(row.reshape(inner, -1)) for row in a]
    rig.load(rows, stall, target=Target.WEST_ROWS, take=k // inner, inner=inner, **where)
    return at, pitch


def load_b(rig, rng, values, indices, by_rows: bool, stall) -> tuple[int, int]:
    config, (kept, n) = rig.config, values.shape
    edge = config.panel
    panels = -(-n // edge)
    pitch = kept + int(rng.integers(0, 3))
    at = int(rng.integers(0, config.north_depth - panels * pitch))
    where = dict(inner=1, to=at, pitch=pitch)
    if by_rows and indices is None:
        rig.load([[row] for row in values], stall, target=Target.NORTH_ROWS, take=n, **where)
        return at, pitch
    padded = np.zeros((kept, panels * edge), np.uint16)
    padded[:, :n] = values
    runs = [[panel.ravel()] for panel in np.split(padded, panels, axis=1)]
    rig.load(runs, stall, target=Target.NORTH_VALUES, take=kept * edge, **where)
    if indices is not None:
        padded[:, :n] = indices
        nibbles = padded.reshape(kept, -1, 4) << np.array([0, 4, 8, 12], np.uint16)
        packed = np.bitwise_or.reduce(nibbles, axis=2)
        runs = [[panel.ravel()] for panel in np.split(packed, panels, axis=1)]
        rig.load(runs, stall, target=Target.NORTH_INDICES, take=kept * edge // 4, **where)
    return at, pitch


def in_array_order(config, x):
    """A band (m, slots·C) as words (words, C): for tile, for slot, for row."""
    cols = config.cols
    parts = []
    for top in range(0, len(x), config.rows):
        tile = x[top : top + config.rows]
        parts += [tile[:, left : left + cols] for left in range(0, x.shape[1], cols)]
    return np.concatenate(parts)


def load_initial(rig, rng, kind: int, m: int, n: int, result: int, stall):
    """Returns the accumulators (m, n) and where they are."""
    config = rig.config
    slots = -(-n // config.cols)
    if kind == Initial.ZERO:
        return None, 0
    if kind == Initial.BIAS:
        acc, at = rng.standard_normal(slots * config.cols).astype(np.float32), result + slots * m
        stream = acc
    else:
        acc, at = rng.standard_normal((m, slots * config.cols)).astype(np.float32), result
        stream = in_array_order(config, acc)
    halves = stream.ravel().view(np.uint16)
    rig.load([[halves]], stall, target=Target.RESULTS, take=len(halves), inner=1, to=at, pitch=0)
    return np.broadcast_to(acc, (m, slots * config.cols))[:, :n], at


def check_stores(rig, want, first: int, stall):
    """Every form of store of a band."""
    config, (m, n) = rig.config, want.shape
    where = dict(first=first, m=m, n=n)
    bits = want.view(np.uint32)
    for form, expected in (
        (Form.WIDE_ROWS, bits),
        (Form.ROWS, narrow(want, "fp16").view(np.uint16)),
        (Form.ROWS_RELU, narrow(np.where(want <= 0, np.float32(0), want), "fp16").view(np.uint16)),
    ):
        size = expected.itemsize * n
        per_row = -(-size // (config.memory_bits // 8))
        got = rig.store(m * per_row, stall, form=form, **where).reshape(m, -1)[:, :size]
        assert (got.copy().view(expected.dtype) == expected).all(), form
    slots = -(-n // config.cols)
    padded = np.zeros((m, slots * config.cols), np.uint32)
    padded[:, :n] = bits
    ordered = in_array_order(config, padded)
    # A run is a tile's rows in a panel, or one of them where a panel is wider than the array.
    heights = [min(config.rows, m - top) for top in range(0, m, config.rows)]
    lengths = [1] * len(ordered) if config.panel > config.cols else [h for h in heights for _ in range(slots)]
    beats = [-(-length * config.cols * 2 // rig.per_beat) for length in lengths]
    got = rig.store(sum(beats), stall, form=Form.WIDE_COLUMNS, **where)
    at = row = 0
    for length, count in zip(lengths, beats):
        run = got[at : at + count].ravel()[: length * config.cols * 4].copy().view(np.uint32)
        assert (run == ordered[row : row + length].ravel()).all()
        at, row = at + count, row + length


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sparsity", [None, (2, 8), (1, 2), (3, 4)])
@pytest.mark.parametrize("name", CONFIGS)
def test_products(rigs, name, sparsity, seed):
    config = CONFIGS[name]
    rig = rigs.setdefault(name, None) or Rig(config)
    rigs[name] = rig
    rng = np.random.default_rng([seed, list(CONFIGS).index(name), *(sparsity or (0, 0))])
    stall = (NONE, HEAVY)[seed % 2].with_seed(seed)
    rows, cols = config.rows, config.cols
    m, k = int(rng.choice([1, rows, rows + 1, 3 * rows - 1])), int(rng.integers(1, 60))
    # A band: in a ring, of no more than J slots.
    wide = (5, 7) if config.ring else (11, 15)
    n = int(rng.choice([1, cols, cols + 1, 8 * cols, wide[0] * cols - 1, wide[1] * cols]))
    if sparsity is not None and sparsity[1] not in config.group_lengths():
        pytest.skip("Groups are longer than the array's.")
    check_product(rig, rng, m, k, n, sparsity or (config.max_m, config.max_m), stall)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", FOLDING)
def test_folded(rigs, name, seed):
    """Results and partial sums of bands lie where they would lie otherwise."""
    config = CONFIGS[name]
    rig = rigs.setdefault(name, None) or Rig(config)
    rigs[name] = rig
    rng = np.random.default_rng([seed, FOLDING.index(name), 98])
    stall = (NONE, HEAVY)[seed % 2].with_seed(seed)
    group = int(rng.choice(config.group_lengths()))
    keep = group if rng.random() < 0.3 else int(rng.integers(1, group + 1))
    n = int(rng.integers(1, (config.interleave + 7) // 2 * config.cols + 1))
    fold = int(rng.choice(Product.folds(config, n, group)))
    tile, k = fold * config.rows, int(rng.integers(1, 50))
    m = int(rng.choice([1, config.rows + 1, tile, tile + 1, rng.integers(1, 4 * tile)]))
    check_product(rig, rng, m, k, n, (keep, group), stall, fold=fold.bit_length() - 1)


def check_product(rig, rng, m: int, k: int, n: int, sparsity: tuple[int, int], stall, **job: int):
    a, b = operands(rng, (m, k)), operands(rng, (k, n))
    transposed, kind = bool(rng.integers(2)), int(rng.integers(3))
    west = load_a(rig, rng, a.view(np.uint16), transposed, stall)
    keep, group = sparsity
    if keep == group:
        north = load_b(rig, rng, b.view(np.uint16), None, transposed, stall)
    else:
        pruned = prune(b, keep, group, 0)
        north = load_b(rig, rng, pruned.values.view(np.uint16), pruned.indices, False, stall)
    result = int(rng.integers(0, 50))
    acc, initial = load_initial(rig, rng, kind, m, n, result, stall)
    rig.product(
        dict(m=m, k=k, n=n, keep=keep, group=group, accumulate=kind != Initial.ZERO, **job),
        start=kind, west=west[0], west_pitch=west[1], north=north[0], north_pitch=north[1],
        initial=initial, result=result,
    )  # fmt: skip
    if keep == group:
        want = matmul(a, b, acc=acc)
    else:
        want = sparse_matmul(a, pruned.values, pruned.indices, k=k, keep=keep, group=group, acc=acc)
    check_stores(rig, want, result, stall)


def load_groups(rig, rng, a, group: int, samples: int, stall) -> int:
    """A for weights that are held: to bank r the elements of group r, row after row. Returns the first word."""
    config, (m, k) = rig.config, a.shape
    words_ = -(-m * group // config.ingest)
    at = int(rng.integers(0, config.west_depth - words_))
    full = np.zeros((m, config.rows * group), np.uint16)
    full[:, :k] = a
    by_row = full.reshape(m, config.rows, group).swapaxes(0, 1).reshape(config.rows, -1)
    where = dict(inner=1, to=at, pitch=words_)
    if rng.random() < 0.5:
        rig.load([[row] for row in by_row], stall, target=Target.WEST_ROWS, take=m * group, **where)
    else:
        rig.load([[part] for part in by_row.T], stall, target=Target.WEST_COLUMNS, take=config.rows, **where)
    return at


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].weight_stationary])
def test_held_weights(rigs, name, seed):
    """Weight-stationary: results and partial sums lie where they would lie otherwise."""
    config = CONFIGS[name]
    rig = rigs.setdefault(name, None) or Rig(config)
    rigs[name] = rig
    rng = np.random.default_rng([seed, list(CONFIGS).index(name), 99])
    stall = (NONE, HEAVY)[seed % 2].with_seed(seed)
    group = int(rng.choice([1, *config.group_lengths()]))
    keep = group if rng.random() < 0.5 else int(rng.integers(1, group + 1))
    slots = int(rng.choice([s for s in range(4) if keep << s <= config.held]))
    m, k = int(rng.choice([1, config.rows, 13, 37])), int(rng.integers(1, config.rows * group + 1))
    m = 37 if seed < 3 else m
    n = int(rng.choice([1, config.cols << slots, rng.integers(1, (config.cols << slots) + 1)]))
    a, b, kind = operands(rng, (m, k)), operands(rng, (k, n)), int(rng.integers(3))
    west = load_groups(rig, rng, a.view(np.uint16), group, 8 >> slots, stall)
    if keep == group:
        north = load_b(rig, rng, b.view(np.uint16), None, bool(rng.integers(2)), stall)
    else:
        pruned = prune(b, keep, group, 0)
        north = load_b(rig, rng, pruned.values.view(np.uint16), pruned.indices, False, stall)
    result = int(rng.integers(0, 50))
    acc, initial = load_initial(rig, rng, kind, m, n, result, stall)
    rig.product(
        dict(m=m, k=k, n=n, keep=keep, group=group, accumulate=kind != Initial.ZERO, stationary=1, slots=slots),
        start=kind, west=west, north=north[0], north_pitch=north[1], initial=initial, result=result,
    )  # fmt: skip
    assert not rig.sim.get("run_error")
    if keep == group:
        want = matmul(a, b, acc=acc)
    else:
        want = sparse_matmul(a, pruned.values, pruned.indices, k=k, keep=keep, group=group, acc=acc)
    check_stores(rig, want, result, stall)


@pytest.mark.parametrize("slots", [0, 1, 3])
@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].weight_stationary])
def test_results_far_behind_their_accumulators(rigs, name, slots):
    """Sums travel for many turns of many rows of A each: more tiles than any queue holds; and the last row's weights
    come when many sums have begun."""
    config = CONFIGS[name]
    rig = rigs.setdefault(name, None) or Rig(config)
    rigs[name] = rig
    rng = np.random.default_rng(1)
    m, k, n = 8 * config.rows + 33, config.rows, config.cols << slots
    a, b = operands(rng, (m, k)), operands(rng, (k, n))
    west = load_groups(rig, rng, a.view(np.uint16), 1, 8 >> slots, NONE)
    north = load_b(rig, rng, b.view(np.uint16), None, False, NONE)
    acc, initial = load_initial(rig, rng, Initial.RESULTS, m, n, 3, NONE)
    rig.product(
        dict(m=m, k=k, n=n, keep=1, group=1, accumulate=1, stationary=1, slots=slots),
        start=Initial.RESULTS, west=west, north=north[0], north_pitch=north[1], initial=initial, result=3,
    )  # fmt: skip
    check_stores(rig, matmul(a, b, acc=acc), 3, NONE)


def test_sides_that_are_no_powers_of_two_are_refused():
    with pytest.raises(ConfigError, match="needs `rows` to be a power of two, not 3"):
        Datapath(Config(rows=3))
