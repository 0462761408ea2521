"""Whatever a unit reads or writes in memory, semaphores order it with who else has to do with it: byte by byte,
however long units take. Told by addresses, and not by the names from which the compiler makes the semaphores."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from sat_hdl.compiler.jobs import Place
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.config import Config
from sat_hdl.control.isa import SEMAPHORES, UNITS
from sat_hdl.driver import Accelerator
from sat_hdl.sim.emulator import EmulatedTransport, Emulator

from .training import NETWORKS, Training, compiled, settings

SMALL = Config(rows=4, cols=4, west_depth=128, north_depth=256, result_depth=256)


class Ordered(Emulator):
    """An emulator that knows of each run which runs of other units are over by then, by semaphores alone."""

    def run(self, address, parameters=()):
        self._known = {unit: dict.fromkeys(UNITS, -1) for unit in UNITS}
        self._tokens = [deque[dict[str, int]]() for _ in range(SEMAPHORES)]
        self._number = dict.fromkeys(UNITS, -1)
        self._last = {
            what: {unit: np.full(len(self.memory), -1, np.int32) for unit in UNITS}
            for what in ("read", "written")
        }
        super().run(address, parameters)

    def _run(self, instruction, registers, semaphores):
        unit = instruction.unit
        self._knows = knows = self._known[unit]
        self._number[unit] += 1
        for number in instruction.wait:
            for other, at in self._tokens[number].popleft().items():
                knows[other] = max(knows[other], at)
        super()._run(instruction, registers, semaphores)
        knows[unit] = self._number[unit]
        for number in instruction.signal:
            self._tokens[number].append(dict(knows))

    def _descriptor(self, unit, registers, prefix="", *, writes=False):
        descriptor = super()._descriptor(unit, registers, prefix, writes=writes)
        starts, padding = descriptor.runs()
        octets = (starts[~padding].astype(np.int64)[:, None] + np.arange(descriptor.run)).ravel()
        for other in UNITS:
            for what in ("read", "written") if writes else ("written",):
                late = self._last[what][other][octets].max(initial=-1)
                assert other == unit or late <= self._knows[other], f"{unit} overtakes {other}"
        self._last["written" if writes else "read"][unit][octets] = self._number[unit]
        return descriptor


def ordered(name, parts, dataflow="auto", batch=5):
    given = settings("bdwp", 1, 4, batch)
    step = compiled(NETWORKS[name], SMALL, given, dataflow, parts=parts)
    transport = EmulatedTransport(SMALL, step.size + 64)
    transport.emulator = Ordered(SMALL, step.size + 64)
    return Training(NETWORKS[name], Accelerator(transport), step, given, seed=1)


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_nobody_overtakes(name, parts):
    ordered(name, parts).run()


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_dataflows(dataflow):
    ordered("odd", 2, dataflow).run()


def test_forward_parts_that_nobody_waits_for(monkeypatch):
    """With names of their own for who writes and who reads, parts would be taken too early."""
    whole, names = Tensor.samples, iter(range(1 << 20))

    def samples(tensor, which):
        found = whole(tensor, which)
        return replace(found, place=replace(found.place, name=str(next(names))))

    monkeypatch.setattr(Tensor, "samples", samples)
    with pytest.raises(AssertionError, match="overtakes"):
        ordered("cnn", 2).run()


def test_gradients_that_nobody_waits_for(monkeypatch):
    monkeypatch.setattr(Place, "touched", lambda place, _: replace(place, name="nobody's", cuts=()))
    with pytest.raises(AssertionError, match="load overtakes"):
        ordered("cnn", 2).run()
