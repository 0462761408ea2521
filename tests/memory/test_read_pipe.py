"""Reading through one or two pipes: proved for every pattern of stalls, and against a memory that is shared."""

import random

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.memory.read_pipe import ReadPipe

from .bounded import WIDTH, QueueClaim, refuted


class Memory(wiring.Component):
    """Pipes in front of one memory in which word a is a; the first goes first.

    Arguments
    ---------
    pipes: 1 or 2. places: whether a cycle makes places of addresses. told: whether pipes hear of displaced words.

    Members
    -------
    i, o: In, Out(stream of words): of the only pipe; else i0, o0, i1, o1.
    """

    def __init__(self, *, pipes: int, places: bool = False, told: bool = True):
        self._told = told
        shape = WIDTH if places else None
        self.pipes = [
            ReadPipe(address_shape=WIDTH, data_shape=WIDTH, place_shape=shape, shared=pipes > 1)
            for _ in range(pipes)
        ]
        words = stream.Signature(WIDTH)
        self.names = [""] if pipes == 1 else ["0", "1"]
        super().__init__(
            {f"{way}{name}": flow(words) for name in self.names for way, flow in (("i", In), ("o", Out))}
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(WIDTH)
        for name, pipe in zip(self.names, self.pipes, strict=True):
            m.submodules[f"pipe_{name}"] = pipe
            given, taken = getattr(self, f"i{name}"), getattr(self, f"o{name}")
            connect(m, flipped(given), pipe.addresses)
            found = pipe.out.payload
            m.d.comb += [
                taken.valid.eq(pipe.out.valid),
                taken.payload.eq(Mux(found.address == found.data, found.data, ~found.address)),
                pipe.out.ready.eq(taken.ready),
                pipe.data.eq(word),
            ]
            if hasattr(pipe, "place"):
                m.d.comb += pipe.place.eq(pipe.next)
            with m.If(pipe.enable):
                m.d.sync += word.eq(pipe.address)
        if len(self.pipes) > 1:
            first, second = self.pipes
            m.d.comb += second.granted.eq(~first.wants)
            if self._told:
                m.d.comb += [first.displaced.eq(second.enable), second.displaced.eq(first.enable)]
        return m


@pytest.mark.parametrize("places", [False, True])
def test_proved_for_every_pattern_of_stalls(places):
    for fewer in (0, 1):
        dut = Memory(pipes=1, places=places)
        assert refuted(QueueClaim(dut, most=dut.pipes[0].depth - fewer), cycles=14) == fewer


def play(simulate, dut: Memory, count: int, *, offers, takes, seed: int = 0) -> list[list[tuple[int, int]]]:
    """Sends ``count`` random words through each pipe. ``offers``, ``takes``: how likely in a cycle. → of each pipe's
    words the cycle of the address and that of the word."""
    rng = random.Random(seed)
    words = [[rng.randrange(1 << WIDTH) for _ in range(count)] for _ in dut.pipes]
    given: list[list[int]] = [[] for _ in dut.pipes]
    taken: list[list[int]] = [[] for _ in dut.pipes]

    async def bench(ctx):
        ports = [(getattr(dut, f"i{name}"), getattr(dut, f"o{name}")) for name in dut.names]
        cycle = 0
        offered = [False] * len(ports)
        while min(map(len, taken)) < count:
            for n, (i, o) in enumerate(ports):
                left = len(given[n]) < count
                offered[n] = left and (offered[n] or rng.random() < offers[n])
                ctx.set(i.valid, offered[n])
                ctx.set(i.payload, words[n][len(given[n])] if left else 0)
                ctx.set(o.ready, rng.random() < takes[n])
            _, _, *now = await ctx.tick().sample(
                *(s for i, o in ports for s in (i.valid & i.ready, o.valid & o.ready, o.payload))
            )
            for n in range(len(ports)):
                goes, comes, word = now[3 * n : 3 * n + 3]
                if goes:
                    given[n].append(cycle)
                    offered[n] = False
                if comes:
                    assert word == words[n][len(taken[n])], f"word {len(taken[n])} of pipe {n}"
                    taken[n].append(cycle)
            cycle += 1

    simulate(dut, bench, cycles=40 * count + 100)
    return [list(zip(*pair, strict=True)) for pair in zip(given, taken, strict=True)]


@pytest.mark.parametrize("places", [False, True])
def test_a_word_a_cycle_after_the_latency(simulate, places):
    dut = Memory(pipes=1, places=places)
    (words,) = play(simulate, dut, 50, offers=[1], takes=[1])
    assert [there - asked for asked, there in words] == [dut.pipes[0].latency] * 50
    assert [asked for asked, _ in words] == list(range(50))


@pytest.mark.parametrize("takes", [(1, 1), (1, 0.5), (0.5, 1), (0.1, 0.7), (0.7, 0.1), (0.3, 0.3)], ids=str)
@pytest.mark.parametrize("offers", [(1, 1), (0.5, 1), (0.2, 0.9)], ids=str)
def test_two_that_share_a_memory(simulate, offers, takes):
    play(simulate, Memory(pipes=2), 200, offers=offers, takes=takes, seed=6)


@pytest.mark.parametrize("stuck", [0, 1])
def test_words_that_wait_stop_nobody_else(simulate, stuck):
    """The other pipe gives a word a cycle as soon as it alone reads, whatever waits in the one that is stuck."""
    dut = Memory(pipes=2)
    times: list[int] = []

    async def bench(ctx):
        mine, other = (getattr(dut, f"i{n}") for n in (1 - stuck, stuck))
        out = getattr(dut, f"o{1 - stuck}")
        ctx.set(other.valid, 1)
        await ctx.tick().repeat(12)
        ctx.set(mine.valid, 1)
        ctx.set(out.ready, 1)
        for cycle in range(40):
            _, _, comes = await ctx.tick().sample(out.valid & out.ready)
            if comes:
                times.append(cycle)

    simulate(dut, bench, cycles=100)
    assert times == list(range(times[0], 40)) and times[0] <= ReadPipe.latency


def test_displaced_words_must_be_known(simulate):
    with pytest.raises(AssertionError, match="of pipe"):
        play(simulate, Memory(pipes=2, told=False), 200, offers=(1, 1), takes=(0.3, 0.3))
