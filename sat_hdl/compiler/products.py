"""Products from memory to memory: loads, jobs and stores, block by block."""

from collections.abc import Callable, Hashable

from sat_hdl.compiler.formats import up
from sat_hdl.compiler.jobs import Job, Place
from sat_hdl.compiler.program import OVERFLOW, Operation, Program, descriptor_registers
from sat_hdl.compiler.tiling import Box, Plan, Shape
from sat_hdl.config import Config
from sat_hdl.memory.descriptor import Descriptor

__all__ = ["Products", "folded_form", "stationary_form", "west_action"]


def west_action(job: Job, stationary: bool) -> str:
    """The load unit's action for the rows' operand."""
    # To an array that holds the weights, the rows of A and its columns change places.
    turned = {"west_rows": "west_columns", "west_columns": "west_rows"}
    return turned[job.west_action] if stationary else job.west_action


def stationary_form(config: Config, columns: int) -> int:
    """The register "sparsity" of a product of so many columns whose weights the array holds."""
    slots = (-(-columns // config.cols) - 1).bit_length()  # logarithm of the slots that a run takes
    return 1 | 1 << 8 | 1 << 16 | slots << 17


def folded_form(config: Config, shape: Shape, fold: int) -> int:
    """Likewise of a product whose sums stay in place, with ``fold`` rows of A in an element."""
    keep, group = shape.keep, shape.group
    if keep == group:
        # Groups of a dense one are as long as there is room for.
        keep = group = min(group, config.group_depth // fold)
    return keep | group << 8 | (fold.bit_length() - 1) << 19


class Products:
    """Lowers products, one after another, into a program; the next one's first loads overlap with the last one's end.

    Arguments
    ---------
    config: the device.
    program: what to add to.
    choose: how a product is to be cut.
    """

    def __init__(self, config: Config, program: Program, choose: Callable[[Job], Plan]):
        self._config, self._program, self._choose = config, program, choose
        self._turn = {"west": 0, "north": 0, "result": 0, "bias": 0}
        #: Areas of the results' buffer that were used. How it is divided depends on the product.
        self._areas: dict[range, None] = {}

    def _next(self, buffer: str) -> int:
        """Takes turns between a buffer's halves."""
        self._turn[buffer] ^= 1
        return self._turn[buffer]

    def _written(self, area: range) -> tuple[range, ...]:
        """What an operation that writes an area of the results' buffer changes: that, and whatever overlaps it, which
        another product may still read."""
        self._areas[area] = None
        return tuple(a for a in self._areas if a.start < area.stop and area.start < a.stop)

    def add(self, job: Job) -> Plan:
        """Adds the operations of ``job``; returns how it was cut."""
        config = self._config
        cut = self._choose(job)
        held: dict[str, object] = {"west": None, "north": None, "bias": None}
        half: dict[str, int] = {"west": 0, "north": 0}
        bias = range(0)
        pairs = [(m, n) for n in cut.n for m in cut.m]
        if cut.rows_outer:
            pairs = [(m, n) for m in cut.m for n in cut.n]
        slots = max(sum(-(-len(b) // config.cols) for b in n) for n in cut.n)
        biases = slots if job.bias is not None else 0
        room = (config.result_depth - 2 * biases) // 2
        for m, bands in pairs:
            n = range(bands[0].start, bands[-1].stop)
            result = self._next("result")
            word = 2 * biases + result * room
            area = range(word, word + room)
            for number, k in enumerate(cut.k):
                if held["west"] != (m, k):
                    held["west"], half["west"] = (m, k), self._next("west")
                    self._load_west(job, m, k, half["west"], cut.stationary)
                if held["north"] != (k, n):
                    held["north"], half["north"] = (k, n), self._next("north")
                    self._load_north(job, k, n, half["north"])
                if job.bias is not None and number == 0 and held["bias"] != n:
                    held["bias"], start = n, self._next("bias") * biases
                    bias = range(start, start + biases)
                    self._load_bias(job.bias, n, bias)
                where = half, area, bias
                if cut.stationary:
                    self._compute_held(job, m, k, n, number == 0, *where)
                else:
                    self._compute(job, m, k, n, number == 0, *where, cut.fold)
            at = word
            for band in bands:
                for action, descriptor, rows, first, columns in job.stores(config, m, band, at):
                    raises = (OVERFLOW,) if action.endswith("checked") else ()
                    registers = descriptor_registers(descriptor, writes=True)
                    registers |= {"from": first, "m": rows, "n": columns}
                    self._program.add(Operation("store", action, registers, (area, *raises), job.y.regions))
                at += m.size * -(-len(band) // config.cols)
        return cut

    def _load(self, action: str, place: Place, descriptor: Descriptor, *targets, **registers: int):
        self._program.add(
            Operation("load", action, descriptor_registers(descriptor) | registers, place.regions, targets)
        )

    def _load_west(self, job: Job, m: Box, k: Box, half: int, stationary: bool):
        place, descriptor, take, inner = job.west(m, k)
        to = half * (self._config.west_depth // 2)
        pitch = -(-(m if stationary else k).size // self._config.ingest)
        action = west_action(job, stationary)
        self._load(action, place, descriptor, ("west", half), take=take, inner=inner, to=to, pitch=pitch)

    def _load_north(self, job: Job, k: Box, n: range, half: int):
        to, pitch = half * (self._config.north_depth // 2), job.kept(k)
        for action, place, descriptor, take, inner, offset in job.north(k, n):
            registers = {"take": take, "inner": inner, "to": to + offset, "pitch": pitch}
            self._load(action, place, descriptor, ("north", half), **registers)

    def _load_bias(self, place: Place, n: range, area: range):
        words = -(-len(n) // self._config.cols)
        run = up(4 * len(n), self._config.memory_bits // 8)
        descriptor = Descriptor(base=place.address + 4 * n.start, run=run)
        take = min(2 * self._config.cols * words, run // 2)
        targets = self._written(area)
        self._load("results", place, descriptor, *targets, take=take, inner=1, to=area.start, pitch=0)

    def _compute(
        self,
        job: Job,
        m: Box,
        k: Box,
        n: range,
        first: bool,
        half,
        area: range,
        bias: range,
        fold: int,
    ):
        config = self._config
        registers = {
            "m": m.size, "k": k.size, "n": len(n), "sparsity": folded_form(config, job.shape(), fold),
            "west": half["west"] * (config.west_depth // 2), "west_pitch": -(-k.size // config.ingest),
            "north": half["north"] * (config.north_depth // 2), "north_pitch": job.kept(k), "result": area.start,
        }  # fmt: skip
        self._run(job, registers, first, half, area, bias)

    def _compute_held(self, job: Job, m: Box, k: Box, n: range, first: bool, half, area: range, bias: range):
        """A run for every R elements of k, each of which goes on with the sums of the one before."""
        config = self._config
        form = stationary_form(config, len(n))
        pitch = -(-m.size // config.ingest)
        for tile, top in enumerate(range(0, k.size, config.rows)):
            registers = {
                "m": m.size, "k": min(config.rows, k.size - top), "n": len(n), "sparsity": form,
                "west": half["west"] * (config.west_depth // 2) + tile * pitch,
                "north": half["north"] * (config.north_depth // 2) + top, "north_pitch": job.kept(k),
                "result": area.start,
            }  # fmt: skip
            self._run(job, registers, first and tile == 0, half, area, bias)

    def _run(self, job: Job, registers: dict[str, int], first: bool, half, area: range, bias: range):
        reads: list[Hashable] = [("west", half["west"]), ("north", half["north"])]
        action = "from_zero"
        if not first:
            action = "from_results"
            registers["initial"] = area.start
            reads.append(area)
        elif job.bias is not None:
            action = "from_bias"
            registers["initial"] = bias.start
            reads.append(bias)
        self._program.add(Operation("compute", action, registers, tuple(reads), self._written(area)))
