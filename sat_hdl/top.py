"""The core: array, pruner and their control, behind streams. Wiring only."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.control import Control
from sat_hdl.layouts import (
    job_layout,
    north_layout,
    report_layout,
    result_layout,
    west_layout,
)
from sat_hdl.stce.drain import Drain
from sat_hdl.stce.stce import Stce

__all__ = ["ProductCore"]


class ProductCore(wiring.Component):
    """Matrix products Y = acc + A · B, B dense or N:M sparse, from streams to a stream.

    The orders of the beats are in :class:`~sat_hdl.control.control.Control`.

    Arguments
    ---------
    config: everything.

    Members
    -------
    job: In(stream of job_layout). report: Out(stream of report_layout).
    west: In(stream of west_layout). A.
    north: In(stream of north_layout). B, pruned.
    initial: In(stream of result_layout). Initial accumulators, if the job asks for them.
    result: Out(stream of result_layout). Y.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "report": Out(stream.Signature(report_layout())),
                "west": In(stream.Signature(west_layout(config))),
                "north": In(stream.Signature(north_layout(config))),
                "initial": In(stream.Signature(result_layout(config))),
                "result": Out(stream.Signature(result_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.stce = stce = Stce(self._config)
        m.submodules.drain = drain = Drain(self._config, exchange_latency=stce.exchange_latency)
        m.submodules.control = control = Control(self._config, result_latency=stce.result_latency)
        for name in ("job", "west", "north", "initial"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(control, name))
        wiring.connect(m, control.report, wiring.flipped(self.report))
        wiring.connect(m, drain.result, wiring.flipped(self.result))
        m.d.comb += [
            stce.west_control.eq(control.west_control),
            stce.west.eq(control.west_data),
            stce.north_control.eq(control.north_control),
            stce.north.eq(control.north_data),
            stce.exchange_control.eq(control.exchange_control),
            stce.initial.eq(control.initial_data),
            drain.words.eq(stce.results),
            drain.issue.eq(control.issue),
            control.room.eq(drain.room),
            control.empty.eq(drain.empty),
            control.taken.eq(drain.result.valid & drain.result.ready),
        ]
        return m
