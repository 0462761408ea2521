"""Kept pairs, some lanes at a time → beats of lines of values, then of their indices."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import pair_layout
from sat_hdl.memory.registered_ram import RegisteredRam

__all__ = ["INDEX_BITS", "Lines", "copy_layout"]

#: Bits of an index in memory.
INDEX_BITS = 4
#: Copies of a block that there is room for: block RAM is that deep anyway, and no handing over of one costs a cycle.
COPIES = 4
_PART_BITS = 9  # the least that a block RAM can write alone, and
_RAM_BITS = 32  # what it has of powers of two


def copy_layout(edge: int) -> data.StructLayout:
    """``wanted``: there is this copy. ``last``: of its lines in a block. ``indices``: they are to be written."""
    return data.StructLayout({"wanted": 1, "last": (edge - 1).bit_length(), "indices": 1})


class Lines(wiring.Component):
    """Puts a block's copy, which comes K lanes at a time, into lines of E elements, and these into beats: a run of
    values, 16 bits each, then one of indices, 4 bits each, if they are wanted. A run begins with a new beat; lane 0
    of its first line is in the low bits; what it leaves of its last beat is 0.

    A copy comes in E / K passes of as many beats of ``pairs`` as it has lines: lane j of beat k of pass p is lane
    pK + j of line k. It is offered 3 cycles after its last pair was taken, at the earliest, a beat a cycle. There is
    room for 4 copies, in block RAM: one fills while another leaves.

    Arguments
    ---------
    config: panel (E), copy_lanes (K), memory_bits (D, at least 32 K), operand format.

    Members
    -------
    clear: In(1), while ``empty``: the next pair begins a first copy. copies: In(2 of copy_layout), W_FF's and W_BP's,
        which take turns if both are wanted; held from ``clear`` on, while not ``empty``.
    pairs: In(stream of ArrayLayout(pair_layout, K)).
    beats: Out(stream of D bits).
    empty: Out(1). No whole copy is left, nor a beat.
    """

    def __init__(self, config: Config):
        self._config = config
        self._edge, self._lanes = config.panel, config.copy_lanes
        super().__init__(
            {
                "clear": In(1),
                "copies": In(data.ArrayLayout(copy_layout(config.panel), 2)),
                "pairs": In(stream.Signature(data.ArrayLayout(pair_layout(config), config.copy_lanes))),
                "beats": Out(stream.Signature(config.memory_bits)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, bits = self._lanes, self._config.memory_bits
        line_bits, pass_bits = ((n - 1).bit_length() for n in (self._edge, self._edge // lanes))
        counts = range(2 * COPIES)
        filled, left = Signal(counts), Signal(counts)  # copies
        slots = (COPIES - 1).bit_length()
        second, second_leaves = Signal(), Signal()
        both = self.copies[0].wanted & self.copies[1].wanted

        # --- K elements at a time --------------------------------------------------------------------------
        # As many make a unit, and units lie in the order in which they leave: by lines, then by passes.
        unit = Signal(pass_bits + line_bits)
        part, line = unit[:pass_bits], unit[pass_bits:]
        takes = Signal()
        m.d.comb += [
            self.pairs.ready.eq((filled ^ left) != COPIES),
            takes.eq(self.pairs.valid & self.pairs.ready),
        ]
        with m.If(takes):
            m.d.sync += line.eq(line + 1)
            with m.If(line == self._of(second, "last")):
                m.d.sync += line.eq(0)
                if pass_bits:
                    m.d.sync += part.eq(part + 1)
                with m.If(part.all() if pass_bits else Const(1, 1)):
                    m.d.sync += [filled.eq(filled + 1), second.eq(second ^ both)]

        # --- a beat at a time ------------------------------------------------------------------------------
        reads, forwards = Signal(), Signal()
        valid = Signal(2)
        of_indices = Signal()
        final = Cat(
            Const((1 << pass_bits) - 1, pass_bits), self._of(second_leaves, "last")
        )  # a copy's last unit
        pairs = self.pairs.payload
        sets = []
        for width, values in (
            (self._config.format.width, [pair.value for pair in pairs]),
            (INDEX_BITS, [Cat(pair.index, Const(0, INDEX_BITS))[:INDEX_BITS] for pair in pairs]),
        ):
            sets.append(_Beats(units=bits // width // lanes, total=pass_bits + line_bits, data=Cat(values)))
        beat = Signal(max(1, *(len(s.beat_of(final)) for s in sets)))
        last = Signal()
        there = filled != left
        goes = there & reads
        ends = [Cat(s.beat_of(final), Const(0, 1)) for s in sets]
        m.d.comb += last.eq(beat == Mux(of_indices, ends[1], ends[0]))
        with m.If(self.clear):
            m.d.sync += [second.eq(~self.copies[0].wanted), second_leaves.eq(~self.copies[0].wanted)]
        with m.Elif(goes):
            m.d.sync += beat.eq(beat + 1)
            with m.If(last):
                m.d.sync += beat.eq(0)
                with m.If(~of_indices & self._of(second_leaves, "indices")):
                    m.d.sync += of_indices.eq(1)
                with m.Else():
                    m.d.sync += [of_indices.eq(0), left.eq(left + 1)]
                    m.d.sync += second_leaves.eq(second_leaves ^ both)
        m.d.comb += [
            forwards.eq(~valid[1] | self.beats.ready),
            reads.eq(~valid[0] | forwards),
            self.beats.valid.eq(valid[1]),
            self.empty.eq(~there & ~valid.any()),
        ]
        # What of a beat there is; along with the memories' registers.
        exists = [Signal(s.units, name=f"exists_{i}") for i, s in enumerate(sets)]
        for s, units in zip(sets, exists):
            rest = s.unit_of(final)
            m.d.comb += units.eq(Cat(Const(1, 1), *(~last | (rest >= i) for i in range(1, s.units))))
        per_value = len(exists[1]) // len(exists[0])
        tags = Cat(of_indices, Mux(of_indices, exists[1], Cat(e.replicate(per_value) for e in exists[0])))
        with m.If(reads):
            m.d.sync += valid[0].eq(there)
        with m.If(forwards):
            m.d.sync += valid[1].eq(valid[0])
        for i, moves in enumerate((reads, forwards)):
            rank = Signal(len(tags), name=f"tags_{i}", reset_less=True)
            with m.If(moves):
                m.d.sync += rank.eq(tags)
            tags = rank

        words = []
        for name, s in zip(("values", "indices"), sets):
            word = []
            for i, ram in enumerate(s.rams(self._config.target)):
                m.submodules[f"{name}_{i}"] = ram
                written, enables = s.writes(i, unit, takes)
                m.d.comb += [
                    ram.write_address.eq(Cat(s.beat_of(unit), filled[:slots])),
                    ram.write_data.eq(written),
                    ram.write_enable.eq(enables),
                    ram.read_address.eq(Cat(beat[: len(s.beat_of(final))], left[:slots])),
                    ram.reads.eq(reads),
                    ram.forwards.eq(forwards),
                ]
                word.append(ram.read_data)
            words.append(Cat(word))
        chosen = Mux(tags[0], words[1], words[0])
        mask = Cat(unit.replicate(lanes * INDEX_BITS) for unit in tags[1:])
        m.d.comb += self.beats.payload.eq(chosen & mask)
        return m

    def _of(self, second, name: str):
        return Mux(second, self.copies[1][name], self.copies[0][name])


class _Beats:
    """Memory of beats of ``units`` units, each ``data`` wide, which are written alone; ``total``: bits of a unit's
    number in its copy."""

    def __init__(self, *, units: int, total: int, data):
        self.units, self._total, self._data = units, total, data
        self._within = min((units - 1).bit_length(), total)
        # A memory has several units, or a unit several memories.
        self._parts = min(units, max(1, _RAM_BITS // max(8, len(data))))
        self._pieces = -(-len(data) // _RAM_BITS)

    def beat_of(self, unit):
        return unit[self._within :]

    def unit_of(self, unit):
        return unit[: self._within]

    def rams(self, target: str) -> list[RegisteredRam]:
        width, parts = self._parts * len(self._data) // self._pieces, self._parts
        depth = COPIES << (self._total - self._within)
        count = self.units * len(self._data) // width
        return [RegisteredRam(width=width, depth=depth, parts=parts, target=target) for _ in range(count)]

    def writes(self, number: int, unit, takes):
        """What memory ``number`` takes, and its enables."""
        first, piece = divmod(number, self._pieces)
        size = len(self._data) // self._pieces
        value = self._data[piece * size : (piece + 1) * size]
        place = self.unit_of(unit)
        enables = Cat(takes & (place == first * self._parts + i) for i in range(self._parts))
        return value.replicate(self._parts), enables
