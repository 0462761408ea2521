"""A part of the control by itself, stepped cycle by cycle: for protocols that are not streams."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amaranth.lib import data

from sat_hdl.config import Config
from sat_hdl.control.tiles import tile_layout
from sat_hdl.sim.fast import Simulation


class Part:
    """Component ``name`` of a bundle."""

    def __init__(self, sim: Simulation, name: str):
        self._sim, self._name = sim, name
        sim.reset()

    def set(self, **values: int):
        for port, value in values.items():
            self._sim.set(f"{self._name}__{port}", int(value))

    def get(self, port: str) -> int:
        return self._sim.get(f"{self._name}__{port}")

    def step(self):
        self._sim.step()

    def start(self, **values: int):
        """A cycle with ``start``, and what it takes."""
        self.set(start=1, **values)
        self.step()
        self.set(start=0, **dict.fromkeys(values, 0))

    def offer(
        self, stream: str, items: Sequence[int], position: int, rng: random.Random, stall: float
    ) -> bool:
        """Offers the next item, or nothing with the probability ``stall`` (then the payload is random).
        Returns whether it is on offer."""
        width = self._sim.ports[f"{self._name}__{stream}__payload"][1]
        offered = position < len(items) and rng.random() >= stall
        payload = items[position] if offered else rng.getrandbits(width)
        self.set(**{f"{stream}__valid": offered, f"{stream}__payload": payload})
        return offered


@dataclass(frozen=True)
class Tile:
    """Counts, not less one."""

    rows: int
    slots: int
    last: bool
    opens: bool = False
    least: int = 8
    bands: int = 1
    wide: bool | None = None

    @property
    def span(self) -> int:
        return max(self.least, self.slots)

    def height(self, config: Config, slot: int) -> int:
        """Rows of a slot: its band's."""
        return self.rows if slot % self.bands == self.bands - 1 else config.rows

    def word(self, config: Config) -> int:
        return bits(
            tile_layout(config),
            rows=self.rows - 1,
            rounds=self.slots - 1,
            span=self.span - 1,
            wide=self.slots > config.interleave if self.wide is None else self.wide,
            opens=self.opens,
            last=self.last,
            **self._folded(config),
        )

    def _folded(self, config: Config) -> dict[str, int]:
        if config.fold == 1:
            return {}
        return {"bands": self.bands - 1, "across": self.slots // self.bands - 1}


def folded_tiles(config: Config, m: int, n: int, fold: int) -> list[Tile]:
    """Of a folded product: each tile takes ``fold`` tiles of one that is not, as bands."""
    parts = tiles_of(config, m, n)
    found: list[Tile] = []
    for start in range(0, len(parts), fold):
        bands = parts[start : start + fold]
        slots = bands[0].slots * len(bands)
        wide = slots > config.interleave or bool(found and found[-1].wide)
        found.append(
            Tile(bands[-1].rows, slots, bands[-1].last, opens=bands[0].opens, bands=len(bands), wide=wide)
        )
    return found


def tiles_of(config: Config, m: int, n: int) -> list[Tile]:
    """What a walk over an m × n product gives, by counting columns and slots one by one."""
    slots_left = len(range(0, n, config.cols))
    bands = []
    while slots_left:
        # A band too small to keep the adder busy joins the one before.
        most = config.interleave + (0 if config.ring else 7)
        slots = slots_left if slots_left <= most else config.interleave
        bands.append(slots)
        slots_left -= slots
    heights = [min(config.rows, m - top) for top in range(0, m, config.rows)]
    tiles = [(rows, slots) for slots in bands for rows in heights]
    return [
        Tile(rows, slots, i == len(tiles) - 1, opens=i % len(heights) == 0)
        for i, (rows, slots) in enumerate(tiles)
    ]


def walked(part: Part, count: int, rng: random.Random, stall: float) -> list[int]:
    """The first ``count`` words of the stream ``tiles`` that ``part`` has begun, and one more if it wrongly comes."""
    words, idle = [], 0
    while len(words) <= count and idle < 60:
        ready = rng.random() >= stall
        part.set(tiles__ready=ready)
        if part.get("tiles__valid") and ready:
            words.append(part.get("tiles__payload"))
            idle = -1
        idle += ready
        part.step()
    part.set(tiles__ready=0)
    return words


def entry_of(config: Config, slot: int, parity: int) -> int:
    """Where slot ``slot`` of a tile in bank ``parity`` keeps its sum."""
    return slot ^ parity << (config.entry_bits - 1)


def bits(layout: data.StructLayout, **values: int) -> int:
    return sum(int(value) << layout[name].offset for name, value in values.items())


def fields(layout: data.StructLayout, word: int) -> dict[str, int]:
    return {name: word >> field.offset & ((1 << field.width) - 1) for name, field in layout}


def turns_of(
    config: Config, m: int, k: int, n: int, *, keep: int, group: int, slots: int
) -> Iterator[dict[str, int]]:
    """Fields of the turns of a weight-stationary product, found row by row of the array."""
    columns = len(range(0, n, config.cols))
    at_once = min(8 >> slots, config.max_m // group)  # rows of A that a turn takes
    used = len(range(0, k, group))
    steps = len(range(0, m, at_once))

    def mask(step: int) -> int:
        """Slots that rows of A number step · at_once and following fill."""
        exist = 0
        for u in range(at_once):
            for s in range(columns):
                if step >= 0 and step * at_once + u < m:
                    exist |= 1 << (u << slots) + s
        return exist

    # The bottom row works on step i in turn i + 1, after its weights came in turn 2 · (used - 1), and two turns
    # a row.
    total = steps + 2 * (used - 1) + 1
    for turn in range(total):
        row, odd = divmod(turn, 2)
        brings = not odd and row < used
        yield {
            "rounds": 7, "span": 7, "last": turn == total - 1,
            "clears": turn == 0, "computes": turn > 0, "brings": brings,
            "row": row if brings else 0,
            "keeps": min(keep, group, k - row * group) if brings else 0,
            "columns": columns - 1, "takes": mask(turn - 1), "gives": mask(turn - 1 - 2 * (used - 1)),
        }  # fmt: skip
