"""STORE: result buffer → conversion → beats for memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.convert import Narrow
from sat_hdl.config import Config
from sat_hdl.layouts import result_layout
from sat_hdl.memory.result_buffer import result_address
from sat_hdl.stce.skew import delay

__all__ = ["Form", "Gather", "gather_layout"]


class Form(enum.Enum, shape=3):
    """What becomes of results: the actions of the unit. A run is a contiguous piece of memory."""

    #: Rounded to operands, a run a row.
    ROWS = 0
    #: The same, and ReLU.
    ROWS_RELU = 1
    #: binary32, a run a row.
    WIDE_ROWS = 2
    #: binary32, a run the rows of a tile in a panel of columns (a row of it, where a panel is wider than the array).
    #: Columns past the last are +0.
    WIDE_COLUMNS = 3
    #: The same; inf or NaN raises the overflow flag.
    WIDE_COLUMNS_CHECKED = 4


def gather_layout(config: Config) -> data.StructLayout:
    """What to take: ``first`` word, ``m`` rows and ``n`` columns of a band of results."""
    return data.StructLayout({"form": Form, "first": 17, "m": config.dim_bits, "n": 16})


class Gather(wiring.Component):
    """Takes a band of results out of the result buffer, in the order in which memory wants it, as full beats.

    A beat a cycle, where a word of results fills one or more.

    Arguments
    ---------
    config: everything.

    Members
    -------
    start: In(1). Takes ``what``. what: In(gather_layout).
    addresses: Out(stream of result_address), words: In(stream of result_layout): of the result buffer.
    beats: Out(stream of memory_bits). The elements of a run begin a beat; the rest of its last is don't-care.
    busy: Out(1). overflow: Out(1), for a cycle: an inf or a NaN. range_error: Out(1), for a cycle: past the
        buffer's end.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "what": In(gather_layout(config)),
                "addresses": Out(stream.Signature(result_address(config))),
                "words": In(stream.Signature(result_layout(config))),
                "beats": Out(stream.Signature(config.memory_bits)),
                "busy": Out(1),
                "overflow": Out(1),
                "range_error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        what = Signal(gather_layout(config))
        by_columns = (what.form == Form.WIDE_COLUMNS) | (what.form == Form.WIDE_COLUMNS_CHECKED)
        narrow = (what.form == Form.ROWS) | (what.form == Form.ROWS_RELU)
        with m.If(self.start):
            m.d.sync += what.eq(self.what)
        notes = data.StructLayout({"count": range(config.cols + 1), "ends_run": 1})
        m.submodules.notes = fifo = SyncFIFO(width=notes.size, depth=16)
        walking = self._walk(m, what, by_columns, notes, fifo)
        pending = self._convert(m, what, by_columns, narrow, data.View(notes, fifo.r_data), fifo)
        m.d.comb += self.busy.eq(walking | pending)
        return m

    def _walk(self, m: Module, what, by_columns, notes, fifo: SyncFIFO):
        """Addresses, and beside each what its word is. Returns whether some are still to come."""
        config = self._config
        cols, rows = config.cols, config.rows
        walking, measuring, opening = Signal(), Signal(), Signal()
        m_left, n_left = Signal(config.dim_bits), Signal(16)
        slots, slot = Signal(config.entry_bits + 1), Signal(config.entry_bits + 1)
        row = Signal(range(rows + 1))
        height = Signal(range(rows + 1))
        tile, place = Signal(19), Signal(19)  # the tile's first word, and this one
        # Slots are counted once, as the walk over the tiles does.
        with m.If(self.start):
            m.d.sync += [measuring.eq(1), n_left.eq(self.what.n), slots.eq(0), m_left.eq(self.what.m)]
            m.d.sync += tile.eq(self.what.first)
        with m.If(measuring):
            m.d.sync += slots.eq(slots + 1)
            with m.If(n_left <= cols):
                m.d.sync += [measuring.eq(0), opening.eq(1)]
            with m.Else():
                m.d.sync += n_left.eq(n_left - cols)
        with m.If(opening):
            m.d.sync += [
                opening.eq(0),
                walking.eq(1),
                height.eq(Mux(m_left < rows, m_left, rows)),
                place.eq(tile),
                row.eq(0),
                slot.eq(0),
            ]
        last_row, last_slot, last_tile = row + 1 == height, slot + 1 == slots, m_left <= rows
        note = Signal(notes)
        # n_left is the last slot's columns by now.
        each_word = by_columns if config.panel > cols else 0
        m.d.comb += [
            note.count.eq(Mux(last_slot, n_left, cols)),
            note.ends_run.eq(Mux(by_columns, last_row | each_word, last_slot)),
            fifo.w_data.eq(note),
            self.addresses.payload.eq(place),
            self.addresses.valid.eq(walking & fifo.w_rdy),
            fifo.w_en.eq(self.addresses.valid & self.addresses.ready),
            self.range_error.eq(self.addresses.valid & (place >= config.result_depth)),
        ]
        with m.If(fifo.w_en):
            with m.If(by_columns):
                m.d.sync += [place.eq(place + 1), row.eq(Mux(last_row, 0, row + 1))]
                with m.If(last_row):
                    m.d.sync += slot.eq(slot + 1)
            with m.Else():
                m.d.sync += [place.eq(place + height), slot.eq(slot + 1)]
                with m.If(last_slot):
                    m.d.sync += [slot.eq(0), row.eq(row + 1), place.eq(tile + row + 1)]
            with m.If(last_row & last_slot):
                m.d.sync += [walking.eq(0), opening.eq(~last_tile), m_left.eq(m_left - rows)]
                # The word just read is a tile's last: the next tile follows it.
                m.d.sync += tile.eq(place + 1)
        return measuring | opening | walking

    def _convert(self, m: Module, what, by_columns, narrow, note, fifo: SyncFIFO):
        """Words → chunks → converters → beats. Returns whether anything is on its way."""
        config = self._config
        per_beat = config.memory_bits // 16
        wide_step, narrow_step = min(per_beat // 2, config.cols), min(per_beat, config.cols)
        converters = [Narrow(format=config.format) for _ in range(narrow_step)]
        latency = converters[0].latency

        # --- a word, a part of it at a time -----------------------------------------------------------------
        # It stays in a register till its last part has been taken, for to choose a part costs less than to shift; and
        # the pipe behind the buffer, whose other reader may keep the port for long, can fetch the next one.
        wide_parts, narrow_parts = config.cols // wide_step, config.cols // narrow_step
        part = Signal(range(max(2, wide_parts)))
        offset = Signal(range(max(2, config.cols)))  # the part's first element
        go, finishes, take = Signal(), Signal(), Signal()
        word, held = Signal(config.cols * 32, reset_less=True), Signal()
        here = Signal(note.shape(), reset_less=True)
        step = Mux(narrow, narrow_step, wide_step)
        m.d.comb += [
            offset.eq(Mux(narrow, part * narrow_step, part * wide_step)),
            # Elements past n are +0 by columns, and come.
            finishes.eq(offset + step >= Mux(by_columns, config.cols, here.count)),
            take.eq(self.words.valid & fifo.r_rdy & (~held | (go & finishes))),
            self.words.ready.eq(take),
            fifo.r_en.eq(take),
        ]
        with m.If(take):
            m.d.sync += [word.eq(self.words.payload), here.eq(note), held.eq(1)]
        with m.Elif(go & finishes):
            m.d.sync += held.eq(0)
        with m.If(go):
            m.d.sync += part.eq(Mux(finishes, 0, part + 1))
        with m.If(self.start):
            m.d.sync += [part.eq(0), held.eq(0)]
        elements = [word[32 * i : 32 * (i + 1)] for i in range(config.cols)]
        chosen = Signal.like(part)
        m.d.comb += chosen.eq(Mux(narrow, part * (narrow_step // wide_step), part))
        lanes = [
            Array(elements[p * wide_step + i] for p in range(wide_parts))[chosen]
            if i < wide_step
            else Array(elements[p * narrow_step + i] for p in range(narrow_parts))[part]
            for i in range(narrow_step)
        ]
        exists = [here.count > offset + i for i in range(wide_step)]

        # --- converters, without a way to stop them ------------------------------------------------------
        chunk = data.StructLayout({"ends_run": 1, "bits": config.memory_bits})
        m.submodules.chunks = chunks = SyncFIFO(width=chunk.size, depth=8)
        room = Signal(range(9), init=8)
        m.d.sync += room.eq(room - go + (chunks.r_en & chunks.r_rdy))
        m.d.comb += go.eq(held & (room != 0))
        narrowed = []
        for i, converter in enumerate(converters):
            m.submodules[f"narrow_{i}"] = converter
            m.d.comb += converter.i.eq(lanes[i])
            # NaN is canonical, and so positive: it passes.
            negative = (what.form == Form.ROWS_RELU) & converter.o[-1]
            narrowed.append(Mux(negative, 0, converter.o))
        plain = Cat(Mux(exists[i], lanes[i], 0) for i in range(wide_step))
        wide = delay(m, plain, latency, "wide")
        infinite = Cat(exists[i] & lanes[i][23:31].all() for i in range(wide_step)).any()
        m.d.comb += self.overflow.eq(go & infinite & (what.form == Form.WIDE_COLUMNS_CHECKED))
        ends = delay(m, here.ends_run & finishes, latency, "ends")
        done = Signal(chunk)
        m.d.comb += [
            done.ends_run.eq(ends),
            done.bits.eq(Mux(narrow, Cat(narrowed), wide)),
            chunks.w_data.eq(done),
            chunks.w_en.eq(delay(m, go, latency, "gone", reset=True)),
        ]

        # --- beats ----------------------------------------------------------------------------------------
        piece = data.View(chunk, chunks.r_data)
        waits = fifo.r_rdy | held | (room != 8)
        if config.cols >= per_beat:  # a chunk is a beat
            m.d.comb += [
                self.beats.payload.eq(piece.bits),
                self.beats.valid.eq(chunks.r_rdy),
                chunks.r_en.eq(self.beats.ready),
            ]
            return waits
        # Chunks that are shorter than a beat are put together.
        beat, filled = Signal(config.memory_bits), Signal(range(per_beat + 1))
        full = Signal()
        steps16 = Mux(narrow, narrow_step, 2 * wide_step)
        accept = Signal()
        joined = Signal(config.memory_bits)
        m.d.comb += [
            joined.eq(Array(
                (beat & ((1 << 16 * at) - 1)) | (piece.bits << 16 * at) if at else piece.bits
                for at in range(per_beat)
            )[filled]),
            accept.eq(chunks.r_rdy & ~full),
        ]  # fmt: skip
        completes = (filled + steps16 >= per_beat) | piece.ends_run
        m.d.comb += [
            self.beats.payload.eq(Mux(full, beat, joined)),
            self.beats.valid.eq(full | (chunks.r_rdy & completes)),
            chunks.r_en.eq(accept),
        ]
        with m.If(accept):
            with m.If(completes):
                m.d.sync += [filled.eq(0), full.eq(~self.beats.ready), beat.eq(joined)]
            with m.Else():
                m.d.sync += [filled.eq(filled + steps16), beat.eq(joined)]
        with m.Elif(self.beats.ready):
            m.d.sync += full.eq(0)
        return waits | full
