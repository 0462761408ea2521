"""Where the cycles of programs went: sums over their timelines."""

from dataclasses import dataclass

from sat_hdl.compiler.program import Label
from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.driver import Accelerator, Counters
from sat_hdl.image import Image, ImageProgram
from sat_hdl.sim.memory import MemoryConfig
from sat_hdl.sim.timeline import Bar, Timeline, read_timeline, record
from sat_hdl.sim.transport import SimTransport

__all__ = ["LayerCycles", "ProgramProfile", "UnitCycles", "layer_cycles", "profile", "unit_cycles"]


@dataclass(frozen=True)
class ProgramProfile:
    """A program that ran: what it was, its counters, and its timeline."""

    program: ImageProgram
    counters: Counters
    timeline: Timeline


@dataclass(frozen=True)
class UnitCycles:
    """Cycles of a unit, which add up to the program's: ``busy``, of which it waited for memory ``waiting``;
    ``blocked``: it waited for a semaphore; ``idle``: it had nothing to run, or was being given its registers.
    ``runs``: how many."""

    runs: int
    busy: int
    waiting: int
    blocked: int
    idle: int


@dataclass(frozen=True)
class LayerCycles:
    """Of a layer's stage: from its first run's ``start`` to its last one's ``end``, each unit's busy cycles, those
    in which any of them waited for memory, summed, and those in which the array took a weight."""

    label: Label
    start: int
    end: int
    runs: int
    busy: dict[str, int]
    waiting: int
    array_busy: int


def profile(image: Image, config: Config, memory: MemoryConfig, *, limit: int) -> list[ProgramProfile]:
    """Runs the programs of ``image`` one after another on a simulated device that tells what it does.

    Raises :class:`~sat_hdl.driver.DeviceError` if one fails, ValueError if ``memory`` is too small.
    """
    transport = SimTransport(config, memory, trace=True)
    device = Accelerator(transport, limit=limit)
    for address, octets in image.pieces.items():
        device.write_bytes(address, octets)
    found = []
    record(transport.system)
    for program in image.programs:
        counters = device.run(program.address, program.parameters)
        timeline = read_timeline(transport.system, image.words(program), program.address, program.labels)
        found.append(ProgramProfile(program, counters, timeline))
    return found


def unit_cycles(timeline: Timeline) -> dict[str, UnitCycles]:
    """Sums over a timeline, unit by unit."""
    sums = {}
    for name in UNITS:
        runs = timeline.of(name)
        busy, blocked = (sum(bar.cycles for bar in bars) for bars in (runs, timeline.of(name, busy=False)))
        waiting = sum(bar.waiting for bar in runs)
        sums[name] = UnitCycles(len(runs), busy, waiting, blocked, timeline.cycles - busy - blocked)
    return sums


def layer_cycles(timeline: Timeline) -> list[LayerCycles]:
    """Sums over a timeline, layer by layer and stage by stage, in the order of their first runs; runs without a label
    are in none."""
    by_label: dict[Label, list[Bar]] = {}
    for bar in sorted(timeline.bars, key=lambda bar: bar.start):
        if bar.busy and bar.label is not None:
            by_label.setdefault(bar.label, []).append(bar)
    return [
        LayerCycles(
            label=label,
            start=min(bar.start for bar in bars),
            end=max(bar.end for bar in bars),
            runs=len(bars),
            busy={name: sum(bar.cycles for bar in bars if bar.unit == name) for name in UNITS},
            waiting=sum(bar.waiting for bar in bars),
            array_busy=sum(bar.array_busy for bar in bars),
        )
        for label, bars in by_label.items()
    ]
