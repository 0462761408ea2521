"""Pre-generation: new weights, as the update rounds them, → the pruned copies W_FF and W_BP."""

import msgspec
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.sore.sore import Sore
from sat_hdl.wuve.layouts import half_layout
from sat_hdl.wuve.pack import Pack
from sat_hdl.wuve.transpose import Transpose

__all__ = ["Pregenerate", "pregenerate_layout"]

#: Bits of an index in memory.
INDEX_BITS = 4


def pregenerate_layout(config: Config) -> data.StructLayout:
    """``blocks`` of E × E weights to come. ``ff``: write W_FF, ``ff_sparse``: pruned to ``keep``:``group``, with
    indices; else in full, without. ``bp``, ``bp_sparse``: the same for W_BP. A flag ``sparse`` without its copy says
    nothing, nor do ``keep`` and ``group`` without sparse copies."""
    flags = ("ff", "ff_sparse", "bp", "bp_sparse")
    counts = {"keep": config.count_bits, "group": config.count_bits}
    return data.StructLayout({"blocks": 24} | counts | {flag: 1 for flag in flags})


class Pregenerate(wiring.Component):
    """Writes both copies of the weights in the one sweep in which the update makes them.

    The weights come in blocks of E rows (input channels) of E columns (output channels). A block's copy for FF
    is its rows, one column a lane; its copy for BP its columns, one row a lane. A sparse copy has of every M of
    these lines the N that one SORE of E lanes keeps in each lane; a dense one has them all, past SORE. A block's
    copy is a run of beats, its values and its indices each: lane 0 of the first line in the low bits, 16 bits a
    value and 4 an index; what the run leaves of its last beat is 0.

    One packer makes the beats of values of both copies, W_FF's of a block before W_BP's, one a cycle: a write port
    of D bits takes no more. So in steady state, outputs taken at once, a block takes the greatest of
        E² / L cycles to come in (at least E),
        E cycles a sparse or dense copy to be read,
        lines · max(1, 16 E / D) for its beats, lines = E · N/M a sparse copy, E a dense one;
    up to 4 more if both copies are sparse and their beats take over half as long as the block to come in (SORE's room
    is small: 18 instead of 16 for 4:8 with E = 8, L = 4, D = 64); up to E² / L more if one copy alone is sparse,
    since the next block's SORE pass waits for the room that the dense copy leaves. SGD gives a vector every 4
    cycles, 4 E² / L a block, and its own traffic (12 bytes read a weight) takes 96 E² / D: mostly far more.

    Arguments
    ---------
    config: panel (E), memory_bits (D), max_m, operand format. E must be a power of two.
    lanes: L, elements of a vector of ``half``, a power of two from 1 to 16.

    Members
    -------
    start: In(stream of pregenerate_layout). Taken while not busy.
    half: In(stream of half_layout). Taken only after a start, and no more than its blocks; ``last`` is ignored.
    ff_values, ff_indices, bp_values, bp_indices: Out(streams of D bits), for the writers. They may wait for each
        other: each must be taken in the end whether or not another offers a beat.
    busy: Out(1). From the cycle after ``start`` to ``done``.
    done: Out(1), for a cycle, after the last beat of every output was taken (of no blocks, or of an error: at once).
    error: Out(1). The last start wanted a sparse copy of an N:M that there is not; no weight was taken. From ``done``
        to the next start.
    """

    def __init__(self, config: Config, lanes: int):
        edge = config.panel
        if edge & (edge - 1):
            raise ValueError(f"config's panel must be a power of two, not {edge!r}")
        self._config, self._edge = config, edge
        width = config.format.width
        self._sore = Sore(msgspec.structs.replace(config, sore_lanes=edge))
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = self._sore.shared_modules
        self._transpose = Transpose(lanes=lanes, edge=edge, width=width)
        self._values = Pack(row_bits=edge * width, data_bits=config.memory_bits)
        self._indices = Pack(row_bits=edge * INDEX_BITS, data_bits=config.memory_bits)
        beats = ("ff_values", "ff_indices", "bp_values", "bp_indices")
        super().__init__(
            {
                "start": In(stream.Signature(pregenerate_layout(config))),
                "half": In(stream.Signature(half_layout(lanes, width))),
                **{name: Out(stream.Signature(config.memory_bits)) for name in beats},
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, edge = self._config, self._edge
        bits = (edge - 1).bit_length()
        m.submodules.sore = sore = self._sore
        m.submodules.transpose = transpose = self._transpose
        m.submodules.values = values = self._values
        m.submodules.indices = indices = self._indices
        connect(m, flipped(self.half), transpose.vectors)
        connect(m, transpose.sparse, sore.dense)
        for pack, name in ((values, "values"), (indices, "indices")):
            connect(m, pack.first, flipped(getattr(self, f"ff_{name}")))
            connect(m, pack.second, flipped(getattr(self, f"bp_{name}")))

        # --- from start to done -----------------------------------------------------------------------------
        plan = Signal(pregenerate_layout(config), reset_less=True)
        ff_sparse, bp_sparse = plan.ff & plan.ff_sparse, plan.bp & plan.bp_sparse
        sparse = ff_sparse | bp_sparse
        begin, asks, pruned, holds = Signal(), Signal(), Signal(), Signal()
        kept_end = Signal(bits, reset_less=True)  # a sparse copy's last line
        chosen = {group: plan.group == group for group in config.group_lengths()}
        legal = Cat(chosen.values()).any() & (plan.keep != 0) & (plan.keep <= plan.group)
        m.d.comb += [
            transpose.start.eq(begin),
            transpose.blocks.eq(plan.blocks),
            transpose.wants.sparse.rows.eq(ff_sparse),
            transpose.wants.sparse.columns.eq(bp_sparse),
            transpose.wants.dense.rows.eq(plan.ff & ~plan.ff_sparse),
            transpose.wants.dense.columns.eq(plan.bp & ~plan.bp_sparse),
            # A pass is whole groups, so both of a block are one vector to SORE.
            sore.job.payload.length.eq(Mux(ff_sparse & bp_sparse, 2 * edge, edge)),
            sore.job.payload.vectors.eq(plan.blocks),
            sore.job.payload.keep.eq(plan.keep),
            sore.job.payload.group.eq(plan.group),
            sore.job.valid.eq(asks),
            sore.status.ready.eq(1),
        ]
        with m.If(sore.job.ready):
            m.d.sync += asks.eq(0)
        with m.If(sore.status.valid):
            m.d.sync += pruned.eq(1)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.ready.eq(1)
                with m.If(self.start.valid):
                    m.d.sync += [plan.eq(self.start.payload), self.error.eq(0)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                for group, is_group in chosen.items():
                    with m.If(is_group):
                        m.d.sync += kept_end.eq((plan.keep << (bits - group.bit_length() + 1)) - 1)
                m.next = "DONE"
                with m.If(sparse & ~legal):
                    m.d.sync += self.error.eq(1)
                with m.Elif(plan.blocks != 0):
                    m.d.comb += begin.eq(1)
                    m.d.sync += [asks.eq(sparse), pruned.eq(~sparse)]
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(transpose.idle & pruned & ~holds & ~values.busy & ~indices.busy):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))

        # --- lines, in the order of the runs -----------------------------------------------------------------
        # A register holds the line that is being packed, so that SORE goes on meanwhile.
        second = Signal()  # W_BP's turn
        line = Signal(bits)
        now_sparse, last, valid, load, leaves = Signal(), Signal(), Signal(), Signal(), Signal()
        kept, full = sore.pairs.payload, transpose.dense.payload
        padding = Const(0, INDEX_BITS - config.index_bits)
        m.d.comb += [
            now_sparse.eq(Mux(second, plan.bp_sparse, plan.ff_sparse)),
            last.eq(line == Mux(now_sparse, kept_end, edge - 1)),
            valid.eq(Mux(now_sparse, sore.pairs.valid, transpose.dense.valid)),
            load.eq(~holds | leaves),
            sore.pairs.ready.eq(load & now_sparse),
            transpose.dense.ready.eq(load & ~now_sparse),
        ]
        with m.If(load):
            m.d.sync += holds.eq(valid)
        with m.If(begin):
            m.d.sync += [second.eq(~plan.ff), line.eq(0)]
        with m.Elif(load & valid):
            m.d.sync += line.eq(line + 1)
            with m.If(last):
                m.d.sync += [line.eq(0), second.eq(Mux(second, ~plan.ff, plan.bp))]

        # --- to the packers, each at its own pace ------------------------------------------------------------
        has_indices = Signal(reset_less=True)
        wanted, ready = Cat(1, has_indices), Cat(values.rows.ready, indices.rows.ready)
        had = Signal(2)
        m.d.comb += [
            leaves.eq((had | ready | ~wanted).all()),
            Cat(values.rows.valid, indices.rows.valid).eq(wanted & ~had & holds.replicate(2)),
        ]
        m.d.sync += had.eq(Mux(leaves | ~holds, 0, had | (ready & wanted)))
        held = {pack: Signal(pack.rows.payload.shape(), reset_less=True) for pack in (values, indices)}
        with m.If(load):
            m.d.sync += [
                held[values].row.eq(Cat(Mux(now_sparse, kept[i].value, full[i]) for i in range(edge))),
                held[indices].row.eq(Cat(Cat(kept[i].index, padding) for i in range(edge))),
                has_indices.eq(now_sparse),
            ]
        for pack, row in held.items():
            with m.If(load):
                m.d.sync += [row.last.eq(last), row.second.eq(second)]
            m.d.comb += pack.rows.payload.eq(row)
        return m
