"""Whole products on the core, bit for bit against the golden model, and what they cost in cycles."""

import itertools
import zlib

import numpy as np
import pytest
from amaranth.back import rtlil

from sat_hdl.arith.ecp5 import TARGETS
from sat_hdl.compiler.cycles import pieces, stationary_cycles
from sat_hdl.compiler.product import Product
from sat_hdl.config import Config
from sat_hdl.formats import BINARY32, OPERAND_FORMATS
from sat_hdl.layouts import ErrorCode
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, Simulation
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.vectors import specials
from sat_hdl.sim.verilog import emit
from sat_hdl.stce.drain import Drain
from sat_hdl.stce.stce import Stce
from sat_hdl.stce.uspe import Uspe
from sat_hdl.top import ProductCore

from .core_bench import Job, check, hold_job, make_job, run

STALLS = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
CONFIGS = {
    "2x2": Config(rows=2, cols=2),
    "2x2-os": Config(rows=2, cols=2, weight_stationary=False),
    "1x2-os-lut": Config(rows=1, cols=2, weight_stationary=False, initial_ram="lut"),
    "1x1-m2-j9": Config(rows=1, cols=1, max_m=2, interleave=9, initial_ram="lut"),
    "3x5-m4-j11": Config(rows=3, cols=5, max_m=4, interleave=11),
    "1x4-bf16": Config(rows=1, cols=4, operand_format="bf16"),
    "4x1-j16-ecp5": Config(rows=4, cols=1, interleave=16, target="ecp5"),
    "2x3-m16": Config(rows=2, cols=3, max_m=16),  # E = 2
    "2x2-m16-j16": Config(rows=2, cols=2, max_m=16, interleave=16),
    "3x2-m16-j13-bf16-ecp5": Config(
        rows=3, cols=2, max_m=16, interleave=13, operand_format="bf16", target="ecp5"
    ),
    "2x2-fold2": Config(rows=2, cols=2, fold=2),
    "2x3-ring": Config(rows=2, cols=3, weight_stationary=False, ring=True),
    "3x1-m2-ring-bf16": Config(
        rows=3, cols=1, max_m=2, operand_format="bf16", weight_stationary=False, ring=True
    ),
    "1x2-m4-ring-block-ecp5": Config(
        rows=1, cols=2, max_m=4, target="ecp5", weight_stationary=False, ring=True, group_ram="block"
    ),
    "3x2-m4-j13-fold8-os": Config(
        rows=3, cols=2, max_m=4, interleave=13, fold=8, west_lanes=2, weight_stationary=False
    ),
    "1x1-m16-fold4": Config(rows=1, cols=1, max_m=16, fold=4),  # E = 2
    "2x1-m2-j16-fold4-bf16-ecp5": Config(
        rows=2, cols=1, max_m=2, interleave=16, fold=4, operand_format="bf16", target="ecp5"
    ),
}


def simulate(config: Config) -> Simulation:
    return Simulation(
        ProductCore(config), extra_sources=[ECP5.read_text()] if config.target == "ecp5" else []
    )


@pytest.fixture(scope="module", params=CONFIGS)
def design(request):
    config = CONFIGS[request.param]
    with simulate(config) as sim:
        yield config, sim


@pytest.fixture
def seed(request) -> int:
    number = zlib.crc32(request.node.name.encode())
    print(f"seed {number}")
    return number


def sparsities(config: Config) -> list[tuple[int, int] | None]:
    """Dense, and every N < M."""
    return [None, *((keep, group) for group in config.group_lengths() for keep in range(1, group))]


@pytest.mark.parametrize("stall", STALLS)
def test_awkward_shapes(design, stall, seed):
    """1, primes, the array ± 1, k around M, several bands and row tiles: all pairs, as jobs of one run."""
    config, sim = design
    rng = np.random.default_rng(seed)
    tile = config.cols * config.interleave
    ms = {1, 2, 7, max(1, config.rows - 1), config.rows, config.rows + 1, 3 * config.rows}
    ns = {1, 3, max(1, config.cols - 1), config.cols + 1, tile - 1, tile, tile + 1}
    # The last band has 8 slots of its own, or 7 or 1 more go to the band before, a wide one.
    ns |= {2 * tile + 7 * config.cols + 1, tile + 7 * config.cols, 2 * tile + 1}
    modes = sparsities(config)
    jobs = []
    for m, n in itertools.product(sorted(ms), sorted(ns)):
        sparsity = modes[rng.integers(len(modes))] if rng.random() < 0.7 else None
        group = sparsity[1] if sparsity else config.max_m
        k = int(rng.choice([1, group - 1, group, group + 1, 2 * group, 3 * group + 1, 13, 29]))
        jobs.append(make_job(config, m, k, n, sparsity, acc=rng.random() < 0.5, rng=rng))
    rng.shuffle(jobs)
    check(sim, config, jobs, STALLS[stall].with_seed(seed))


@pytest.mark.parametrize("stall", STALLS)
def test_every_sparsity(design, stall, seed):
    """Every N:M, with whole and short last groups of every length, in any order of modes."""
    config, sim = design
    rng = np.random.default_rng(seed)
    jobs = []
    for sparsity in sparsities(config):
        group = sparsity[1] if sparsity else config.max_m
        for k in {group, 2 * group, *rng.integers(1, 4 * group + 1, 4).tolist()}:
            m, n = int(rng.integers(1, 2 * config.rows + 1)), int(rng.integers(1, 3 * config.cols + 1))
            jobs.append(make_job(config, m, k, n, sparsity, acc=rng.random() < 0.5, rng=rng))
    rng.shuffle(jobs)
    check(sim, config, jobs, STALLS[stall].with_seed(seed))


def test_specials_times_specials(design, seed):
    """Every special operand with every other, on +0 and on every special accumulator."""
    config, sim = design
    rng = np.random.default_rng(seed)
    special, words = specials(config.format), specials(BINARY32)
    outer = make_job(config, len(special), 1, len(special), share=0, rng=rng)
    outer.a, outer.values = special[:, None], special[None, :]
    onto = make_job(config, len(words), 1, len(special), acc=True, share=0, rng=rng)
    onto.a, onto.values = rng.choice(special, (len(words), 1)), special[None, :]
    onto.acc = np.tile(words[:, None], (1, len(special)))
    chains = [
        make_job(config, 5, k, 11, sparsity, acc=True, share=0.2, rng=rng)
        for k in (1, 2, 3, 5)
        for sparsity in (None, (1, 2))
    ]
    check(sim, config, [outer, onto, *chains])


def test_negative_zero_survives_padding(design, seed):
    """A chain that visited padding would turn −0 into +0: k short of a group, rows and columns short of a tile."""
    config, sim = design
    rng = np.random.default_rng(seed)
    jobs = []
    for k, sparsity in itertools.product((1, config.max_m + 1), (None, (1, config.max_m))):
        job = make_job(config, config.rows + 1, k, config.cols + 1, sparsity, acc=True, share=0, rng=rng)
        job.a, job.values = np.zeros_like(job.a), job.values | np.uint16(0x8000)  # +0 × negative = −0
        job.acc = np.full_like(job.acc, 0x80000000)
        jobs.append(job)
        assert (job.expected() == 0x80000000).all()
    check(sim, config, jobs)


@pytest.mark.parametrize("stall", STALLS)
def test_folded(design, stall, seed):
    """Every sparsity and every fold that it can have, with few and many rows of A, tiles of fewer bands and rows,
    wide and narrow ones, whole and short last groups; and others in between."""
    config, sim = design
    if config.fold == 1:
        pytest.skip("This configuration can't fold.")
    rng = np.random.default_rng(seed)
    jobs = []
    for sparsity in sparsities(config):
        for slots in range(1, 12):
            n = int(rng.integers((slots - 1) * config.cols + 1, slots * config.cols + 1))
            for fold in Product.folds(config, n, sparsity and sparsity[1])[1:]:
                group = sparsity[1] if sparsity else config.max_m
                k = int(rng.choice([1, group - 1, group, group + 1, 2 * group, 3 * group + 1, 13]))
                tile = fold * config.rows
                m = int(rng.choice([1, config.rows + 1, tile, tile + 1, rng.integers(1, 4 * tile)]))
                acc = rng.random() < 0.5
                jobs.append(make_job(config, m, k, n, sparsity, acc=acc, fold=fold, rng=rng))
    rng.shuffle(jobs)
    jobs = jobs[:80]
    for at in range(0, len(jobs), 8):
        sparsity = sparsities(config)[rng.integers(len(sparsities(config)))]
        shape = (int(rng.integers(1, most)) for most in (3 * config.rows, 20, 20 * config.cols))
        jobs.insert(at, make_job(config, *shape, sparsity, acc=rng.random() < 0.5, rng=rng))
    check(sim, config, jobs, STALLS[stall].with_seed(seed))


def forms(config: Config) -> list[tuple[int, int, int]]:
    """Every (N, M, slots) that can be held, dense ones among them."""
    return [
        (keep, group, slots)
        for group in (1, *config.group_lengths())
        for keep in range(1, group + 1)
        for slots in range(4)
        if keep << slots <= config.held
    ]


@pytest.mark.parametrize("stall", STALLS)
def test_held_weights(design, stall, seed):
    """Every form of weight-stationary jobs, with whole and short last groups, few and many rows of A and of the
    array, columns that fill the slots or don't; and output-stationary ones in between."""
    config, sim = design
    if not config.weight_stationary:
        pytest.skip("This configuration can't hold weights.")
    rng = np.random.default_rng(seed)
    jobs = []
    for keep, group, slots in forms(config):
        wide, deep = config.cols << slots, config.rows * group
        m = int(rng.choice([1, 2, 7, 8, 9, 17, 40]))
        n, k = (
            int(rng.choice([1, most, max(1, most - 1), rng.integers(1, most + 1)])) for most in (wide, deep)
        )
        acc = rng.random() < 0.5
        jobs.append(hold_job(config, m, k, n, keep=keep, group=group, slots=slots, acc=acc, rng=rng))
        if rng.random() < 0.3:
            sparsity = sparsities(config)[rng.integers(len(sparsities(config)))]
            shape = (int(rng.integers(1, most)) for most in (2 * config.rows + 1, 20, 3 * config.cols))
            jobs.append(make_job(config, *shape, sparsity, acc=rng.random() < 0.5, rng=rng))
    rng.shuffle(jobs)
    check(sim, config, jobs, STALLS[stall].with_seed(seed))


def test_specials_in_held_weights(design, seed):
    """Special operands onto special accumulators, and −0 past the rows that hold nothing."""
    config, sim = design
    if not config.weight_stationary:
        pytest.skip("This configuration can't hold weights.")
    rng = np.random.default_rng(seed)
    jobs = []
    for keep, group, slots in forms(config):
        deep, n = config.rows * group, config.cols << slots
        arguments = {"keep": keep, "group": group, "slots": slots, "acc": True}
        jobs.append(hold_job(config, 9, int(rng.integers(1, deep + 1)), n, **arguments, share=0.2, rng=rng))
        job = hold_job(config, 5, 1, n, **arguments, share=0, rng=rng)
        job.a, job.values = np.zeros_like(job.a), job.values | np.uint16(0x8000)
        job.acc = np.full_like(job.acc, 0x80000000)
        assert (job.expected() == 0x80000000).all()
        jobs.append(job)
    check(sim, config, jobs)


def test_held_weights_give_the_same_bits(design, seed):
    """A product cut along k and n into jobs, each one's results being the next one's accumulators."""
    config, sim = design
    if not config.weight_stationary:
        pytest.skip("This configuration can't hold weights.")
    rng = np.random.default_rng(seed)
    for sparsity in (None, (1, 2)):
        whole = make_job(config, 11, 2 * config.rows * 2 + 1, 9 * config.cols + 1, sparsity, rng=rng)
        y = np.zeros((11, whole.product.n), np.uint32)
        for piece in pieces(whole.product):
            part = slice(None), piece.columns
            job = Job(
                fields=piece.job.job | {"accumulate": int(piece.k.start > 0)},
                product=piece.job,
                a=whole.a[:, piece.k],
                values=whole.values[piece.kept, piece.columns],
                indices=whole.indices[piece.kept, piece.columns] if sparsity else None,
                acc=y[part].copy() if piece.k.start else None,
            )
            y[part] = run(sim, config, [job], LIGHT.with_seed(seed))[0][0]
        np.testing.assert_array_equal(y, whole.expected())


@pytest.mark.parametrize("stall", STALLS)
def test_refusals_between_products(design, stall, seed):
    """A job refused takes no operand, and the next one runs."""
    config, sim = design
    rng = np.random.default_rng(seed)
    jobs, errors = [], []
    good = {"m": 1, "k": 1, "n": 1, "keep": 1, "group": 2, "accumulate": 1}
    bad = [({name: 0}, ErrorCode.EMPTY_SHAPE) for name in ("m", "k", "n")]
    bad += [({"keep": 0}, ErrorCode.BAD_KEEP), ({"keep": 3}, ErrorCode.BAD_KEEP)]
    legal = config.group_lengths()
    bad += [({"group": g}, ErrorCode.BAD_GROUP) for g in range(1 << config.count_bits) if g not in legal]
    held = {"stationary": 1, "group": 2, "keep": 1, "slots": 1}
    bad += [
        (held | change, ErrorCode.BAD_DATAFLOW)
        for change in ({"k": 2 * config.rows + 1}, {"n": 2 * config.cols + 1}, {"k": 1 << 23}, {"n": 1 << 23})
    ]
    if not config.weight_stationary:
        bad.append((held, ErrorCode.BAD_DATAFLOW))
    for change, error in bad:
        if change.get("keep", 0) >> config.count_bits:
            continue
        jobs += [Job(fields=good | change), make_job(config, 2, 3, 2, (1, 2), acc=True, rng=rng)]
        errors += [error.value, ErrorCode.NONE.value]
    reports = check(sim, config, jobs, STALLS[stall].with_seed(seed))
    assert [report["error"] for report in reports] == errors
    for report in reports[::2]:
        assert [report[name] for name in ("cycles", "busy", "input_stalls", "output_stalls")] == [0] * 4


# --- cycles -------------------------------------------------------------------------------------------


def tile_cycles(job: Job, stce: Stce) -> int:
    """The formula in ProductCore's description, for the products that it covers."""
    product, config = job.product, job.product.config
    turns = [
        (min(config.rows, product.m - top), -(-(band.stop - band.start) // config.cols))
        for band in product.bands()
        for top in range(0, product.m, config.rows)
    ]
    spans = [max(8, rounds) for _, rounds in turns]
    first, last = turns[0][0] * turns[0][1], turns[-1][0] * turns[-1][1]
    fill = -(-min(product.k, product.job["group"]) // config.west_elements)
    if job.acc is not None:
        fill = max(fill, first)
    if config.ring:  # all results of a tile are written before one leaves
        last += turns[-1][1] - 1
    tail = (
        last - spans[-1] + stce.result_latency + Drain(config, exchange_latency=stce.exchange_latency).latency
    )
    return fill + product.kept * sum(spans) + tail


def test_cycles_follow_the_formula(design, seed):
    config, sim = design
    rng = np.random.default_rng(seed)
    stce = Stce(config)
    tile = config.cols * config.interleave
    for m, bands, sparsity, acc in itertools.product(
        (1, config.rows, 2 * config.rows, 2 * config.rows + 1),
        (1 / config.interleave, 1, 2),
        (None, (1, config.max_m), (config.max_m - 1, config.max_m)),
        (False, True),
    ):
        n = round(bands * tile)
        # So every tile takes as long to compute as to drain the one before, and to fill its next groups.
        k = config.max_m * max(4, config.rows * 3)
        if (
            sparsity
            and sparsity[0] * max(8, min(n, tile) // config.cols) * config.west_elements < config.max_m
        ):
            continue
        job = make_job(config, m, k, n, sparsity, acc=acc, rng=rng)
        report = check(sim, config, [job])[0]
        assert report["cycles"] == tile_cycles(job, stce), job.fields
        slots = -(-n // config.cols)
        assert report["busy"] == slots * job.product.kept * -(-m // config.rows)
        assert report["output_stalls"] == 0


def test_cycles_of_held_weights(design, seed):
    """The formula of the cycle model, and every slot of every row of A is counted as busy."""
    config, sim = design
    if not config.weight_stationary:
        pytest.skip("This configuration can't hold weights.")
    rng = np.random.default_rng(seed)
    exact = config.operand_format == "fp16"
    for keep, group, slots in forms(config):
        for m in {1, 8, int(rng.integers(2, 30))}:
            n, k = (
                int(rng.integers(1, (config.cols << slots) + 1)),
                int(rng.integers(1, config.rows * group + 1)),
            )
            acc = rng.random() < 0.5
            job = hold_job(config, m, k, n, keep=keep, group=group, slots=slots, acc=acc, rng=rng)
            report = check(sim, config, [job])[0]
            want = stationary_cycles(job.product)
            assert report["cycles"] == (want if exact else pytest.approx(want, rel=0.15, abs=8)), job.fields
            assert report["busy"] == m * job.product.columns * keep
            assert report["output_stalls"] == 0


def test_cycles_are_those_seen_from_outside(design, seed):
    """The report's count is from the first operand accepted to the last result taken, stalls or not."""
    config, sim = design
    rng = np.random.default_rng(seed)
    for stall in STALLS.values():
        job = make_job(config, 2 * config.rows, 19, 3 * config.cols, (1, 2), acc=True, rng=rng)
        _, reports, result = run(sim, config, [job], stall.with_seed(seed))
        first = min(result.first[name] for name in ("west", "north", "initial"))
        assert reports[0]["cycles"] == result.last["result"] - first + 1


def test_stalls_are_counted(design, seed):
    """Starving the inputs shows as input stalls, a stubborn reader as output stalls."""
    config, sim = design
    rng = np.random.default_rng(seed)
    tile = config.cols * config.interleave
    job = make_job(config, 8 * config.rows, 1, 2 * tile, rng=rng)  # more results than operands
    slow_reader = check(sim, config, [job], type(NONE)(output=0.9, seed=seed))[0]
    slow_source = check(sim, config, [job], type(NONE)(input=0.9, seed=seed))[0]
    assert slow_reader["output_stalls"] > slow_reader["cycles"] / 2
    assert slow_source["input_stalls"] > slow_source["cycles"] / 3
    for report in (slow_reader, slow_source):
        assert report["busy"] == job.product.results // config.rows
        assert report["busy"] + report["input_stalls"] + report["output_stalls"] <= report["cycles"] + 8


@pytest.fixture(scope="module")
def default():
    """The default preset, 8 × 8."""
    with simulate(Config()) as sim:
        yield Config(), sim


@pytest.mark.parametrize("sparsity", [None, (2, 8), (1, 4), (4, 8)], ids=str)
def test_utilisation(default, sparsity, seed):
    """At least 95 % where m is a multiple of R, n of C·J, and the chains have 256 steps."""
    config, sim = default
    rng = np.random.default_rng(seed)
    keep, group = sparsity or (1, 1)
    for m, n in ((8, 64), (16, 128)):
        job = make_job(config, m, 256 * group // keep, n, sparsity, rng=rng)
        report = check(sim, config, [job])[0]
        assert job.product.macs / (report["cycles"] * 64) >= 0.95
        assert report["cycles"] == tile_cycles(job, Stce(config))
        assert report["busy"] == config.interleave * 256 * (m // 8) * (n // 64)


@pytest.mark.parametrize("sparsity", [None, (2, 8), (1, 2)], ids=str)
@pytest.mark.parametrize("k", [1, 8, 13, 64, 200])
def test_beats_scale_sim(default, k, sparsity, seed):
    """SCALE-Sim v3's closed form for output-stationary: ⌈M/R⌉⌈N/C⌉(K' + R + C − 2) − 1.

    Shapes of at least a full tile, wide ones among them.
    """
    config, sim = default
    rng = np.random.default_rng(seed)
    shapes = itertools.product((8, 9, 16, 31), (64, 65, 71, 120, 121, 128, 129))
    jobs = [make_job(config, m, k, n, sparsity, rng=rng) for m, n in shapes]
    for job, report in zip(jobs, check(sim, config, jobs)):
        product = job.product
        closed_form = -(-product.m // 8) * -(-product.n // 8) * (product.kept + 8 + 8 - 2) - 1
        assert report["cycles"] < closed_form, job.fields


# --- elaboration --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        *({"rows": rows, "cols": cols} for rows, cols in ((1, 1), (1, 32), (32, 1), (7, 3))),
        *({"max_m": m, "interleave": j} for m in (2, 4, 8, 16) for j in range(8, 17)),
        *({"max_m": m, "weight_stationary": False} for m in (2, 16)),
        *({"operand_format": f, "target": t} for f in ("fp16", "bf16") for t in ("portable", "ecp5")),
    ],
    ids=lambda arguments: "-".join(map(str, arguments.values())),
)
def test_every_legal_value_elaborates(arguments):
    """Down to the netlist; Verilog is written from some of them below, and by other tests."""
    core = ProductCore(Config(**({"rows": 1, "cols": 2} | arguments)))
    for component in (core, Uspe(Config(**({"rows": 1, "cols": 2} | arguments)))):
        assert rtlil.convert(component, name="top", emit_src=False)


@pytest.mark.parametrize("operand_format", OPERAND_FORMATS)
@pytest.mark.parametrize("target", TARGETS)
def test_vendor_primitives_are_for_their_target_only(operand_format, target):
    text = emit(ProductCore(Config(rows=1, cols=1, operand_format=operand_format, target=target)), "core")
    assert text.count("\nmodule uspe(") == 1
    assert ("MULT18X18D" in text) == ("CCU2C" in text) == (target == "ecp5")
