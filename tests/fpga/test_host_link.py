"""The host link: beats go both ways unchanged, whatever stalls; a host that breaks the rules is told."""

import random

import pytest

from sat_hdl.fpga.host_link import Credit, Decoder, HostLink, LinkError, Protocol

#: Awkward widths: one bit, not a whole number of bytes, exactly whole.
SHAPES = [
    ({"job": 81, "west": 64, "bit": 1}, {"result": 128, "pairs": 19}, 16),
    ({"only": 7}, {"back": 9}, 1),
    ({"a": 8, "b": 17}, {"c": 1}, 3),
]


class Bench:
    """A host and a core around a link, each end stalling with probability ``stall``."""

    def __init__(self, to_core, from_core, depth, *, stall, seed):
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.stall = stall
        self.dut = HostLink(to_core=to_core, from_core=from_core, depth=depth)
        self.protocol = self.dut.protocol
        self.decoder = Decoder(self.protocol)
        self.credit = dict.fromkeys(to_core, depth)
        self.arrived = {name: [] for name in to_core}
        self.returned = {name: [] for name in from_core}
        self.error = None

    def beats(self, width, count):
        return [self.rng.getrandbits(width) for _ in range(count)]

    async def pause(self, ctx):
        while self.rng.random() < self.stall:
            await ctx.tick()

    async def put(self, ctx, port, payload):
        await self.pause(ctx)
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def get(self, ctx, port):
        await self.pause(ctx)
        ctx.set(port.ready, 1)
        (payload,) = await ctx.tick().sample(port.payload).until(port.valid)
        ctx.set(port.ready, 0)
        return payload

    def host_sends(self, work):
        """Frames of random length from random streams, never more than the credit allows."""
        left = {name: list(beats) for name, beats in work.items()}

        async def body(ctx):
            while any(left.values()):
                ready = [name for name, beats in left.items() if beats and self.credit[name]]
                if not ready:
                    await ctx.tick()
                    continue
                name = self.rng.choice(ready)
                count = self.rng.randint(0, min(self.credit[name], len(left[name])))
                frame, left[name] = left[name][:count], left[name][count:]
                self.credit[name] -= count
                for byte in self.protocol.encode(name, frame):
                    await self.put(ctx, self.dut.rx, byte)

        return body

    def host_receives(self, done):
        async def body(ctx):
            while not done():
                try:
                    for event in self.decoder.feed(bytes([await self.get(ctx, self.dut.tx)])):
                        if isinstance(event, Credit):
                            self.credit[event.name] += event.count
                            assert self.credit[event.name] <= self.protocol.depth
                        else:
                            self.returned[event[0]].append(event[1])
                except ConnectionError as error:
                    self.error = str(error)

        return body

    def core_takes(self, name, count):
        async def body(ctx):
            while len(self.arrived[name]) < count:
                self.arrived[name].append(await self.get(ctx, getattr(self.dut, name)))

        return body

    def core_gives(self, name, beats):
        async def body(ctx):
            for beat in beats:
                await self.put(ctx, getattr(self.dut, name), beat)

        return body


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("to_core, from_core, depth", SHAPES)
def test_beats_arrive_both_ways(simulate, to_core, from_core, depth, stall):
    bench = Bench(to_core, from_core, depth, stall=stall, seed=f"{len(to_core)} {depth} {stall}")
    work = {name: bench.beats(width, 10) for name, width in to_core.items()}
    answers = {name: bench.beats(width, 7) for name, width in from_core.items()}

    def done():
        arrived = all(len(bench.arrived[name]) == 10 for name in work)
        returned = all(len(bench.returned[name]) == 7 for name in answers)
        return arrived and returned and set(bench.credit.values()) == {depth}

    benches = [bench.host_sends(work), bench.host_receives(done)]
    benches += [bench.core_takes(name, 10) for name in to_core]
    benches += [bench.core_gives(name, beats) for name, beats in answers.items()]
    simulate(bench.dut, *benches, cycles=60_000)
    assert bench.arrived == work
    assert bench.returned == answers
    assert bench.error is None


def test_a_stalled_stream_holds_up_no_other(simulate):
    bench = Bench({"a": 8, "b": 8}, {"c": 8}, 4, stall=0.0, seed=1)
    work = {"a": [1, 2, 3, 4], "b": bench.beats(8, 20)}

    def done():
        return len(bench.arrived["b"]) == 20 and bench.credit["b"] == 4

    # Nobody ever takes from `a`, whose buffer the host fills.
    benches = [bench.host_sends(work), bench.core_takes("b", 20), bench.host_receives(done)]
    simulate(bench.dut, *benches, cycles=5000)
    assert bench.arrived["b"] == work["b"]


@pytest.mark.parametrize(
    "data, error",
    [
        (bytes([2, 1, 0, 5]), LinkError.UNKNOWN_STREAM),
        (bytes([255]), LinkError.UNKNOWN_STREAM),
        (bytes([0, 3, 0, 1, 2, 3]), LinkError.OVERFLOW),
    ],
)
def test_a_host_that_breaks_the_rules_is_told(simulate, data, error):
    bench = Bench({"a": 8, "b": 8}, {"c": 8}, 2, stall=0.2, seed=error.name)

    async def send(ctx):
        for byte in data + bytes(20):  # what follows is swallowed, so the host can't hang either
            await bench.put(ctx, bench.dut.rx, byte)

    simulate(bench.dut, send, bench.host_receives(lambda: bench.error is not None), cycles=2000)
    assert error.name in bench.error


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="must have 1 to 32 streams each way, not"):
        Protocol(to_core={}, from_core={"a": 1})
    with pytest.raises(ValueError, match="must be a positive integer, not 0"):
        Protocol(to_core={"a": 0}, from_core={"b": 1})
    with pytest.raises(ValueError, match="must be from 1 to 65535, not 0"):
        Protocol(to_core={"a": 1}, from_core={"b": 1}, depth=0)
    with pytest.raises(ValueError, match="Stream names must differ"):
        HostLink(to_core={"a": 1}, from_core={"a": 1})
    with pytest.raises(ValueError, match="at most 2 beats, not 3"):
        Protocol(to_core={"a": 1}, from_core={"b": 1}, depth=2).encode("a", [0, 1, 0])


def test_an_unknown_frame_is_refused():
    decoder = Decoder(Protocol(to_core={"a": 1}, from_core={"b": 1}))
    with pytest.raises(ConnectionError, match="unknown kind, 0x07"):
        list(decoder.feed(bytes([7, 0, 0])))
