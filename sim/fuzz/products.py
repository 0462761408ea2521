"""Random products: operands into the buffers, one or two jobs, and stores of what came out."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from sat_hdl.compiler.product import Product, kept_length
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.sim.fuzz.work import Arena, Nest, NoRoom, Work, divisor, walk

__all__ = ["Products"]


@dataclass(frozen=True)
class _Shape:
    m: int
    k: int
    n: int
    keep: int
    group: int

    @property
    def kept(self) -> int:
        return kept_length(self.k, self.keep, self.group)


class Products:
    """Makes products whose streams lie in ``arena``.

    Arguments
    ---------
    overflow: whether they may raise the overflow flag.
    """

    def __init__(self, arena: Arena, *, overflow: bool):
        self.arena, self.rng, self.config = arena, arena.rng, arena.config
        self._actions = ["rows", "rows_relu", "wide_rows", "wide_columns"]
        if overflow:
            self._actions.append("wide_columns_checked")

    def make(self) -> list[Work | Nest]:
        """Raises NoRoom."""
        rng, config = self.rng, self.config
        shape, half = self._shape(), rng.randrange(2)
        whole = self._product(shape)
        slots = sum(-(-(band.stop - band.start) // config.cols) for band in whole.bands())
        room, results = config.result_depth // 2, whole.results
        if results + slots > room:
            raise NoRoom
        start = half * room + rng.randint(0, room - results - slots)
        where = {"bias": start, "result": start + slots}
        if rng.random() < 0.5:
            where = {"bias": start + results, "result": start}
        buffer = ("result", half)
        items: list[Work | Nest] = []
        west, registers, takes = self._operands(items, shape, half)
        action = rng.choice(["from_zero", "from_bias", "from_results"])
        if action == "from_bias":
            items.append(self._load_results(where["bias"], slots, buffer))
            registers["initial"] = where["bias"]
        elif action == "from_results":
            items.append(self._load_results(where["result"], results, buffer))
            registers["initial"] = where["result"]
        registers["result"] = where["result"]

        def compute(action: str) -> Work:
            return Work("compute", action, {}, dict(registers), (*takes, buffer), (buffer,))

        first = compute(action)
        stores = list(self._stores(shape, whole, where["result"], buffer))
        rng.shuffle(stores)
        if rng.random() < 0.25 and action != "from_results":
            # The same product of other rows, over and over.
            body = [west, first, stores.pop()]
            counts = tuple(rng.choice([1, 2, 3]) for _ in range(rng.randint(1, 3)))
            items.append(Nest(counts, body, [self.arena.stretch(work, counts) for work in body]))
        else:
            items.append(first)
            if rng.random() < 0.3:
                more = self._shape(shape.m, shape.n)
                _, registers, takes = self._operands(items, more, rng.randrange(2))
                registers |= {"initial": where["result"], "result": where["result"]}
                items.append(compute("from_results"))
        items += stores
        return items

    def _product(self, shape: _Shape) -> Product:
        return Product(config=self.config, m=shape.m, k=shape.k, n=shape.n)

    def _shape(self, m: int = 0, n: int = 0) -> _Shape:
        rng, config = self.rng, self.config
        band = config.cols * config.interleave
        most = rng.choice([config.panel, config.panel, band, 2 * band + config.cols])
        group = rng.choice(config.group_lengths())
        keep = group if rng.random() < 0.4 else rng.randint(1, group)
        n = n or rng.randint(1, most)
        m = m or rng.randint(1, rng.choice([config.rows, 3 * config.rows + 1]))
        return _Shape(m, rng.randint(1, rng.choice([8, 40])), n, keep, group)

    # --- operands ---------------------------------------------------------------------------------------

    def _load(self, action: str, stream: Descriptor, buffer, **registers: int) -> Work:
        placed, _ = self.arena.place(stream, writes=False)
        return Work("load", action, {"": placed}, registers, (), (buffer,))

    def _runs(self, rows: int, length: int, *, pads: bool) -> tuple[Descriptor, dict[str, int]]:
        """A stream of ``rows`` rows of ``length`` elements, each in one run or in some."""
        inner = divisor(self.rng, length)
        take = length // inner
        beats = -(-2 * take // self.arena.beat) + (self.rng.random() < 0.2)
        run = beats * self.arena.beat
        return walk(self.rng, rows * inner, run, self.arena.beat, pads=pads), {"inner": inner, "take": take}

    def _at(self, depth: int, half: int, tiles: int, words: int) -> dict[str, int]:
        """A place for ``tiles`` tiles (or panels) of ``words`` words in half a buffer."""
        room = depth // 2
        pitch = words + self.rng.choice([0, 0, 1, 3])
        if (tiles - 1) * pitch + words > room:
            pitch = words
        spare = room - (tiles - 1) * pitch - words
        if spare < 0:
            raise NoRoom
        return {"to": half * room + self.rng.randint(0, spare), "pitch": pitch}

    def _operands(
        self, items: list[Work | Nest], shape: _Shape, half: int
    ) -> tuple[Work, dict[str, int], tuple]:
        """Adds loads of A and B; returns that of A, registers of the job, and the buffers that it takes."""
        rng, config = self.rng, self.config
        tiles, panels = -(-shape.m // config.rows), -(-shape.n // config.panel)
        pads = rng.random() < 0.4
        if rng.random() < 0.5:
            action, (stream, runs) = "west_rows", self._runs(shape.m, shape.k, pads=pads)
        else:
            action, (stream, runs) = "west_columns", self._runs(shape.k, shape.m, pads=pads)
        at = self._at(config.west_depth, half, tiles, -(-shape.k // config.ingest))
        west = self._load(action, stream, ("west", half), **runs, **at)
        place = self._at(config.north_depth, half, panels, shape.kept)
        if rng.random() < 0.5:
            action, (stream, runs) = "north_rows", self._runs(shape.kept, shape.n, pads=pads)
        else:
            length = shape.kept * config.panel
            action, (stream, runs) = "north_values", self._runs(panels, length, pads=pads)
        loads = [west, self._load(action, stream, ("north", half), **runs, **place)]
        if shape.keep != shape.group:
            loads.append(self._load_indices(shape, panels, half, place))
        rng.shuffle(loads)
        items += loads
        registers = {
            "m": shape.m, "k": shape.k, "n": shape.n,
            "sparsity": shape.keep | shape.group << 8 | self._fold(shape) << 19,
            "west": at["to"], "west_pitch": at["pitch"], "north": place["to"], "north_pitch": place["pitch"],
        }  # fmt: skip
        return west, registers, (("west", half), ("north", half))

    def _fold(self, shape: _Shape) -> int:
        folds = Product.folds(self.config, shape.n, shape.group)
        return self.rng.choice(folds).bit_length() - 1 if len(folds) > 1 else 0

    def _load_indices(self, shape: _Shape, panels: int, half: int, place: dict[str, int]) -> Work:
        """Indices that there are are put into memory for it, and stay there."""
        config, arena = self.config, self.arena
        nibbles = np.zeros((panels, shape.kept, config.panel), np.uint8)
        for panel in nibbles:
            for column in panel.T:
                column[:] = list(_indices(self.rng, shape))
        octets = nibbles.reshape(-1, 2)
        elements = shape.kept * config.panel // 4
        inner = divisor(self.rng, elements)
        run = -(-2 * elements // inner // arena.beat) * arena.beat
        stream = walk(self.rng, panels * inner, run, arena.beat, overlap=0)
        stream, span = arena.place(stream, writes=True, beside=arena.written)
        arena.kept.append(span)
        data = (octets[:, 0] | octets[:, 1] << 4).reshape(panels * inner, -1)
        for start, row in zip(stream.runs()[0].tolist(), data):
            arena.image[start : start + len(row)] = row
        return Work(
            "load", "north_indices", {"": stream}, {"inner": inner, "take": elements // inner, **place}, (),
            (("north", half),),
        )  # fmt: skip

    def _load_results(self, to: int, words: int, buffer) -> Work:
        stream, runs = self._runs(1, 2 * self.config.cols * words, pads=False)
        return self._load("results", stream, buffer, **runs, to=to, pitch=0)

    # --- results ----------------------------------------------------------------------------------------

    def _stores(self, shape: _Shape, whole: Product, start: int, buffer) -> Iterator[Work]:
        """Of each band: all, some of its tiles, or some of a tile's slots."""
        rng, config = self.rng, self.config
        for band in whole.bands():
            width = band.stop - band.start
            slots = -(-width // config.cols)
            tiles = -(-shape.m // config.rows)
            first, last = 0, tiles
            if rng.random() < 0.4:
                first = rng.randrange(tiles)
                last = rng.randint(first + 1, tiles)
            action = rng.choice(self._actions)
            by_tiles = action.startswith("wide_columns") and config.panel == config.cols
            if by_tiles and shape.m % config.rows and last == tiles and last - first > 1:
                last -= 1  # a tile's rows are a run, and runs are of one length
            rows = min(last * config.rows, shape.m) - first * config.rows
            word, columns = start + first * config.rows * slots, width
            if last - first == 1 and rng.random() < 0.4:
                left = rng.randrange(slots)
                right = rng.randint(left + 1, slots)
                word += left * rows
                columns = min(right * config.cols, width) - left * config.cols
            used = -(-columns // config.cols)
            if action in ("rows", "rows_relu"):
                run, count = 2 * columns, rows
            elif action == "wide_rows":
                run, count = 4 * columns, rows
            elif by_tiles:
                height = min(rows, config.rows)
                run, count = 4 * config.cols * height, used * (last - first)
            else:
                run, count = 4 * config.cols, used * rows
            stream, _ = self.arena.place(walk(rng, count, run, self.arena.beat, overlap=0.05), writes=True)
            registers = {"from": word, "m": rows, "n": columns}
            yield Work("store", action, {"": stream}, registers, (buffer,))
            start += shape.m * slots


def _indices(rng: Random, shape: _Shape) -> Iterator[int]:
    """Of a column: in each group as many as are kept, ascending."""
    for start in range(0, shape.k, shape.group):
        length = min(shape.group, shape.k - start)
        yield from sorted(rng.sample(range(length), min(shape.keep, length)))
