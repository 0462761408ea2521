"""The compiler's choices beside all others: by the cycle model, and on the simulated device."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from sat_hdl.compiler.backward import Backward
from sat_hdl.compiler.choose import Chooser, best, placeless, predicted, words
from sat_hdl.compiler.cycle_model import Memory, predict
from sat_hdl.compiler.forward import Forward
from sat_hdl.compiler.graph import build
from sat_hdl.compiler.jobs import Job
from sat_hdl.compiler.layers import Model
from sat_hdl.compiler.placed import Placed
from sat_hdl.compiler.program import Program
from sat_hdl.compiler.tiling import Plan, candidates
from sat_hdl.config import Config
from sat_hdl.sim.cycle_check import Watched

__all__ = ["Chosen", "Net", "check", "combinations", "measured", "products", "step_programs"]

#: Where the program of a single product lies: behind all that it reads and writes.
_PROGRAM = 1 << 21


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network's training step on a device, as :func:`~sat_hdl.compiler.lower.compile_step` takes it."""

    model: Model
    config: Config
    batch: int
    method: str = "dense"
    keep: int = 2
    group: int = 8
    memory: Memory = Memory()  # noqa: RUF009 — frozen

    def lower(self, choose) -> tuple[Program, Program]:
        """Its forward and its backward program."""
        placed = Placed(
            build(self.model), self.config, batch=self.batch, method=self.method, keep=self.keep, group=self.group,
            choose=choose,
        )  # fmt: skip
        return Forward(placed).lower(), Backward(placed).lower(nesterov=False)


def products(net: Net) -> list[Job]:
    """The products of a step, each kind once."""
    found: dict[Job, None] = {}

    def choose(job: Job) -> Plan:
        found[placeless(net.config, job)] = None
        return next(candidates(net.config, job.shape()))

    net.lower(choose)
    return list(found)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A product's choice: cycles by the model of it, of the best of all candidates, and of the best of each dataflow
    alone. ``of``: how many candidates there are altogether."""

    job: Job
    plan: Plan
    cycles: int
    all: int
    os: int
    ws: int
    of: int

    @property
    def excess(self) -> float:
        """Over the best of all."""
        return self.cycles / self.all - 1


def check(net: Net, job: Job) -> Chosen:
    """The choice for a product of :func:`products`, beside an exhaustive search."""
    given = net.config, net.memory, job
    chosen, whole = best(*given, "auto"), best(*given, "auto", every=True)
    os, ws = (best(*given, dataflow).cycles for dataflow in ("os", "ws"))
    return Chosen(
        job=job, plan=chosen.plan, cycles=chosen.cycles, all=whole.cycles, os=os, ws=ws, of=whole.of
    )


def measured(device: Watched, net: Net, job: Job, plans: list[Plan]) -> list[int]:
    """Cycles of a product on the simulated device, cut in each of these ways."""
    return [
        device.run(str(plan), words(net.config, job, plan), _PROGRAM, net.memory).measured for plan in plans
    ]


def step_programs(net: Net, dataflow: str) -> Iterator[list[int]]:
    """Forward and backward, with what is chosen."""
    for program in net.lower(Chooser(net.config, net.memory, dataflow)):
        yield program.words()


def combinations(net: Net, most: int) -> tuple[int, int, int]:
    """Cycles of a step as it is chosen, product by product, and of the best combination of the ``most`` best
    candidates of each product, all other products as they are told by whole programs; and how many there are."""
    jobs = products(net)
    ways: dict[Job, list[Plan]] = {}
    for job in jobs:
        plans = list(candidates(net.config, job.shape(), every=True))
        ways[job] = sorted(plans, key=lambda plan, job=job: predicted(net.config, net.memory, job, plan))[
            :most
        ]
    chosen = sum(_step_cycles(net, {job: best(net.config, net.memory, job, "auto").plan for job in jobs}))
    least: list[int] | None = None
    count = 0
    for plans in product(*ways.values()):
        cycles = _step_cycles(net, dict(zip(ways, plans)))
        # The two programs run one after the other.
        least = cycles if least is None else [min(pair) for pair in zip(least, cycles)]
        count += 1
    return chosen, sum(least or []), count


def _step_cycles(net: Net, plans: dict[Job, Plan]) -> list[int]:
    programs = net.lower(lambda job: plans[placeless(net.config, job)])
    return [predict(program.words(), net.config, net.memory).cycles for program in programs]
