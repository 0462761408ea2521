"""Runs products on the array: checks a job, walks its tiles, counts cycles."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.compute import Sequencer
from sat_hdl.control.exchange import Exchanger
from sat_hdl.control.tiles import TileWalk, tile_layout
from sat_hdl.control.turns import TurnWalk, samples_log
from sat_hdl.control.west import WestFeeder
from sat_hdl.layouts import (
    ErrorCode,
    job_layout,
    north_layout,
    report_layout,
    result_layout,
    west_layout,
)
from sat_hdl.stce.tokens import exchange_control, north_control, placed_layout, west_control

__all__ = ["Control", "job_error"]

#: Tiles that the walk may be ahead of each of its three users, the current one apart.
_TILES_AHEAD = 4


class Control(wiring.Component):
    """Takes a job, feeds its operands to the array from streams that may stall at any time, has its results
    drained, and reports.

    Three processes walk over the same tiles, each as far as it can: :class:`WestFeeder` (activations),
    :class:`Sequencer` (weights), :class:`Exchanger` (initial accumulators in, results out). An illegal job
    is reported at once and touches no other stream.

    Order of the beats, with tiles of R rows (folded, F·R) and C·J columns, bands of columns outermost:

    - ``west``: for band, for row tile, for k in steps of E (a group's last step may be short). Folded: for row tile,
      for group of k, for R rows of the tile, for k of the group.
    - ``north``: for band, for row tile, for group of k, for kept weight, for slot of C columns that exist.
    - ``initial`` and results: for band, for row tile, for slot that exists, for row that exists.

    Weight-stationary, with turns of U rows of A (see :class:`~sat_hdl.control.turns.TurnWalk`), a group of k to a row
    of the array, and A such groups:

    - ``west``: for turn t from 0 to ceil(m / U) + 2·A - 3, for u in U, for k of the group in steps of E: to row r of
      the array the element of row (t - 2·r)·U + u of A, which need not exist. U groups follow each other without
      a gap.
    - ``north``: for row of the array, for kept weight of its group, for slot of C columns that exist.
    - ``initial`` and results: for row of A, for slot that exists.

    Arguments
    ---------
    config: everything.
    result_latency: of the array.

    Members
    -------
    job: In(stream of job_layout). report: Out(stream of report_layout), one for each job.
    west, north, initial: In(streams).
    west_control, west_data, north_control, north_data, exchange_control, initial_data: Out: to the array.
    issue: Out(1), room, empty: In(1): of the drain. taken: In(1): a beat of results leaves the drain.
    """

    def __init__(self, config: Config, *, result_latency: int):
        self._config = config
        self._result_latency = result_latency
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "report": Out(stream.Signature(report_layout())),
                "west": In(stream.Signature(west_layout(config))),
                "north": In(stream.Signature(north_layout(config))),
                "initial": In(stream.Signature(result_layout(config))),
                "west_control": Out(west_control(config)),
                "west_data": Out(west_layout(config)),
                "north_control": Out(north_control(config)),
                "north_data": Out(placed_layout(config)),
                "exchange_control": Out(exchange_control(config)),
                "initial_data": Out(result_layout(config)),
                "issue": Out(1),
                "room": In(1),
                "empty": In(1),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walk = walk = TileWalk(config)
        tiles = walk.tiles
        m.submodules.feeder = feeder = WestFeeder(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.exchanger = exchanger = Exchanger(config, result_latency=self._result_latency)

        job = Signal(job_layout(config))
        stationary = Signal()  # the job in hand is
        walks, elements = [walk], Signal.like(job.k)
        if config.weight_stationary:
            m.submodules.turn_walk = turn_walk = TurnWalk(config)
            walks.append(turn_walk)
            tiles = stream.Signature(tile_layout(config)).create()
            m.d.comb += stationary.eq(job.stationary)
            for source, enable in ((walk.tiles, ~stationary), (turn_walk.tiles, stationary)):
                with m.If(enable):
                    m.d.comb += [
                        tiles.valid.eq(source.valid),
                        tiles.payload.eq(source.payload),
                        source.ready.eq(tiles.ready),
                    ]
            # Of a turn in a row's group memory.
            with m.Switch(Cat(job.slots, job.group)):
                for s in range(4):
                    for length in (1, *config.group_lengths()):
                        with m.Case(s | length << 2):
                            m.d.comb += elements.eq(length << samples_log(config, s, length))

        # --- one walk, three users ----------------------------------------------------------------------
        tile = tiles.payload
        queues = []
        for name, user in (("feeder", feeder), ("sequencer", sequencer), ("exchanger", exchanger)):
            queue = SyncFIFO(width=tile.shape().size, depth=_TILES_AHEAD)
            m.submodules[f"{name}_tiles"] = queue
            # A register behind the queue's memory: the users decide much from it in a cycle.
            current = Signal.like(queue.r_data, name=f"{name}_tile", reset_less=True)
            valid = Signal(name=f"{name}_tile_valid")
            with m.If(queue.r_en):
                m.d.sync += [current.eq(queue.r_data), valid.eq(queue.r_rdy)]
            m.d.comb += [
                queue.w_data.eq(tile),
                queue.w_en.eq(tiles.valid & tiles.ready),
                queue.r_en.eq(~valid | user.tiles.ready),
                user.tiles.payload.eq(current),
                user.tiles.valid.eq(valid),
            ]
            queues.append(queue)
        m.d.comb += tiles.ready.eq(queues[0].w_rdy & queues[1].w_rdy & queues[2].w_rdy)
        if config.weight_stationary:
            with m.If(stationary & ~tile.computes):
                m.d.comb += queues[0].w_en.eq(0)

        # --- streams to the array -----------------------------------------------------------------------
        wiring.connect(m, wiring.flipped(self.west), feeder.elements)
        wiring.connect(m, wiring.flipped(self.north), sequencer.weights)
        wiring.connect(m, wiring.flipped(self.initial), exchanger.initial)
        starts = sequencer.control.first & sequencer.control.accumulate
        m.d.comb += [
            self.west_control.eq(feeder.control),
            self.west_data.eq(feeder.west),
            self.north_control.eq(sequencer.control),
            self.north_data.eq(sequencer.north),
            self.exchange_control.eq(exchanger.control),
            self.initial_data.eq(exchanger.words),
            sequencer.filled.eq(feeder.filled),
            feeder.release.eq(sequencer.release),
            sequencer.grant.eq(exchanger.grant),
            sequencer.passed.eq(exchanger.passed),
            exchanger.final.eq(sequencer.final),
            *([exchanger.starts.eq(starts)] if config.ring else []),
            exchanger.room.eq(self.room),
            self.issue.eq(exchanger.issue),
        ]

        # --- jobs -----------------------------------------------------------------------------------------
        report = Signal(report_layout())
        start = Signal()
        for user in (*walks, feeder, sequencer, exchanger):
            own = user.start
            m.d.comb += own.eq(start & ((user not in walks) | (stationary == (user is not walk))))
            for name in ("m", "n", "k", "keep", "group", "accumulate", "slots", "fold"):
                if name in user.signature.members:
                    m.d.comb += getattr(user, name).eq(job[name])
        m.d.comb += [sequencer.stationary.eq(stationary), exchanger.stationary.eq(stationary)]
        with m.If(stationary):  # a turn is a tile with one group of k
            m.d.comb += [sequencer.k.eq(job.keep), feeder.k.eq(elements), feeder.group.eq(elements)]
        m.d.comb += self.report.payload.eq(report)

        error = job_error(m, config, job)

        elapsed = Signal.like(report.cycles)
        accepted = (
            (self.west.valid & self.west.ready)
            | (self.north.valid & self.north.ready)
            | (self.initial.valid & self.initial.ready)
        )
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.job.ready.eq(1)
                with m.If(self.job.valid):
                    m.d.sync += job.eq(self.job.payload)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [report.eq(0), report.error.eq(error), elapsed.eq(0)]
                with m.If(error == ErrorCode.NONE):
                    m.d.comb += start.eq(1)
                    m.next = "RUN"
                with m.Else():
                    m.next = "REPORT"
            with m.State("RUN"):
                with m.If(accepted | (elapsed != 0)):
                    m.d.sync += elapsed.eq(elapsed + 1)
                with m.If(self.taken):
                    m.d.sync += report.cycles.eq(elapsed + 1)
                stalled = sequencer.starved | (sequencer.blocked & exchanger.starved)
                m.d.sync += [
                    report.busy.eq(report.busy + sequencer.busy),
                    report.input_stalls.eq(report.input_stalls + stalled),
                    report.output_stalls.eq(report.output_stalls + (sequencer.blocked & exchanger.blocked)),
                ]
                with m.If(~exchanger.busy & self.empty):
                    m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += self.report.valid.eq(1)
                with m.If(self.report.ready):
                    m.next = "IDLE"
        return m


def job_error(m: Module, config: Config, job) -> Signal:
    """The :class:`ErrorCode` of a job (a view of job_layout)."""
    empty = (job.m == 0) | (job.k == 0) | (job.n == 0)
    lengths = config.group_lengths()
    group = Cat(job.group == length for length in lengths).any()
    keep = (job.keep == 0) | (job.keep > job.group)
    dataflow = job.stationary
    if config.weight_stationary:
        group |= job.stationary & (job.group == 1)
        too_long = Cat((job.group == g) & (job.k > config.rows * g) for g in (1, *lengths)).any()
        too_much = Cat(
            (job.slots == s) & ((job.n > config.cols << s) | (job.keep > config.held >> s)) for s in range(4)
        ).any()
        dataflow = job.stationary & (too_long | too_much)
    if config.fold > 1:
        slots = config.interleave + config.least_span - 1  # that a tile can have
        too_much = [(job.fold != 0) & job.stationary]
        for f in range(1, 4):
            groups = Cat((job.group == g) & (config.most_fold(g) >> f == 0) for g in lengths).any()
            too_much.append((job.fold == f) & ((job.n > (slots >> f) * config.cols) | groups))
        dataflow |= Cat(too_much).any()
    error = Signal(ErrorCode)
    with m.If(empty):
        m.d.comb += error.eq(ErrorCode.EMPTY_SHAPE)
    with m.Elif(~group):
        m.d.comb += error.eq(ErrorCode.BAD_GROUP)
    with m.Elif(keep):
        m.d.comb += error.eq(ErrorCode.BAD_KEEP)
    with m.Elif(dataflow):
        m.d.comb += error.eq(ErrorCode.BAD_DATAFLOW)
    return error
