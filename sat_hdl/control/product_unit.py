"""COMPUTE: a product whose operands lie in the buffers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.control import job_error
from sat_hdl.control.tiles import TileWalk, tile_layout
from sat_hdl.control.turns import TurnWalk, samples_log
from sat_hdl.layouts import ErrorCode, job_layout, report_layout, result_layout
from sat_hdl.memory.north_buffer import north_address
from sat_hdl.memory.result_buffer import result_address, result_word
from sat_hdl.memory.west_buffer import west_address

__all__ = ["Initial", "ProductUnit", "product_run_layout"]


class Initial:
    """What sums start from: the actions of the unit."""

    ZERO, BIAS, RESULTS = range(3)


def product_run_layout(config: Config) -> data.StructLayout:
    """A job, and where its operands and results lie, in words of their buffers.

    A tile of R rows of A has ``west_pitch`` words in each bank, a panel of B ``north_pitch``. ``start``: see
    :class:`Initial`. Biases have a word a slot, one slot after the other; results and partial sums come in
    the order of an array that does not fold: for band, for tile of R rows, for slot, for row.

    Of a weight-stationary job ``west`` is the place, in bank r, of the elements of group r of k, of row after row of
    A; all else lies as for an output-stationary one.
    """
    return data.StructLayout(
        {
            "job": job_layout(config),
            "start": 2,
            "west": 17,
            "west_pitch": 17,
            "north": 17,
            "north_pitch": 17,
            "initial": 17,
            "result": 17,
        }
    )


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
        """For every tile: its words, element by element, from k = 0. Folded, for group of k, for band of the tile."""
        config = self._config
        step = config.west_elements
        lane_bits = (config.ingest - 1).bit_length()
        k = Signal(config.dim_bits + 1)
        base = Signal(18)
        first = Signal()  # of a tile: its base is taken
        here = Signal.like(base)  # of the band in hand
        with m.If(start):
            m.d.sync += [k.eq(0), base.eq(run.west), first.eq(1)]
            if config.fold > 1:
                m.d.sync += here.eq(run.west)
        word = Signal(26)
        m.d.comb += [
            word.eq((here if config.fold > 1 else base) + (k >> lane_bits)),
            self.west.payload.word.eq(word),
            self.west.payload.lane.eq(k[:lane_bits]),
        ]
        last = Signal()
        m.d.comb += last.eq(k + step >= run.job.k)
        live = queue.r_rdy & ~run.job.stationary
        with m.If(live & first):
            with m.If(tile.opens):
                m.d.sync += base.eq(run.west)
            m.d.sync += first.eq(0)
            if config.fold > 1:
                m.d.sync += here.eq(Mux(tile.opens, run.west, base))
        with m.Elif(live):
            m.d.comb += self.west.valid.eq(1)
            with m.If(self.west.ready):
                m.d.sync += k.eq(k + step)
                if config.fold == 1:
                    with m.If(last):
                        m.d.comb += queue.r_en.eq(1)
                        m.d.sync += [k.eq(0), base.eq(base + run.west_pitch), first.eq(1)]
                else:
                    self._west_bands(m, run, tile, queue, k, base, here, first, last)
        beyond = self.west.valid & (word >= config.west_depth)
        if config.weight_stationary:
            beyond &= self._west_turns(m, run, queue, start, k)
        return beyond

    def _west_bands(self, m: Module, run, tile, queue: SyncFIFO, k, base, here, first, last):
        """After an element of a tile that may be folded: the group again, of the next band, or what follows."""
        inside = Signal.like(run.job.group)  # bits of a place in a group
        band = Signal.like(tile.bands)
        m.d.comb += inside.eq(run.job.group - 1)
        with m.If(last | (((k + self._config.west_elements) & inside) == 0)):
            with m.If(band != tile.bands):
                m.d.sync += [
                    band.eq(band + 1),
                    here.eq(here + run.west_pitch),
                    k.eq(Cat(k[: len(inside)] & ~inside, k[len(inside) :])),
                ]
            with m.Else():
                m.d.sync += [band.eq(0), here.eq(base)]
                with m.If(last):
                    m.d.comb += queue.r_en.eq(1)
                    m.d.sync += [k.eq(0), base.eq(here + run.west_pitch), first.eq(1)]

    def _west_turns(self, m: Module, run, queue: SyncFIFO, start, k):
        """Weight-stationary: for every turn its groups, one after the other. Returns whether what is read matters."""
        config, job = self._config, run.job
        step = config.west_elements
        m.submodules.turn_walk = turns = TurnWalk(config)
        for name in ("m", "k", "n", "keep", "group", "slots"):
            m.d.comb += getattr(turns, name).eq(job[name])
        m.d.comb += turns.start.eq(start & job.stationary)
        log = Signal(3)  # of the elements of a turn
        with m.Switch(Cat(job.slots, job.group)):
            for s in range(4):
                for length in (1, *config.group_lengths()):
                    with m.Case(s | length << 2):
                        m.d.comb += log.eq(samples_log(config, s, length) + length.bit_length() - 1)
        i = Signal(range(config.max_m + step))
        with m.If(start):
            m.d.sync += i.eq(0)
        with m.If(job.stationary):
            m.d.comb += [
                queue.r_en.eq(1),
                self.west.valid.eq(turns.tiles.valid & turns.tiles.payload.computes),
                self.west.payload.skew.eq(log + 1),
            ]
            ends = ((i + step) >> log) != 0
            with m.If(~turns.tiles.payload.computes):
                m.d.comb += turns.tiles.ready.eq(1)
            with m.Elif(turns.tiles.valid & self.west.ready):
                # A turn of an odd number of elements, 1, is a beat by itself.
                m.d.sync += [i.eq(i + step), k.eq(k + Mux(log == 0, 1, step))]
                with m.If(ends):
                    m.d.comb += turns.tiles.ready.eq(1)
                    m.d.sync += i.eq(0)
        return ~job.stationary | turns.tiles.payload.takes.any()

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
        place, valid = self._places(m, run, tile, queue, start, self.initial.ready, "initial")
        m.d.comb += [self.initial.payload.eq(place), self.initial.valid.eq(valid)]
        return self.initial.valid & (place >= self._config.result_depth)

    def _results(self, m: Module, run, tile, queue: SyncFIFO, start, kept):
        """The places of results, in the same order."""
        place, valid = self._places(
            m, run, tile, queue, start, self.result.valid & self.result.ready, "result"
        )
        inside = place < self._config.result_depth
        m.d.comb += [
            self.results.payload.address.eq(place),
            self.results.payload.lanes.eq(self.result.payload),
            self.results.valid.eq(self.result.valid & valid & inside),
            self.result.ready.eq(valid & (self.results.ready | ~inside)),
        ]
        return self.result.valid & valid & ~inside

    def _places(self, m: Module, run, tile, queue: SyncFIFO, start, taken, name: str):
        """Places in the result buffer, from ``run``'s register ``name`` on, and whether there is one; ``taken``: it
        is used. Weight-stationary they come for row, for slot of a tile."""
        place, opening = Signal(18, name=f"{name}_place"), Signal(18, name=f"{name}_opening")
        slot = Signal.like(tile.rounds, name=f"{name}_slot")
        row = Signal.like(tile.rows, name=f"{name}_row")
        first, valid = Signal(name=f"{name}_first"), Signal(name=f"{name}_valid")
        bias = (run.start == Initial.BIAS) if name == "initial" else Const(0, 1)
        unused = Const(0, 1)
        last_row, last_slot = row == tile.rows, slot == tile.rounds
        follows, last_band = place + 1, 1
        with m.If(start):
            m.d.sync += [place.eq(run[name]), slot.eq(0), row.eq(0), first.eq(1)]
        if name == "initial":
            unused = run.start == Initial.ZERO
            with m.If(unused):
                m.d.comb += queue.r_en.eq(1)
        live = queue.r_rdy & ~unused
        if self._config.fold > 1:
            last_row, follows, last_band = self._place_bands(
                m, tile, row, last_slot, place, first, live & taken, name
            )
        with m.If(live & first):
            with m.If(tile.opens | ~bias):
                m.d.sync += opening.eq(place)
            with m.Else():
                m.d.sync += place.eq(opening)
            m.d.sync += first.eq(0)
        with m.Elif(live):
            m.d.comb += valid.eq(1)
            with m.If(taken):
                with m.If(run.job.stationary):
                    m.d.sync += [slot.eq(slot + 1), place.eq(place + Mux(bias, 1, tile.rows + 1))]
                    with m.If(last_slot):
                        # The next row begins beside this one's first word, the next tile after all words.
                        m.d.sync += [slot.eq(0), row.eq(row + 1)]
                        m.d.sync += place.eq(Mux(last_row, place + 1, opening + Mux(bias, 0, row + 1)))
                with m.Else():
                    m.d.sync += place.eq(Mux(bias, place + (last_row & last_band), follows))
                    m.d.sync += row.eq(Mux(last_row, 0, row + 1))
                    with m.If(last_row):
                        m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
                with m.If(last_row & last_slot):
                    m.d.comb += queue.r_en.eq(1)
                    m.d.sync += [row.eq(0), first.eq(1)]
        return place, valid

    def _place_bands(self, m: Module, tile, row, last_slot, place, first, taken, name: str):
        """Of a tile that may be folded, whose bands lie one behind the other, each slot by slot: whether ``row`` is
        the band's last, the place after this one, and whether the band is the slot's last."""
        rows = self._config.rows
        band = Signal.like(tile.bands, name=f"{name}_band")
        # Where the slot of columns begins in the first and in the last band; whether it is not the first one.
        head, tail = Signal.like(place, name=f"{name}_head"), Signal.like(place, name=f"{name}_tail")
        again = Signal(name=f"{name}_again")
        last_band, last_row = Signal(name=f"{name}_last_band"), Signal(name=f"{name}_last_row")
        follows = Signal.like(place, name=f"{name}_follows")
        m.d.comb += [
            last_band.eq(band == tile.bands),
            last_row.eq(row == Mux(last_band, tile.rows, rows - 1)),
            follows.eq(place + 1),
        ]
        with m.If(last_row & ~last_band):
            m.d.comb += follows.eq(place + tile.across * rows + 1)
            with m.If(again & (band + 1 == tile.bands)):
                m.d.comb += follows.eq(tail)
        with m.Elif(last_row & (tile.bands != 0) & ~last_slot):
            m.d.comb += follows.eq(head + rows)
        with m.If(first):
            m.d.sync += [head.eq(place), again.eq(0)]
        with m.Elif(taken & last_row):
            m.d.sync += band.eq(Mux(last_band, 0, band + 1))
            with m.If(last_band):
                m.d.sync += [head.eq(head + rows), tail.eq(place + 1), again.eq(1)]
        return last_row, follows, last_band
