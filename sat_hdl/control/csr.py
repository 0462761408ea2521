"""Control and status registers: the map, once, and the block."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.counters import Counters
from sat_hdl.control.isa import UNITS

__all__ = ["AMOUNTS", "COUNTERS", "CSRS", "EVENTS", "PARAMETERS", "Csr", "CsrBlock", "address_of"]

#: Host parameters, which programs read with PARAM.
PARAMETERS = 16
#: In the register ID: "SAT1".
MAGIC = 0x31544153


@dataclass(frozen=True)
class Csr:
    """A 32-bit register at byte ``address``. ``access``: "ro", "rw" or "w1" (a 1 acts, reads 0)."""

    name: str
    address: int
    access: str
    doc: str


#: 64-bit counters, two registers each, of the program that ran last. First those of cycles in which something is …
EVENTS = (
    ("cycles", "cycles from start to end"),
    *((f"{name}_busy", f"cycles in which the {name} unit worked") for name in UNITS),
    *((f"{name}_blocked", f"cycles in which the {name} unit waited for a semaphore") for name in UNITS),
    ("read_beats", "beats read from memory"),
    ("write_beats", "beats written to memory"),
)
#: … then those of what products report.
AMOUNTS = (
    ("array_cycles", "cycles of all products, from first operand in to last result out"),
    ("array_busy", "cycles in which the array took a weight"),
    ("array_input_stalls", "cycles in which the array missed an operand"),
    ("array_output_stalls", "cycles in which the array had no room for results"),
)
COUNTERS = EVENTS + AMOUNTS

CSRS: tuple[Csr, ...] = (
    Csr("ID", 0x00, "ro", f"{MAGIC:#x}"),
    Csr(
        "CONTROL",
        0x04,
        "w1",
        "bit 0: start; bit 1: reset everything but these registers; bit 2: clear the interrupt",
    ),
    Csr("STATUS", 0x08, "ro", "bit 0: busy; 1: done; 2: failed; 3: overflow flag; 4: interrupt"),
    Csr("FAULT", 0x0C, "ro", "error code (7:0), unit (15:8), 0 is the front end"),
    Csr("FAULT_ADDRESS", 0x10, "ro", "address of the instruction that failed"),
    Csr("PROGRAM", 0x14, "rw", "address of the first instruction, a multiple of 8"),
    Csr("LIMIT", 0x18, "rw", "cycles after which a program is ended as failed; 0: none"),
    Csr("INTERRUPT", 0x1C, "rw", "bit 0: interrupt when a program ends"),
    Csr("SHAPE", 0x20, "ro", "rows (7:0), columns (15:8), interleave (23:16), largest M (31:24)"),
    Csr("MEMORY", 0x24, "ro", "bits of the memory port (15:0), panel (23:16), vector lanes (31:24)"),
    Csr("WEST_DEPTH", 0x28, "ro", "words of the west buffer"),
    Csr("NORTH_DEPTH", 0x2C, "ro", "words of the north buffer"),
    Csr("RESULT_DEPTH", 0x30, "ro", "words of the result buffer"),
    *(Csr(f"PARAM{i}", 0x40 + 4 * i, "rw", f"host parameter {i}") for i in range(PARAMETERS)),
    *(
        Csr(f"{name.upper()}_{half}", 0x80 + 8 * i + 4 * high, "ro", f"{doc}, {half.lower()} half")
        for i, (name, doc) in enumerate(COUNTERS)
        for high, half in enumerate(("LOW", "HIGH"))
    ),
)
assert len({csr.address for csr in CSRS}) == len(CSRS) and max(csr.address for csr in CSRS) < 0x200


def address_of(name: str) -> int:
    """Byte address of the register called ``name``."""
    return next(csr.address for csr in CSRS if csr.name == name)


class CsrBlock(wiring.Component):
    """The registers behind a plain bus. Reads are answered ``read_latency`` = 2 cycles later; what is not there is 0.

    Host parameters lie in LUT RAM, which has no reset: they are to be written before a program asks for them.

    Arguments
    ---------
    config: what SHAPE and the like tell, and target.

    Members
    -------
    address: In(9), byte address, which stays until the answer. write: In(1), write_data: In(32), write_mask: In(4):
        bytes. read: In(1). read_data: Out(32).
    start, reset: Out(1), for a cycle. program, limit: Out(32). irq: Out(1).
    parameter: In(4), number of one; parameter_value: Out(32), in the same cycle.
    busy, done, failed, overflow: In(1). fault: In(4), fault_unit: In(4), fault_address: In(32).
    events: In(len(EVENTS)): each is now. amounts: In(32 each of AMOUNTS), to be added now if ``added``: In(1).
        ``start`` sets all counters to 0.
    """

    read_latency = Counters.read_latency

    def __init__(self, config: Config):
        self._config = config
        flags = ("busy", "done", "failed", "overflow", "added", "write", "read")
        super().__init__(
            {
                "address": In(9),
                "write_data": In(32),
                "write_mask": In(4),
                "read_data": Out(32),
                "start": Out(1),
                "reset": Out(1),
                "program": Out(32),
                "limit": Out(32),
                "parameter": In(range(PARAMETERS)),
                "parameter_value": Out(32),
                "irq": Out(1),
                "fault": In(4),
                "fault_unit": In(4),
                "fault_address": In(32),
                "events": In(len(EVENTS)),
                "amounts": In(data.ArrayLayout(32, len(AMOUNTS))),
                **{name: In(1) for name in flags},
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self._config
        interrupt = Signal()
        pending = Signal()
        ended, ended_before = Signal(), Signal()
        m.d.comb += [ended.eq(self.done | self.failed), self.irq.eq(pending & interrupt)]
        m.d.sync += ended_before.eq(ended)
        with m.If(ended & ~ended_before):
            m.d.sync += pending.eq(1)

        # --- parameters and counters: each has a part of the addresses -------------------------------------
        number, at_counter, at_parameter = (
            self.address[3:7],
            self.address[7],
            self.address[6] & ~self.address[7],
        )
        m.submodules.parameters = parameters = Memory(shape=32, depth=PARAMETERS, init=[])
        write = parameters.write_port(granularity=8)
        told, asked = parameters.read_port(domain="comb"), parameters.read_port(domain="comb")
        m.submodules.counters = counters = Counters(events=len(EVENTS), amounts=len(AMOUNTS), target=c.target)
        m.d.comb += [
            write.addr.eq(self.address[2:6]),
            write.data.eq(self.write_data),
            write.en.eq(self.write_mask & (self.write & at_parameter & ~self.address[8]).replicate(4)),
            told.addr.eq(self.address[2:6]),
            asked.addr.eq(self.parameter),
            self.parameter_value.eq(asked.data),
            counters.clear.eq(self.start),
            counters.events.eq(self.events),
            counters.amounts.eq(self.amounts),
            counters.added.eq(self.added),
            counters.index.eq(number),
            counters.reads.eq(self.read & at_counter & ~self.address[8]),
        ]

        # --- the others -------------------------------------------------------------------------------------
        def constant(value: int):
            return Const(value, 32)

        readable = {
            "ID": constant(MAGIC),
            "STATUS": Cat(self.busy, self.done, self.failed, self.overflow, pending),
            "FAULT": Cat(self.fault, Const(0, 4), self.fault_unit),
            "FAULT_ADDRESS": self.fault_address,
            "PROGRAM": self.program,
            "LIMIT": self.limit,
            "INTERRUPT": interrupt,
            "SHAPE": constant(c.rows | c.cols << 8 | c.interleave << 16 | c.max_m << 24),
            "MEMORY": constant(c.memory_bits | c.panel << 16 | c.vector_lanes << 24),
            "WEST_DEPTH": constant(c.west_depth),
            "NORTH_DEPTH": constant(c.north_depth),
            "RESULT_DEPTH": constant(c.result_depth),
        }
        writable = {"PROGRAM": self.program, "LIMIT": self.limit, "INTERRUPT": interrupt}
        plain = Signal(32)
        with m.If(~self.address[6:].any()):
            with m.Switch(self.address[2:6]):
                for name, value in readable.items():
                    with m.Case(address_of(name) >> 2):
                        m.d.comb += plain.eq(value)
            for name, target in writable.items():
                here = self.write & (self.address[2:6] == address_of(name) >> 2)
                for i in range(0, len(target), 8):
                    with m.If(here & self.write_mask[i // 8]):
                        m.d.sync += target[i : i + 8].eq(self.write_data[i : i + 8])
            with m.If(self.write & self.write_mask[0] & (self.address[2:6] == address_of("CONTROL") >> 2)):
                m.d.comb += [self.start.eq(self.write_data[0]), self.reset.eq(self.write_data[1])]
                with m.If(self.write_data[2]):
                    m.d.sync += pending.eq(0)
        with m.If(self.address[8]):
            m.d.comb += self.read_data.eq(0)
        with m.Elif(at_counter):
            counted = (number < len(COUNTERS)).replicate(32)
            m.d.comb += self.read_data.eq(counters.value.word_select(self.address[2], 32) & counted)
        with m.Elif(at_parameter):
            m.d.comb += self.read_data.eq(told.data)
        with m.Else():
            m.d.comb += self.read_data.eq(plain)
        return m
