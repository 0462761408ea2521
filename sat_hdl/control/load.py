"""LOAD: memory → on-chip buffers."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.memory.reader import read_beat_layout

__all__ = ["Scatter", "Target", "scatter_layout"]


class Target(enum.Enum, shape=3):
    """Where a stream of elements goes: the actions of the unit."""

    #: West buffer. A row of the stream is a row of A: element i to row o's bank at k = i.
    WEST_ROWS = 0
    #: West buffer. A row of the stream is a column of A: element i to row i's bank at k = o.
    WEST_COLUMNS = 1
    #: North buffer. A row of the stream is a row of B: element i to column i at k = o.
    NORTH_ROWS = 2
    #: North buffer. A row of the stream is a panel: its values, row by row.
    NORTH_VALUES = 3
    #: The same for indices, four to an element.
    NORTH_INDICES = 4
    #: Result buffer, word after word: two elements a binary32.
    RESULTS = 5


def scatter_layout(config: Config) -> data.StructLayout:
    """What a load writes, and where.

    ``take``: elements of each run; what is left of its last beat is dropped. ``inner``: runs of a row of the stream.
    ``to``, ``pitch``: the first word, and words from tile to tile (west) or panel to panel (north).
    """
    return data.StructLayout({"target": Target, "take": 24, "inner": 16, "to": 17, "pitch": 17})


class Scatter(wiring.Component):
    """Writes a stream of 16-bit elements into a buffer: up to G = ``config.ingest`` of them a cycle.

    Element i of row o of the stream goes where :class:`Target` says. G a cycle while i is a multiple of G
    (always, but where runs of awkward lengths make up a row), else one a cycle; fewer where a word is shorter
    (tiny arrays). They are written two cycles after they were looked at.

    Arguments
    ---------
    config: everything.

    Members
    -------
    start: In(1). Takes ``what``. what: In(scatter_layout).
    beats: In(stream of memory_bits of data, and whether they are the last of a run).
    address: Out, west_rows: Out(R), west_lanes: Out(G), values: Out(E), indices: Out(E / 4), parts: Out(2·C), all
        from registers: where ``west_data`` (G elements, in :class:`~sat_hdl.memory.west_buffer.WestBuffer`'s order),
        ``north_data`` (E elements) and ``result_data`` (2·C elements) are to be written now.
    to_results: Out(1), from a register too. ``parts`` may have some.
    busy: Out(1). Elements are on their way.
    range_error: Out(1). A word past the buffer's end was to be written; it is not.
    """

    def __init__(self, config: Config):
        self._config = config
        elements = data.ArrayLayout
        super().__init__(
            {
                "start": In(1),
                "what": In(scatter_layout(config)),
                "beats": In(stream.Signature(read_beat_layout(config.memory_bits))),
                "address": Out(16),
                "west_rows": Out(config.rows),
                "west_lanes": Out(config.ingest),
                "values": Out(config.panel),
                "indices": Out(config.panel // 4),
                "parts": Out(2 * config.cols),
                "west_data": Out(elements(16, config.ingest)),
                "north_data": Out(elements(16, config.panel)),
                "result_data": Out(elements(16, 2 * config.cols)),
                "to_results": Out(1),
                "busy": Out(1),
                "range_error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, per_beat = config.ingest, config.memory_bits // 16
        what = Signal(scatter_layout(config))
        held = Signal(config.memory_bits)
        left = Signal(range(per_beat + 1))  # elements held
        in_run = Signal(24)  # elements of this run still to be taken into `held`
        runs = Signal(16)  # runs of this row still to come
        ends_run, ends_row = Signal(), Signal()  # of what is held
        i, o = Signal(24), Signal(24)
        offset = Signal(17)
        target = what.target

        # --- how many at once ---------------------------------------------------------------------------
        # Elements of a word, and so steps: all powers of two.
        word = {
            Target.WEST_ROWS: lanes,
            Target.WEST_COLUMNS: config.rows,
            Target.NORTH_ROWS: config.panel,
            Target.NORTH_VALUES: config.panel,
            Target.NORTH_INDICES: config.panel // 4,
            Target.RESULTS: 2 * config.cols,
        }
        steps = {t: min(lanes, size) for t, size in word.items()}
        wide, step = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        aligned = Signal()
        with m.Switch(target):
            for t, size in steps.items():
                with m.Case(t):
                    bits = size.bit_length() - 1
                    m.d.comb += [wide.eq(size), aligned.eq(~i[:bits].any() if bits else 1)]
        m.d.comb += step.eq(Mux(aligned, wide, 1))
        now = Signal(range(lanes + 1))
        finishes = Signal()
        m.d.comb += [finishes.eq(left <= step), now.eq(Mux(finishes, left, step))]
        active = Signal()
        m.d.comb += active.eq(left != 0)

        # --- beats ------------------------------------------------------------------------------------------
        m.d.comb += self.beats.ready.eq(~active | finishes)
        taken = Signal.like(left)
        m.d.comb += taken.eq(Mux(in_run < per_beat, in_run, per_beat))
        with m.If(active):
            m.d.sync += left.eq(left - now)
            with m.Switch(step):
                for size in sorted({1, *steps.values()}):
                    with m.Case(size):
                        m.d.sync += held.eq(held >> 16 * size)
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += [
                held.eq(self.beats.payload.data),
                left.eq(taken),
                in_run.eq(Mux(self.beats.payload.last, what.take, in_run - taken)),
                ends_run.eq(self.beats.payload.last),
                ends_row.eq(self.beats.payload.last & (runs == 1)),
            ]
            with m.If(self.beats.payload.last):
                m.d.sync += runs.eq(Mux(runs == 1, what.inner, runs - 1))
        with m.Elif(active & finishes):
            m.d.sync += left.eq(0)

        # --- where ------------------------------------------------------------------------------------------
        # A row of the stream ends with its last beat's last element; one may end with a beat of which
        # nothing is taken.
        row_over = Signal()
        m.d.comb += row_over.eq((active & finishes & ends_row) | (~active & ends_row))
        next_i = Signal.like(i)
        m.d.comb += next_i.eq(i + now)
        crosses = {  # what moves on to the next tile or panel
            Target.WEST_ROWS: row_over & (o[: _bits(config.rows)] == config.rows - 1),
            Target.WEST_COLUMNS: active & (next_i[_bits(config.rows) :] != i[_bits(config.rows) :]),
            Target.NORTH_ROWS: active & (next_i[_bits(config.panel) :] != i[_bits(config.panel) :]),
            Target.NORTH_VALUES: row_over,
            Target.NORTH_INDICES: row_over,
            Target.RESULTS: 0,
        }
        restarts = Signal()  # the offset, with a row
        cross = Signal()
        with m.Switch(target):
            for t, condition in crosses.items():
                with m.Case(t):
                    m.d.comb += cross.eq(condition)
        m.d.comb += restarts.eq(row_over & ((target == Target.WEST_COLUMNS) | (target == Target.NORTH_ROWS)))
        with m.If(active):
            m.d.sync += i.eq(next_i)
        with m.If(row_over):
            m.d.sync += o.eq(o + 1)
            with m.If(target != Target.RESULTS):
                m.d.sync += i.eq(0)
            with m.If(~(self.beats.valid & self.beats.ready)):
                m.d.sync += ends_row.eq(0)
        with m.If(restarts):
            m.d.sync += offset.eq(0)
        with m.Elif(cross):
            m.d.sync += offset.eq(offset + what.pitch)
        with m.If(self.start):
            m.d.sync += [
                what.eq(self.what),
                in_run.eq(self.what.take),
                runs.eq(self.what.inner),
                left.eq(0),
                ends_row.eq(0),
                i.eq(0),
                o.eq(0),
                offset.eq(0),
            ]

        # --- where in the buffer, a cycle later -------------------------------------------------------------
        inside = Signal(24)
        depth = Signal(17)
        depths = {
            Target.WEST_ROWS: config.west_depth,
            Target.WEST_COLUMNS: config.west_depth,
            Target.NORTH_ROWS: config.north_depth,
            Target.NORTH_VALUES: config.north_depth,
            Target.NORTH_INDICES: config.north_depth,
            Target.RESULTS: config.result_depth,
        }
        places = {
            Target.WEST_ROWS: i >> _bits(lanes),
            Target.WEST_COLUMNS: o >> _bits(lanes),
            Target.NORTH_ROWS: o,
            Target.NORTH_VALUES: i >> _bits(config.panel),
            Target.NORTH_INDICES: i >> _bits(config.panel // 4),
            Target.RESULTS: i >> _bits(2 * config.cols),
        }
        with m.Switch(target):
            for t, place in places.items():
                with m.Case(t):
                    m.d.comb += [inside.eq(place), depth.eq(depths[t])]
        address, valid = Signal(25), Signal()
        base = Signal(18, reset_less=True)
        within = Signal(24, reset_less=True)
        chunk = Signal(data.ArrayLayout(16, lanes), reset_less=True)
        count = Signal.like(now, reset_less=True)
        where_i, where_o = Signal(24, reset_less=True), Signal(24, reset_less=True)
        writes = Signal()
        broadcast = Signal(reset_less=True)
        m.d.sync += [
            writes.eq(active),
            base.eq(what.to + offset),
            within.eq(inside),
            chunk.eq(held),
            count.eq(now),
            where_i.eq(i),
            where_o.eq(o),
            broadcast.eq(~aligned | (wide == 1)),
        ]
        m.d.comb += [address.eq(base + within), valid.eq(writes & (address < depth))]

        # --- writes, another one later: buffers are far away, and what they are told depends on two sums ----
        wrote = Signal()
        # Element e is at place (i + e) modulo the word; where one comes alone, it is on every lane.
        spread = Signal.like(chunk)
        turn = Signal(_bits(lanes), reset_less=True)
        m.d.sync += [
            wrote.eq(writes),
            self.to_results.eq(writes & (target == Target.RESULTS)),
            self.range_error.eq(writes & ~valid),
            self.address.eq(address),
            *(spread[lane].eq(Mux(broadcast, chunk[0], chunk[lane])) for lane in range(lanes)),
            *(
                turn[bit].eq(where_o[bit] & ((bit < _bits(config.rows)) | (target == Target.WEST_COLUMNS)))
                for bit in range(_bits(lanes))
            ),
        ]
        m.d.comb += self.busy.eq(active | writes | wrote)

        # The west buffer has element e of a piece on lane e xor o, whichever way the piece goes (o being the
        # number of its row, or its place in words): a level of multiplexers a bit of o.
        turned = list(spread)
        for bit, by in enumerate(turn):
            turned = [Mux(by, turned[lane ^ 1 << bit], turned[lane]) for lane in range(lanes)]

        def enables(size: int, width: int):
            """Of ``size`` places of a word, those that get an element: ``count`` from where_i on."""
            position = where_i[: _bits(size)] if size > 1 else 0
            mask = Signal(size)
            ones = Signal(size)
            m.d.comb += ones.eq(Cat(count > e for e in range(min(size, width))))
            m.d.comb += mask.eq((ones << position)[:size] if size > 1 else ones)
            return mask

        def repeated(layout_size: int):
            return Cat(spread[place % lanes] for place in range(layout_size))

        m.d.comb += [
            *(west.eq(element) for west, element in zip(self.west_data, turned, strict=True)),
            self.north_data.eq(repeated(config.panel)),
            self.result_data.eq(repeated(2 * config.cols)),
        ]
        one_row = Array([1 << r for r in range(config.rows)])[
            where_o[: _bits(config.rows)] if config.rows > 1 else 0
        ]
        one_lane = Array([1 << lane for lane in range(lanes)])[where_o[: _bits(lanes)] if lanes > 1 else 0]
        masks = (self.west_rows, self.west_lanes, self.values, self.indices, self.parts)
        m.d.sync += [mask.eq(0) for mask in masks]
        with m.If(valid):
            with m.Switch(target):
                with m.Case(Target.WEST_ROWS):
                    m.d.sync += [self.west_rows.eq(one_row), self.west_lanes.eq(enables(lanes, lanes))]
                with m.Case(Target.WEST_COLUMNS):
                    m.d.sync += [self.west_rows.eq(enables(config.rows, lanes)), self.west_lanes.eq(one_lane)]
                with m.Case(Target.NORTH_ROWS, Target.NORTH_VALUES):
                    m.d.sync += self.values.eq(enables(config.panel, lanes))
                with m.Case(Target.NORTH_INDICES):
                    m.d.sync += self.indices.eq(enables(config.panel // 4, lanes))
                with m.Case(Target.RESULTS):
                    m.d.sync += self.parts.eq(enables(2 * config.cols, lanes))
        return m


def _bits(size: int) -> int:
    return (size - 1).bit_length()
