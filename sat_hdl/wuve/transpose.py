"""Blocks of weights, written row by row, read by rows and by columns."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.wuve.layouts import MAX_LANES, half_layout

__all__ = ["Transpose", "reader_layout"]

READERS = ("sparse", "dense")


def reader_layout() -> data.StructLayout:
    """What a reader reads of every block: its ``rows`` first, then its ``columns``."""
    return data.StructLayout({"rows": 1, "columns": 1})


class Transpose(wiring.Component):
    """Takes blocks of E × E elements row by row, L elements a cycle, and offers their rows and columns, a whole
    one a cycle, to two readers that share one read port (each every other cycle, if both read).

    Room for two blocks: one fills while the other is read, by each reader at its own pace. A line is offered 2
    cycles after the last vector of its block was taken, at the earliest.

    Element (r, c) lies in word r of bank r xor c. So a row's elements, and a column's, are all in different banks,
    which LUT RAM of one read port gives at once, and lane j of line i comes from bank j xor i: one exchange of lanes
    (log2 E levels of 2:1 multiplexers) serves rows and columns alike. On the way in min(L, E) lanes are exchanged.
    LUT4s for E = 8, L = 4, 16 bits: RAM 128 + in 128 + out 384 = 640. What else was considered: rows and columns in
    a RAM each, the latter filled from a third one that makes diagonals of the vectors (128 + 128 + 64, exchange 128)
    saves the wide exchange but needs a multiplexer between the two, 128: 576, for three sets of addresses; a chain of
    delays and swaps has the same exchanges, in registers, and still needs a RAM for the rows; E² registers with a
    multiplexer a lane: over 1,000 twice.

    Arguments
    ---------
    lanes: L, a power of two from 1 to 16. edge: E, a power of two from 4 to 32. width: bits of an element.

    Members
    -------
    start: In(1). Begins with ``blocks`` blocks, as ``wants`` says; only while ``idle``.
    blocks: In(24). wants: In({sparse, dense}: reader_layout), held until ``idle``.
    vectors: In(stream of half_layout). ``last`` is ignored: a block is a whole number of vectors.
    sparse, dense: Out(stream of E × width). Lane j of row r is (r, j), that of column c is (j, c).
    idle: Out(1). Every block has come and been read by those who want it.
    """

    def __init__(self, *, lanes: int, edge: int, width: int):
        for name, value, low, high in (("lanes", lanes, 1, MAX_LANES), ("edge", edge, 4, 32)):
            if not isinstance(value, int) or not low <= value <= high or value & (value - 1):
                raise ValueError(f"{name} must be a power of two from {low} to {high}, not {value!r}")
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be a positive integer, not {width!r}")
        self._lanes, self._edge, self._width = lanes, edge, width
        line = data.ArrayLayout(width, edge)
        super().__init__(
            {
                "start": In(1),
                "blocks": In(24),
                "wants": In(data.StructLayout({name: reader_layout() for name in READERS})),
                "vectors": In(stream.Signature(half_layout(lanes, width))),
                **{name: Out(stream.Signature(line)) for name in READERS},
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        edge = self._edge
        bits = (edge - 1).bit_length()
        written = Signal(2)  # blocks, modulo 4
        full = Signal()
        write_address, enables, write_data, writing = self._write(m, written, full)

        # --- the readers, each at its place -----------------------------------------------------------------
        # Who has the port, and its place, come from registers: no `ready` is on the way to the banks.
        chosen, chooses = Signal(range(len(READERS))), Signal(range(len(READERS)))
        place_layout = data.StructLayout({"index": bits, "column": 1, "block": 2})
        goes, following, behind, held, actives = {}, [], [], [], []
        for name in READERS:
            wants, out = self.wants[name], getattr(self, name)
            place, then = (
                Signal(place_layout, name=f"{name}_place"),
                Signal(place_layout, name=f"{name}_then"),
            )
            valid, go = Signal(name=f"{name}_valid"), Signal(name=f"{name}_go")
            active = wants.rows | wants.columns
            room = ~valid | out.ready
            m.d.comb += [
                go.eq(active & (place.block != written) & room & (chosen == len(actives))),
                out.valid.eq(valid),
                then.eq(place),
            ]
            with m.If(room):
                m.d.sync += valid.eq(go)
            with m.If(self.start):
                m.d.comb += [then.column.eq(~wants.rows), then.block.eq(0)]
            with m.Elif(~active):
                m.d.comb += then.block.eq(written)
            with m.Elif(go):
                m.d.comb += then.index.eq(place.index + 1)
                with m.If(place.index.all()):
                    m.d.comb += then.column.eq(Mux(place.column, ~wants.rows, wants.columns))
                    with m.If(place.column | ~wants.columns):
                        m.d.comb += then.block.eq(place.block + 1)
            m.d.sync += place.eq(then)
            goes[name] = go
            following.append(then)
            actives.append(active)
            behind.append((written - place.block)[:2])
            held.append(valid)
        now = Signal(place_layout, reset_less=True)
        m.d.sync += [chosen.eq(chooses), now.eq(Mux(chooses, following[1], following[0]))]
        m.d.comb += [
            chooses.eq(Mux(actives[0] & actives[1], ~chosen, actives[1])),
            full.eq(behind[0][1] | behind[1][1]),
            self.idle.eq(~writing & ~Cat(*behind, *held).any()),
        ]

        # --- banks ---------------------------------------------------------------------------------------
        index, column, half = now.index, now.column, now.block[0]
        words = []
        for bank in range(edge):
            memory = Memory(shape=self._width, depth=2 * edge, init=[])
            m.submodules[f"bank_{bank}"] = memory
            writer, reader = memory.write_port(), memory.read_port(domain="comb")
            # Row i lies in words i, column i in word i ^ bank of each bank.
            word = Cat(index[i] ^ (column if bank >> i & 1 else 0) for i in range(bits))
            m.d.comb += [
                writer.addr.eq(write_address),
                writer.data.eq(write_data[bank % len(write_data)]),
                writer.en.eq(enables[bank]),
                reader.addr.eq(Cat(word, half)),
            ]
            words.append(reader.data)
        line = Signal(data.ArrayLayout(self._width, edge))
        m.d.comb += line.eq(Cat(_exchanged(words, index)))
        for name, go in goes.items():
            held_line = Signal(line.shape(), name=f"{name}_line", reset_less=True)
            with m.If(go):
                m.d.sync += held_line.eq(line)
            m.d.comb += getattr(self, name).payload.eq(held_line)
        return m

    def _write(self, m: Module, written: Signal, full: Signal):
        """Takes the vectors. → address and enables of the banks, what the lanes give them, whether more will come."""
        edge, lanes = self._edge, min(self._lanes, self._edge)
        bits, low = (edge - 1).bit_length(), (lanes - 1).bit_length()
        rows = self._lanes // lanes  # in a vector
        left = Signal(24, reset_less=True)
        writing = Signal()
        part = Signal(range(max(2, rows)))
        place = Signal(2 * bits - low)  # of `lanes` elements in the block
        chunk, row = place[: bits - low], place[bits - low :]
        takes = Signal()
        m.d.comb += [
            takes.eq(self.vectors.valid & writing & ~full),
            self.vectors.ready.eq(writing & ~full & (part == rows - 1)),
        ]
        with m.If(self.start):
            m.d.sync += [left.eq(self.blocks), writing.eq(self.blocks != 0), written.eq(0)]
        with m.Elif(takes):
            m.d.sync += [place.eq(place + 1), part.eq(part + 1 if rows > 1 else 0)]
            with m.If(place.all()):
                m.d.sync += [written.eq(written + 1), left.eq(left - 1), writing.eq(left != 1)]
        elements = self.vectors.payload.data.as_value().word_select(part, lanes * self._width)
        elements = [elements[i * self._width : (i + 1) * self._width] for i in range(lanes)]
        turned = chunk ^ row[low:]
        enables = [takes & (turned == bank >> low) if low < bits else takes for bank in range(edge)]
        return Cat(row, written[0]), enables, _exchanged(elements, row[:low]), writing


def _exchanged(values: list[Value], by: Value) -> list[Value]:
    """Value j is that of lane j ^ ``by``."""
    for i in range(len(by)):
        values = [Mux(by[i], values[j ^ (1 << i)], values[j]) for j in range(len(values))]
    return values
