"""Small designs with AXI ports, which can be told at run time to break the protocol."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import enum, memory, wiring
from amaranth.lib.wiring import In, Out

#: Bytes of a register file; reads and writes beyond are answered by SLVERR.
CSR_BYTES = 0x40
#: Registers of both designs, and how many beats the copier's bursts have at most.
START, SOURCE, TARGET, BEATS, BURST, STATUS, SCRATCH = range(0, 28, 4)


class Fault(enum.IntEnum, shape=5):
    NONE = 0
    AR_WITHDRAWN = 1
    AR_CHANGED = 2
    AW_CHANGED = 3
    W_WITHDRAWN = 4
    W_CHANGED = 5
    NO_LAST = 6
    EARLY_LAST = 7
    BURST_TYPE = 8
    BEAT_SIZE = 9
    SURPLUS_BEATS = 10
    NO_WAIT = 11
    READY_FIRST = 12
    CSR_B_UNASKED = 13
    CSR_R_UNASKED = 14
    CSR_R_CHANGED = 15
    CSR_B_WITHDRAWN = 16
    CSR_SILENT = 17


def master_members(data: int, ids: int) -> dict[str, wiring.Member]:
    address = {"addr": 32, "len": 8, "size": 3, "burst": 2, "valid": 1}
    members = {}
    for channel in ("aw", "ar"):
        members |= {f"{channel}{name}": Out(width) for name, width in address.items()}
        members |= {f"{channel}ready": In(1)}
    members |= {
        "wdata": Out(data),
        "wstrb": Out(data // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
    }
    members |= {"bresp": In(2), "bvalid": In(1), "bready": Out(1)}
    members |= {"rdata": In(data), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1)}
    if ids:
        members |= {"awid": Out(ids), "arid": Out(ids), "bid": In(ids), "rid": In(ids)}
    return members


SLAVE = wiring.Signature(
    {"awaddr": In(8), "awvalid": In(1), "awready": Out(1), "wdata": In(32), "wstrb": In(4), "wvalid": In(1),
     "wready": Out(1), "bresp": Out(2), "bvalid": Out(1), "bready": In(1), "araddr": In(8), "arvalid": In(1),
     "arready": Out(1), "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1)}
)  # fmt: skip


def register_file(m: Module, bus, fault, status) -> tuple[Array, Signal]:
    """Registers on ``bus``: every word of the first CSR_BYTES; STATUS reads as ``status``. Also a strobe
    that is high in the cycle after START was written."""
    words = Array(Signal(32, name=f"word_{i}") for i in range(CSR_BYTES // 4))
    started = Signal()
    m.d.sync += started.eq(0)
    address, got_address = Signal(8), Signal()
    with m.If(bus.awvalid & bus.awready):
        m.d.sync += [address.eq(bus.awaddr), got_address.eq(1)]
    data, strobe, got_data = Signal(32), Signal(4), Signal()
    with m.If(bus.wvalid & bus.wready):
        m.d.sync += [data.eq(bus.wdata), strobe.eq(bus.wstrb), got_data.eq(1)]
    silent = fault == Fault.CSR_SILENT
    m.d.comb += [bus.awready.eq(~got_address), bus.wready.eq(~got_data)]
    with m.If(got_address & got_data & ~bus.bvalid & ~silent):
        m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(address < CSR_BYTES, 0, 2))]
        with m.If(address < CSR_BYTES):
            m.d.sync += started.eq(address == START)
            for i in range(4):
                with m.If(strobe[i]):
                    m.d.sync += words[address[2:6]].word_select(i, 8).eq(data.word_select(i, 8))
    with m.If(bus.bvalid & bus.bready):
        m.d.sync += [bus.bvalid.eq(0), got_address.eq(0), got_data.eq(0)]
    m.d.comb += bus.arready.eq(~bus.rvalid & ~silent)
    with m.If(bus.arvalid & bus.arready):
        word = Mux(bus.araddr[2:6] == STATUS // 4, status, words[bus.araddr[2:6]])
        m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(word), bus.rresp.eq(Mux(bus.araddr < CSR_BYTES, 0, 2))]
    with m.If(bus.rvalid & bus.rready):
        m.d.sync += bus.rvalid.eq(0)
    with m.If(fault == Fault.CSR_B_UNASKED):
        m.d.sync += bus.bvalid.eq(1)
    with m.If(fault == Fault.CSR_R_UNASKED):
        m.d.sync += bus.rvalid.eq(1)
    with m.If((fault == Fault.CSR_R_CHANGED) & bus.rvalid & ~bus.rready):
        m.d.sync += bus.rdata.eq(bus.rdata + 1)
    with m.If((fault == Fault.CSR_B_WITHDRAWN) & bus.bvalid & ~bus.bready):
        m.d.sync += bus.bvalid.eq(0)
    return words, started


class Copier(wiring.Component):
    """Copies BEATS beats from SOURCE to TARGET in bursts of BURST, each read, then written, then waited for.

    STATUS: bit 0 busy, bits 3:2 and 5:4 the worst answer of reads and of writes. ``irq`` from the end to the
    next start. ``strobe`` masks the bytes that are written.
    """

    def __init__(self, *, data: int, ids: int = 2, separator: str = "__"):
        self._data = data
        bus = master_members(data, ids)
        members = {f"m_axi{separator}{name}": member for name, member in bus.items()}
        self._bus = {name: f"m_axi{separator}{name}" for name in bus}
        extra = {"fault": In(Fault), "irq": Out(1), "unstrobed": In(data // 8), "s_axi": Out(SLAVE)}
        super().__init__(members | extra)

    def elaborate(self, platform):
        m = Module()
        fault = self.fault
        pins = {name: getattr(self, attribute) for name, attribute in self._bus.items()}
        size = self._data // 8
        busy, answers = Signal(), [Signal(2), Signal(2)]
        words, started = register_file(m, self.s_axi, fault, Cat(busy, Const(0, 1), *answers))
        source, target, left = Signal(32), Signal(32), Signal(32)
        beats, count = Signal(9), Signal(9)
        m.submodules.buffer = buffer = memory.Memory(shape=self._data, depth=256, init=[])
        write, read = buffer.write_port(), buffer.read_port(domain="comb")
        m.d.comb += [write.addr.eq(count), write.data.eq(pins["rdata"]), read.addr.eq(count)]
        for channel, address in (("aw", target), ("ar", source)):
            m.d.comb += [
                pins[f"{channel}addr"].eq(address),
                pins[f"{channel}len"].eq(beats - 1),
                pins[f"{channel}size"].eq(Mux(fault == Fault.BEAT_SIZE, 1, size.bit_length() - 1)),
                pins[f"{channel}burst"].eq(Mux(fault == Fault.BURST_TYPE, 2, 1)),
            ]
        last = count == beats - 1
        wrong = ((fault == Fault.NO_LAST) & last) | ((fault == Fault.EARLY_LAST) & (count == 0))
        m.d.comb += [
            pins["wdata"].eq(read.data),
            pins["wstrb"].eq(~self.unstrobed),
            pins["wlast"].eq(last ^ wrong),
        ]
        polite = fault != Fault.READY_FIRST
        waited, blink = Signal(), Signal()
        m.d.sync += blink.eq(~blink)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(started):
                    m.d.sync += [source.eq(words[SOURCE // 4]), target.eq(words[TARGET // 4])]
                    m.d.sync += [left.eq(words[BEATS // 4]), busy.eq(1), self.irq.eq(0)]
                    m.d.sync += [answers[0].eq(0), answers[1].eq(0)]
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [count.eq(0), waited.eq(0)]
                m.d.sync += beats.eq(Mux(left < words[BURST // 4], left, words[BURST // 4]))
                m.next = "ASK"
                with m.If(left == 0):
                    m.d.sync += [busy.eq(0), self.irq.eq(1)]
                    m.next = "IDLE"
            with m.State("ASK"):
                withdrawn = (fault == Fault.AR_WITHDRAWN) & waited
                m.d.comb += pins["arvalid"].eq((polite | pins["arready"]) & ~withdrawn)
                m.d.sync += waited.eq(1)
                with m.If(fault == Fault.AR_CHANGED):
                    m.d.sync += source.eq(source + size)
                with m.If(pins["arvalid"] & pins["arready"]):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += [pins["rready"].eq(1), write.en.eq(pins["rvalid"])]
                with m.If(pins["rvalid"]):
                    m.d.sync += count.eq(count + 1)
                    with m.If(pins["rresp"] > answers[0]):
                        m.d.sync += answers[0].eq(pins["rresp"])
                    with m.If(pins["rlast"]):
                        m.d.sync += [count.eq(0), waited.eq(0)]
                        m.next = "TELL"
            with m.State("TELL"):
                m.d.comb += pins["awvalid"].eq(polite | pins["awready"])
                with m.If(fault == Fault.AW_CHANGED):
                    m.d.sync += target.eq(target + size)
                with m.If(pins["awvalid"] & pins["awready"]):
                    m.next = "WRITE"
            with m.State("WRITE"):
                withdrawn = (fault == Fault.W_WITHDRAWN) & blink
                m.d.comb += pins["wvalid"].eq((polite | pins["wready"]) & ~withdrawn)
                with m.If(pins["wvalid"] & ~pins["wready"] & (fault == Fault.W_CHANGED)):
                    m.d.comb += pins["wdata"].eq(Mux(blink, ~read.data, read.data))
                with m.If(pins["wvalid"] & pins["wready"]):
                    m.d.sync += count.eq(count + 1)
                    with m.If(last):
                        m.d.sync += count.eq(0)
                        m.next = "ANSWER"
                        with m.If(fault == Fault.SURPLUS_BEATS):
                            m.next = "SURPLUS"
            with m.State("SURPLUS"):
                m.d.comb += [pins["wvalid"].eq(1), pins["wlast"].eq(1)]
                with m.If(pins["wready"]):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += pins["bready"].eq(1)
                with m.If(pins["bvalid"] | (fault == Fault.NO_WAIT)):
                    with m.If(pins["bvalid"] & (pins["bresp"] > answers[1])):
                        m.d.sync += answers[1].eq(pins["bresp"])
                    m.d.sync += [
                        source.eq(source + beats * size), target.eq(target + beats * size), left.eq(left - beats)
                    ]  # fmt: skip
                    m.next = "NEXT"
        with m.If(fault == Fault.NO_WAIT):
            m.d.comb += pins["bready"].eq(1)
        return m


class Gatherer(wiring.Component):
    """After ``start`` asks for 4·``rounds`` bursts of 4 beats, one after the other from ``source`` on, burst
    i with id i mod 4, and sums up what comes for each id, weighted so that the order counts: sum ← 5·sum + word.
    A read-only master: it has no channels for writing. ``done`` after the last beat."""

    def __init__(self, *, data: int):
        self._data = data
        bus = {
            name: member for name, member in master_members(data, 2).items() if name.startswith(("ar", "r"))
        }
        extra = {"start": In(1), "rounds": In(8), "source": In(32), "done": Out(1), "switches": Out(16)}
        super().__init__(
            {f"m_axi_{n}": s for n, s in bus.items()} | extra | {f"sum_{i}": Out(32) for i in range(4)}
        )

    def elaborate(self, platform):
        m = Module()
        asked, beats, running = Signal(10), Signal(12), Signal()
        size = self._data // 8
        total = Signal(10)
        m.d.comb += total.eq(self.rounds << 2)
        with m.If(self.start & ~running):
            m.d.sync += running.eq(1)
        m.d.comb += [
            self.m_axi_arvalid.eq(running & (asked != total)),
            self.m_axi_arid.eq(asked),
            self.m_axi_araddr.eq(self.source + asked * (4 * size)),
            self.m_axi_arlen.eq(3),
            self.m_axi_arsize.eq(size.bit_length() - 1),
            self.m_axi_arburst.eq(1),
            self.m_axi_rready.eq(1),
            self.done.eq(running & (beats == (total << 2))),
        ]
        with m.If(self.m_axi_arvalid & self.m_axi_arready):
            m.d.sync += asked.eq(asked + 1)
        last_id = Signal(2)
        with m.If(self.m_axi_rvalid):
            m.d.sync += [beats.eq(beats + 1), last_id.eq(self.m_axi_rid)]
            with m.If(last_id != self.m_axi_rid):
                m.d.sync += self.switches.eq(self.switches + 1)
            for i in range(4):
                total_i = getattr(self, f"sum_{i}")
                with m.If(self.m_axi_rid == i):
                    m.d.sync += total_i.eq(total_i * 5 + self.m_axi_rdata[:32])
        return m
