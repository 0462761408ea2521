"""COMPUTE: a product whose operands lie in the buffers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.control import job_error
from sat_hdl.control.product_places import result_places
from sat_hdl.control.product_run import product_run_layout
from sat_hdl.control.product_west import west_addresses
from sat_hdl.control.tiles import TileWalk, tile_layout
from sat_hdl.layouts import ErrorCode, job_layout, report_layout, result_layout
from sat_hdl.memory.north_buffer import north_address
from sat_hdl.memory.result_buffer import result_address, result_word
from sat_hdl.memory.west_buffer import west_address

__all__ = ["ProductUnit"]


class ProductUnit(wiring.Component):
    """Runs a job of a :class:`~sat_hdl.top.ProductCore` out of the buffers, by sending it their words in its order.

    Walks over the same tiles make the addresses, each as far ahead as the pipes behind the buffers let it: one
    address a cycle, and a cycle between tiles. An illegal job, and one that would read or write past a
    buffer's end, is
    reported; what lies beyond is not written.

    Arguments
    ---------
    config: everything.

    Members
    -------
    run: In(stream of product_run_layout).
    status: Out(stream of report_layout), when the last result has been written. range_error: Out(1), meanwhile.
    job: Out(stream of job_layout), report: In(stream of report_layout), result: In(stream of result_layout):
        the core's.
    west, north, initial: Out(streams of addresses). results: Out(stream of result_word).
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "run": In(stream.Signature(product_run_layout(config))),
                "status": Out(stream.Signature(report_layout())),
                "range_error": Out(1),
                "job": Out(stream.Signature(job_layout(config))),
                "report": In(stream.Signature(report_layout())),
                "result": In(stream.Signature(result_layout(config))),
                "west": Out(stream.Signature(west_address(config))),
                "north": Out(stream.Signature(north_address(config))),
                "initial": Out(stream.Signature(result_address(config))),
                "results": Out(stream.Signature(result_word(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        run = Signal(product_run_layout(config))
        job = run.job
        error = job_error(m, config, job)
        report = Signal(report_layout())
        kept, groups, short = (Signal(config.dim_bits, name=n) for n in ("kept", "groups", "short"))
        bit = Signal(range(config.count_bits + 1))
        start = Signal()
        out_of_range = Signal()

        # Results come long after their tiles' operands have gone, so a walk of their own leads to them.
        walks = {"operands": ("west", "north", "initial"), "results": ("results",)}
        users = {
            "west": self._west,
            "north": self._north,
            "initial": self._initial,
            "results": self._results,
        }
        beyond = []
        for walk_name, names in walks.items():
            m.submodules[f"{walk_name}_walk"] = walk = TileWalk(config)
            m.d.comb += [walk.start.eq(start), walk.m.eq(job.m), walk.n.eq(job.n)]
            if config.fold > 1:
                m.d.comb += walk.fold.eq(job.fold)
            ready = []
            for name in names:
                queue = SyncFIFO(width=tile_layout(config).size, depth=2)
                m.submodules[f"{name}_tiles"] = queue
                ready.append(queue.w_rdy)
                m.d.comb += [
                    queue.w_data.eq(walk.tiles.payload),
                    queue.w_en.eq(walk.tiles.valid & walk.tiles.ready),
                ]
                if name == "north":
                    # Held weights come once. Later tiles must not wait behind them: some weights come only after
                    # sums that start from those tiles' accumulators.
                    with m.If(job.stationary & ~walk.tiles.payload.opens):
                        m.d.comb += queue.w_en.eq(0)
                tile = data.View(tile_layout(config), queue.r_data)
                beyond.append(users[name](m, run, tile, queue, start, kept))
            m.d.comb += walk.tiles.ready.eq(Cat(ready).all())

        with m.If(Cat(*beyond).any()):
            m.d.sync += out_of_range.eq(1)

        # --- jobs -----------------------------------------------------------------------------------------
        m.d.comb += [
            self.job.payload.eq(job),
            self.status.payload.eq(report),
            self.range_error.eq(out_of_range),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.run.ready.eq(1)
                m.d.sync += [
                    run.eq(self.run.payload),
                    bit.eq(0),
                    kept.eq(0),
                    out_of_range.eq(0),
                    report.eq(0),
                ]
                with m.If(self.run.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.Switch(job.group):
                    for length in (1, *config.group_lengths()):
                        with m.Case(length):
                            m.d.sync += [
                                groups.eq(job.k >> (length.bit_length() - 1)),
                                short.eq(job.k & (length - 1)),
                            ]
                m.d.sync += [report.error.eq(error)]
                m.next = "MEASURE"
            with m.State("MEASURE"):  # kept = groups · N + min(N, the rest)
                with m.If(report.error != ErrorCode.NONE):
                    m.next = "REPORT"
                with m.Elif(bit == config.count_bits):
                    m.d.sync += kept.eq(kept + Mux(short < job.keep, short, job.keep))
                    m.next = "START"
                with m.Else():
                    m.d.sync += [
                        bit.eq(bit + 1),
                        kept.eq(kept + Mux(job.keep.bit_select(bit, 1), groups << bit, 0)),
                    ]
            with m.State("START"):
                m.d.comb += self.job.valid.eq(1)
                with m.If(self.job.ready):
                    m.d.comb += start.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.report.ready.eq(1)
                with m.If(self.report.valid):
                    m.d.sync += report.eq(self.report.payload)
                    m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += self.status.valid.eq(1)
                with m.If(self.status.ready):
                    m.next = "IDLE"
        return m

    def _west(self, m: Module, run, tile, queue: SyncFIFO, start, kept):
        """For every tile: its words, element by element."""
        return west_addresses(m, self._config, self.west, run, tile, queue, start)

    def _north(self, m: Module, run, tile, queue: SyncFIFO, start, kept):
        """For every tile: for kept weight, for slot of its band; weight-stationary only once."""
        config = self._config
        parts = config.panel // config.cols
        layout = data.StructLayout({"part": max(1, (parts - 1).bit_length()), "offset": 18})
        now, opening = Signal(layout, name="north_now"), Signal(layout, name="north_opening")
        row = Signal(config.dim_bits)
        slot = Signal.like(tile.rounds, name="north_slot")
        last_slot = tile.across if config.fold > 1 else tile.rounds
        first = Signal()
        with m.If(start):
            m.d.sync += [now.part.eq(0), now.offset.eq(run.north), row.eq(0), slot.eq(0), first.eq(1)]
        word = Signal(26)
        m.d.comb += [
            word.eq(now.offset + row),
            self.north.payload.word.eq(word),
            self.north.payload.part.eq(now.part),
        ]
        with m.If(queue.r_rdy & first):
            # A band goes on where the one before ended; its other tiles start where it did.
            m.d.sync += first.eq(0)
            with m.If(tile.opens):
                m.d.sync += opening.eq(now)
            with m.Else():
                m.d.sync += now.eq(opening)
        with m.Elif(queue.r_rdy):
            m.d.comb += self.north.valid.eq(1)
            with m.If(self.north.ready):
                with m.If(now.part == parts - 1):
                    m.d.sync += [now.part.eq(0), now.offset.eq(now.offset + run.north_pitch)]
                with m.Else():
                    m.d.sync += now.part.eq(now.part + 1)
                m.d.sync += slot.eq(slot + 1)
                with m.If(slot == last_slot):
                    m.d.sync += [slot.eq(0), row.eq(row + 1)]
                    with m.If(row + 1 == kept):
                        m.d.comb += queue.r_en.eq(1)
                        m.d.sync += [row.eq(0), first.eq(1)]
                    with m.Else():
                        m.d.sync += now.eq(opening)
        return self.north.valid & (word >= config.north_depth)

    def _initial(self, m: Module, run, tile, queue: SyncFIFO, start, kept):
        """For every tile: for slot, for row. Biases have a word a slot, of a band each tile the same."""
        place, valid = result_places(m, self._config, run, tile, queue, start, self.initial.ready, "initial")
        m.d.comb += [self.initial.payload.eq(place), self.initial.valid.eq(valid)]
        return self.initial.valid & (place >= self._config.result_depth)

    def _results(self, m: Module, run, tile, queue: SyncFIFO, start, kept):
        """The places of results, in the same order."""
        place, valid = result_places(
            m, self._config, run, tile, queue, start, self.result.valid & self.result.ready, "result"
        )
        inside = place < self._config.result_depth
        m.d.comb += [
            self.results.payload.address.eq(place),
            self.results.payload.lanes.eq(self.result.payload),
            self.results.valid.eq(self.result.valid & valid & inside),
            self.result.ready.eq(valid & (self.results.ready | ~inside)),
        ]
        return self.result.valid & valid & ~inside
