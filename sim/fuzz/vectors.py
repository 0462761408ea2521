"""Random commands of the vector unit."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from sat_hdl.compiler.product import kept_length
from sat_hdl.control.isa import RunFlag
from sat_hdl.memory.descriptor import Descriptor
from sat_hdl.sim.fuzz.work import Arena, Nest, NoRoom, Span, Work, walk
from sat_hdl.wuve.layouts import ENTRIES

__all__ = ["Vectors", "glance"]

_X_WIDE, _Y_WIDE, _OUT_WIDE, _RELU, _SCALE, _NESTEROV, _CHECK = (1 << i for i in (0, 1, 2, 3, 4, 8, 9))
#: Actions, the likelier the more often they are here.
_ACTIONS = (
    *("sgd", "sgd", "sgd", "convert", "convert", "add", "add", "mask", "maxpool", "maxpool", "sum", "sum"),
    *("select_sum", "select_sum", "check"),
)


def _number(rng: Random) -> int:
    """Bits of a binary32: mostly an ordinary one."""
    if rng.random() < 0.1:
        return rng.choice([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x7F7FFFFF])
    if rng.random() < 0.1:
        return rng.getrandbits(32)
    return struct.unpack("<I", struct.pack("<f", rng.gauss(0, 1)))[0]


def glance(arena: Arena, unit: str) -> Work:
    """A look at a little memory by the vector or the load unit, which changes nothing that matters."""
    stream, _ = arena.place(Descriptor(base=0, run=64), writes=False)
    if unit == "load":
        registers = {"take": 1, "inner": 1, "to": 0, "pitch": 0}
        return Work(unit, "west_rows", {"": stream}, registers, (), (("west", 0),))
    return Work(unit, "check", {"x_": stream}, {"flags": _X_WIDE, "count": 16, "run": 0, "x_fill": 0})


class Vectors:
    """Makes commands whose streams lie in ``arena``.

    Arguments
    ---------
    overflow: whether they may raise the overflow flag or depend on it.
    """

    def __init__(self, arena: Arena, *, overflow: bool):
        self.arena, self.rng, self.config, self.overflow = arena, arena.rng, arena.config, overflow

    def make(self) -> list[Work | Nest]:
        """Raises NoRoom."""
        rng = self.rng
        action = rng.choice(_ACTIONS)
        made = getattr(self, f"_{action}", lambda: self._elements(action))()
        flags = ()
        if self.overflow:
            chosen = rng.choice([0, 0, 0, 1, 2, 3])
            flags = tuple(flag for flag in RunFlag if chosen & flag)
        made = replace(made, flags=flags)
        if rng.random() < 0.25:
            counts = tuple(rng.choice([1, 2, 3]) for _ in range(rng.randint(1, 4)))
            if len(list(Nest(counts, [made], [{}]).unrolled())) <= 12:
                return [Nest(counts, [made], [self.arena.stretch(made, counts)])]
        return [made]

    def _flags(self, *bits: int) -> int:
        """Some of them, and some that say nothing."""
        flags = sum(bit for bit in bits if self.rng.random() < 0.5)
        if self.overflow and self.rng.random() < 0.3:
            flags |= _CHECK
        return flags | self.rng.choice([0, 0, self.rng.getrandbits(22) << 10])

    def _streams(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        pads: bool = False,
        same: Sequence[tuple[str, str]] = (),
    ) -> dict[str, Descriptor]:
        """Streams by prefix, of shapes (runs, bytes of a run); ``pads``: inputs may have padding.
        ``same``: an output and the input that lies in the same place."""
        rng, arena = self.rng, self.arena
        found: dict[str, Descriptor] = {}
        held: dict[str, Span] = {}
        for prefix, (count, run) in shapes.items():
            writes = prefix not in ("x_", "y_", "z_")
            source = dict(same).get(prefix)
            if source is not None:
                found[prefix] = replace(found[source], run=run)
                continue
            size = run if writes else -(-run // arena.beat) * arena.beat
            again = any(prefix == input_ for _, input_ in same)
            overlap = 0 if again else 0.05 if writes else 0.15
            stream = walk(rng, count, size, arena.beat, pads=pads and not writes, overlap=overlap)
            # What will be written lies beside what is read.
            beside = [*held.values()] if writes or again else []
            found[prefix], span = arena.place(stream, writes=writes or again, beside=beside)
            held[prefix] = span
        return found

    def _common(self, count: int, run: int, flags: int, **registers: int) -> dict[str, int]:
        return {
            "flags": flags, "count": count, "run": run, "x_fill": self.rng.choice([0, 0, 0xFC00, 0x7E00, 0x3C01]),
            **registers,
        }  # fmt: skip

    def _scalar(self, flags: int) -> dict[str, int]:
        return {f"scalar{flags >> 5 & 7}": _number(self.rng)}

    # --- element by element -----------------------------------------------------------------------------

    def _elements(self, action: str) -> Work:
        rng = self.rng
        runs, run = self._shape(240)
        flags = self._flags(_X_WIDE, _Y_WIDE, _OUT_WIDE, _RELU, _SCALE) | rng.randrange(8) << 5
        sizes = [4 if flags & bit else 2 for bit in (_X_WIDE, _Y_WIDE, _OUT_WIDE)]
        shapes = {"x_": (runs, run * sizes[0])}
        if action in ("add", "mask"):
            shapes["y_"] = runs, run * sizes[1]
        if action != "check":
            shapes["out0_"] = runs, run * sizes[2]
        streams = self._streams(shapes, pads=rng.random() < 0.3)
        registers = self._common(runs * run, self._run(runs, run), flags, **self._scalar(flags))
        return Work("vector", action, streams, registers)

    def _check(self) -> Work:
        return self._elements("check")

    def _shape(self, most: int) -> tuple[int, int]:
        """Runs, and elements of each."""
        run = self.rng.randint(1, self.rng.choice([4, 40, most]))
        return self.rng.randint(1, max(1, most // run)), run

    def _run(self, runs: int, run: int) -> int:
        return 0 if runs == 1 and self.rng.random() < 0.5 else run

    # --- windows ----------------------------------------------------------------------------------------

    def _windows(self) -> tuple[int, int, int, int]:
        """Windows, chunks of a window, runs of a chunk, elements of a run."""
        rng, lanes = self.rng, self.config.vector_lanes
        run = rng.randint(1, rng.choice([lanes, 2 * lanes + 1, 40]))
        vectors = -(-run // lanes)
        runs = rng.randint(1, max(1, min(rng.choice([1, 4, 16]), ENTRIES // vectors)))
        if runs * vectors > ENTRIES:
            raise NoRoom
        window = rng.randint(1, rng.choice([4, 12]))
        return rng.randint(1, max(1, 300 // (window * runs * run))), window, runs, run

    def _windowed(self, action: str, flags: int, y: bool = False, **registers: int) -> Work:
        windows, window, runs, run = self._windows()
        every, flags = windows * window * runs, flags | self.rng.randrange(8) << 5
        wide = flags & _X_WIDE and action != "maxpool"
        shapes = {"x_": (every, run * (4 if wide else 2))}
        if y:
            shapes["y_"] = every, run * 2
        wide = flags & _OUT_WIDE and action != "maxpool"
        shapes["out0_"] = windows * runs, run * (4 if wide else 2)
        if action == "maxpool":
            shapes["out1_"] = windows * runs, run * 2
        streams = self._streams(shapes, pads=self.rng.random() < 0.5)
        common = self._common(
            every * run, self._run(runs, run), flags, chunk=runs * run, window=window, **self._scalar(flags)
        )
        return Work("vector", action, streams, common | registers)

    def _maxpool(self) -> Work:
        return self._windowed("maxpool", self._flags(_X_WIDE, _OUT_WIDE, _RELU))

    def _sum(self) -> Work:
        return self._windowed("sum", self._flags(_X_WIDE, _OUT_WIDE, _SCALE))

    def _select_sum(self) -> Work:
        rng = self.rng
        want = rng.choice([0, 0, 1, 0xFFFF]) | rng.randint(0, 4) << 16
        step = rng.choice([1, 1, 2, 0xFFFF]) | rng.choice([0, 1, 3, 0xFFFE]) << 16
        flags = self._flags(_X_WIDE, _Y_WIDE, _OUT_WIDE)
        return self._windowed("select_sum", flags, True, want=want, want_step=step)

    # --- the update -------------------------------------------------------------------------------------

    def _sgd(self) -> Work:
        rng, config = self.rng, self.config
        scalars = {f"scalar{i}": _number(rng) for i in range(4)}
        flags = self._flags(_X_WIDE, _Y_WIDE, _OUT_WIDE, _RELU, _SCALE, _NESTEROV)
        copies = rng.choice([0, 1, 3, 4, 12, 5, 13, 7, 15])
        shapes: dict[str, tuple[int, int]] = {}
        plan = rng.getrandbits(16)
        if copies:
            block = config.panel**2
            blocks = rng.randint(1, max(1, 256 // block))
            count, group = blocks * block, rng.choice(config.group_lengths())
            keep = rng.randint(1, group)
            if copies & 0b1010:
                plan = keep | group << 8
            sizes = [size for size in (1, config.panel, block, count) if size % config.vector_lanes == 0]
            run = rng.choice([size for size in sizes if count // size <= 64])
            runs = count // run
            for name, there, sparse in (("ff", copies & 1, copies & 2), ("bp", copies & 4, copies & 8)):
                if there:
                    lines = kept_length(config.panel, keep, group) if sparse else config.panel
                    shapes[f"{name}_values_"] = blocks, lines * config.panel * 2
                    if sparse:
                        shapes[f"{name}_indices_"] = blocks, lines * config.panel // 2
        else:
            runs, run = self._shape(160)
            count = runs * run
        size = runs, run * 4
        same = [("out0_", "y_"), ("out1_", "z_")] if rng.random() < 0.5 else []
        all_shapes = {name: size for name in ("x_", "y_", "z_", "out0_", "out1_")} | shapes
        streams = self._streams(all_shapes, pads=not same and rng.random() < 0.2, same=same)
        registers = self._common(count, self._run(runs, run), flags, copies=plan | copies << 16, **scalars)
        return Work("vector", "sgd", streams, registers)
