"""Pre-generation: new weights, as the update rounds them, → the pruned copies W_FF and W_BP."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.sore.pruner import Pruner
from sat_hdl.wuve.layouts import half_layout
from sat_hdl.wuve.lines import Lines
from sat_hdl.wuve.transpose import Transpose

__all__ = ["Pregenerate", "copies_latency", "pregenerate_layout"]


#: Cycles of a copy's last element through the memories and SORE, besides its group's leaving.
_AROUND = 9


def pregenerate_layout(config: Config) -> data.StructLayout:
    """``blocks`` of E × E weights to come. ``ff``: write W_FF, ``ff_sparse``: pruned to ``keep``:``group``, with
    indices; else in full, without. ``bp``, ``bp_sparse``: the same for W_BP. A flag ``sparse`` without its copy says
    nothing, nor do ``keep`` and ``group`` without sparse copies."""
    flags = ("ff", "ff_sparse", "bp", "bp_sparse")
    counts = {"keep": config.count_bits, "group": config.count_bits}
    blocks = config.dim_bits - 2 * (config.panel - 1).bit_length()
    return data.StructLayout({"blocks": blocks} | counts | {flag: 1 for flag in flags})


def copies_latency(config: Config, *, ff: int | None, bp: int | None, group: int = 2) -> int:
    """Cycles from the taking of a block's last vector to its last beat, if all before it are done and beats are taken
    at once; with W_FF, W_BP or both.

    Arguments
    ---------
    ff, bp: N of a sparse copy of N:``group``, 0 of a dense one, None if it isn't wanted. At least one is.
    group: 2 if none is sparse.
    """
    area = config.panel**2
    wanted = [keep for keep in (ff, bp) if keep is not None]
    kept = wanted[-1]
    values, indices = (-(-area * (kept or group) // group * bits // config.memory_bits) for bits in (16, 4))
    passes = len(wanted) * area // config.copy_lanes
    return passes + (kept or group) + _AROUND + values + (indices if kept else 0)


class Pregenerate(wiring.Component):
    """Makes both copies of the weights in the one sweep in which the update makes them.

    The weights come in blocks of E rows (input channels) of E columns (output channels). A block's copy for FF
    is its rows, one column a lane; its copy for BP its columns, one row a lane. A sparse copy has of every M of
    these lines the N of largest magnitude in each lane, by ascending index; a dense one has them all. A block's copy
    is a run of beats of values, 16 bits each, and if sparse another of indices, 4 bits each: lane 0 of the first line
    in the low bits; what a run leaves of its last beat is 0.

    ``beats`` has them block by block: W_FF's values, its indices, W_BP's values, its indices, those that there are.

    SORE prunes K lanes at a time, so that E / K passes make a copy; a dense one passes SORE, too, all kept. In steady
    state, ``beats`` taken at once, a block takes the greatest of
        E² / min(K, max(1, L / 4)) cycles to come in,
        E² / K cycles a copy, sparse or dense,
    which with K = config.copy_lanes is no more than the update's own 4 E² / L, for SGD gives a vector every 4 cycles,
    or its traffic's 96 E² / D, at any N:M; except that K is E at most, which is 2 E cycles a block. How long after a
    block's last vector its last beat comes: :func:`copies_latency`.

    Arguments
    ---------
    config: panel (E), copy_lanes (K), memory_bits (D), vector_lanes (L), max_m, operand format. E must be a power of
        two.

    Members
    -------
    start: In(stream of pregenerate_layout). Taken while not busy.
    half: In(stream of half_layout). Taken only after a start, and no more than its blocks; ``last`` is ignored.
    beats: Out(stream of D bits).
    busy: Out(1). From the cycle after ``start`` to ``done``.
    done: Out(1), for a cycle, after the last beat was taken (of no blocks, or of an error: at once).
    error: Out(1). The last start wanted a sparse copy of an N:M that there is not; no weight was taken. From ``done``
        to the next start.
    """

    def __init__(self, config: Config):
        edge = config.panel
        if edge & (edge - 1):
            raise ValueError(f"config's panel must be a power of two, not {edge!r}")
        self._config, self._edge = config, edge
        width, lanes = config.format.width, config.vector_lanes
        self._pruner = Pruner(config, lanes=config.copy_lanes, whole=True)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = self._pruner.shared_modules
        self._transpose = Transpose(
            lanes=lanes, edge=edge, width=width, copy_lanes=config.copy_lanes, target=config.target
        )
        self._lines = Lines(config)
        super().__init__(
            {
                "start": In(stream.Signature(pregenerate_layout(config))),
                "half": In(stream.Signature(half_layout(lanes, width))),
                "beats": Out(stream.Signature(config.memory_bits)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits = (self._edge - 1).bit_length()
        m.submodules.pruner = pruner = self._pruner
        m.submodules.transpose = transpose = self._transpose
        m.submodules.lines = lines = self._lines
        connect(m, flipped(self.half), transpose.vectors)
        connect(m, pruner.pairs, lines.pairs)
        connect(m, lines.beats, flipped(self.beats))

        # --- from start to done -----------------------------------------------------------------------------
        plan = Signal(pregenerate_layout(config), reset_less=True)
        ff_sparse, bp_sparse = plan.ff & plan.ff_sparse, plan.bp & plan.bp_sparse
        sparse = ff_sparse | bp_sparse
        begin = Signal()
        kept_end = Signal(bits, reset_less=True)  # a sparse copy's last line
        drop = Signal(reset_less=True)
        in_use = Signal(config.max_m // 2, reset_less=True)
        chosen = {group: plan.group == group for group in config.group_lengths()}
        legal = Cat(chosen.values()).any() & (plan.keep != 0) & (plan.keep <= plan.group)
        rest = (plan.group - plan.keep)[: config.count_bits]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.start.ready.eq(1)
                with m.If(self.start.valid):
                    m.d.sync += [plan.eq(self.start.payload), self.error.eq(0)]
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += drop.eq(plan.keep > rest)
                m.next = "DONE"
                with m.If(sparse & ~legal):
                    m.d.sync += self.error.eq(1)
                with m.Elif(plan.blocks != 0):
                    m.next = "PLAN"
                with m.If(~sparse):  # any group, then
                    m.d.sync += plan.group.eq(2)
            with m.State("PLAN"):
                for group, is_group in chosen.items():
                    with m.If(is_group):
                        m.d.sync += kept_end.eq((plan.keep << (bits - group.bit_length() + 1)) - 1)
                tracked = Mux(drop, rest, plan.keep)
                m.d.sync += in_use.eq(Cat(tracked > i for i in range(len(in_use))))
                m.d.comb += begin.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(transpose.idle & pruner.drained & lines.empty):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))

        # --- through SORE: a dense copy's groups drop none ----------------------------------------------------
        element, place = transpose.elements.payload, pruner.place
        pruned = Mux(element.columns, plan.bp_sparse, plan.ff_sparse)
        mask = (plan.group - 1)[: config.index_bits]
        dropping = ~pruned | drop
        index = Signal(config.index_bits)
        exists = Cat(Const(1, 1), *(mask >= i for i in range(1, config.max_m)))
        m.d.comb += [
            transpose.start.eq(begin),
            transpose.blocks.eq(plan.blocks),
            transpose.rows.eq(plan.ff),
            transpose.columns.eq(plan.bp),
            pruner.dense.payload.eq(element.data),
            pruner.dense.valid.eq(transpose.elements.valid),
            transpose.elements.ready.eq(pruner.dense.ready),
            pruner.clear.eq(begin),
            pruner.mask.eq(mask),
            index.eq(element.index & mask),
            place.index.eq(index),
            place.first.eq(index == 0),
            place.last.eq(index == mask),
            place.group.last.eq(mask),
            place.group.kept.eq(Mux(pruned, plan.keep, plan.group)),
            place.group.drop.eq(dropping),
            place.group.in_use.eq(Mux(pruned, in_use, 0)),
            place.group.flip.eq(Mux(dropping, exists, 0)),
            lines.clear.eq(begin),
        ]
        for copy, wanted, is_sparse in (
            (lines.copies[0], plan.ff, plan.ff_sparse),
            (lines.copies[1], plan.bp, plan.bp_sparse),
        ):
            last = Mux(is_sparse, kept_end, self._edge - 1)
            m.d.comb += [copy.wanted.eq(wanted), copy.last.eq(last), copy.indices.eq(is_sparse)]
        return m
