"""Changes of ports, against what is seen by looking in every cycle."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.sim.memory import System


class Noise(wiring.Component):
    """Ports that change now and then: a generator's bits."""

    def __init__(self):
        super().__init__({"enable": In(1), "wide": Out(40), "narrow": Out(3)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(40, init=0x12345)
        feedback = state[39] ^ state[37] ^ state[20] ^ state[18]
        with m.If(self.enable):
            m.d.sync += state.eq((state << 1) | feedback)
        m.d.comb += [self.wide.eq(state), self.narrow.eq(state[5:8] & 0b101)]
        return m


@pytest.fixture(scope="module")
def noise():
    with System(Noise()) as built:
        yield built


WATCHED = {"wide": ((1 << 33) | 1, 1 << 7), "narrow": (7, 0), "enable": (0, 1)}


def test_changes(noise):
    noise.reset()
    noise.step(5)
    noise.record(WATCHED)
    rng = np.random.default_rng(2)
    seen = {name: [] for name in WATCHED}
    first = noise.cycles
    for _ in range(400):
        noise.set("enable", int(rng.integers(2)))
        for name, values in seen.items():
            values.append(noise.get(name))
        noise.step()
    changes = noise.changes
    for number, (name, (mask, counted)) in enumerate(WATCHED.items()):
        expected, count, last = [], 0, None
        for cycle, value in enumerate(seen[name], first):
            if value & mask != last:
                last = value & mask
                expected.append((cycle, last, count))
                count = 0
            count += bool(value & counted)
        found = changes[changes["port"] == number]
        assert list(zip(*(found[key].tolist() for key in ("cycle", "value", "counted")))) == expected
    assert len(changes) > 50


def test_a_record_begins_anew(noise):
    noise.record({"narrow": (7, 0)})
    noise.step(50)
    noise.record({"narrow": (7, 0)})
    assert len(noise.changes) == 0
    noise.step()
    assert noise.changes["cycle"].tolist() == [noise.cycles - 1]
    noise.record({})
    noise.step(20)
    assert len(noise.changes) == 0


def test_a_record_that_is_full(noise):
    noise.reset()
    noise.set("enable", 1)
    noise.record({"wide": ((1 << 40) - 1, 0)}, limit=10)
    noise.step(9)
    assert len(noise.changes) == 9
    noise.step(10)
    with pytest.raises(ValueError, match="at most 10 to be recorded"):
        _ = noise.changes


def test_ports_that_there_are_not(noise):
    with pytest.raises(ValueError, match="A port must be one of"):
        noise.record({"wade": (1, 0)})
