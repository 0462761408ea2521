"""How products are done: within 2 % of the best of all ways, by the model and by RTL; bounds and short cuts hold."""

from random import Random

import pytest

from sat_hdl.compiler.choose import best, bound, predicted, words
from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.compiler.layers import Conv2d, Flatten, Linear, Model, Relu
from sat_hdl.compiler.tiling import candidates
from sat_hdl.config import Config
from sat_hdl.sim.choice_check import Net, check, combinations, measured, products, step_programs
from sat_hdl.sim.cycle_check import CONFIGS, Watched

SMALL = Config(rows=4, cols=4, west_depth=64, north_depth=128, result_depth=128)
WIDE = Config(
    rows=4, cols=4, interleave=16, memory_bits=128, west_depth=64, north_depth=256, result_depth=256
)
CONV = Model((6, 5, 6), [Conv2d(16, 3, padding=1), Relu(), Conv2d(24, 2, stride=2), Flatten(), Linear(5)])
NETS = {
    "mlp": Net(model=Model(44, [Linear(53), Relu(), Linear(70)]), config=SMALL, batch=19),
    "mlp, 2:8, slow memory": Net(
        model=Model(88, [Linear(72), Linear(10)]), config=WIDE, batch=7, method="bdwp",
        memory=Memory(read_latency=60, write_latency=60),
    ),
    "few rows": Net(model=Model(64, [Linear(10)]), config=Config(), batch=16, method="bdwp"),
    "cnn": Net(model=CONV, config=Config(west_depth=64, north_depth=256, result_depth=256), batch=3),
    "cnn, 2:8": Net(model=CONV, config=CONFIGS["2x2"], batch=2, method="bdwp"),
}  # fmt: skip


@pytest.fixture(scope="module", params=NETS)
def net(request):
    return NETS[request.param]


def test_within_two_hundredths_of_all(net):
    for job in products(net):
        found = check(net, job)
        assert found.excess <= 0.02, found
        assert found.cycles <= min(found.os, found.ws), found


def test_nothing_is_faster_than_its_bound(net):
    rng = Random(1)
    for job in products(net):
        plans = list(candidates(net.config, job.shape(), every=True))
        for plan in rng.sample(plans, min(4, len(plans))):
            cycles = predict(words(net.config, job, plan), net.config, net.memory).cycles
            least = bound(net.config, net.memory, job, plan)
            assert 0.4 * cycles < least <= cycles, plan


def test_no_worse_one_is_taken_for_a_bound(net):
    """The same choice as by predicting every candidate to its end."""
    job = min(products(net), key=lambda job: sum(plan.jobs for plan in candidates(net.config, job.shape())))
    fewest = min(predicted(net.config, net.memory, job, plan) for plan in candidates(net.config, job.shape()))
    assert best(net.config, net.memory, job, "auto").cycles == fewest


def test_long_programs_from_short_ones():
    net = Net(model=Model(200, [Linear(120)]), config=SMALL, batch=60)
    job = products(net)[0]
    plans = [plan for plan in candidates(net.config, job.shape()) if 150 < plan.jobs < 400]
    errors = []
    for plan in Random(2).sample(plans, 8):
        exact = predict(words(net.config, job, plan), net.config, net.memory).cycles
        errors.append(abs(predicted(net.config, net.memory, job, plan) / exact - 1))
    assert sum(errors) / len(errors) < 0.01 and max(errors) < 0.1, errors


def test_a_prediction_that_is_given_up():
    net = NETS["mlp"]
    job = products(net)[0]
    program = words(net.config, job, next(candidates(net.config, job.shape())))
    whole = predict(program, net.config, net.memory).cycles
    assert predict(program, net.config, net.memory, limit=whole).cycles == whole
    assert whole / 4 < predict(program, net.config, net.memory, limit=whole / 4).cycles < whole


def test_dataflows():
    net = NETS["cnn"]
    for job in products(net):
        assert not best(net.config, net.memory, job, "os").plan.stationary
        assert best(net.config, net.memory, job, "ws").plan.stationary
    assert {best(net.config, net.memory, job, "auto").plan.stationary for job in products(net)} == {
        False,
        True,
    }


def test_sparse_products_are_output_stationary():
    net = NETS["cnn, 2:8"]
    for job in products(net):
        shape = job.shape()
        assert best(net.config, net.memory, job, "ws").plan.stationary == (shape.keep == shape.group)


def test_memory_matters():
    """Latency makes fewer, longer loads worth more."""
    net = NETS["mlp"]
    job = max(products(net), key=lambda job: job.shape().n)
    near, far = (
        best(net.config, Memory(read_latency=latency, write_latency=latency), job, "auto").plan.jobs
        for latency in (1, 200)
    )
    assert far < near


def test_a_step_is_as_good_as_its_best_combination():
    net = Net(model=Model(12, [Linear(20), Linear(7)]), config=CONFIGS["2x2"], batch=5)
    chosen, least, count = combinations(net, 3)
    assert count >= 3**4 and chosen <= 1.02 * least


def test_best_on_the_device():
    """Of all ways to do some products, by what the hardware counts."""
    net = Net(model=Model(20, [Linear(18), Linear(9)]), config=CONFIGS["2x2"], batch=6)
    device = Watched(net.config)
    for job in products(net):
        plans = list(candidates(net.config, job.shape(), every=True))
        cycles = measured(device, net, job, plans)
        chosen = cycles[plans.index(best(net.config, net.memory, job, "auto").plan)]
        assert chosen <= 1.02 * min(cycles)


def test_a_step_on_the_device():
    """Each dataflow alone takes longer."""
    net = Net(model=CONV, config=CONFIGS["2x2"], batch=2)
    device = Watched(net.config)
    cycles = {
        dataflow: sum(
            device.run(dataflow, program, 1 << 21, net.memory, [0] * 5).measured
            for program in step_programs(net, dataflow)
        )
        for dataflow in ("auto", "os", "ws")
    }
    assert cycles["auto"] < min(cycles["os"], cycles["ws"]), cycles
