"""One frozen configuration, its presets, and the one place that derives and checks widths.

Every block takes a :class:`Config`'s derived values, never numbers of its own, so two blocks can't
disagree on a width. Errors are :class:`ConfigError`, whose text is a sentence for the user.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sat_hdl.formats import OPERAND_FORMATS, FloatFormat

__all__ = ["PRESETS", "Config", "ConfigError", "load", "parse_sparsity", "preset", "read_toml"]

_Read = TypeVar("_Read", bound=msgspec.Struct)


class ConfigError(ValueError):
    """A configuration that can't be built, or a run that it can't do. The text is for the user."""


def require(condition: bool, sentence: str):
    if not condition:
        raise ConfigError(sentence)


def _integer(name: str, value: Any, low: int, high: int):
    require(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"`{name}` must be an integer from {low} to {high}, not {value!r}.",
    )


def _power(name: str, value: Any, low: int, high: int):
    _integer(name, value, low, high)
    require(value.bit_count() == 1, f"`{name}` must be a power of two, not {value!r}.")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is built.

    Arguments
    ---------
    rows, cols: R and C of the array, 1 to 32 each.
    max_m: largest group length M that the hardware runs: 2, 4, 8 or 16. Every smaller power of two
        from 2, and every N < M, is chosen at run time.
    interleave: J, independent sums held by each USPE, 8 to 16. At least the loop latency of the
        multiply-accumulate (8 cycles, write-back included), so that the adder never waits for itself.
    operand_format: "fp16" (binary16) or "bf16" (bfloat16); accumulation is always binary32.
    sore_lanes: vectors that SORE prunes in parallel, 1 to 64.
    target: "portable" (any FPGA, and simulation) or "ecp5" (MULT18X18D and CCU2C instantiated).
    memory_bits: width of the memory port, 32 to 512, a power of two.
    west_depth: words of ``ingest`` activations in the west buffer (W2E) of each row, 64 to 65,536, a power of two.
    north_depth: words of ``panel`` weights in the north buffer (N2S), likewise.
    result_depth: words of C binary32 in the result buffer, likewise.
    vector_lanes: elements that WUVE works on in parallel, 1 to 16, a power of two.
    weight_stationary: whether the array can hold weights and let partial sums travel, chosen at run time, beside
        the output-stationary dataflow. It costs a small memory in each USPE.
    fold: groups of ``max_m`` activations that a USPE has room for, twice, 1, 2, 4 or 8; of shorter groups more.
        Above 1 a product can be folded, chosen at run time: each USPE works on up to 8 rows of A, so that
        products of few columns fill its sums. Of an ECP5 a USPE takes 615 LUT4-equivalents without; with max_m = 8
        and two west lanes 653 for 2, 734 for 4, 875 for 8.
    west_lanes: elements that a row's edge takes in a cycle, 1 or 2; it is 2 anyway if M > J. A folded product wants
        more of them.
    initial_ram: where a USPE keeps the accumulators that a tile starts from, without a ring: "block", a block RAM
        each, or "lut", LUT RAM, on an ECP5 48 LUTs each. Cycles and bits are the same. Where many block RAMs are in
        use, wire is shorter without these.
    ring: whether sums go round in the adder itself instead of a memory beside it. What remains is one memory, of LUT
        RAM, for initial accumulators and results. J is 8 then, the array output-stationary and not folded; the last
        columns of a product that fill less than 8 slots take a turn of 8, a weight that comes late is waited for
        until its sum is round again, 8 cycles, and results leave when all of a tile's are there.
    group_ram: where a USPE keeps its groups of activations: "lut", LUT RAM, or "block", a block RAM each, from where
        they come two cycles later; the array is output-stationary then.
    """

    rows: int = 8
    cols: int = 8
    max_m: int = 8
    interleave: int = 8
    operand_format: str = "fp16"
    sore_lanes: int = 8
    target: str = "portable"
    memory_bits: int = 64
    west_depth: int = 1024
    north_depth: int = 4096
    result_depth: int = 1024
    vector_lanes: int = 4
    weight_stationary: bool = True
    fold: int = 1
    west_lanes: int = 1
    initial_ram: str = "block"
    ring: bool = False
    group_ram: str = "lut"

    def __post_init__(self):
        _integer("rows", self.rows, 1, 32)
        _integer("cols", self.cols, 1, 32)
        _integer("max_m", self.max_m, 2, 16)
        require(self.max_m in (2, 4, 8, 16), f"`max_m` must be 2, 4, 8 or 16, not {self.max_m!r}.")
        _integer("interleave", self.interleave, self.least_span, 16)
        require(
            self.operand_format in list(OPERAND_FORMATS),  # a list takes values that can't be hashed
            f"`operand_format` must be one of {', '.join(OPERAND_FORMATS)}, not {self.operand_format!r}.",
        )
        _integer("sore_lanes", self.sore_lanes, 1, 64)
        require(
            self.target in ("portable", "ecp5"),
            f'`target` must be "portable" or "ecp5", not {self.target!r}.',
        )
        _power("memory_bits", self.memory_bits, 32, 512)
        for name in ("west_depth", "north_depth", "result_depth"):
            _power(name, getattr(self, name), 64, 1 << 16)
        _power("vector_lanes", self.vector_lanes, 1, 16)
        require(
            isinstance(self.weight_stationary, bool),
            f"`weight_stationary` must be true or false, not {self.weight_stationary!r}.",
        )
        _power("fold", self.fold, 1, 8)
        _power("west_lanes", self.west_lanes, 1, 2)
        require(
            self.initial_ram in ("block", "lut"),
            f'`initial_ram` must be "block" or "lut", not {self.initial_ram!r}.',
        )
        require(
            self.group_ram in ("lut", "block"),
            f'`group_ram` must be "lut" or "block", not {self.group_ram!r}.',
        )
        require(
            self.group_ram == "lut" or not self.weight_stationary,
            '`group_ram` must be "lut" where weights can be held: set weight_stationary false for "block".',
        )
        require(isinstance(self.ring, bool), f"`ring` must be true or false, not {self.ring!r}.")
        require(
            not self.ring
            or (self.interleave == self.least_span and not self.weight_stationary and self.fold == 1),
            f"With `ring` the interleave must be {self.least_span}, weight_stationary false and fold 1, not "
            f"{self.interleave!r}, {self.weight_stationary!r} and {self.fold!r}.",
        )

    # --- derived widths -------------------------------------------------------------------------

    @property
    def format(self) -> FloatFormat:
        return OPERAND_FORMATS[self.operand_format]

    @property
    def index_bits(self) -> int:
        """Width of an element's index in its group."""
        return (self.max_m - 1).bit_length()

    @property
    def count_bits(self) -> int:
        """Width of N and of M, which run from 1 to max_m."""
        return self.max_m.bit_length()

    @property
    def least_span(self) -> int:
        """Fewest slots that a turn over a tile's sums may take: the adder's loop, write-back included."""
        return 8

    @property
    def entry_bits(self) -> int:
        """Width of the address of a sum in its element: two banks of J, rounded up to a power of two."""
        return (self.interleave - 1).bit_length() + 1

    @property
    def held(self) -> int:
        """Kept weights that a USPE can hold: LUT RAM is 16 deep."""
        return 16

    @property
    def row_bits(self) -> int:
        """Width of a row's number."""
        return max(1, (self.rows - 1).bit_length())

    @property
    def dim_bits(self) -> int:
        """Width of a product's m, k and n."""
        return 24

    @property
    def west_elements(self) -> int:
        """E: elements that a row takes in one west beat, enough for 1:M at full rate (M / J, rounded up
        to a power of two), and no fewer than ``west_lanes``."""
        return max(self.west_lanes, 1 if self.max_m <= self.interleave else 2)

    @property
    def group_depth(self) -> int:
        """Elements of half a group memory."""
        return self.max_m * self.fold

    @property
    def element_bits(self) -> int:
        """Width of an element's number in half a group memory."""
        return (self.group_depth - 1).bit_length()

    def most_fold(self, group: int) -> int:
        """F, at most: rows of A whose groups of ``group`` a USPE can hold."""
        return 1 if self.fold == 1 else min(8, self.group_depth // group)

    @property
    def panel(self) -> int:
        """E: columns of a panel of weights in memory, and edge of a block of master weights."""
        return max(self.cols, self.max_m, 4)

    @property
    def ingest(self) -> int:
        """G: 16-bit elements that a buffer takes in a cycle, at most."""
        return min(self.memory_bits // 16, self.panel, 8)

    @property
    def copy_lanes(self) -> int:
        """K: lanes that make the pruned copies of new weights, as few as keep up. Both copies of a block of E × E
        take 2 E²/K cycles; its update takes at least 4 E²/L for L vector lanes, or 96 E²/D for its 12 bytes read a
        weight from a port of D bits."""
        lanes = min(-(-self.vector_lanes // 2), -(-self.memory_bits // 48))
        return min(1 << (lanes - 1).bit_length(), self.panel)

    # --- what it can run ------------------------------------------------------------------------

    def group_lengths(self) -> list[int]:
        """The M that this configuration runs."""
        return [m for m in (2, 4, 8, 16) if m <= self.max_m]

    def check_sparsity(self, keep: int, group: int):
        """Raises :class:`ConfigError` unless ``keep``:``group`` (N:M) can run here. N = M is dense."""
        require(
            group in self.group_lengths(),
            f"{keep}:{group} sparsity can't run here: M must be one of "
            f"{', '.join(map(str, self.group_lengths()))} in a configuration with max_m = {self.max_m}.",
        )
        require(
            1 <= keep <= group,
            f"{keep}:{group} sparsity can't run: N must be from 1 to M - 1 = {group - 1}, or use `dense`.",
        )


#: Presets by name. `default` is what every command uses unless told otherwise.
PRESETS: dict[str, Config] = {
    "default": Config(),
    "tiny": Config(rows=2, cols=2, sore_lanes=2),
    "4x4": Config(rows=4, cols=4, sore_lanes=4),
    "8x8": Config(),
    "8x8-bf16": Config(operand_format="bf16"),
    "8x8-m16": Config(max_m=16, interleave=16),
    "16x16": Config(rows=16, cols=16, sore_lanes=16),
    # Lanes, port and buffers in proportion: 4 channels of DDR4 and 9.5 MB of block RAM are on the paper's board. It
    # folds 4 rows of A at M = 8, which fill the slots from two on.
    "paper-32x32": Config(
        rows=32,
        cols=32,
        max_m=16,
        fold=2,
        sore_lanes=32,
        memory_bits=512,
        vector_lanes=16,
        west_depth=4096,
        north_depth=16384,
        result_depth=4096,
    ),
    # As large as that device takes it.
    "8x8-ecp5-85f": Config(
        target="ecp5",
        weight_stationary=False,
        ring=True,
        group_ram="block",
        west_depth=512,
        north_depth=2048,
        result_depth=512,
    ),
    "ulx3s-85f": Config(
        rows=8, cols=4, sore_lanes=4, target="ecp5", weight_stationary=False, memory_bits=32, vector_lanes=2
    ),
    "ulx3s-25f": Config(rows=4, cols=2, sore_lanes=2, target="ecp5", weight_stationary=False),
    "orangecrab-85f": Config(
        rows=4,
        cols=4,
        sore_lanes=4,
        target="ecp5",
        weight_stationary=False,
        memory_bits=32,
        vector_lanes=2,
        west_depth=512,
        north_depth=1024,
        result_depth=512,
    ),
    # Any FPGA's arithmetic; a pruner of one lane.
    "icebreaker": Config(rows=1, cols=1, sore_lanes=1, weight_stationary=False),
    "tang-nano-9k": Config(rows=2, cols=1, sore_lanes=1, weight_stationary=False),
}


def preset(name: str) -> Config:
    """The preset called ``name``."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.{hint}")
    return PRESETS[name]


def load(path: str | Path) -> Config:
    """Reads a TOML file whose keys are :class:`Config`'s. An unknown key or a wrong value is refused."""
    return read_toml(Path(path), Config, "configuration")


def read_toml(path: Path, kind: type[_Read], what: str) -> _Read:
    """A TOML file as a struct that refuses unknown fields; ``what``: such a file's name in a sentence.

    Raises :class:`ConfigError`.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise ConfigError(f"There is no {what} file {str(path)!r}.") from None
    except OSError as error:
        raise ConfigError(f"{str(path)!r} can't be read: {error.strerror}.") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        text = str(error).removesuffix(".")  # of a check of the struct's, which msgspec passes on as its own
        if "unknown field" in text:
            text += f"; the keys are {', '.join(kind.__struct_fields__)}"
        raise ConfigError(f"{path}: {text}.") from None


def parse_sparsity(text: str) -> tuple[int, int] | None:
    """``"dense"`` → None, ``"2:8"`` → (2, 8)."""
    if text == "dense":
        return None
    n, colon, m = text.partition(":")
    ok = colon == ":" and n.isdecimal() and m.isdecimal() and n.isascii() and m.isascii()
    require(ok and len(n) < 4 and len(m) < 4, f"Sparsity must be `dense` or N:M such as 2:8, not {text!r}.")
    keep, group = int(n), int(m)
    require(group in (2, 4, 8, 16), f"{text}: M must be 2, 4, 8 or 16, not {group}.")
    require(1 <= keep < group, f"{text}: N must be from 1 to M - 1 = {group - 1}, not {keep}.")
    return keep, group
