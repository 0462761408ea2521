"""Managers that share a memory: each gets its own answers, none waits for ever."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from sat_hdl.memory.axi import Axi4Signature
from sat_hdl.memory.axi_mux import AxiMux
from sat_hdl.memory.axi_ram import AxiRam

from .axi_managers import Manager

SIZE, BITS, IDS = 4096, 64, 2


class Shared(wiring.Component):
    def __init__(self, managers: int):
        self._mux = AxiMux(managers=managers, data_bits=BITS, id_bits=IDS)
        super().__init__({"s_axi": In(Axi4Signature(data_bits=BITS, id_bits=IDS)).array(managers)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.mux = mux = self._mux
        m.submodules.ram = ram = AxiRam(size=SIZE, data_bits=BITS, id_bits=len(mux.m_axi.awid))
        for outer, inner in zip(self.s_axi, mux.s_axi):
            connect(m, flipped(outer), inner)
        connect(m, mux.m_axi, ram.s_axi)
        return m


@pytest.mark.parametrize("managers, stall", [(2, 0.0), (2, 0.5), (3, 0.2)])
def test_each_has_its_own(simulate, managers, stall):
    """All write to their parts at once, and read them."""
    seed = 10 * managers + int(10 * stall)
    print(f"seed {seed}")
    rng, dut = random.Random(seed), Shared(managers)
    part, benches, wanted = SIZE // 4, [], []
    several = [Manager(port, random.Random(rng.random()), stall) for port in dut.s_axi]
    for number, manager in enumerate(several):
        at, words = number * part, {}
        while at < (number + 1) * part:
            beats = min(rng.choice([1, 2, 5, 16]), ((number + 1) * part - at) // 8)
            data = [rng.getrandbits(BITS) for _ in range(beats)]
            manager.writes.append((rng.randrange(4), at, [(each, 255) for each in data]))
            manager.reads.append((rng.randrange(4), at, beats))
            words |= {at + 8 * i: each for i, each in enumerate(data)}
            at += 8 * beats
        wanted.append(words)
        benches += manager.benches
    simulate(dut, *benches, cycles=40_000)
    for manager, words in zip(several, wanted):
        assert manager.answers == [(identifier, 0) for identifier, _, _ in manager.writes]
        for identifier in range(4):
            places = [
                place + 8 * i
                for other, place, beats in manager.reads
                if other == identifier
                for i in range(beats)
            ]
            assert manager.beats[identifier] == [(words[place], 0) for place in places]


def test_nobody_waits_for_long(simulate):
    """Managers that ask without a pause are served in turns."""
    dut = Shared(2)
    several = [Manager(port, random.Random(0), behind=False) for port in dut.s_axi]
    several[0].reads = [(0, 0, 4)] * 64
    several[1].reads = [(0, 0, 4)] * 8
    simulate(dut, *(bench for manager in several for bench in manager.benches), cycles=2000)
    assert several[1].last <= 2 * 8 * 4 + 20 < several[0].last


@pytest.mark.parametrize("managers", [1, 17, None])
def test_a_bad_number_is_refused(managers):
    with pytest.raises(ValueError, match="managers must be an integer from 2 to 16"):
        AxiMux(managers=managers, data_bits=64, id_bits=1)
