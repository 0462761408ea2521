"""SDR SDRAM chips (JEDEC 21-C, 3.11.5): their shape, their times in ns, and these in cycles of a clock."""

import math
from dataclasses import dataclass, fields

from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ULX3S_CHIP", "ChipCycles", "Command", "PinsSignature", "SdramChip"]


class Command(enum.Enum, shape=3):
    """WE, CAS and RAS, from the high bit to the low one, as asserted; CS is asserted with all of them."""

    NOP = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    REFRESH = 0b011
    PRECHARGE = 0b101
    WRITE = 0b110
    MODE = 0b111


@dataclass(frozen=True, kw_only=True)
class ChipCycles:
    """The times of :class:`SdramChip` in cycles, rounded up; ``retention`` rounded down."""

    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    wr: int
    mrd: int
    start: int
    retention: int


@dataclass(frozen=True, kw_only=True)
class SdramChip:
    """A chip with four banks of 16-bit words, and the least times between its commands, in ns.

    Attributes
    ----------
    row_bits, column_bits: of the addresses in a bank.
    rcd: ACTIVATE to READ or WRITE. rp: PRECHARGE to ACTIVATE. ras: ACTIVATE to PRECHARGE. rc: ACTIVATE to the
        next in the same bank. rfc: REFRESH to whatever comes next. rrd: ACTIVATE to that of another bank.
    wr: last word written to PRECHARGE; at least 2 cycles. mrd: MODE to whatever comes next; at least 2 cycles.
    start: from a steady clock to the first command.
    retention: in which every row must be refreshed.
    """

    row_bits: int
    column_bits: int
    rcd: float
    rp: float
    ras: float
    rc: float
    rfc: float
    rrd: float
    wr: float
    mrd: float
    start: float = 200_000.0
    retention: float = 64e6

    def __post_init__(self):
        for name, least, most in (("row_bits", 2, 13), ("column_bits", 8, 10)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} must be an integer from {least} to {most}, not {value!r}")
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"{field.name} must be a positive time in ns, not {value!r}")

    @property
    def size(self) -> int:
        """Bytes."""
        return 8 << (self.row_bits + self.column_bits)

    def cycles(self, clock_mhz: float) -> ChipCycles:
        """The least whole cycles of a clock of ``clock_mhz`` MHz that hold each time."""
        if not isinstance(clock_mhz, int | float) or not 1 <= clock_mhz <= 200:
            raise ValueError(f"clock_mhz must be a frequency from 1 to 200 MHz, not {clock_mhz!r}")

        def up(ns: float) -> int:
            # A product such as 0.1 GHz × 60 ns is not exact: what is over by less than 1e-6 cycles is not over.
            return math.ceil(ns * clock_mhz / 1000 - 1e-6)

        times = {name: max(1, up(getattr(self, name))) for name in ("rcd", "rp", "ras", "rc", "rfc", "rrd")}
        return ChipCycles(
            **times,
            wr=max(2, up(self.wr)),
            mrd=max(2, up(self.mrd)),
            start=up(self.start),
            retention=math.floor(self.retention * clock_mhz / 1000 + 1e-6),
        )


#: 32 MB, 8192 rows of 512 words: what ULX3S boards carry. Each time is the longest among AS4C16M16SA-7 (which
#: decides rcd, rp and rc), IS42S16160G-7 and W9825G6KH-6, so that one bitstream fits every board.
ULX3S_CHIP = SdramChip(
    row_bits=13, column_bits=9, rcd=21, rp=21, ras=42, rc=63, rfc=66, rrd=14, wr=15, mrd=14
)


class PinsSignature(wiring.Signature):
    """The chip's pins but its clock, from the controller's side, by the names and levels of amaranth-boards'
    ``sdram``: 1 is asserted, the board's pins invert.

    ``dq_oe``: the controller drives ``dq``. ``dqm``: bytes that are not written.
    """

    def __init__(self, *, address_bits: int = 13):
        super().__init__(
            {
                "clk_en": Out(1),
                "cs": Out(1),
                "ras": Out(1),
                "cas": Out(1),
                "we": Out(1),
                "ba": Out(2),
                "a": Out(address_bits),
                "dqm": Out(2),
                "dq_o": Out(16),
                "dq_oe": Out(1),
                "dq_i": In(16),
            }
        )
