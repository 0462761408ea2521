"""Whatever a unit reads or writes in memory and in the results' buffer, semaphores order it with who else has to do
with it, byte by byte and word by word, however long units take. Told by addresses, and not by the names from which
the compiler makes the semaphores."""

from collections import deque
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from sat_hdl.compiler.jobs import Place
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.products import Products
from sat_hdl.config import Config
from sat_hdl.control.isa import SEMAPHORES, UNITS
from sat_hdl.driver import Accelerator
from sat_hdl.sim import emulator
from sat_hdl.sim.emulator import EmulatedTransport, Emulator

from .training import NETWORKS, Training, compiled, settings

SMALL = Config(rows=4, cols=4, west_depth=128, north_depth=256, result_depth=256)


class Ordered(Emulator):
    """An emulator that knows of each run which runs of other units are over by then, by semaphores alone."""

    all: ClassVar[list["Ordered"]] = []

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.all.append(self)

    def run(self, address, parameters=()):
        self._known = {unit: dict.fromkeys(UNITS, -1) for unit in UNITS}
        self._tokens = [deque[dict[str, int]]() for _ in range(SEMAPHORES)]
        self._number = dict.fromkeys(UNITS, -1)
        self._last, self._last_result = (
            {what: {unit: np.full(size, -1, np.int32) for unit in UNITS} for what in ("read", "written")}
            for size in (len(self.memory), len(self._results))
        )
        super().run(address, parameters)

    def _run(self, instruction, registers, semaphores):
        self._unit = unit = instruction.unit
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
        self._touch(self._last, octets, writes)
        return descriptor

    def results(self, start: int, count: int, *, writes: bool):
        """Words of the results' buffer are read or written."""
        self._touch(self._last_result, slice(start, start + count), writes)

    def _touch(self, last, where, writes: bool):
        for other in UNITS:
            for what in ("read", "written") if writes else ("written",):
                late = last[what][other][where].max(initial=-1)
                assert other == self._unit or late <= self._knows[other], f"{self._unit} overtakes {other}"
        last["written" if writes else "read"][self._unit][where] = self._number[self._unit]


@pytest.fixture(autouse=True)
def followed(monkeypatch):
    """Emulators of this kind are told what becomes of their results' buffer."""
    get, put = emulator._get, emulator._put

    def told(function, writes):
        def call(buffer, start, what):
            for each in Ordered.all:
                if buffer is each._results:
                    each.results(start, len(what) if writes else what, writes=writes)
            return function(buffer, start, what)

        return call

    monkeypatch.setattr(emulator, "_get", told(get, False))
    monkeypatch.setattr(emulator, "_put", told(put, True))
    monkeypatch.setattr(Ordered, "all", [])


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


def test_areas_that_overlap_and_do_not_know_it(monkeypatch):
    """The results' buffer is divided by the product: areas of one lie across another's."""
    monkeypatch.setattr(Products, "_written", lambda products, area: (area,))
    with pytest.raises(AssertionError, match="load overtakes"):
        ordered("cnn", 2).run()
