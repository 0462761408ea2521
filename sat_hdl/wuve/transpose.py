"""Blocks of weights, written row by row, read by columns and by rows, some lanes at a time."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.wuve.layouts import MAX_LANES, half_layout

__all__ = ["Transpose", "element_layout"]

#: Blocks that there is room for: block RAM is that deep anyway, and no handing over of one costs a cycle.
BLOCKS = 4


def element_layout(*, edge: int, lanes: int, width: int) -> data.StructLayout:
    """An element of each lane, ``data``; its ``index`` in the lane's vector of E. ``columns``: the vectors lie
    across the rows, for W_BP."""
    bits = (edge - 1).bit_length()
    return data.StructLayout({"data": data.ArrayLayout(width, lanes), "index": bits, "columns": 1})


class Transpose(wiring.Component):
    """Takes blocks of E × E elements row by row and offers them K lanes at a time, one element a lane and cycle:
    for W_FF lane j of pass p takes column pK + j, from row 0 to E − 1, E / K passes; for W_BP row pK + j, from
    column 0 on. Of every block those that are wanted, W_FF's first.

    Element (r, c) lies in bank (r xor c) mod K. So K neighbours of a row, and of a column, are all in different
    banks, block RAM of one read port each. A vector of L elements is written min(K, L / 4) a cycle, at least one:
    SGD gives one every 4 cycles.

    A block takes E² / min(K, max(1, L / 4)) cycles to be written, E² / K to be read for each copy. Its first
    element is offered 3 cycles after the last vector was taken, at the earliest.

    Arguments
    ---------
    lanes: L, a power of two from 1 to 16. edge: E, a power of two from 4 to 32. width: bits of an element.
    copy_lanes: K, a power of two from 1 to E.
    target: "portable" or "ecp5".

    Members
    -------
    start: In(1). Begins with ``blocks`` blocks, as ``rows`` (W_FF) and ``columns`` (W_BP) say; only while ``idle``.
    blocks: In(24). rows, columns: In(1), held until ``idle``.
    vectors: In(stream of half_layout). ``last`` is ignored: a block is a whole number of vectors.
    elements: Out(stream of element_layout).
    idle: Out(1). Every block has come and been read.
    """

    def __init__(self, *, lanes: int, edge: int, width: int, copy_lanes: int, target: str = "portable"):
        ranges = (("lanes", lanes, 1, MAX_LANES), ("edge", edge, 4, 32), ("copy_lanes", copy_lanes, 1, edge))
        for name, value, low, high in ranges:
            if not isinstance(value, int) or not low <= value <= high or value & (value - 1):
                raise ValueError(f"{name} must be a power of two from {low} to {high}, not {value!r}")
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be a positive integer, not {width!r}")
        self._lanes, self._edge, self._banks, self._target = lanes, edge, copy_lanes, target
        self._writes = lanes // self.vector_cycles(lanes, copy_lanes)
        super().__init__(
            {
                "start": In(1),
                "blocks": In(24),
                "rows": In(1),
                "columns": In(1),
                "vectors": In(stream.Signature(half_layout(lanes, width))),
                "elements": Out(stream.Signature(element_layout(edge=edge, lanes=copy_lanes, width=width))),
                "idle": Out(1),
            }
        )

    @staticmethod
    def vector_cycles(lanes: int, copy_lanes: int) -> int:
        """Cycles in which a vector is taken."""
        return lanes // min(copy_lanes, max(1, lanes // 4))

    def elaborate(self, platform):
        m = Module()
        edge, banks = self._edge, self._banks
        bits, low = (edge - 1).bit_length(), (banks - 1).bit_length()
        counts = range(2 * BLOCKS)
        written = Signal(counts)
        full = Signal()
        write_address, enables, write_data, writing = self._write(m, written, full)

        # --- where the reader is: a register --------------------------------------------------------------
        layout = {"element": 2 * bits - low, "columns": 1, "block": len(written)}
        place = Signal(data.StructLayout(layout))
        index, part = place.element[:bits], place.element[bits:]  # in its vector; the pass
        active, there = self.rows | self.columns, Signal()
        reads, forwards = Signal(), Signal()
        m.d.comb += [
            there.eq(active & (place.block != written)),
            full.eq((place.block ^ written) == BLOCKS),
        ]
        with m.If(self.start):
            m.d.sync += [place.columns.eq(~self.rows), place.block.eq(0)]
        with m.Elif(~active):
            m.d.sync += place.block.eq(written)
        with m.Elif(there & reads):
            m.d.sync += place.element.eq(place.element + 1)
            with m.If(place.element.all()):
                m.d.sync += place.columns.eq(Mux(place.columns, ~self.rows, self.columns))
                with m.If(place.columns | ~self.columns):
                    m.d.sync += place.block.eq(place.block + 1)

        # --- the banks' two registers, and what goes with them ---------------------------------------------
        valid = Signal(2)
        tag_layout = data.StructLayout({"index": bits, "columns": 1})
        tags = [Signal(tag_layout, name=f"tag_{i}", reset_less=True) for i in range(2)]
        out = self.elements
        m.d.comb += [
            forwards.eq(~valid[1] | out.ready),
            reads.eq(~valid[0] | forwards),
            out.valid.eq(valid[1]),
            out.payload.index.eq(tags[1].index),
            out.payload.columns.eq(tags[1].columns),
            self.idle.eq(~writing & ~there & ~valid.any()),
        ]
        with m.If(reads):
            m.d.sync += [valid[0].eq(there), tags[0].index.eq(index), tags[0].columns.eq(place.columns)]
        with m.If(forwards):
            m.d.sync += [valid[1].eq(valid[0]), tags[1].eq(tags[0])]

        words = []
        for bank in range(banks):
            m.submodules[f"bank_{bank}"] = ram = RegisteredRam(
                width=self._width, depth=BLOCKS * edge * edge // banks, target=self._target
            )
            # Down a column each bank gives the same row; along the rows bank b gives row (column xor b) of the part.
            row = Cat(index[i] ^ (place.columns if bank >> i & 1 else 0) for i in range(low))
            # Then high bits of the row, and which K of its elements: an element's place in its vector, and the pass.
            high = Cat(
                Mux(place.columns, *pair) for pair in (*zip(part, index[low:]), *zip(index[low:], part))
            )
            m.d.comb += [
                ram.write_address.eq(write_address),
                ram.write_data.eq(write_data[bank % len(write_data)]),
                ram.write_enable.eq(enables[bank]),
                ram.read_address.eq(Cat(row, high, place.block[: (BLOCKS - 1).bit_length()])),
                ram.reads.eq(reads),
                ram.forwards.eq(forwards),
            ]
            words.append(ram.read_data)
        m.d.comb += out.payload.data.eq(Cat(_exchanged(words, tags[1].index[:low])))
        return m

    @property
    def _width(self) -> int:
        return self.elements.payload.data.shape().elem_shape

    def _write(self, m: Module, written: Signal, full: Signal):
        """Takes the vectors. → address and enables of the banks, what the lanes give them, whether more will come."""
        edge, lanes, banks = self._edge, self._writes, self._banks
        bits, low, bank_bits = ((n - 1).bit_length() for n in (edge, lanes, banks))
        parts = self._lanes // lanes  # of a vector
        left = Signal(len(self.blocks), reset_less=True)
        writing = Signal()
        part = Signal(range(max(2, parts)))
        place = Signal(2 * bits - low)  # of `lanes` elements in the block
        chunk, row = place[: bits - low], place[bits - low :]
        takes = Signal()
        m.d.comb += [
            takes.eq(self.vectors.valid & writing & ~full),
            self.vectors.ready.eq(writing & ~full & (part == parts - 1)),
        ]
        with m.If(self.start):
            m.d.sync += [left.eq(self.blocks), writing.eq(self.blocks != 0), written.eq(0)]
        with m.Elif(takes):
            m.d.sync += [place.eq(place + 1), part.eq(part + 1 if parts > 1 else 0)]
            with m.If(place.all()):
                m.d.sync += [written.eq(written + 1), left.eq(left - 1), writing.eq(left != 1)]
        width = lanes * self._width
        whole = self.vectors.payload.data.as_value()
        chosen = Array(whole[i * width : (i + 1) * width] for i in range(parts))[part]
        elements = [chosen[i * self._width : (i + 1) * self._width] for i in range(lanes)]
        group = (chunk ^ row[low:])[: bank_bits - low]  # of banks
        enables = [takes & (group == bank >> low) if low < bank_bits else takes for bank in range(banks)]
        # As the reader has it: the row's low bits, its high ones, the chunk of K, the block.
        high = Cat(row[bank_bits:], chunk[bank_bits - low :])
        address = Cat(row[:bank_bits], high, written[: (BLOCKS - 1).bit_length()])
        return address, enables, _exchanged(elements, row[:low]), writing


def _exchanged(values: list[Value], by: Value) -> list[Value]:
    """Value j is that of lane j ^ ``by``."""
    for i in range(len(by)):
        values = [Mux(by[i], values[j ^ (1 << i)], values[j]) for j in range(len(values))]
    return values
