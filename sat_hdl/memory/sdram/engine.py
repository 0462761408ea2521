"""Commands and data of an SDRAM: initialisation, refresh, rows, columns."""

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.sdram.chip import Command, PinsSignature, SdramChip
from sat_hdl.memory.sdram.cut import PIECE_BEATS
from sat_hdl.memory.sdram.lanes import SdramLanes
from sat_hdl.memory.sdram.upkeep import SdramUpkeep

__all__ = ["SdramEngine", "access_layout"]

BANKS = 4
#: Cycles between the chip's data and the controller's on the data pins.
_TURNAROUND = 1
#: A10: PRECHARGE goes to all banks.
_ALL_BANKS = 1 << 10


def access_layout(*, chip: SdramChip, data_bits: int) -> data.StructLayout:
    """``beats`` + 1 beats in one row, from ``column`` (counted in beats) on. ``masked``: nothing is written.
    ``last``: tell when it is written."""
    words = data_bits // 16
    return data.StructLayout(
        {
            "column": chip.column_bits - (words.bit_length() - 1),
            "bank": 2,
            "row": chip.row_bits,
            "beats": (PIECE_BEATS - 1).bit_length(),
            "write": 1,
            "masked": 1,
            "last": 1,
        }
    )


class _Wait:
    """Cycles that must pass after one of several commands, as a thermometer: a one for each cycle left."""

    def __init__(self, m: Module, name: str, causes: Mapping[int, Value]):
        """``causes``: cycles from the command that ``cause`` says is issued now, until ``busy`` is low."""
        self._left = Signal(max(1, *(cycles - 1 for cycles in causes)), name=name)
        loads = [Mux(cause, (1 << (cycles - 1)) - 1, 0) for cycles, cause in causes.items()]
        value = self._left >> 1
        for load in loads:
            value = value | load
        m.d.sync += self._left.eq(value)

    @property
    def busy(self) -> Value:
        return self._left[0]


class SdramEngine(wiring.Component):
    """Runs accesses in order. Rows stay open; the row of the next access is opened while the one before transfers.

    An access's beats follow each other at one word a cycle, and so do those of accesses whose row could be opened
    meanwhile. A row is refreshed every ``interval`` cycles, at most ``delay`` cycles late: a transfer is never cut.
    Every column command moves one beat, so the commands for rows of other banks find free cycles between.

    Arguments
    ---------
    chip: what is on the pins. clock_mhz: of the controller and of the chip.
    data_bits: of a beat: 32, 64 or 128, in bursts of 2, 4 or 8 words.
    cas_latency: 2 or 3 cycles; 2 is for 100 MHz at most with most chips.
    input_delay: cycles from the outputs to the pins and from the pins to ``dq_i``, together: registers of the
        board's buffers, and one if the chip's clock is so late that data miss their edge.

    Members
    -------
    accesses: In(stream of access_layout). All data of a write must be there, all of a read find room.
    take: Out(1). ``write_data`` and ``write_strobe`` are taken; the next must be there from the next cycle on.
    written: Out(1). The last beat of a write with ``last`` was issued.
    read: Out(1), read_data: Out(data_bits). A beat arrives.
    pins: Out(PinsSignature).
    """

    def __init__(
        self,
        *,
        chip: SdramChip,
        clock_mhz: float,
        data_bits: int = 64,
        cas_latency: int = 3,
        input_delay: int = 0,
    ):
        if data_bits not in (32, 64, 128):
            raise ValueError(f"data_bits must be 32, 64 or 128, not {data_bits!r}")
        if cas_latency not in (2, 3):
            raise ValueError(f"cas_latency must be 2 or 3, not {cas_latency!r}")
        if not isinstance(input_delay, int) or not 0 <= input_delay <= 4:
            raise ValueError(f"input_delay must be an integer from 0 to 4, not {input_delay!r}")
        self._chip, self._cycles = chip, chip.cycles(clock_mhz)
        self._words, self._cas, self._input_delay = data_bits // 16, cas_latency, input_delay
        if self.interval <= self.delay:
            raise ValueError(
                f"clock_mhz must be so fast that the {self.interval} cycles from refresh to refresh exceed the "
                f"{self.delay} of a transfer, not {clock_mhz!r}"
            )
        self.upkeep = SdramUpkeep(cycles=self._cycles, interval=self.interval)
        super().__init__(
            {
                "accesses": In(stream.Signature(access_layout(chip=chip, data_bits=data_bits))),
                "take": Out(1),
                "write_data": In(data_bits),
                "write_strobe": In(data_bits // 8),
                "written": Out(1),
                "read": Out(1),
                "read_data": Out(data_bits),
                "pins": Out(PinsSignature(address_bits=max(chip.row_bits, 11))),
            }
        )

    @property
    def _turn(self) -> int:
        """Cycles from READ to WRITE."""
        return self._cas + self._words + _TURNAROUND

    @property
    def _recovery(self) -> int:
        """Cycles from WRITE to PRECHARGE."""
        return self._words - 1 + self._cycles.wr

    @property
    def delay(self) -> int:
        """Cycles from the moment when a refresh is due to REFRESH, at most: an access that was handed over the cycle
        before, its WRITEs after a turn, and closing the rows."""
        transfer = self._turn - 2 + (PIECE_BEATS - 1) * self._words + self._recovery
        return max(transfer, self._cycles.ras) + self._cycles.rp

    @property
    def interval(self) -> int:
        """Cycles between refreshes: all rows within the chip's retention time, though each be late by ``delay``."""
        return (self._cycles.retention - self.delay) >> self._chip.row_bits

    @property
    def mode(self) -> int:
        """The mode register: sequential bursts of a beat's words, written as they are read."""
        return self._cas << 4 | (self._words.bit_length() - 1)

    def elaborate(self, platform):
        m = Module()
        cycles, words = self._cycles, self._words

        # What is issued in this cycle; one at most.
        reads, writes, activates, precharges = (
            Signal(name=name) for name in ("reads", "writes", "activates", "precharges")
        )
        precharges_all, refreshes, sets_mode = (
            Signal(name=name) for name in ("precharges_all", "refreshes", "sets_mode")
        )
        column_issued = reads | writes

        now = Signal(self.accesses.payload.shape())  # the access that transfers
        active = Signal()
        then = Signal(self.accesses.payload.shape())  # the one whose row is opened
        due = Signal()
        runs = Signal()

        # --- waits ------------------------------------------------------------------------------------------
        to_activate, to_precharge = [], []
        for bank in range(BANKS):
            ours, current = then.bank == bank, now.bank == bank
            causes = {}
            for count, cause in (
                (cycles.rc, activates & ours),
                (cycles.rp, precharges_all | (precharges & ours)),
                (cycles.rfc, refreshes),
                (cycles.mrd, sets_mode),
            ):
                causes[count] = causes[count] | cause if count in causes else cause
            to_activate.append(_Wait(m, f"to_activate_{bank}", causes))
            causes = {}
            for count, cause in (
                (cycles.ras, activates & ours),
                (self._recovery, writes & current),
                (words, reads & current),
            ):
                causes[count] = causes[count] | cause if count in causes else cause
            to_precharge.append(_Wait(m, f"to_precharge_{bank}", causes))
        to_column = _Wait(m, "to_column", {words: column_issued})
        to_write = _Wait(m, "to_write", {self._turn: reads})
        # READ or WRITE comes a cycle after the access is handed over, the next ACTIVATE three or more.
        opens = _Wait(m, "opens", {max(cycles.rcd - 1, cycles.rrd - 3, 1): activates})
        none_opens = ~Cat(wait.busy for wait in to_activate).any()
        none_holds = ~Cat(wait.busy for wait in to_precharge).any()

        # --- the access that transfers ----------------------------------------------------------------------
        fires = active & ~to_column.busy & ~(now.write & to_write.busy)
        m.d.comb += [
            reads.eq(fires & ~now.write),
            writes.eq(fires & now.write),
            self.take.eq(writes),
            self.written.eq(writes & now.last & (now.beats == 0)),
        ]
        hands_over = Signal()
        with m.If(fires):
            m.d.sync += [now.column.eq(now.column + 1), now.beats.eq(now.beats - 1)]
            with m.If(now.beats == 0):
                m.d.sync += active.eq(0)
        with m.If(hands_over):
            m.d.sync += [now.eq(then), active.eq(1)]

        # --- the row of the next: looked at again whenever a refresh has closed them all ----------------------
        is_open = Signal(BANKS)
        rows = Array(Signal(self._chip.row_bits, name=f"row_{bank}") for bank in range(BANKS))
        right, closed = Signal(), Signal()
        may = Signal()  # a command for a row
        m.d.comb += may.eq(runs & ~due & ~fires)
        with m.FSM(name="row"):
            with m.State("NONE"):
                m.d.comb += self.accesses.ready.eq(1)
                with m.If(self.accesses.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += [
                    right.eq(is_open.bit_select(then.bank, 1) & (rows[then.bank] == then.row)),
                    closed.eq(~is_open.bit_select(then.bank, 1)),
                ]
                with m.If(runs):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                with m.If(right):
                    m.next = "READY"
                with m.Elif(closed):
                    m.next = "OPEN"
                with m.Else():
                    m.next = "CLOSE"
                with m.If(precharges_all):
                    m.next = "LOOK"
            with m.State("CLOSE"):
                in_use = active & (now.bank == then.bank)
                held = Array(wait.busy for wait in to_precharge)[then.bank]
                with m.If(may & ~in_use & ~held):
                    m.d.comb += precharges.eq(1)
                    m.d.sync += is_open.bit_select(then.bank, 1).eq(0)
                    m.next = "OPEN"
                with m.If(precharges_all):
                    m.next = "LOOK"
            with m.State("OPEN"):
                with m.If(may & ~Array(wait.busy for wait in to_activate)[then.bank]):
                    m.d.comb += activates.eq(1)
                    m.d.sync += [is_open.bit_select(then.bank, 1).eq(1), rows[then.bank].eq(then.row)]
                    m.next = "READY"
                with m.If(precharges_all):
                    m.next = "LOOK"
            with m.State("READY"):
                with m.If(runs & ~due & ~active & ~opens.busy):
                    m.d.comb += [hands_over.eq(1), self.accesses.ready.eq(1)]
                    m.next = "NONE"
                    with m.If(self.accesses.valid):
                        m.next = "LOOK"
                with m.Elif(precharges_all):
                    m.next = "LOOK"
        with m.If(self.accesses.ready):
            m.d.sync += then.eq(self.accesses.payload)
        with m.If(precharges_all):
            m.d.sync += is_open.eq(0)

        m.submodules.upkeep = upkeep = self.upkeep
        m.d.comb += [
            upkeep.may_close.eq(~active & none_holds),
            upkeep.may_go_on.eq(none_opens),
            upkeep.idle.eq(~active),
            due.eq(upkeep.due),
            runs.eq(upkeep.runs),
            precharges_all.eq(upkeep.precharges_all),
            refreshes.eq(upkeep.refreshes),
            sets_mode.eq(upkeep.sets_mode),
        ]

        # --- pins -------------------------------------------------------------------------------------------
        pins = self.pins
        command = Signal(Command)
        m.d.comb += [pins.clk_en.eq(1), pins.cs.eq(1), Cat(pins.ras, pins.cas, pins.we).eq(command)]
        # A command is always one of these, and what it says of bank and address matters then only.
        column = now.column << (words.bit_length() - 1)
        m.d.sync += [
            command.eq(
                Mux(reads, Command.READ, 0)
                | Mux(writes, Command.WRITE, 0)
                | Mux(activates, Command.ACTIVATE, 0)
                | Mux(precharges | precharges_all, Command.PRECHARGE, 0)
                | Mux(refreshes, Command.REFRESH, 0)
                | Mux(sets_mode, Command.MODE, 0)
            ),
            pins.ba.eq(Mux(sets_mode, 0, Mux(column_issued, now.bank, then.bank))),
            pins.a.eq(
                Mux(
                    column_issued,
                    column,
                    Mux(activates, then.row, Mux(sets_mode, self.mode, Mux(precharges_all, _ALL_BANKS, 0))),
                )
            ),
        ]
        m.submodules.lanes = lanes = SdramLanes(words=words, read_latency=1 + self._cas + self._input_delay)
        m.d.comb += [
            lanes.reads.eq(reads),
            lanes.writes.eq(writes),
            lanes.write_data.eq(self.write_data),
            lanes.write_strobe.eq(Mux(now.masked, 0, self.write_strobe)),
            lanes.quiet.eq(~upkeep.started),
            self.read.eq(lanes.read),
            self.read_data.eq(lanes.read_data),
            pins.dq_o.eq(lanes.dq_o),
            pins.dq_oe.eq(lanes.dq_oe),
            pins.dqm.eq(lanes.dqm),
            lanes.dq_i.eq(pins.dq_i),
        ]
        return m
