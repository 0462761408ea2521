"""Tasks of two units, array and vector unit, that share memory: when each runs."""

import heapq
from dataclasses import dataclass

__all__ = ["UNITS", "Slot", "Task", "run"]

UNITS = ("array", "vector")
_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a unit does in one go.

    Arguments
    ---------
    unit: of UNITS.
    cycles: if it has memory for itself. memory: of those, how many the port is busy for it.
    after: numbers of earlier tasks that must have ended. urgent: whether the next layer waits for it; a unit takes
        those first, and in order.
    """

    unit: str
    cycles: float
    memory: float
    after: tuple[int, ...] = ()
    urgent: bool = True


@dataclass(frozen=True)
class Slot:
    """When a task starts and ends, in cycles."""

    start: float
    end: float


def run(tasks: list[Task]) -> list[Slot]:
    """Runs ``tasks``, each unit one at a time; when both run and want more of memory together than there is, both
    slow down in proportion."""
    waiting = [len(task.after) for task in tasks]
    followers: list[list[int]] = [[] for _ in tasks]
    for number, task in enumerate(tasks):
        for before in task.after:
            if not 0 <= before < number:
                raise ValueError(f"after must be numbers of earlier tasks, not {before!r}")
            followers[before].append(number)
    ready: dict[str, list[tuple[bool, int]]] = {unit: [] for unit in UNITS}

    def offer(number: int):
        heapq.heappush(ready[tasks[number].unit], (not tasks[number].urgent, number))

    for number, count in enumerate(waiting):
        if count == 0:
            offer(number)
    now = 0.0
    left = [task.cycles for task in tasks]
    start, end = [0.0] * len(tasks), [0.0] * len(tasks)
    running: dict[str, int] = {}
    while running or any(ready.values()):
        for unit in UNITS:
            if unit not in running and ready[unit]:
                number = heapq.heappop(ready[unit])[1]
                running[unit] = number
                start[number] = now
        wanted = sum(tasks[i].memory / tasks[i].cycles for i in running.values() if tasks[i].cycles > 0)
        pace = 1 / max(1.0, wanted)
        step = min(left[i] for i in running.values()) / pace
        now += step
        for unit, number in list(running.items()):
            left[number] -= step * pace
            if left[number] <= _EPSILON:
                del running[unit]
                end[number] = now
                for follower in followers[number]:
                    waiting[follower] -= 1
                    if waiting[follower] == 0:
                        offer(follower)
    return [Slot(a, b) for a, b in zip(start, end)]
