"""WUVE against the numerics contract: every operation, shape and stall; rates; commands that are none."""

import numpy as np
import pytest

from sat_hdl.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat
from sat_hdl.sim.fast import HEAVY, LIGHT, NONE, RunResult, Simulation, Stall
from sat_hdl.sim.golden.elementwise import sgd_momentum
from sat_hdl.sim.models import ECP5
from sat_hdl.sim.vectors import specials
from sat_hdl.wuve.layouts import ENTRIES, Op, command_layout
from sat_hdl.wuve.wuve import Wuve

from .reference import Job, beats, halves, make, outputs, rounded, strange

#: Lanes and bits of a beat. The first ones have every relation between a vector and a beat.
SHAPES = [(4, 64), (1, 32), (1, 128), (2, 32), (2, 128)]
SHAPES += [
    pytest.param((lanes, bits), marks=pytest.mark.slow)
    for lanes, bits in ((1, 64), (2, 64), (4, 32), (4, 128))
]
SCALARS = np.array([1 / 64, 1e-4, 0.9, 0.05, 1 / 9, 1 / 3, -7.5, 1e-30], np.float32).view(np.uint32)
OVERFLOW, ERROR = 1, 2
FLAGS = ("relu", "scale", "x_wide", "y_wide", "out_wide")


def words_of(values: list[int], width: int) -> np.ndarray:
    return np.array([[v >> (32 * i) & 0xFFFFFFFF for i in range(-(-width // 32))] for v in values], np.uint32)


class Engine:
    """A Wuve in a simulation: plays jobs, and compares all that comes out."""

    def __init__(self, design: Wuve, lanes: int, bits: int, fmt: FloatFormat):
        self.sim = Simulation(design, extra_sources=[ECP5.read_text()])
        self.lanes, self.bits, self.fmt = lanes, bits, fmt

    def run(
        self, inputs: dict[str, np.ndarray], wanted: dict[str, int], stall: Stall, **options
    ) -> RunResult:
        self.sim.set("scalars", sum(int(s) << (32 * i) for i, s in enumerate(SCALARS)))
        return self.sim.run(inputs, wanted, stall=stall, **({"idle_timeout": 2000, "quiet": 100} | options))

    def inputs(self, jobs: list[Job], rng: np.random.Generator) -> dict[str, np.ndarray]:
        streams = {"command": [words_of([job.command for job in jobs], command_layout().size)]}
        for job in jobs:
            for name in "xyz":
                values = getattr(job, name)
                if values is None:
                    continue
                runs = values.size // job.run
                pads = rng.integers(0, 2, runs) > 0  # y's and z's say nothing
                if name == "x":
                    pads = np.zeros(runs, bool) if job.pads is None else job.pads
                streams.setdefault(name, []).append(beats(values, job.run, self.bits, rng, pads))
        return {name: np.concatenate(parts) for name, parts in streams.items()}

    def play(self, jobs: list[Job], rng: np.random.Generator, stall: Stall = NONE) -> RunResult:
        wanted = {"status": [words_of([OVERFLOW * strange(job, self.fmt)], 2) for job in jobs]}
        for job in jobs:
            for name, values in outputs(job, SCALARS, self.fmt).items():
                packed = halves(values, job.run, self.lanes)
                if name != "half":
                    packed = beats(values, job.run, self.bits)
                wanted.setdefault(name, []).append(packed)
        wanted = {name: np.concatenate(parts) for name, parts in wanted.items()}
        result = self.run(self.inputs(jobs, rng), {name: len(v) for name, v in wanted.items()}, stall)
        for name, values in wanted.items():
            got = result.outputs[name]
            wrong = np.flatnonzero((got != values).any(axis=1))
            assert wrong.size == 0, f"{name} beat {wrong[0]}: {got[wrong[0]]} instead of {values[wrong[0]]}"
        return result


@pytest.fixture(scope="module")
def engines():
    """engines[lanes, data_bits] → an engine, built when it is first asked for."""

    class Engines(dict):
        def __missing__(self, shape):
            lanes, bits = shape
            self[shape] = Engine(Wuve(lanes=lanes, data_bits=bits, format=BINARY16), lanes, bits, BINARY16)
            return self[shape]

    engines = Engines()
    yield engines
    for engine in engines.values():
        engine.sim.close()


@pytest.fixture(scope="module")
def bf16():
    engine = Engine(Wuve(lanes=4, data_bits=32, format=BFLOAT16, target="ecp5"), 4, 32, BFLOAT16)
    yield engine
    engine.sim.close()


def any_job(lanes: int, fmt: FloatFormat, rng: np.random.Generator) -> Job:
    """A job of random operation, flags and shape."""
    op = Op(int(rng.choice([op.value for op in Op if op != Op.SGD] + 3 * [Op.SGD.value])))
    fields = {flag: int(rng.integers(0, 2)) for flag in (*FLAGS, "nesterov", "half")}
    fields["scalar"] = int(rng.integers(4, 7))
    run = int(rng.choice([1, 2, 3, lanes, lanes + 1, 2 * lanes, 7, 8, 13]))
    if op not in (Op.MAXPOOL, Op.SUM, Op.SELECT_SUM):
        runs = int(rng.integers(1, 12))
        if rng.integers(0, 3) == 0:
            return make(op, int(rng.integers(1, 100)), fields, fmt, rng)
        return make(op, run * runs, fields | {"run": run}, fmt, rng)
    runs = int(rng.integers(1, 1 + ENTRIES // -(-run // lanes)))
    fields["window"] = int(rng.choice([1, 2, 3, 4, 9]))
    fields["chunk"] = run * runs
    if rng.integers(0, 3):
        fields["run"] = run
    elif run * runs > ENTRIES * lanes:
        fields["chunk"] = ENTRIES * lanes
    fields |= {"inner": int(rng.integers(0, 4)), "base": int(rng.integers(0, 4))}
    fields |= {name: int(rng.choice([0, 1, 2, 0xFFFF, 0xFFFE])) for name in ("step_inner", "step_outer")}
    return make(op, fields["chunk"] * fields["window"] * int(rng.integers(1, 4)), fields, fmt, rng)


@pytest.mark.parametrize("stall", [NONE, LIGHT, HEAVY], ids=["none", "light", "heavy"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_commands(engines, shape, stall):
    seed = 1000 * shape[0] + shape[1]
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    jobs = [any_job(shape[0], BINARY16, rng) for _ in range(60)]
    engines[shape].play(jobs, rng, stall.with_seed(seed))


@pytest.mark.parametrize("stall", [NONE, HEAVY], ids=["none", "heavy"])
def test_any_commands_on_bfloat16_and_ecp5(bf16, stall):
    seed = 31
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    bf16.play([any_job(2, BFLOAT16, rng) for _ in range(60)], rng, stall.with_seed(seed))


@pytest.mark.parametrize("op", list(Op), ids=lambda op: op.name)
def test_every_operation_on_one_to_many_elements(engines, op):
    """Sizes about a vector, a beat, the entries; the order of elements is that of the streams."""
    lanes, seed = 4, 32 + op.value
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    jobs = []
    for size in [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128]:
        for fields in ({}, {"x_wide": 1, "half": 1, "nesterov": 1, "scale": 1, "scalar": 4}):
            windowed = {"chunk": size, "window": 3} if op in (Op.MAXPOOL, Op.SUM, Op.SELECT_SUM) else {}
            jobs.append(make(op, size * windowed.get("window", 1), fields | windowed, BINARY16, rng))
    engines[lanes, 64].play(jobs, rng)


def test_specials(engines):
    """Every pair of special values added, masked and updated; every special converted and compared."""
    rng = np.random.default_rng(33)
    narrow, wide = specials(BINARY16), specials(BINARY32)

    def pairs(values):
        return np.repeat(values, len(values)), np.tile(values, len(values))

    jobs = [
        Job(op=op, count=len(narrow) ** 2, x=pairs(narrow)[0], y=pairs(narrow)[1]) for op in (Op.ADD, Op.MASK)
    ]
    flags = {"x_wide": 1, "y_wide": 1, "out_wide": 1}
    x, y = pairs(wide)
    for op in (Op.ADD, Op.MASK):
        jobs.append(Job(op=op, count=len(x), fields=flags, x=x, y=y))
        jobs.append(Job(op=op, count=len(x), fields={"x_wide": 1, "y_wide": 1, "relu": 1}, x=x, y=y))
    jobs.append(Job(op=Op.SGD, count=len(x), x=x, y=y, z=rng.permutation(x)))
    for fields in ({}, {"out_wide": 1, "relu": 1}, {"scale": 1, "scalar": 6, "relu": 1}):
        jobs.append(Job(op=Op.CONVERT, count=len(narrow), fields=fields, x=narrow))
        jobs.append(Job(op=Op.CONVERT, count=len(wide), fields=fields | {"x_wide": 1}, x=wide))
    first, second = pairs(narrow)
    x = np.stack([first, second], axis=1)[: len(first) // 4 * 4].reshape(-1, 4, 2).swapaxes(1, 2).ravel()
    for pads in (np.zeros(x.size // 4, bool), rng.integers(0, 2, x.size // 4) > 0):
        jobs.append(Job(op=Op.MAXPOOL, count=x.size, fields={"chunk": 4, "window": 2}, x=x, pads=pads))
    engines[4, 64].play(jobs, rng)


def test_update_is_the_golden_models(engines):
    rng = np.random.default_rng(34)
    gradient, w, v = (rng.standard_normal(1000).astype(np.float32) for _ in range(3))
    bits = [a.view(np.uint32) for a in (gradient, w, v)]
    job = Job(op=Op.SGD, count=1000, x=bits[0], y=bits[1], z=bits[2])
    inv_scale, decay, momentum, rate = (float(s) for s in SCALARS.view(np.float32)[:4])
    new_w, new_v = sgd_momentum(
        w, v, gradient, lr=rate, momentum=momentum, weight_decay=decay, inv_scale=inv_scale
    )
    got = outputs(job, SCALARS, BINARY16)
    assert (got["out0"] == new_w.view(np.uint32)).all() and (got["out1"] == new_v.view(np.uint32)).all()
    engines[2, 32].play([job], rng)


# --- rates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op, fields, least",
    [
        # Memory of 64 bits a cycle allows 0.667 updates.
        (Op.SGD, {}, 0.95),
        (Op.SGD, {"half": 1}, 0.95),
        (Op.SGD, {"nesterov": 1, "half": 1}, 0.75),
        (Op.CONVERT, {"scale": 1}, 3.7),
        (Op.CONVERT, {"x_wide": 1}, 1.9),
        (Op.CONVERT, {"out_wide": 1}, 1.9),
        (Op.ADD, {}, 3.7),
        (Op.ADD, {"run": 64}, 3.7),
        (Op.MASK, {}, 3.7),
        (Op.CHECK, {"x_wide": 1}, 1.9),
        (Op.SUM, {"chunk": 128, "window": 9, "run": 16}, 3.7),
        (Op.SELECT_SUM, {"chunk": 128, "window": 9}, 3.6),
        (Op.MAXPOOL, {"chunk": 64, "window": 4}, 3.1),  # leaving, it waits for a window's first chunk
    ],
    ids=str,
)
def test_rate(engines, op, fields, least):
    """Elements of x a cycle on 4 lanes and 64 bits, from the command to its status."""
    rng = np.random.default_rng(35)
    count = rounded(10_000, fields.get("chunk", 1) * fields.get("window", 1) * fields.get("run", 1))
    result = engines[4, 64].play([make(op, count, fields, BINARY16, rng)], rng)
    rate = count / (result.last["status"] - result.first["command"] + 1)
    assert rate >= least


# --- commands that are none, or hardly any -----------------------------------------------------------


def test_illegal_commands_touch_no_stream(engines):
    engine = engines[4, 64]
    rng = np.random.default_rng(36)
    good = make(Op.ADD, 21, {}, BINARY16, rng)
    layout = command_layout()
    bad = [layout.const({"op": op, "count": 5}).as_bits() for op in (0, *range(9, 16))]
    for op in (Op.MAXPOOL, Op.SUM, Op.SELECT_SUM):
        for fields in ({"chunk": 0, "window": 2}, {"chunk": 2, "window": 0}):
            bad.append(layout.const({"op": op.value, "count": 8} | fields).as_bits())
    inputs = engine.inputs([good, good], rng)
    inputs["command"] = np.concatenate(
        [inputs["command"][:1], words_of(bad, layout.size), inputs["command"][1:]]
    )
    result = beats(outputs(good, SCALARS, BINARY16)["out0"], 21, 64)
    got = engine.run(inputs, {"status": len(bad) + 2, "out0": 2 * len(result)}, LIGHT).outputs
    flag = OVERFLOW * strange(good, BINARY16)
    assert got["status"][:, 0].tolist() == [flag, *[ERROR] * len(bad), flag]
    assert (got["out0"] == np.concatenate([result, result])).all()


def test_a_command_of_no_elements_touches_no_stream(engines):
    nothing = [command_layout().const({"op": op.value, "chunk": 4, "window": 2}).as_bits() for op in Op]
    commands = {"command": words_of(nothing, command_layout().size)}
    assert not engines[4, 64].run(commands, {"status": len(nothing)}, NONE).outputs["status"].any()


@pytest.mark.parametrize("op", [Op.SUM, Op.SELECT_SUM, Op.MAXPOOL], ids=lambda op: op.name)
def test_a_chunk_too_long_is_an_error_not_a_hang(engines, op):
    """All input is taken, ``error`` says that the results are void, and the next command runs."""
    engine = engines[2, 32]
    rng = np.random.default_rng(37)
    long = make(op, 3 * 130, {"chunk": 65, "window": 3}, BINARY16, rng)
    good = make(op, 3 * 64, {"chunk": 64, "window": 3}, BINARY16, rng)
    for stall in (NONE, HEAVY):
        got = engine.run(engine.inputs([long], rng), {"status": 1}, stall)
        assert got.outputs["status"][0, 0] & ERROR
        engine.play([good], rng, stall)


def test_what_is_no_multiple_is_rounded_up(engines):
    rng = np.random.default_rng(38)
    jobs = [
        make(Op.ADD, 10, {"run": 4}, BINARY16, rng),
        make(Op.CHECK, 10, {"run": 16}, BINARY16, rng),
        make(Op.SUM, 13, {"run": 4, "chunk": 5, "window": 3}, BINARY16, rng),
        make(Op.MAXPOOL, 49, {"run": 0, "chunk": 8, "window": 3}, BINARY16, rng),
    ]
    engines[4, 64].play(jobs, rng)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_beat_beyond_the_command_is_taken(engines, shape):
    engine = engines[shape]
    rng = np.random.default_rng(39)
    job = make(Op.SGD, 37, {}, BINARY16, rng)
    inputs = engine.inputs([job], rng)
    more = {name: v if name == "command" else np.concatenate([v, v]) for name, v in inputs.items()}
    count = len(beats(job.x, 37, engine.bits))
    wanted = {"status": 1, "out0": count, "out1": count}
    result = engine.run(more, wanted, HEAVY.with_seed(3), wait_inputs=False)
    assert {name: result.beats[name] for name in inputs} == {name: len(v) for name, v in inputs.items()}
    engine.sim.reset()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"lanes": 3}, "lanes must be a power of two from 1 to 16, not 3"),
        ({"lanes": 32}, "lanes must be a power of two from 1 to 16, not 32"),
        ({"lanes": "4"}, "lanes must be a power of two from 1 to 16, not '4'"),
        ({"data_bits": 16}, "data_bits must be a power of two from 32 to 512, not 16"),
        ({"data_bits": 96}, "data_bits must be a power of two from 32 to 512, not 96"),
        ({"format": BINARY32}, f"format must be a FloatFormat of 16 bits, not {BINARY32!r}"),
        ({"target": "asic"}, "Target must be one of ('portable', 'ecp5'), not 'asic'"),
    ],
    ids=str,
)
def test_illegal_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as raised:
        Wuve(**({"lanes": 4, "data_bits": 64, "format": BINARY16} | arguments))
    assert str(raised.value) == sentence
