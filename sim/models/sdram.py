"""An SDR SDRAM chip that checks what is done to it. A component, so it runs at full speed beside any design."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.sdram.chip import Command, PinsSignature, SdramChip

__all__ = ["SdramModel", "Violation"]

_BANKS = 4
#: Refreshes that the chip wants before its mode is set.
_FIRST_REFRESHES = 8
#: Counters of cycles since a command end at this.
_LONG = 255


class Violation(enum.Enum, shape=5):
    """What was done wrong."""

    NONE = 0
    START = 1  # a command before the chip has started, or one that the initialisation does not have there
    COMMAND = 2  # burst stop, auto precharge, clock disabled, chip not selected
    MODE = 3  # a mode that the chip does not have, or that this model does not
    CLOSED = 4  # READ or WRITE in a bank that is closed
    OPEN = 5  # ACTIVATE, REFRESH or MODE while a bank is open
    RCD = 6
    RP = 7
    RAS = 8
    RC = 9
    RFC = 10
    RRD = 11
    WR = 12
    MRD = 13
    CUT = 14  # a burst ended by another, or by PRECHARGE
    CONTENTION = 15  # the controller drives the data while the chip does, or right after
    RETENTION = 16  # a row was not refreshed in time


class SdramModel(wiring.Component):
    """Keeps words, and watches the rules of JEDEC 21-C, 3.11.5. CAS latency and bursts are what the MODE command
    says.

    It counts by itself, in cycles since each command, and knows nothing of how a controller counts.

    Arguments
    ---------
    chip, clock_mhz: what it is, and how fast it is clocked.
    delay: cycles by which its data come later at ``dq_i``.
    contents: whether it has its words; without them every read gives noise.

    Members
    -------
    pins: In(PinsSignature).
    violation: Out(Violation). The first since the reset. at: Out(32): its cycle.
    poke, word, poke_data, peek_data: access to word ``word`` at any time. Numbers of words are row, bank, column.
    """

    def __init__(self, *, chip: SdramChip, clock_mhz: float, delay: int = 0, contents: bool = True):
        self._chip, self._cycles, self._delay, self._contents = chip, chip.cycles(clock_mhz), delay, contents
        super().__init__(
            {
                "pins": In(PinsSignature(address_bits=max(chip.row_bits, 11))),
                "violation": Out(Violation),
                "at": Out(32),
                "poke": In(1),
                "word": In(chip.row_bits + 2 + chip.column_bits),
                "poke_data": In(16),
                "peek_data": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pins, cycles, chip = self.pins, self._cycles, self._chip
        now = Signal(32)
        m.d.sync += now.eq(now + 1)
        command = Signal(Command)
        m.d.comb += command.eq(Mux(pins.cs, Cat(pins.ras, pins.cas, pins.we), 0))
        is_ = {kind: Signal(name=f"is_{kind.name.lower()}") for kind in Command}
        m.d.comb += [signal.eq(command.as_value() == kind.value) for kind, signal in is_.items()]
        column = is_[Command.READ] | is_[Command.WRITE]
        closes_all = is_[Command.PRECHARGE] & pins.a[10]

        # --- mode -------------------------------------------------------------------------------------------
        cas, length = Signal(2, init=3), Signal(4, init=1)
        began, closed_first, set_once = Signal(), Signal(), Signal()
        refreshes = Signal(range(_FIRST_REFRESHES + 1))
        with m.If(now >= cycles.start):
            m.d.sync += began.eq(1)
        with m.If(closes_all):
            m.d.sync += closed_first.eq(1)
        with m.If(is_[Command.REFRESH] & (refreshes != _FIRST_REFRESHES)):
            m.d.sync += refreshes.eq(refreshes + 1)
        with m.If(is_[Command.MODE]):
            m.d.sync += [set_once.eq(1), cas.eq(pins.a[4:6]), length.eq(1 << pins.a[:3])]

        # --- banks and time ---------------------------------------------------------------------------------
        def since(name: str, event: Value) -> Signal:
            """Cycles since ``event`` happened last: 1 in the cycle after."""
            count = Signal(8, init=_LONG, name=f"since_{name}")
            with m.If(event):
                m.d.sync += count.eq(1)
            with m.Elif(count != _LONG):
                m.d.sync += count.eq(count + 1)
            return count

        bank = pins.ba
        is_open, row = Signal(_BANKS), Array(Signal(chip.row_bits, name=f"row_{b}") for b in range(_BANKS))
        active = Signal()  # words of a burst are still to come
        burst_writes, burst_bank = Signal(), Signal(2)
        last_write = active & burst_writes
        activated, precharged, wrote = [], [], []
        for b in range(_BANKS):
            here = bank == b
            activated.append(since(f"activate_{b}", is_[Command.ACTIVATE] & here))
            precharged.append(since(f"precharge_{b}", is_[Command.PRECHARGE] & (here | pins.a[10])))
            # Words are in a cycle late, as `burst_writes` is.
            wrote.append(since(f"write_{b}", last_write & (burst_bank == b)))
        any_activated = since("any_activate", is_[Command.ACTIVATE])
        refreshed, mode_set = since("refresh", is_[Command.REFRESH]), since("mode", is_[Command.MODE])
        opened, closed = Array(activated)[bank], Array(precharged)[bank]
        with m.If(is_[Command.ACTIVATE]):
            m.d.sync += [is_open.bit_select(bank, 1).eq(1), row[bank].eq(pins.a)]
        with m.If(is_[Command.PRECHARGE]):
            m.d.sync += is_open.eq(Mux(pins.a[10], 0, is_open & ~(1 << bank)))

        # --- the burst, a cycle after the pins --------------------------------------------------------------
        burst_row = Signal(chip.row_bits)
        burst_column = Signal(chip.column_bits)
        left = Signal(4)
        with m.If(column):
            m.d.sync += [
                active.eq(1), burst_writes.eq(is_[Command.WRITE]), burst_bank.eq(bank), burst_row.eq(row[bank]),
                burst_column.eq(pins.a[: chip.column_bits]), left.eq(length),
            ]  # fmt: skip
        with m.If(active & ~column):
            wraps = Cat(
                *[(burst_column + 1)[i] if i < 3 else burst_column[i] for i in range(chip.column_bits)]
            )
            mask = length - 1
            m.d.sync += [
                burst_column.eq((burst_column & ~mask) | (wraps & mask)),
                left.eq(left - 1),
                active.eq(left != 1),
            ]
        data, strobe, drives = Signal(16), Signal(2), Signal()
        m.d.sync += [data.eq(pins.dq_o), strobe.eq(~pins.dqm), drives.eq(pins.dq_oe)]

        word = Cat(burst_column, burst_bank, burst_row)
        found = Signal(16)
        if self._contents:
            m.submodules.words = words = Memory(shape=16, depth=1 << len(word), init=[])
            writer, poker = words.write_port(granularity=8), words.write_port()
            reader, peeker = words.read_port(domain="comb"), words.read_port(domain="comb")
            m.d.comb += [
                writer.addr.eq(word), writer.data.eq(Mux(drives, data, ~now)),
                writer.en.eq(strobe & (active & burst_writes).replicate(2)),
                reader.addr.eq(word), found.eq(reader.data),
                poker.addr.eq(self.word), poker.data.eq(self.poke_data), poker.en.eq(self.poke),
                peeker.addr.eq(self.word), self.peek_data.eq(peeker.data),
            ]  # fmt: skip

        # Words come `cas` cycles after READ, one of which is gone; a mask counts two cycles later.
        masked = Signal(2)
        m.d.sync += masked.eq(Cat(pins.dqm.any(), masked))
        stages = [(active & ~burst_writes, found)]
        for i in range(2):
            valid, value = Signal(name=f"valid_{i}"), Signal(16, name=f"value_{i}")
            m.d.sync += [valid.eq(stages[-1][0]), value.eq(stages[-1][1])]
            stages.append((valid, value))
        on_pins, value = Signal(), Signal(16)
        m.d.comb += [
            on_pins.eq(Mux(cas == 2, stages[1][0], stages[2][0])),
            # What nobody drives is noise.
            value.eq(Mux(on_pins & ~masked[1], Mux(cas == 2, stages[1][1], stages[2][1]), ~now)),
        ]
        for i in range(self._delay):
            late = Signal(16, name=f"late_{i}")
            m.d.sync += late.eq(value)
            value = late
        m.d.comb += pins.dq_i.eq(value)
        was_on_pins = Signal()
        m.d.sync += was_on_pins.eq(on_pins)

        # --- rules ------------------------------------------------------------------------------------------
        activates, precharges = is_[Command.ACTIVATE], is_[Command.PRECHARGE]
        initial = (closes_all | (is_[Command.REFRESH] & closed_first)) | (
            is_[Command.MODE] & (refreshes == _FIRST_REFRESHES)
        )
        touched = [precharges & (pins.a[10] | (bank == b)) for b in range(_BANKS)]
        any_closed_since = Signal(8)
        # The bank that was precharged last.
        latest = precharged[0]
        for count in precharged[1:]:
            latest = Mux(count < latest, count, latest)
        m.d.comb += any_closed_since.eq(latest)
        refused = pins.a[3] | (pins.a[:3] > 3) | (pins.a[4:7] < 2) | (pins.a[4:7] > 3) | pins.a[7:].any()
        busy_reading = active & (left > 1)
        broken = {
            Violation.START: (command != Command.NOP) & (~began | (~set_once & ~initial)),
            Violation.COMMAND: (pins.cs & pins.we & ~pins.cas & ~pins.ras)
            | (column & pins.a[10])
            | ~pins.clk_en,
            Violation.MODE: is_[Command.MODE] & refused,
            Violation.CLOSED: column & ~is_open.bit_select(bank, 1),
            Violation.OPEN: (activates & is_open.bit_select(bank, 1))
            | ((is_[Command.REFRESH] | is_[Command.MODE]) & is_open.any()),
            Violation.RCD: column & (opened < cycles.rcd),
            Violation.RP: (activates & (closed < cycles.rp))
            | ((is_[Command.REFRESH] | is_[Command.MODE]) & (any_closed_since < cycles.rp)),
            Violation.RAS: Cat(
                touch & is_open[b] & (activated[b] < cycles.ras) for b, touch in enumerate(touched)
            ).any(),
            Violation.RC: activates & (opened < cycles.rc),
            Violation.RFC: (command != Command.NOP) & (refreshed < cycles.rfc),
            Violation.RRD: activates & (any_activated < cycles.rrd),
            # The last word may be at the pins in this cycle or have been in the one before, where `wrote` is late.
            Violation.WR: Cat(
                touch & (((burst_bank == b) & active & burst_writes) | (wrote[b] + 1 < cycles.wr))
                for b, touch in enumerate(touched)
            ).any(),
            Violation.MRD: (command != Command.NOP) & (mode_set < cycles.mrd),
            Violation.CUT: busy_reading
            & (column | Cat(t & (burst_bank == b) for b, t in enumerate(touched)).any()),
            Violation.CONTENTION: pins.dq_oe & (on_pins | was_on_pins),
            Violation.RETENTION: self._forgets(m, now, is_[Command.REFRESH], is_[Command.MODE], set_once),
        }
        for code, breaks in reversed(broken.items()):
            with m.If(breaks & (self.violation == Violation.NONE)):
                m.d.sync += [self.violation.eq(code), self.at.eq(now)]
        return m

    def _forgets(self, m: Module, now: Signal, refreshes: Value, sets_mode: Value, set_once: Value) -> Value:
        """Whether the row whose refresh is longest ago (or, at first, the mode) is so for too long."""
        rows = 1 << self._chip.row_bits
        m.submodules.times = times = Memory(shape=32, depth=rows, init=[])
        writer, reader = times.write_port(), times.read_port(domain="comb")
        number, wrapped = Signal(self._chip.row_bits), Signal()
        began = Signal(32)
        with m.If(sets_mode):
            m.d.sync += began.eq(now)
        with m.If(refreshes):
            m.d.sync += number.eq(number + 1)
            with m.If(number == rows - 1):
                m.d.sync += wrapped.eq(1)
        m.d.comb += [
            writer.addr.eq(number), writer.data.eq(now), writer.en.eq(refreshes), reader.addr.eq(number)
        ]  # fmt: skip
        oldest = Mux(wrapped & (reader.data > began), reader.data, began)
        return set_once & (now - oldest > self._cycles.retention)
