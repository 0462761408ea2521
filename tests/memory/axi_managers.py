"""AXI4 managers in Amaranth's simulator: bursts out as fast as asked, answers collected; checks the rules."""

import random
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Manager:
    """Sends ``writes``, (identifier, address, [(data, strobes)]), and ``reads``, (identifier, address, beats).

    ``stall``: probability that a channel rests in a cycle. ``behind``: reads begin when all writes are answered.

    Members
    -------
    answers: of writes, (identifier, response), as they came. beats: of reads, by identifier, (data, response).
    offered, first, last: cycles of the first read's address, of the first and the last beat that was taken.
    """

    port: object
    rng: random.Random
    stall: float = 0.0
    behind: bool = True
    writes: list = field(default_factory=list)
    reads: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    beats: dict = field(default_factory=lambda: defaultdict(list))
    offered: int = -1
    first: int = -1
    last: int = -1

    @property
    def benches(self):
        return (self.send_writes, self.send_data, self.send_reads, self.take_answers, self.take_beats)

    async def _rest(self, ctx):
        while self.rng.random() < self.stall:
            await ctx.tick()

    async def _offer(self, ctx, channel, **payload):
        await self._rest(ctx)
        for name, value in payload.items():
            ctx.set(getattr(self.port, channel + name), value)
        ctx.set(getattr(self.port, f"{channel}valid"), 1)
        await ctx.tick().until(getattr(self.port, f"{channel}ready"))
        ctx.set(getattr(self.port, f"{channel}valid"), 0)

    async def send_writes(self, ctx):
        for identifier, address, beats in self.writes:
            await self._offer(ctx, "aw", id=identifier, addr=address, len=len(beats) - 1, burst=1)

    async def send_data(self, ctx):
        for _, _, beats in self.writes:
            for i, (data, strobes) in enumerate(beats):
                await self._offer(ctx, "w", data=data, strb=strobes, last=i == len(beats) - 1)

    async def send_reads(self, ctx):
        while self.behind and len(self.answers) < len(self.writes):
            await ctx.tick()
        for identifier, address, beats in self.reads:
            await self._offer(ctx, "ar", id=identifier, addr=address, len=beats - 1, burst=1)

    async def take_answers(self, ctx):
        port = self.port
        while len(self.answers) < len(self.writes):
            await self._rest(ctx)
            ctx.set(port.bready, 1)
            _, _, valid, identifier, response = await ctx.tick().sample(port.bvalid, port.bid, port.bresp)
            ctx.set(port.bready, 0)
            if valid:
                self.answers.append((identifier, response.value))

    async def take_beats(self, ctx):
        port, left = self.port, defaultdict(list)
        for identifier, _, beats in self.reads:
            left[identifier] += [0] * (beats - 1) + [1]
        cycle, count = 0, sum(map(len, left.values()))
        while count:
            ready = self.rng.random() >= self.stall
            ctx.set(port.rready, ready)
            _, _, valid, identifier, data, response, last, taken = await ctx.tick().sample(
                port.rvalid, port.rid, port.rdata, port.rresp, port.rlast, port.arvalid & port.arready
            )
            if taken and self.offered < 0:
                self.offered = cycle
            if valid and self.first < 0:
                self.first = cycle
            cycle += 1
            if not valid or not ready:
                continue
            assert left[identifier].pop(0) == last
            self.beats[identifier].append((data, response.value))
            self.last = cycle - 1
            count -= 1
