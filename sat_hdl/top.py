"""The cores: array, pruner and their control, behind streams. Wiring only."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.control.control import Control
from sat_hdl.layouts import (
    job_layout,
    north_layout,
    report_layout,
    result_layout,
    west_layout,
)
from sat_hdl.sore.sore import Sore
from sat_hdl.stce.drain import Drain
from sat_hdl.stce.stce import Stce

__all__ = ["ProductCore", "SatCore"]


class ProductCore(wiring.Component):
    """Matrix products Y = acc + A · B, B dense or N:M sparse, from streams to a stream.

    The orders of the beats are in :class:`~sat_hdl.control.control.Control`.

    Cycles from the first operand in to the last result out, where no stream stalls and no tile is wide, K' being
    the kept entries of a chain and span a tile's slots, at least 8:

        fill + K' × (sum of the spans) + tail
        fill = max(ceil(min(M, k) / E), slots × rows of the first tile if it takes initial accumulators)
        tail = slots × rows − span of the last tile + result latency + the drain's latency

    In a ring a product takes (slots of the last tile - 1) more, for all its sums are written before one leaves.
    That holds while a tile's results leave (slots × rows cycles) before the next but one is summed up, and a group
    of activations comes (M / E cycles) before the one in use is used up (N × span). Latencies are those of
    :class:`~sat_hdl.stce.stce.Stce` and :class:`~sat_hdl.stce.drain.Drain`. Without accumulators a single full tile
    of a dense 8 × 8 in binary16 costs 8·K' + 94 cycles (95 where weights can be held).

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
            connect(m, flipped(getattr(self, name)), getattr(control, name))
        connect(m, control.report, flipped(self.report))
        connect(m, drain.result, flipped(self.result))
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


class SatCore(wiring.Component):
    """All that there is to date: a :class:`ProductCore` and a :class:`~sat_hdl.sore.sore.Sore` side by side.

    Arguments
    ---------
    config: everything.

    Members
    -------
    job, report, west, north, initial, result: see :class:`ProductCore`.
    prune_job, prune_status, dense, pairs: ``job``, ``status``, ``dense`` and ``pairs`` of the pruner.
    """

    def __init__(self, config: Config):
        self._product = ProductCore(config)
        self._sore = Sore(config)
        #: Port of this component → block and its port.
        self._ports = {name: (self._product, name) for name in self._product.signature.members} | {
            "prune_job": (self._sore, "job"),
            "prune_status": (self._sore, "status"),
            "dense": (self._sore, "dense"),
            "pairs": (self._sore, "pairs"),
        }
        super().__init__({name: block.signature.members[port] for name, (block, port) in self._ports.items()})

    def elaborate(self, platform):
        m = Module()
        m.submodules.product = self._product
        m.submodules.sore = self._sore
        for name, (block, port) in self._ports.items():
            connect(m, getattr(block, port), flipped(getattr(self, name)))
        return m
