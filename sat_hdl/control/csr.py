"""Control and status registers: the map, once, and the block."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.control.isa import UNITS

__all__ = ["COUNTERS", "CSRS", "PARAMETERS", "Csr", "CsrBlock", "address_of"]

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


#: 64-bit counters, two registers each, of the program that ran last.
COUNTERS = (
    ("cycles", "cycles from start to end"),
    *((f"{name}_busy", f"cycles in which the {name} unit worked") for name in UNITS),
    *((f"{name}_blocked", f"cycles in which the {name} unit waited for a semaphore") for name in UNITS),
    ("array_cycles", "cycles of all products, from first operand in to last result out"),
    ("array_busy", "cycles in which the array took a weight"),
    ("array_input_stalls", "cycles in which the array missed an operand"),
    ("array_output_stalls", "cycles in which the array had no room for results"),
    ("read_beats", "beats read from memory"),
    ("write_beats", "beats written to memory"),
)

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
    """The registers behind a plain bus: a read is answered in the same cycle; what is not there reads 0.

    Arguments
    ---------
    config: what SHAPE and the like tell.

    Members
    -------
    address: In(9), byte address. write: In(1), write_data: In(32), write_mask: In(4): bytes. read_data: Out(32).
    start, reset: Out(1), for a cycle. program, limit: Out(32). parameters: Out(32 each). irq: Out(1).
    busy, done, failed, overflow: In(1). fault: In(4), fault_unit: In(4), fault_address: In(32). counters:
        In(64 each).
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "address": In(9),
                "write": In(1),
                "write_data": In(32),
                "write_mask": In(4),
                "read_data": Out(32),
                "start": Out(1),
                "reset": Out(1),
                "program": Out(32),
                "limit": Out(32),
                "parameters": Out(data.ArrayLayout(32, PARAMETERS)),
                "irq": Out(1),
                "busy": In(1),
                "done": In(1),
                "failed": In(1),
                "overflow": In(1),
                "fault": In(4),
                "fault_unit": In(4),
                "fault_address": In(32),
                "counters": In(data.ArrayLayout(64, len(COUNTERS))),
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
        readable |= {f"PARAM{i}": self.parameters[i] for i in range(PARAMETERS)}
        for i, (name, _) in enumerate(COUNTERS):
            readable[f"{name.upper()}_LOW"] = self.counters[i][:32]
            readable[f"{name.upper()}_HIGH"] = self.counters[i][32:]
        writable = {"PROGRAM": self.program, "LIMIT": self.limit, "INTERRUPT": interrupt}
        writable |= {f"PARAM{i}": self.parameters[i] for i in range(PARAMETERS)}

        mask = Cat(self.write_mask[i].replicate(8) for i in range(4))
        with m.Switch(self.address[2:]):
            for csr in CSRS:
                with m.Case(csr.address >> 2):
                    if csr.name in readable:
                        m.d.comb += self.read_data.eq(readable[csr.name])
                    if csr.name in writable:
                        target = writable[csr.name]
                        with m.If(self.write):
                            m.d.sync += target.eq((self.write_data & mask) | (target & ~mask))
                    if csr.name == "CONTROL":
                        acts = self.write_data & mask
                        with m.If(self.write):
                            m.d.comb += [self.start.eq(acts[0]), self.reset.eq(acts[1])]
                            with m.If(acts[2]):
                                m.d.sync += pending.eq(0)
        return m
