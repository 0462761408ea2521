"""The products of a network: what of memory they read, in which order, and where their results go."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from sat_hdl.compiler.formats import Activation, Blocked, Copy, up
from sat_hdl.compiler.tiling import Box, Shape
from sat_hdl.config import Config
from sat_hdl.memory.descriptor import Descriptor, Loop

__all__ = ["Correlation", "Job", "Place", "Walk", "WeightGradient", "image_stream"]

_WRAP = 1 << 32


@dataclass(frozen=True)
class Place:
    """A tensor in memory: its name, and its address.

    Arguments
    ---------
    cuts: of one whose samples are written in parts, where these begin and end: each part has a name of its own.
    """

    name: str
    address: int
    cuts: tuple[int, ...] = ()

    def part(self, which: range) -> str:
        """The name of some samples."""
        return f"{self.name}[{which.start}:{which.stop}]"

    @property
    def regions(self) -> tuple[str, ...]:
        """Names that order who reads and who writes it."""
        return tuple(self.part(range(*ends)) for ends in pairwise(self.cuts)) or (self.name,)

    def touched(self, which: range) -> "Place":
        """The same, of which only the parts that have something of ``which`` samples matter."""
        if not self.cuts:
            return self
        first = bisect_right(self.cuts, which.start) - 1
        return replace(self, cuts=self.cuts[first : bisect_left(self.cuts, which.stop) + 1])


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How a kernel's position moves over an image, an axis of rows and one of columns.

    Output step i and kernel step j see the image at ``origin`` + i · ``step`` + j · ``kernel_step``.
    """

    origin: tuple[int, int]
    step: tuple[int, int]
    kernel_step: tuple[int, int]

    def leaves(self, size: tuple[int, int], outputs: tuple[int, int], kernel: tuple[int, int]) -> bool:
        """Whether any of so many steps sees something beyond an image of ``size``."""
        for first, step, kernel_step, length, many, positions in zip(
            self.origin, self.step, self.kernel_step, size, outputs, kernel
        ):
            seen = [first + i * step + j * kernel_step for i in (0, many - 1) for j in (0, positions - 1)]
            if min(seen) < 0 or max(seen) >= length:
                return True
        return False


def image_stream(
    place: Place, image: Activation, walk: Walk, outputs: Box, kernel: Box, bounded: bool
) -> tuple[Descriptor, int, int]:
    """For each output pixel of a box, for each position of the kernel of another, the channels of that box: as a
    reader's descriptor; with the elements of a run, and runs a pixel. ``bounded``: some may lie beyond the image."""
    _, height, width, _ = image.shape
    beat = image.config.memory_bits // 8
    (n0, oy0, ox0), (kh0, kw0, c0) = outputs.starts, kernel.starts
    (n, oy, ox), (kh, kw, channels) = outputs.counts, kernel.counts
    y0 = walk.origin[0] + oy0 * walk.step[0] + kh0 * walk.kernel_step[0]
    x0 = walk.origin[1] + ox0 * walk.step[1] + kw0 * walk.kernel_step[1]
    row, pixel = width * image.pixel, image.pixel
    base = place.address + n0 * height * row + y0 * row + x0 * pixel + 2 * c0
    (sy, sx), (ky, kx) = walk.step, walk.kernel_step
    descriptor = Descriptor(
        base=base % _WRAP,
        run=up(2 * channels, beat),
        loops=[
            Loop(count=n, stride=height * row),
            Loop(count=oy, stride=sy * row, dy=sy),
            Loop(count=ox, stride=sx * pixel, dx=sx),
            Loop(count=kh, stride=ky * row, dy=ky),
            Loop(count=kw, stride=kx * pixel, dx=kx),
        ],
        y0=y0 if bounded else 0,
        x0=x0 if bounded else 0,
        height=height if bounded else 0,
        width=width if bounded else 0,
    )
    return descriptor, channels, kh * kw


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """FF of a convolution, or BP of one class of its pixels: Y = bias + X · W over kernel positions and channels.

    Arguments
    ---------
    x, image: what the kernel moves over. walk: how.
    outputs: (n, rows, columns) of output pixels. kernel: positions visited (rows, columns).
    values, indices, copy: the weights. position, position_steps: number of the first position that is visited,
        and its steps along the kernel's rows and columns.
    bias: in memory, or None.
    y, y_strides, y_base: results, bytes from step to step of each axis of ``outputs``, and of the first.
    form: action of the store unit; wide: it stores binary32.
    """

    x: Place
    image: Activation
    walk: Walk
    outputs: tuple[int, int, int]
    kernel: tuple[int, int]
    values: Place
    indices: Place | None
    copy: Copy
    position: int = 0
    position_steps: tuple[int, int]
    bias: Place | None = None
    y: Place
    y_base: int
    y_strides: tuple[int, int, int]
    form: str

    west_action = "west_rows"

    @property
    def wide(self) -> bool:
        return self.form == "wide_rows"

    @property
    def bounded(self) -> bool:
        return self.walk.leaves(self.image.shape[1:3], self.outputs[1:], self.kernel)

    def shape(self) -> Shape:
        keep, group = self.copy.job
        config = self.copy.config
        return Shape(
            m=self.outputs, k=(*self.kernel, self.copy.channels), n=self.copy.columns,
            k_step=max(config.panel, config.memory_bits // 16), keep=keep, group=group,
            bias=self.bias is not None, result_bytes=4 if self.wide else 2,
        )  # fmt: skip

    def kept(self, k: Box) -> int:
        return k.counts[0] * k.counts[1] * self.copy.kept(k.counts[2])

    def west(self, m: Box, k: Box) -> tuple[Place, Descriptor, int, int]:
        return self.x, *image_stream(self.x, self.image, self.walk, m, k, self.bounded)

    def north(self, k: Box, n: range) -> Iterator[tuple[str, Place, Descriptor, int, int, int]]:
        """Loads: action, place, descriptor, take, inner, words from the first."""
        parts = [("north_values", self.values, False)]
        if self.indices is not None:
            parts.append(("north_indices", self.indices, True))
        for action, place, indices in parts:
            yield from self._north(action, place, indices, k, n)

    def _north(self, action: str, place: Place, indices: bool, k: Box, n: range):
        copy, edge = self.copy, self.copy.config.panel
        beat = copy.config.memory_bits // 8
        block = copy.block(indices=indices)
        at_position = copy.channel_blocks * block
        panel = copy.positions * at_position
        (kh0, kw0, c0), (kh, kw, channels) = k.starts, k.counts
        sy, sx = self.position_steps
        first = self.position + kh0 * sy + kw0 * sx
        base = place.address + n.start // edge * panel + first * at_position + c0 // edge * block
        panels = -(-len(n) // edge)
        kept = copy.kept(channels)
        element = edge // 4 if indices else edge  # elements of a line
        positions = [Loop(count=kh, stride=sy * at_position), Loop(count=kw, stride=sx * at_position)]
        outer = Loop(count=panels, stride=panel)
        size = kept * element
        if block == 2 * copy.lines * element:
            # The blocks of a position follow each other without a gap.
            yield (
                action, place,
                Descriptor(base=base, run=up(2 * size, beat), loops=[outer, *positions]), size, kh * kw, 0,
            )  # fmt: skip
            return
        full, rest = divmod(kept, copy.lines)
        if rest == 0:
            loops = [outer, *positions, Loop(count=full, stride=block)]
            yield (
                action, place, Descriptor(base=base, run=block, loops=loops), copy.lines * element, kh * kw * full, 0,
            )  # fmt: skip
            return
        # Runs of two lengths make no stream: each position's last block comes on its own.
        for i in range(kh):
            for j in range(kw):
                at, to = base + (i * sy + j * sx) * at_position, (i * kw + j) * kept
                for lines, count, offset in ((copy.lines, full, 0), (rest, 1, full)):
                    if count:
                        loops = [outer, Loop(count=count, stride=block)]
                        descriptor = Descriptor(
                            base=at + offset * block, run=up(2 * lines * element, beat), loops=loops
                        )
                        yield action, place, descriptor, lines * element, count, to + offset * copy.lines

    def stores(
        self, config: Config, m: Box, band: range, word: int
    ) -> Iterator[tuple[str, Descriptor, int, int, int]]:
        """Stores of a band of a block's results, which begin at ``word``: action, descriptor, rows, first word."""
        size = 4 if self.wide else 2
        base = self.y.address + self.y_base + band.start * size
        base += sum(start * stride for start, stride in zip(m.starts, self.y_strides))
        loops = [Loop(count=count, stride=stride) for count, stride in zip(m.counts, self.y_strides)]
        yield self.form, Descriptor(base=base, run=len(band) * size, loops=loops), m.size, word, len(band)


@dataclass(frozen=True, kw_only=True)
class WeightGradient:
    """WU: dW = Xᵀ · dY over all output pixels.

    Arguments
    ---------
    x, image, walk: as of :class:`Correlation`.
    kernel: positions (rows, columns).
    dy, gradient: dY.
    dw, blocked: the result: of shape (Q, Cin, Cout), or packed, of shape (1, Q·Cin, Cout).
    """

    x: Place
    image: Activation
    walk: Walk
    kernel: tuple[int, int]
    dy: Place
    gradient: Activation
    dw: Place
    blocked: Blocked

    west_action = "west_columns"
    bias = None

    @property
    def y(self) -> Place:
        return self.dw

    @property
    def _packed(self) -> bool:
        return self.blocked.shape[0] != self.kernel[0] * self.kernel[1]

    @property
    def bounded(self) -> bool:
        return self.walk.leaves(self.image.shape[1:3], self.gradient.shape[1:3], self.kernel)

    def shape(self) -> Shape:
        config = self.image.config
        channels, full = self.image.shape[3], config.max_m
        return Shape(
            m=(*self.kernel, channels), k=self.gradient.shape[:3], n=self.gradient.shape[3],
            m_step=max(config.panel, config.rows, config.memory_bits // 16),
            m_alone=channels % config.panel != 0 and not self._packed,
            keep=full, group=full, result_bytes=4,
        )  # fmt: skip

    def kept(self, k: Box) -> int:
        return k.size

    def west(self, m: Box, k: Box) -> tuple[Place, Descriptor, int, int]:
        return self.x, *image_stream(self.x, self.image, self.walk, k, m, self.bounded)

    def north(self, k: Box, n: range) -> Iterator[tuple[str, Place, Descriptor, int, int, int]]:
        _, height, width, _ = self.gradient.shape
        pixel = self.gradient.pixel
        strides = (height * width * pixel, width * pixel, pixel)
        base = self.dy.address + 2 * n.start + sum(a * b for a, b in zip(k.starts, strides))
        loops = [Loop(count=count, stride=stride) for count, stride in zip(k.counts, strides)]
        run = up(2 * len(n), self.gradient.config.memory_bits // 8)
        place = self.dy.touched(k.ranges[0])
        yield "north_rows", place, Descriptor(base=base, run=run, loops=loops), len(n), 1, 0

    def stores(
        self, config: Config, m: Box, band: range, word: int
    ) -> Iterator[tuple[str, Descriptor, int, int, int]]:
        edge, cols = config.panel, config.cols
        _, positions, channel_blocks = self.blocked.blocks
        row = 4 * edge
        panel = positions * channel_blocks * edge * row
        position = (self.image.shape[3] if self._packed else channel_blocks * edge) * row
        (kh0, kw0, c0) = m.starts
        base = (
            self.dw.address + band.start // edge * panel + (kh0 * self.kernel[1] + kw0) * position + c0 * row
        )
        full, rest = divmod(m.size, config.rows)
        slots = -(-len(band) // cols)
        parts = edge // cols
        whole, partial = divmod(slots, parts)

        def store(rows: int, tiles: int, tile: int, slot: int, slots: int, columns: int):
            """A store of tiles of ``rows`` rows each, and of ``slots`` slots from ``slot`` on."""
            at = base + tile * config.rows * row + slot // parts * panel
            tile_loop = Loop(count=tiles, stride=config.rows * row)
            if parts == 1:
                loops, run = [tile_loop, Loop(count=slots, stride=panel)], rows * row
            else:
                across = slots // parts if slots >= parts else 1
                loops = [
                    tile_loop, Loop(count=across, stride=panel), Loop(count=min(slots, parts), stride=4 * cols),
                    Loop(count=rows, stride=row),
                ]  # fmt: skip
                run = 4 * cols
            first = word + tile * config.rows * (-(-len(band) // cols)) + slot * rows
            return (
                "wide_columns_checked",
                Descriptor(base=at, run=run, loops=loops),
                rows * tiles,
                first,
                columns,
            )

        groups = [(config.rows, full, 0)] if full else []
        if rest:
            groups.append((rest, 1, full))
        for rows, tiles, tile in groups:
            if whole == 0 or partial == 0:
                yield store(rows, tiles, tile, 0, slots, len(band))
                continue
            # A panel of which not all slots are there: only within a tile can slots be told apart.
            for t in range(tile, tile + tiles):
                columns = whole * edge
                yield store(rows, 1, t, 0, whole * parts, columns)
                yield store(rows, 1, t, whole * parts, partial, len(band) - columns)


Job = Correlation | WeightGradient
