"""Buffers around the array: what a program moves operands into, computes with, and stores. Wiring only."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config, require
from sat_hdl.control.gather import Gather, gather_layout
from sat_hdl.control.load import Scatter, scatter_layout
from sat_hdl.control.product_run import product_run_layout
from sat_hdl.control.product_unit import ProductUnit
from sat_hdl.layouts import report_layout
from sat_hdl.memory.north_buffer import NorthBuffer
from sat_hdl.memory.reader import read_beat_layout
from sat_hdl.memory.result_buffer import ResultBuffer
from sat_hdl.memory.west_buffer import WestBuffer
from sat_hdl.top import ProductCore

__all__ = ["Datapath", "check_powers"]


def check_powers(config: Config):
    """Raises :class:`ConfigError` unless memory formats exist for the array: its sides must be powers of two."""
    for name in ("rows", "cols"):
        value = getattr(config, name)
        require(
            value.bit_count() == 1,
            f"An array with memory needs `{name}` to be a power of two, not {value}: panels of weights and banks of "
            "activations are cut so.",
        )


class Datapath(wiring.Component):
    """Scatter → west, north and result buffers → product core → result buffer → gather.

    Arguments
    ---------
    config: everything; rows and cols are powers of two.

    Members
    -------
    load_start, load, beats, loading, load_error: ``start``, ``what``, ``beats``, ``busy``, ``range_error`` of
        :class:`~sat_hdl.control.load.Scatter`.
    run, status, run_error: ``run``, ``status``, ``range_error`` of
        :class:`~sat_hdl.control.product_unit.ProductUnit`.
    store_start, store, stored, storing, overflow, store_error: ``start``, ``what``, ``beats``, ``busy``,
        ``overflow``,
        ``range_error`` of :class:`~sat_hdl.control.gather.Gather`.
    """

    def __init__(self, config: Config):
        check_powers(config)
        self._config = config
        beats = stream.Signature(config.memory_bits)
        super().__init__(
            {
                "load_start": In(1),
                "load": In(scatter_layout(config)),
                "beats": In(stream.Signature(read_beat_layout(config.memory_bits))),
                "loading": Out(1),
                "load_error": Out(1),
                "run": In(stream.Signature(product_run_layout(config))),
                "status": Out(stream.Signature(report_layout())),
                "run_error": Out(1),
                "store_start": In(1),
                "store": In(gather_layout(config)),
                "stored": Out(beats),
                "storing": Out(1),
                "overflow": Out(1),
                "store_error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.scatter = scatter = Scatter(config)
        m.submodules.west = west = WestBuffer(config)
        m.submodules.north = north = NorthBuffer(config)
        m.submodules.results = results = ResultBuffer(config)
        m.submodules.unit = unit = ProductUnit(config)
        m.submodules.core = core = ProductCore(config)
        m.submodules.gather = gather = Gather(config)
        m.d.comb += [
            scatter.start.eq(self.load_start),
            scatter.what.eq(self.load),
            self.loading.eq(scatter.busy),
            self.load_error.eq(scatter.range_error),
            west.write_address.eq(scatter.address),
            west.write_rows.eq(scatter.west_rows),
            west.write_lanes.eq(scatter.west_lanes),
            west.write_data.eq(scatter.west_data),
            north.write_address.eq(scatter.address),
            north.write_values.eq(scatter.values),
            north.write_indices.eq(scatter.indices),
            north.write_data.eq(scatter.north_data),
            results.writes.eq(scatter.to_results),
            results.write_address.eq(scatter.address),
            results.write_parts.eq(scatter.parts),
            results.write_data.eq(scatter.result_data),
            self.run_error.eq(unit.range_error),
            gather.start.eq(self.store_start),
            gather.what.eq(self.store),
            self.storing.eq(gather.busy),
            self.overflow.eq(gather.overflow),
            self.store_error.eq(gather.range_error),
        ]
        connect(m, flipped(self.beats), scatter.beats)
        connect(m, flipped(self.run), unit.run)
        connect(m, unit.status, flipped(self.status))
        connect(m, unit.job, core.job)
        connect(m, core.report, unit.report)
        connect(m, unit.west, west.addresses)
        connect(m, west.elements, core.west)
        connect(m, unit.north, north.addresses)
        connect(m, north.weights, core.north)
        connect(m, unit.initial, results.initial_addresses)
        connect(m, results.initial, core.initial)
        connect(m, core.result, unit.result)
        connect(m, unit.results, results.results)
        connect(m, gather.addresses, results.stored_addresses)
        connect(m, results.stored, gather.words)
        connect(m, gather.beats, flipped(self.stored))
        return m
