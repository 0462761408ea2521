"""SORE, the sparse online reduction engine: dense vectors → N:M kept (value, index) pairs."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.layouts import ErrorCode, pair_layout, prune_job_layout
from sat_hdl.sore.pruner import Pruner
from sat_hdl.sore.sequencer import Sequencer

__all__ = ["Sore"]


class Sore(wiring.Component):
    """Prunes ``sore_lanes`` vectors at a time, one element a cycle and lane, groups without gaps.

    A job is ``vectors`` rounds of one vector a lane, each ``length`` elements. Of every M consecutive
    elements of a vector the N of largest magnitude come out (numerics: bit pattern without sign, ties to
    the lower index) by ascending index; a short last group of L elements gives min(N, L). All lanes keep
    equally many, so a beat of ``pairs`` holds the k-th pair of the same group in every lane.

    Every job is answered by one code on ``status``: an illegal one at once, without touching ``dense``;
    a legal one, ErrorCode.NONE, after its last pair has left. The next job is taken after the answer.

    Timing, unstalled: a group takes M cycles at ``dense``, a short one at most as many, and its first pair
    is offered ``latency`` cycles after its last element was taken, or right after the pairs of the group
    before. Both sides may stall at any time: no valid depends on a ready, and ``dense.ready`` on registers
    only.

    Structure: a :class:`~sat_hdl.sore.pruner.Pruner`, and a sequencer that tells it each element's place.

    Arguments
    ---------
    config: sore_lanes, max_m and the operand format.

    Members
    -------
    job: In(stream of prune_job_layout).
    dense: In(stream of ArrayLayout(format.width, sore_lanes)). Element e of all lanes' vectors.
    pairs: Out(stream of ArrayLayout(pair_layout, sore_lanes)).
    status: Out(stream of ErrorCode).
    busy: Out(1). From taking a job to handing over its status.
    cycles: Out(32). Cycles of ``busy``, of this job or the last.
    stalled_input, stalled_output: Out(32). Of these, cycles in which ``dense`` was wanted but not valid,
        and in which a pair was offered but not taken.
    """

    def __init__(self, config: Config):
        self._config = config
        self._pruner = Pruner(config, lanes=config.sore_lanes)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = self._pruner.shared_modules
        super().__init__(
            {
                "job": In(stream.Signature(prune_job_layout(config))),
                "dense": In(stream.Signature(data.ArrayLayout(config.format.width, config.sore_lanes))),
                "pairs": Out(stream.Signature(data.ArrayLayout(pair_layout(config), config.sore_lanes))),
                "status": Out(stream.Signature(ErrorCode)),
                "busy": Out(1),
                "cycles": Out(32),
                "stalled_input": Out(32),
                "stalled_output": Out(32),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a group's last element taken to its first pair offered, unstalled: 6."""
        return self._pruner.latency

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        connect(m, flipped(self.job), sequencer.job)
        connect(m, sequencer.status, flipped(self.status))

        m.submodules.pruner = pruner = self._pruner
        take = pruner.take
        m.d.comb += [
            pruner.dense.payload.eq(self.dense.payload),
            pruner.dense.valid.eq(self.dense.valid & sequencer.running),
            self.dense.ready.eq(pruner.dense.ready & sequencer.running),
            *(
                pruner.place[name].eq(getattr(sequencer, name))
                for name in ("first", "last", "index", "group")
            ),
            pruner.mask.eq(sequencer.mask),
            pruner.clear.eq(self.job.ready),
            sequencer.take.eq(take),
            sequencer.drained.eq(pruner.drained),
        ]
        connect(m, pruner.pairs, flipped(self.pairs))
        self._counters(m, sequencer, take)
        return m

    def _counters(self, m: Module, sequencer, take):
        m.d.comb += self.busy.eq(sequencer.busy)
        events = {
            "cycles": sequencer.busy,
            "stalled_input": sequencer.running & self.dense.ready & ~self.dense.valid,
            "stalled_output": self.pairs.valid & ~self.pairs.ready,
        }
        for name, event in events.items():
            counter = getattr(self, name)
            with m.If(self.job.valid & self.job.ready):
                m.d.sync += counter.eq(0)
            with m.Elif(event):
                m.d.sync += counter.eq(counter + 1)
