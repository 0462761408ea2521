"""The compute unit: a run's registers → a product."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS
from sat_hdl.control.product_run import Initial, product_run_layout
from sat_hdl.control.unit import run_layout
from sat_hdl.layouts import ErrorCode, report_layout

__all__ = ["ComputeUnit"]


class ComputeUnit(wiring.Component):
    """Runs COMPUTE, by a :class:`~sat_hdl.control.product_unit.ProductUnit`.

    Arguments
    ---------
    config: everything.

    Members
    -------
    values: In(32 × registers), run: In(stream of run_layout), done: Out(1): see
        :class:`~sat_hdl.control.unit.UnitQueue`.
    error: Out(4), an ErrorCode, from its finding until a reset; error_address: Out(32).
    busy: Out(1).
    product: Out(stream of product_run_layout), status: In(stream of report_layout), range_error: In(1): the
        product unit's.
    reported: Out(1), report: Out(report_layout): for the counters, for a cycle.
    """

    def __init__(self, config: Config):
        self._config = config
        registers = len(UNITS["compute"].registers)
        super().__init__(
            {
                "values": In(data.ArrayLayout(32, registers)),
                "run": In(stream.Signature(run_layout())),
                "done": Out(1),
                "error": Out(4),
                "error_address": Out(32),
                "busy": Out(1),
                "product": Out(stream.Signature(product_run_layout(config))),
                "status": In(stream.Signature(report_layout())),
                "range_error": In(1),
                "reported": Out(1),
                "report": Out(report_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        unit = UNITS["compute"]

        def register(name: str):
            return self.values[unit.index(name)]

        product = self.product.payload
        job = product.job
        dims = [job[name].eq(register(name)) for name in ("m", "k", "n")]
        # A count that does not fit must not be taken for one that does, nor a fold be left out.
        sparsity = register("sparsity")
        largest = (1 << self._config.count_bits) - 1
        refused = sparsity[:8] > largest
        fold = sparsity[19:21]
        if self._config.fold > 1:
            m.d.comb += job.fold.eq(fold)
        else:
            refused |= fold.any()
        m.d.comb += [
            *dims,
            job.keep.eq(Mux(refused, 0, sparsity[:8])),
            job.group.eq(Mux(sparsity[8:16] > largest, 0, sparsity[8:16])),
            job.stationary.eq(sparsity[16]),
            job.slots.eq(sparsity[17:19]),
            job.accumulate.eq(self.run.payload.action != Initial.ZERO),
            product.start.eq(self.run.payload.action),
            *(product[name].eq(register(name)) for name in
              ("west", "west_pitch", "north", "north_pitch", "initial", "result")),
            self.report.eq(self.status.payload),
        ]  # fmt: skip
        fault = Signal(4)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += [
                    self.product.valid.eq(self.run.valid),
                    self.run.ready.eq(self.product.ready),
                ]
                with m.If(self.run.valid & self.run.ready):
                    m.d.sync += self.error_address.eq(self.run.payload.address)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.status.ready.eq(1)
                with m.If(self.status.valid):
                    m.d.comb += [
                        self.reported.eq(1),
                        fault.eq(
                            Mux(
                                self.range_error,
                                ErrorCode.OUT_OF_RANGE.value,
                                self.status.payload.error.as_value(),
                            )
                        ),
                        self.done.eq(fault == 0),
                    ]
                    m.next = "IDLE"
        with m.If(self.error == 0):
            m.d.sync += self.error.eq(fault)
        return m
