"""SORE's sequencer: a pruning job → what each element of the stream is to its group."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import ErrorCode, prune_job_layout

__all__ = ["Sequencer", "group_layout"]


def group_layout(config: Config) -> data.StructLayout:
    """How a group of L elements is pruned.

    ``last``: index of its last element, L − 1. ``kept``: pairs that it gives, min(N, L). ``drop``: whether
    its lanes track the entries to drop, being fewer. ``in_use``: slots for the tracked entries, a
    thermometer. ``flip``: what turns tracked into kept, the L positions if ``drop``, else 0.
    """
    return data.StructLayout(
        {
            "last": config.index_bits,
            "kept": config.count_bits,
            "drop": 1,
            "in_use": config.max_m // 2,
            "flip": config.max_m,
        }
    )


class Sequencer(wiring.Component):
    """Checks jobs and walks through their elements.

    Only the last group of a vector can be short, so both lengths of group are worked out when a job
    starts, and every later step is a choice between two registers. A job is ready for elements 6 cycles
    after it was taken; an illegal one is reported 2 cycles after.

    Arguments
    ---------
    config: max_m and dim_bits.

    Members
    -------
    job: In(stream of prune_job_layout).
    status: Out(stream of ErrorCode). One for each job, in order.
    running: Out(1). An element may be taken.
    take: In(1). One is taken.
    group: Out(group_layout). The element's group.
    index: Out(index_bits). The element's index in it.
    first, last: Out(1). Whether it is the first or last of its group.
    mask: Out(index_bits). M − 1.
    drained: In(1). No element or pair is on its way any more; looked at after a job's last element.
    busy: Out(1). A job is being worked on, or its status waits.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(prune_job_layout(config))),
                "status": Out(stream.Signature(ErrorCode)),
                "running": Out(1),
                "take": In(1),
                "group": Out(group_layout(config)),
                "index": Out(config.index_bits),
                "first": Out(1),
                "last": Out(1),
                "mask": Out(config.index_bits),
                "drained": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        config = self._config
        job = Signal(prune_job_layout(config), reset_less=True)
        code = Signal(ErrorCode)
        # Of the job: index of a vector's last element, M − 1, groups of a vector but one.
        end = Signal(config.dim_bits, reset_less=True)
        groups = Signal(config.dim_bits, reset_less=True)
        full = Signal(group_layout(config), reset_less=True)
        final = Signal(group_layout(config), reset_less=True)
        full_rest = Signal(config.count_bits, reset_less=True)
        final_rest = Signal(config.count_bits, reset_less=True)
        # Of the stream: groups after this one in its vector, vectors after this one, whether there are none.
        groups_left = Signal(config.dim_bits, reset_less=True)
        vectors_left = Signal(config.dim_bits, reset_less=True)
        ends_vector = Signal(reset_less=True)
        ends_job = Signal(reset_less=True)
        running = Signal()
        starting = Signal()
        last = Signal(reset_less=True)
        m.d.comb += self.running.eq(running)

        exponents = [length.bit_length() - 1 for length in config.group_lengths()]
        group_is = [job.group == 1 << exponent for exponent in exponents]
        m.d.comb += [
            self.mask.eq(job.group - 1),
            self.first.eq(self.index == 0),
            self.last.eq(last),
            self.status.payload.eq(code),
        ]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.job.ready.eq(1)
                m.d.sync += job.eq(self.job.payload)
                with m.If(self.job.valid):
                    m.next = "CHECK"

            with m.State("CHECK"):
                m.d.sync += [end.eq(job.length - 1), code.eq(ErrorCode.NONE)]
                m.next = "MEASURE"
                refusals = [
                    ((job.length == 0) | (job.vectors == 0), ErrorCode.EMPTY_SHAPE),
                    (~Cat(group_is).any(), ErrorCode.BAD_GROUP),
                    ((job.keep == 0) | (job.keep > job.group), ErrorCode.BAD_KEEP),
                ]
                for refused, reason in reversed(refusals):
                    with m.If(refused):
                        m.d.sync += code.eq(reason)
                        m.next = "REPORT"

            with m.State("MEASURE"):
                for exponent, chosen in zip(exponents, group_is):
                    with m.If(chosen):
                        m.d.sync += groups.eq(end >> exponent)
                self._measure(m, full, full_rest, self.mask, job.keep)
                self._measure(m, final, final_rest, end[: config.index_bits] & self.mask, job.keep)
                m.next = "PLAN"

            with m.State("PLAN"):
                self._plan(m, full, full_rest)
                self._plan(m, final, final_rest)
                m.next = "START"

            with m.State("START"):
                m.d.comb += starting.eq(1)
                m.next = "ARM"

            with m.State("ARM"):  # the counters are loaded
                m.d.sync += running.eq(1)
                m.next = "RUN"

            with m.State("RUN"):
                with m.If(~running):
                    m.next = "DRAIN"

            with m.State("DRAIN"):
                with m.If(self.drained):
                    m.next = "REPORT"

            with m.State("REPORT"):
                m.d.comb += self.status.valid.eq(1)
                with m.If(self.status.ready):
                    m.next = "IDLE"
        # Outside of the state machine, for an element is taken only while running. What follows is worked
        # out from registers; `take`, which comes late, only enables.
        ends_group = starting | last
        next_vector = starting | (last & ends_vector)
        next_final = Mux(next_vector, groups == 0, groups_left == 1)
        following = self.index + 1
        with m.If(starting | self.take):
            m.d.sync += [
                self.index.eq(Mux(ends_group, 0, following)),
                last.eq(Mux(ends_group, next_final & (final.last == 0), following == self.group.last)),
            ]
            with m.If(ends_group):
                m.d.sync += [self.group.eq(Mux(next_final, final, full)), ends_vector.eq(next_final)]
        # The wide counters follow a cycle later, off the path of `take`. They are asked again two cycles
        # after at the earliest: a group of one element is followed by the skip of its slots.
        counts_group = Signal()
        counts_vector = Signal()
        starts = Signal()
        m.d.sync += [
            counts_group.eq(starting | (self.take & last)),
            counts_vector.eq(starting | (self.take & last & ends_vector)),
            starts.eq(starting),
        ]
        with m.If(counts_group):
            m.d.sync += groups_left.eq(Mux(counts_vector, groups, groups_left - 1))
        with m.If(counts_vector):
            vectors_before = Mux(starts, job.vectors, vectors_left)
            m.d.sync += [vectors_left.eq(vectors_before - 1), ends_job.eq(vectors_before == 1)]
        with m.If(self.take & last & ends_vector & ends_job):
            m.d.sync += running.eq(0)
        return m

    def _measure(self, m: Module, group, rest: Signal, last, keep):
        """How many entries of a group to keep, and to drop, if its last element has index ``last``."""
        short = keep > last
        m.d.sync += [
            group.last.eq(last),
            group.kept.eq(Mux(short, last + 1, keep)),
            rest.eq(Mux(short, 0, last + 1 - keep)),
        ]

    def _plan(self, m: Module, group, rest: Signal):
        """Which of them to track."""
        drop = group.kept > rest
        tracked = Mux(drop, rest, group.kept)
        max_m = self._config.max_m
        m.d.sync += [
            group.drop.eq(drop),
            group.in_use.eq(Cat(tracked > i for i in range(max_m // 2))),
            group.flip.eq(Cat(drop, *(drop & (group.last >= t) for t in range(1, max_m)))),
        ]
