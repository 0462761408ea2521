"""Program images: all that a device's memory holds before its programs run, in one file.

An image is an .npz file (numpy.load reads it) of "image", JSON as uint8: see :class:`_Header`; and of "piece_0",
"piece_1" …: the bytes of memory, uint8, at the header's addresses. What no piece holds is 0.
"""

import zipfile
import zlib
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from sat_hdl.compiler.program import Label
from sat_hdl.config import Config, ConfigError, require

__all__ = ["Image", "ImageProgram", "is_image", "load_image", "save_image"]

#: Of the file's form: others are refused.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ImageProgram:
    """A program in an image.

    Arguments
    ---------
    name: "forward", "backward" …
    address, size: in bytes. Its first instruction is at ``address``.
    parameters: 32-bit host parameters, from number 0.
    labels: what each RUN is for, in the order in which they are handed out; empty if that is not known.
    """

    name: str
    address: int
    size: int
    parameters: tuple[int, ...] = ()
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a device needs to run programs, which run in their order.

    Arguments
    ---------
    config: the device that they are for; None: any.
    size: bytes of memory.
    programs: at least one.
    pieces: bytes of memory, uint8, by their addresses.
    tensors: address and size in bytes of what is in memory, by name.
    """

    config: Config | None
    size: int
    programs: tuple[ImageProgram, ...]
    pieces: dict[int, np.ndarray]
    tensors: dict[str, tuple[int, int]] = field(default_factory=dict)

    def words(self, program: ImageProgram) -> np.ndarray:
        """The instructions of one of its programs, uint64."""
        memory = np.zeros(program.size, np.uint8)
        for address, octets in self.pieces.items():
            low, high = (
                max(address, program.address),
                min(address + len(octets), program.address + program.size),
            )
            if low < high:
                memory[low - program.address : high - program.address] = octets[
                    low - address : high - address
                ]
        return memory.view("<u8")


class _Program(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    address: int
    size: int
    parameters: list[int]
    #: (layer, stage, how many times in a row).
    labels: list[tuple[str, str, int]]


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    config: Config | None
    size: int
    programs: list[_Program]
    #: Address of each piece.
    pieces: list[int]
    tensors: dict[str, tuple[int, int]]


def save_image(path: Path, image: Image):
    """Writes ``image`` to ``path``."""
    programs = []
    for program in image.programs:
        labels = [(label.layer, label.stage, len(list(same))) for label, same in groupby(program.labels)]
        programs.append(
            _Program(program.name, program.address, program.size, list(program.parameters), labels)
        )
    header = _Header(VERSION, image.config, image.size, programs, list(image.pieces), image.tensors)
    arrays = {f"piece_{i}": piece for i, piece in enumerate(image.pieces.values())}
    octets = np.frombuffer(msgspec.json.encode(header), np.uint8)
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, image=octets, **arrays)


def is_image(path: Path) -> bool:
    """Whether the file at ``path`` is an image rather than a program's words."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def load_image(path: Path) -> Image:
    """Reads an image. Raises ConfigError if it is none, or contradicts itself."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = msgspec.json.decode(arrays["image"].tobytes(), type=_Header)
            pieces = [np.ascontiguousarray(arrays[f"piece_{i}"]) for i in range(len(header.pieces))]
    except (msgspec.MsgspecError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ConfigError(
            f"{str(path)!r} is no program image (`sat-hdl compile` makes them): {str(error).removesuffix('.')}."
        ) from None
    require(
        header.version == VERSION,
        f"{str(path)!r} is an image of version {header.version}; this `sat-hdl` reads version {VERSION}: compile it "
        "again.",
    )
    image = Image(
        config=header.config,
        size=header.size,
        programs=tuple(
            ImageProgram(
                name=p.name, address=p.address, size=p.size, parameters=tuple(p.parameters),
                labels=tuple(Label(layer, stage) for layer, stage, count in p.labels for _ in range(count)),
            )
            for p in header.programs
        ),
        pieces=dict(zip(header.pieces, pieces)),
        tensors=header.tensors,
    )  # fmt: skip
    _check(path, image)
    return image


def _check(path: Path, image: Image):
    require(
        0 < image.size <= 1 << 32,
        f"{str(path)!r} asks for {image.size} bytes of memory; 1 to 4 GiB are possible.",
    )
    require(len(image.programs) > 0, f"{str(path)!r} holds no program.")
    places = [(f"program {p.name!r}", p.address, p.size) for p in image.programs]
    places += [("a piece", address, len(piece)) for address, piece in image.pieces.items()]
    places += [(f"tensor {name!r}", *place) for name, place in image.tensors.items()]
    for what, address, size in places:
        require(
            0 <= address <= address + size <= image.size,
            f"In {str(path)!r} {what} lies at {address:#x}, {size} bytes, outside the {image.size} bytes of memory.",
        )
    for piece in image.pieces.values():
        require(piece.dtype == np.uint8 and piece.ndim == 1, f"In {str(path)!r} a piece is not plain bytes.")
    for program in image.programs:
        require(
            program.size > 0 and program.size % 8 == 0 and program.address % 8 == 0,
            f"In {str(path)!r} program {program.name!r} is not made of whole 64-bit words.",
        )
