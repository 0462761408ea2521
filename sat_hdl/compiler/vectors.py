"""Element-wise and windowed operations from memory to memory: commands of the vector unit."""

import struct
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from sat_hdl.compiler.formats import Activation, Copy
from sat_hdl.compiler.jobs import Walk
from sat_hdl.compiler.memory_plan import Tensor
from sat_hdl.compiler.program import OVERFLOW, Operation, Parameter, Program, descriptor_registers
from sat_hdl.config import Config, require
from sat_hdl.control.isa import RunFlag
from sat_hdl.memory.descriptor import Descriptor, Loop
from sat_hdl.wuve.layouts import ENTRIES

__all__ = ["SCALARS", "Vectors", "Windowed", "scalar_parameters"]

#: What the host passes to a program, by the number of the parameter: binary32 bits.
SCALARS = ("inv_scale", "weight_decay", "momentum", "learning_rate", "bias_decay")
_X_WIDE, _Y_WIDE, _OUT_WIDE, _RELU, _SCALE, _NESTEROV, _CHECK = (1 << i for i in (0, 1, 2, 3, 4, 8, 9))
#: Most elements of a command.
_MOST = 1 << 22
_WRAP = 1 << 32
#: The scalar that scales.
_FACTOR = 4


def _bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def scalar_parameters(**values: float) -> list[int]:
    """The host parameters of an update, from number 0: a value for each of SCALARS."""
    return [_bits(values[name]) for name in SCALARS]


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """A reduction over windows: for each output pixel, of the pixels that its window sees.

    Arguments
    ---------
    action: "maxpool", "sum" or "select_sum".
    x: what is reduced. y: of "select_sum": what must equal the window's ``want``.
    walk, kernel: the windows, and how many rows and columns each has. outputs: (n, rows, columns) of windows.
    out, out_base, out_strides: the results; bytes to the first, and from step to step of ``outputs``.
    argmax: of "maxpool": where it was. It has the shape of ``out``.
    factor: what sums are multiplied by, or None.
    want: of "select_sum": (first, inner step, outer step).
    """

    action: str
    x: Tensor
    y: Tensor | None = None
    walk: Walk
    kernel: tuple[int, int]
    outputs: tuple[int, int, int]
    out: Tensor
    out_base: int = 0
    out_strides: tuple[int, int, int]
    argmax: Tensor | None = None
    factor: float | None = None
    want: tuple[int, int, int] = (0, 0, 0)


class Vectors:
    """Lowers operations of the vector unit into a program.

    Arguments
    ---------
    config: the device.
    program: what to add to.
    """

    def __init__(self, config: Config, program: Program):
        self._config, self._program = config, program

    def _add(
        self,
        action: str,
        streams: dict[str, tuple[Tensor, Descriptor]],
        *,
        flags: tuple[RunFlag, ...] = (),
        reads: tuple[Hashable, ...] = (),
        writes: tuple[Hashable, ...] = (),
        control: int = 0,
        **registers: int | Parameter,
    ):
        all_registers: dict[str, int | Parameter] = {"x_fill": 0, "flags": control}
        for name, (tensor, descriptor) in streams.items():
            output = name not in ("x", "y", "z")
            all_registers |= descriptor_registers(descriptor, f"{name}_", writes=output)
            if output:
                writes += tensor.place.regions
            else:
                reads += tensor.place.regions
        self._program.add(Operation("vector", action, all_registers | registers, reads, writes, flags))

    # --- element by element -----------------------------------------------------------------------------

    def elementwise(self, action: str, inputs: list[Tensor], out: Tensor, *, relu: bool = False):
        """ "convert", "add" or "mask" of whole tensors of operands of one shape, what pads their pixels included."""
        total = out.size // 2
        for start in range(0, total, _MOST):
            count = min(_MOST, total - start)
            streams = {
                name: (tensor, Descriptor(base=tensor.place.address + 2 * start, run=2 * count))
                for name, tensor in zip(("x", "y"), inputs)
            }
            streams["out0"] = out, Descriptor(base=out.place.address + 2 * start, run=2 * count)
            self._add(action, streams, count=count, run=0, control=_RELU if relu else 0)

    # --- windows ----------------------------------------------------------------------------------------

    def _pieces(self, image: Activation) -> Iterator[range]:
        """A pixel's channels, with what pads them, in pieces that fit a chunk."""
        total, most = image.pixel // 2, ENTRIES * self._config.vector_lanes
        step = self._config.memory_bits // 16
        each = max(step, most // step * step)
        for start in range(0, total, each):
            yield range(start, min(start + each, total))

    def windowed(self, op: Windowed):
        """Adds the commands of ``op``."""
        form = op.x.form
        assert isinstance(form, Activation)
        lanes = self._config.vector_lanes
        images, rows, columns = op.outputs
        positions = op.kernel[0] * op.kernel[1]
        for piece in self._pieces(form):
            # Short chunks are slow: those of neighbours are made one.
            joined = max(1, min(columns, ENTRIES // -(-len(piece) // lanes)))
            for left in range(0, columns, joined):
                width = min(joined, columns - left)
                chunk = width * len(piece)
                per_image = rows * positions * chunk
                for first in range(0, images, most := max(1, _MOST // per_image)):
                    self._window_command(
                        op, form, piece, (first, min(most, images - first)), (left, width), chunk
                    )

    def _window_command(
        self,
        op: Windowed,
        form: Activation,
        piece: range,
        images: tuple[int, int],
        columns: tuple[int, int],
        chunk: int,
    ):
        (first, count), (left, width) = images, columns
        _, height, image_width, _ = form.shape
        (sy, sx), (ky, kx), (y0, x0) = op.walk.step, op.walk.kernel_step, op.walk.origin
        x0 += left * sx
        rows, (kh, kw) = op.outputs[1], op.kernel
        row, pixel = image_width * form.pixel, form.pixel
        offset = first * height * row + y0 * row + x0 * pixel + 2 * piece.start

        def source(tensor: Tensor) -> Descriptor:
            return Descriptor(
                base=(tensor.place.address + offset) % _WRAP, run=2 * len(piece),
                loops=[
                    Loop(count=count, stride=height * row), Loop(count=rows, stride=sy * row, dy=sy),
                    Loop(count=kh, stride=ky * row, dy=ky), Loop(count=kw, stride=kx * pixel, dx=kx),
                    Loop(count=width, stride=sx * pixel, dx=sx),
                ],
                y0=y0, x0=x0, height=height, width=image_width,
            )  # fmt: skip

        def result(tensor: Tensor) -> Descriptor:
            strides = op.out_strides
            base = (
                tensor.place.address + op.out_base + first * strides[0] + left * strides[2] + 2 * piece.start
            )
            loops = [Loop(count=n, stride=stride) for n, stride in zip((count, rows, width), strides)]
            return Descriptor(base=base, run=2 * len(piece), loops=loops)

        streams = {"x": (op.x, source(op.x)), "out0": (op.out, result(op.out))}
        if op.y is not None:
            streams["y"] = op.y, source(op.y)
        if op.argmax is not None:
            streams["out1"] = op.argmax, result(op.argmax)
        registers: dict[str, Any] = {
            "control": 0, "count": count * rows * kh * kw * chunk, "run": len(piece), "chunk": chunk,
            "window": kh * kw,
        }  # fmt: skip
        if op.factor is not None:
            registers |= {"control": _SCALE | _FACTOR << 5, f"scalar{_FACTOR}": _bits(op.factor)}
        if op.action == "select_sum":
            base, inner, outer = op.want
            registers |= {
                "want": base | kw << 16, "want_step": inner % (1 << 16) | outer % (1 << 16) << 16
            }  # fmt: skip
        self._add(op.action, streams, **registers)

    # --- gradients of biases, and the update --------------------------------------------------------------

    def bias_gradient(self, dy: Tensor, db: Tensor):
        """db: for each channel the chain of dY over all pixels; it may raise the overflow flag."""
        form = dy.form
        assert isinstance(form, Activation)
        images, height, width, channels = form.shape
        pixels = images * height * width
        require(
            pixels < 1 << 16,
            f"A bias gradient over {pixels} pixels is too long: at most {(1 << 16) - 1} are possible; take a smaller "
            "batch.",
        )
        for piece in self._pieces(form):
            there = min(len(piece), channels - piece.start)
            x = Descriptor(
                base=dy.place.address + 2 * piece.start, run=2 * len(piece),
                loops=[Loop(count=pixels, stride=form.pixel)],
            )  # fmt: skip
            out = Descriptor(base=db.place.address + 4 * piece.start, run=4 * there)
            self._add(
                "sum", {"x": (dy, x), "out0": (db, out)},
                control=_OUT_WIDE, count=pixels * there, run=there, chunk=there, window=pixels,
            )  # fmt: skip
        self._add(
            "check", {"x": (db, Descriptor(base=db.place.address, run=db.size))}, reads=(OVERFLOW,),
            control=_X_WIDE | _CHECK, count=db.size // 4, run=0,
        )  # fmt: skip

    def unpack(self, packed: Tensor, dw: Tensor):
        """Moves a gradient's rows, of shape (1, Q·Cin, Cout), to where they are in the shape (Q, Cin, Cout)."""
        positions, cin, _ = dw.blocked.shape
        panels, _, channel_blocks = dw.blocked.blocks
        edge = self._config.panel
        row = 4 * edge

        def rows(tensor: Tensor, panel: int, position: int) -> Descriptor:
            loops = [Loop(count=panels, stride=panel), Loop(count=positions, stride=position)]
            return Descriptor(base=tensor.place.address, run=row, loops=[*loops, Loop(count=cin, stride=row)])

        streams = {
            "x": (packed, rows(packed, packed.size // panels, cin * row)),
            "out0": (dw, rows(dw, dw.size // panels, channel_blocks * edge * row)),
        }
        count = panels * positions * cin * edge
        self._add("convert", streams, control=_X_WIDE | _OUT_WIDE, count=count, run=edge)

    def update(self, w: Tensor, v: Tensor, dw: Tensor, copies: list[Tensor], *, nesterov: bool, bias: bool):
        """SGD of a layer's weights or biases, skipped if the overflow flag is up; and the copies of the new weights.

        Arguments
        ---------
        copies: of values and of indices, of W_FF and W_BP: those that there are.
        """
        count = w.size // 4
        require(
            count < 1 << 24,
            f"{w.place.name} has {count} weights with padding; at most {(1 << 24) - 1} are possible.",
        )
        streams = {
            name: (tensor, Descriptor(base=tensor.place.address, run=tensor.size))
            for name, tensor in (("x", dw), ("y", w), ("z", v), ("out0", w), ("out1", v))
        }
        flags = 0
        for tensor in copies:
            form = tensor.form
            assert isinstance(form, Copy)
            backward = tensor.place.name.split(".")[-1].startswith("bp")
            indices = tensor.part == "indices"
            name = f"{'bp' if backward else 'ff'}_{'indices' if indices else 'values'}"
            streams[name] = tensor, _sweep(tensor, form, backward, indices)
            flags |= 1 << (16 + 2 * backward + indices)
            if indices:
                flags |= form.job[0] | form.job[1] << 8
        scalars: dict[str, Any] = {
            f"scalar{i}": Parameter(SCALARS.index(name))
            for i, name in enumerate(
                ("inv_scale", "bias_decay" if bias else "weight_decay", "momentum", "learning_rate")
            )
        }
        self._add(
            "sgd", streams, flags=(RunFlag.UNLESS_OVERFLOW,), writes=(OVERFLOW,), control=_NESTEROV * nesterov,
            count=count, run=0, copies=flags, **scalars,
        )  # fmt: skip


def _sweep(tensor: Tensor, form: Copy, backward: bool, indices: bool) -> Descriptor:
    """Where the blocks of a copy go, in the order [o][q][i] of the weights."""
    block = form.block(indices=indices)
    size = form.lines * form.config.panel
    run = size // 2 if indices else 2 * size
    position = form.channel_blocks * block
    panel = form.positions * position
    if backward:  # its panels are the blocks i, its channels the blocks o
        loops = [(form.channel_blocks, block), (form.positions, position), (form.panels, panel)]
    else:
        loops = [(form.panels, panel), (form.positions, position), (form.channel_blocks, block)]
    return Descriptor(
        base=tensor.place.address,
        run=run,
        loops=[Loop(count=count, stride=stride) for count, stride in loops],
    )
