"""WUVE's walk over a command's elements: runs, chunks, windows."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder
from sat_hdl.wuve.layouts import command_layout

__all__ = ["Sequencer", "token_layout"]


def token_layout(lanes: int) -> data.StructLayout:
    """What a vector is: ``many`` + 1 elements, ``run_end``: the last of its run; ``first``, ``final``: of the first,
    the last chunk of its window; ``chunk_start``: the first of its chunk, whose number is ``number``;
    ``want``: the index that SELECT_SUM looks for."""
    flags = {name: 1 for name in ("run_end", "first", "final", "chunk_start")}
    return data.StructLayout({"many": max(1, (lanes - 1).bit_length())} | flags | {"number": 16, "want": 16})


class Sequencer(wiring.Component):
    """Says of one vector after the other what it is, ``take`` by take.

    ``valid`` follows ``start`` by 2 cycles. What is left of chunk and command is counted by runs, a run
    ahead, so that no comparison is behind another.

    Arguments
    ---------
    lanes: L, a power of two.
    target: "ecp5" or "portable".

    Members
    -------
    start: In(1), command: In(command_layout), windowed: In(1). Held from ``start`` to the end; count > 0,
        and if windowed chunk > 0 and window > 0.
    valid: Out(1), token: Out(token_layout).
    take: In(1). Goes on to the next vector.
    """

    def __init__(self, *, lanes: int, target: str = "portable"):
        self._lanes, self._target = lanes, target
        members = {"start": In(1), "command": In(command_layout()), "windowed": In(1)}
        super().__init__(members | {"valid": Out(1), "token": Out(token_layout(lanes)), "take": In(1)})

    def elaborate(self, platform):
        m = Module()
        lanes, command, token = self._lanes, self.command, self.token
        step = (lanes - 1).bit_length()
        run = Signal(24, reset_less=True)
        rest = Signal(24, reset_less=True)  # elements of the run, this vector's included
        # Elements of chunk and command from the next run on, less 1: negative if there are none.
        chunk_rest, count_rest = Signal(25, reset_less=True), Signal(25, reset_less=True)
        chunk_last, count_last = ~self.windowed | chunk_rest[-1], Signal()
        number = Signal(16, reset_less=True)
        inner = Signal(16, reset_less=True)
        window_first, window_last = Signal(), Signal()
        row, want = Signal(16, reset_less=True), Signal(16, reset_less=True)
        fresh = Signal()
        setup, running = Signal(), Signal()

        run_end = (rest >> step == 0) | ((rest >> step == 1) & ~rest[:step].any())
        chunk_end = run_end & chunk_last
        window_end = chunk_end & window_last
        m.d.comb += [
            self.valid.eq(running),
            token.many.eq(Mux(run_end, rest - 1, lanes - 1)),
            token.run_end.eq(run_end),
            token.first.eq(window_first),
            token.final.eq(window_last),
            token.chunk_start.eq(fresh),
            token.number.eq(number),
            token.want.eq(want),
        ]

        m.d.sync += setup.eq(self.start)
        with m.If(self.start):
            whole = Mux(self.windowed, command.chunk, command.count)
            m.d.sync += [run.eq(Mux(command.run == 0, whole, command.run)), number.eq(0)]

        restarts_chunk = setup | chunk_end
        sums = {}
        for name, rest_now, whole, restarts in (
            ("chunk", chunk_rest, command.chunk, restarts_chunk),
            ("count", count_rest, command.count, setup),
        ):
            m.submodules[f"{name}_less"] = less = MuxAdder(width=25, carry=True, target=self._target)
            m.d.comb += [
                less.x.eq(~Cat(run, Const(0, 1))),
                less.y0.eq(rest_now),
                less.y1.eq(whole),
                less.s.eq(restarts),
                less.carry.eq(~restarts),
            ]
            sums[name] = less.o
        with m.If(setup | (self.take & run_end)):
            m.d.sync += [chunk_rest.eq(sums["chunk"]), count_rest.eq(sums["count"])]

        def restart_window():
            return [
                number.eq(0), window_first.eq(1), window_last.eq(~self.windowed | (command.window == 1)),
                inner.eq(1), want.eq(command.base), row.eq(command.base),
            ]  # fmt: skip

        with m.If(setup):
            m.d.sync += [running.eq(1), rest.eq(run), fresh.eq(1), *restart_window()]
            m.d.sync += count_last.eq(sums["count"][-1])
        with m.If(self.take):
            m.d.sync += [rest.eq(Mux(run_end, run, rest - lanes)), fresh.eq(chunk_end)]
            with m.If(run_end):
                # Beyond the count, up to a window's end, it stays set.
                m.d.sync += count_last.eq(count_last | sums["count"][-1])
            with m.If(chunk_end):
                m.d.sync += [number.eq(number + 1), window_first.eq(0)]
                m.d.sync += window_last.eq(number + 2 == command.window)
                with m.If(inner == command.inner):
                    m.d.sync += [
                        inner.eq(1),
                        row.eq(row + command.step_outer),
                        want.eq(row + command.step_outer),
                    ]
                with m.Else():
                    m.d.sync += [inner.eq(inner + 1), want.eq(want + command.step_inner)]
            with m.If(window_end):
                m.d.sync += restart_window()
                m.d.sync += running.eq(~count_last)
        return m
