"""Time of the cycle model: what happens, in order."""

import heapq
from collections.abc import Callable
from math import inf

__all__ = ["Clock"]


class Clock:
    """Calls what was asked for in the order of its cycles; in one cycle, in the order in which it was asked for.

    Members
    -------
    now: the cycle of what is being called.
    """

    def __init__(self):
        self.now = 0
        self._asked: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, cycle: int, call: Callable[[], None]):
        """Has ``call`` called in ``cycle``, or now if that is past."""
        self._number += 1
        heapq.heappush(self._asked, (max(cycle, self.now), self._number, call))

    def run(self, limit: float = inf) -> int | None:
        """Goes on until nothing is asked for, or only after ``limit``; returns the cycle of what is left then."""
        while self._asked:
            if self._asked[0][0] > limit:
                return self._asked[0][0]
            self.now, _, call = heapq.heappop(self._asked)
            call()
        return None
