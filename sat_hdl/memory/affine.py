"""Walks the five loops of an affine stream: an address a cycle, without a multiplier."""

from functools import partial

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.descriptor import (
    COORDINATE_BITS,
    LOOPS,
    read_descriptor_layout,
    write_descriptor_layout,
)
from sat_hdl.memory.one_hot import choose
from sat_hdl.memory.register_slice import RegisterSlice

__all__ = ["AffineWalk", "run_layout"]


def run_layout() -> data.StructLayout:
    """A run: its byte address, whether it is padding, whether it is the stream's last."""
    return data.StructLayout({"address": 32, "padding": 1, "last": 1})


class AffineWalk(wiring.Component):
    """Gives the runs of a descriptor in order, one a cycle while they are taken.

    The first is valid ``latency`` cycles after ``start``. A counter of 0 steps is not to be started.

    Each loop keeps where its present step began. A step of loop k adds its stride to that and puts the sum there and
    into all loops inside it. Which loop steps is found two cycles ahead.

    Arguments
    ---------
    padding: whether coordinates are kept and runs outside the extent marked (a reader); else ``start`` is a writer's.

    Members
    -------
    start: In(stream of read_descriptor_layout or write_descriptor_layout). Ready once the last run is on its way out.
    runs: Out(stream of run_layout).
    clear: In(1). Forgets what is left.
    """

    latency = 5

    def __init__(self, *, padding: bool):
        self._padding = padding
        layout = read_descriptor_layout() if padding else write_descriptor_layout()
        super().__init__(
            {
                "start": In(stream.Signature(layout)),
                "runs": Out(stream.Signature(run_layout())),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        begin = Signal()
        busy = Signal()
        descriptor = self.start.payload
        m.d.comb += begin.eq(self.start.valid & self.start.ready)
        m.submodules.out = out = RegisterSlice(shape=run_layout())
        wiring.connect(m, out.o, wiring.flipped(self.runs))
        flows = out.i.ready  # a register: the only condition under which everything moves

        # --- which loop steps: the innermost that is not in its last step -------------------------------------
        first = Signal()  # the first run is still to be given
        last = Signal(LOOPS, init=(1 << LOOPS) - 1)  # loop k is in its last step
        step = Signal(LOOPS + 1)  # one bit: that of the loop, or the last for the first run
        step_valid = Signal()
        step_taken = Signal()
        for k in range(LOOPS):
            count = Signal(16, name=f"count_{k}")
            counter = Signal(16, name=f"counter_{k}")
            once = Signal(name=f"once_{k}")
            steps = Signal(name=f"steps_{k}")
            restarts = Signal(name=f"restarts_{k}")
            m.d.comb += [
                steps.eq(step_taken & ~first & ~last[k] & last[k + 1 :].all()),
                restarts.eq(step_taken & ~first & ~last[:k].all() & last[k:].all()),
            ]
            with m.If(begin):
                m.d.sync += [
                    count.eq(descriptor.loops[k].count),
                    counter.eq(descriptor.loops[k].count),
                    last[k].eq(descriptor.loops[k].count == 1),
                    once.eq(descriptor.loops[k].count == 1),
                ]
            with m.Elif(self.clear):
                m.d.sync += last[k].eq(1)
            with m.Elif(steps):
                m.d.sync += [counter.eq(counter - 1), last[k].eq(counter == 2)]
            with m.Elif(restarts):
                m.d.sync += [counter.eq(count), last[k].eq(once)]
            with m.If(step_taken):
                m.d.sync += step[k].eq(steps)
        with m.If(step_taken):
            m.d.sync += step[LOOPS].eq(first)
        m.d.comb += step_taken.eq(flows & (first | ~last.all()))
        with m.If(flows):
            m.d.sync += [step_valid.eq(step_taken), first.eq(0)]
        with m.If(begin):
            m.d.sync += [first.eq(1), step_valid.eq(0)]
        with m.Elif(self.clear):
            m.d.sync += [first.eq(0), step_valid.eq(0)]

        # --- addresses and coordinates, a cycle to choose what to add and one to add it -------------------------
        # Of the token that is being added: into which loops the sum goes.
        reach = Signal(LOOPS)
        adds = Signal()
        adds_last = Signal()
        run = out.i.payload
        with m.If(flows):
            m.d.sync += [
                adds.eq(step_valid),
                adds_last.eq(last.all()),
                reach.eq(Cat(step[LOOPS] | step[: k + 1].any() for k in range(LOOPS))),
                out.i.valid.eq(adds),
                run.last.eq(adds_last),
            ]
        with m.If(self.clear):
            m.d.sync += [adds.eq(0), out.i.valid.eq(0), busy.eq(0)]
        with m.Elif(begin):
            m.d.sync += busy.eq(1)
        with m.Elif(flows & out.i.valid & run.last):
            m.d.sync += busy.eq(0)
        # What is being added is not in `begun` yet.
        ahead = adds & (reach & step[:LOOPS]).any()
        walked = partial(self._walked, m, begin, flows, step, reach, adds, ahead)
        m.d.comb += [
            run.address.eq(walked("address", 32, descriptor.base, descriptor.strides)),
            out.clear.eq(self.clear),
            self.start.ready.eq(~busy),
        ]
        if not self._padding:
            return m

        # --- padding ----------------------------------------------------------------------------------------
        extent = Signal(descriptor.extent.shape())
        bounded = Signal()
        with m.If(begin):
            m.d.sync += [extent.eq(descriptor.extent), bounded.eq(descriptor.extent.height != 0)]
        outside = []
        for axis, start, size in (
            ("y", descriptor.origin.y, extent.height),
            ("x", descriptor.origin.x, extent.width),
        ):
            moves = [descriptor.loops[k][f"d{axis}"] for k in range(LOOPS)]
            place = Signal(signed(COORDINATE_BITS), name=axis)
            m.d.comb += place.eq(walked(axis, COORDINATE_BITS, start, moves).as_signed())
            outside += [place < 0, place.as_unsigned() >= size]
        m.d.comb += run.padding.eq(bounded & Cat(outside).any())
        return m

    @staticmethod
    def _walked(
        m: Module, begin, flows, step, reach, adds, ahead, name: str, width: int, start, moves
    ) -> Signal:
        """start + Σ i·move of the run that is given."""
        begun = [Signal(width, name=f"{name}_{k}", reset_less=True) for k in range(LOOPS)]
        kept = [
            Signal(move.shape(), name=f"{name}_move_{k}", reset_less=True) for k, move in enumerate(moves)
        ]
        origin = Signal(start.shape(), name=f"{name}_start", reset_less=True)
        source = Signal(width, name=f"{name}_source", reset_less=True)
        move = Signal(kept[0].shape(), name=f"{name}_move", reset_less=True)
        forward = Signal(name=f"{name}_forward")
        with m.If(begin):
            m.d.sync += [origin.eq(start), *(keep.eq(value) for keep, value in zip(kept, moves))]
        extended = Signal(width, name=f"{name}_origin")
        m.d.comb += extended.eq(origin)
        with m.If(flows):
            m.d.sync += [
                source.eq(choose([*begun, extended], step)),
                move.eq(choose(kept, step[:LOOPS])),
                forward.eq(ahead),
            ]
        total = Signal(width, name=f"{name}_total")
        m.d.comb += total.eq(Mux(forward, begun[-1], source) + move)
        for k in range(LOOPS):
            with m.If(flows & adds & reach[k]):
                m.d.sync += begun[k].eq(total)
        return begun[-1]
