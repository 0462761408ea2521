"""The device: a program in memory drives buffers, array and stores. Wiring only."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.control.compute_unit import ComputeUnit
from sat_hdl.control.csr import AMOUNTS, EVENTS, PARAMETERS, CsrBlock
from sat_hdl.control.fetch import Fetch
from sat_hdl.control.frontend import Frontend
from sat_hdl.control.isa import UNITS
from sat_hdl.control.load_unit import LoadUnit
from sat_hdl.control.semaphores import Semaphores
from sat_hdl.control.store_unit import StoreUnit
from sat_hdl.control.unit import UnitQueue
from sat_hdl.control.vector_unit import COPIES, READERS, WRITERS, VectorUnit
from sat_hdl.datapath import Datapath
from sat_hdl.memory.axi import Axi4Signature, AxiLiteSignature, connect_axi4
from sat_hdl.memory.axi_lite import AxiLiteBridge
from sat_hdl.memory.read_port import ReadPort
from sat_hdl.memory.write_port import WritePort

__all__ = ["SatTop", "unit_trace_layout"]

#: Width of a CSR's address.
_CSR_BITS = 9
_ID_BITS = 4


def unit_trace_layout() -> data.StructLayout:
    """What a unit does in a cycle. ``busy`` and ``blocked``: what the counters count; ``waiting``: busy, and it waits
    for memory; ``address``: of the RUN that it runs or ran last."""
    return data.StructLayout({"busy": 1, "blocked": 1, "waiting": 1, "address": 32})


class SatTop(wiring.Component):
    """The accelerator. The host writes a program and tensors into memory, sets PROGRAM and starts.

    See :mod:`~sat_hdl.control.isa` for programs and :mod:`~sat_hdl.control.csr` for the registers.

    Arguments
    ---------
    config: everything; rows and cols are powers of two.
    trace: whether there is a port that tells what every unit does, for profiles; it changes nothing else.
    lights: whether there are ports that tell how the program fares.

    Members
    -------
    m_axi: Out(Axi4Signature). Memory.
    s_axi: In(AxiLiteSignature). Registers.
    irq: Out(1). A program has ended, and interrupts are on.
    trace: with ``trace`` alone: of each unit by name Out(unit_trace_layout); program: Out(1), one is running;
        array_busy: Out(32), cycles in which the array took a weight, of the product that ended last.
    running, failed: Out(1), with ``lights`` alone. A program runs; the last one has failed.
    """

    def __init__(self, config: Config, *, trace: bool = False, lights: bool = False):
        self._config, self._trace, self._lights = config, trace, lights
        self._datapath = Datapath(config)
        ports = {
            "m_axi": Out(Axi4Signature(data_bits=config.memory_bits, id_bits=_ID_BITS)),
            "s_axi": In(AxiLiteSignature(address_bits=_CSR_BITS)),
            "irq": Out(1),
        }
        if trace:
            units = {name: Out(unit_trace_layout()) for name in UNITS}
            ports["trace"] = Out(wiring.Signature({**units, "program": Out(1), "array_busy": Out(32)}))
        if lights:
            ports |= {"running": Out(1), "failed": Out(1)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.bridge = bridge = AxiLiteBridge(
            address_bits=_CSR_BITS, read_latency=CsrBlock.read_latency
        )
        m.submodules.csr = csr = CsrBlock(config)
        connect(m, flipped(self.s_axi), bridge.s_axi)
        m.d.comb += [
            csr.address.eq(bridge.address),
            csr.read.eq(bridge.read),
            csr.write.eq(bridge.write),
            csr.write_data.eq(bridge.write_data),
            csr.write_mask.eq(bridge.write_mask),
            bridge.read_data.eq(csr.read_data),
            self.irq.eq(csr.irq),
        ]

        # --- the parts that a soft reset clears -----------------------------------------------------------
        # A register, for it goes to thousands; the design's own reset comes to them through it, a cycle later.
        reset = Signal(init=1)
        m.domains.device = ClockDomain(local=True)
        m.d.comb += [ClockSignal("device").eq(ClockSignal()), ResetSignal("device").eq(reset)]
        names = list(UNITS)
        fetch = Fetch(data_bits=config.memory_bits)
        frontend = Frontend(units=names, parameters=PARAMETERS)
        semaphores = Semaphores(units=len(names))
        datapath = self._datapath
        load, compute, store = LoadUnit(config), ComputeUnit(config), StoreUnit(config)
        vector = VectorUnit(config)
        read_port = ReadPort(clients=2 + len(READERS), data_bits=config.memory_bits)
        write_port = WritePort(clients=1 + len(WRITERS), data_bits=config.memory_bits)
        units = {"load": load, "compute": compute, "store": store, "vector": vector}
        queues = {
            name: UnitQueue(
                registers=len(UNITS[name].registers),
                streams=UNITS[name].streams,
                in_turn=len(COPIES) if name == "vector" else 0,
                target=config.target,
            )
            for name in names
        }
        m.d.comb += [queues["vector"].which.eq(vector.which), vector.word.eq(queues["vector"].word)]
        parts = {
            "fetch": fetch, "frontend": frontend, "semaphores": semaphores, "datapath": datapath,
            "read_port": read_port, "write_port": write_port, **units,
            **{f"{name}_queue": queue for name, queue in queues.items()},
        }  # fmt: skip
        for name, part in parts.items():
            m.submodules[name] = DomainRenamer("device")(part)

        # --- program ----------------------------------------------------------------------------------------
        halt, overflow, wanted = Signal(), Signal(), Signal()
        m.d.comb += [
            halt.eq(frontend.halt | wanted),
            frontend.start.eq(csr.start),
            frontend.program.eq(csr.program),
            frontend.limit.eq(csr.limit),
            csr.parameter.eq(frontend.parameter),
            frontend.parameter_value.eq(csr.parameter_value),
            fetch.jump.eq(frontend.jump),
            fetch.target.eq(frontend.target),
            fetch.stop.eq(~frontend.busy | halt),
            frontend.semaphore_overflow.eq(semaphores.overflow),
            semaphores.clear.eq(csr.start),
        ]
        connect(m, fetch.instructions, frontend.instructions)
        cleared = Signal(len(names))
        for i, name in enumerate(names):
            unit, queue = units[name], queues[name]
            connect(m, queue.run, unit.run)
            m.d.comb += [
                queue.entries.payload.eq(frontend.entries),
                queue.entries.valid.eq(frontend.entry_valid[i]),
                frontend.entry_ready[i].eq(queue.entries.ready),
                unit.values.eq(queue.values),
                *(
                    [unit.words.eq(queue.words), queue.number.eq(unit.number), queue.copying.eq(unit.copying)]
                    if UNITS[name].streams
                    else []
                ),
                queue.done.eq(unit.done),
                semaphores.wait[i].eq(queue.wait),
                semaphores.signal[i].eq(queue.signal),
                queue.taken.eq(semaphores.taken[i]),
                queue.overflow.eq(overflow),
                queue.halt.eq(halt),
                cleared[i].eq(queue.clear),
                frontend.idle[i].eq(queue.idle),
                frontend.blocked[i].eq(queue.blocked),
                frontend.error[i].eq(unit.error),
                frontend.error_address[i].eq(unit.error_address),
            ]
        with m.If(datapath.overflow | vector.overflow):
            m.d.sync += overflow.eq(1)
        with m.Elif(cleared.any() | reset):
            m.d.sync += overflow.eq(0)

        # --- units and datapath ---------------------------------------------------------------------------
        m.d.comb += [
            load.halt.eq(halt),
            store.halt.eq(halt),
            vector.halt.eq(halt),
            datapath.load_start.eq(load.start),
            datapath.load.eq(load.what),
            load.loading.eq(datapath.loading),
            load.range_error.eq(datapath.load_error),
            compute.range_error.eq(datapath.run_error),
            datapath.store_start.eq(store.start),
            datapath.store.eq(store.what),
            store.storing.eq(datapath.storing),
            store.range_error.eq(datapath.store_error),
        ]
        connect(m, load.beats, datapath.beats)
        connect(m, compute.product, datapath.run)
        connect(m, datapath.status, compute.status)
        connect(m, datapath.stored, store.beats)

        # --- memory -----------------------------------------------------------------------------------------
        connect(m, fetch.port, read_port.clients[0])
        connect(m, load.port, read_port.clients[1])
        connect(m, store.port, write_port.clients[0])
        for i in range(len(READERS)):
            connect(m, vector.reads[i], read_port.clients[2 + i])
        for i in range(len(WRITERS)):
            connect(m, vector.writes[i], write_port.clients[1 + i])
        connect_axi4(m, self.m_axi, read_port.m_axi, write_port.m_axi)
        # A reset in the middle of a burst would leave answers that nobody waits for: it is kept until all have come.
        quiet = ~(fetch.busy | load.on_memory | store.on_memory | vector.on_memory)
        m.d.comb += frontend.quiet.eq(quiet)
        m.d.sync += reset.eq(wanted & quiet & ~reset)
        with m.If(csr.reset):
            m.d.sync += wanted.eq(1)
        with m.Elif(reset):
            m.d.sync += wanted.eq(0)

        self._count(m, csr, frontend, queues, units, compute, overflow)
        if self._trace:
            self._watch(m, frontend, queues, units)
        if self._lights:
            m.d.comb += [self.running.eq(frontend.busy), self.failed.eq(frontend.failed)]
        return m

    def _watch(self, m: Module, frontend: Frontend, queues: dict[str, UnitQueue], units):
        """Drives ``trace``."""
        m.d.comb += self.trace.program.eq(frontend.busy)
        for name, unit in units.items():
            told = getattr(self.trace, name)
            m.d.comb += [
                told.busy.eq(unit.busy & frontend.busy),
                told.blocked.eq(queues[name].blocked & frontend.busy),
                told.address.eq(unit.error_address),
            ]
            if name != "compute":  # which works on buffers alone
                m.d.comb += told.waiting.eq(unit.waiting & frontend.busy)
        compute = units["compute"]
        with m.If(compute.reported):
            m.d.sync += self.trace.array_busy.eq(compute.report.busy)

    def _count(
        self, m: Module, csr: CsrBlock, frontend: Frontend, queues, units, compute: ComputeUnit, overflow
    ):
        """Performance counters: of the program that ran last."""
        axi, running = self.m_axi, frontend.busy
        events = {
            "cycles": frontend.running,
            "read_beats": axi.rvalid & axi.rready & running,
            "write_beats": axi.wvalid & axi.wready & running,
        }
        for name, unit in units.items():
            events[f"{name}_busy"] = unit.busy & running
            events[f"{name}_blocked"] = queues[name].blocked & running
        m.d.comb += [
            csr.events.eq(Cat(events[name] for name, _ in EVENTS)),
            csr.added.eq(compute.reported),
            *(
                csr.amounts[i].eq(compute.report[name.removeprefix("array_")])
                for i, (name, _) in enumerate(AMOUNTS)
            ),
        ]
        m.d.comb += [
            csr.busy.eq(frontend.busy),
            csr.done.eq(frontend.done),
            csr.failed.eq(frontend.failed),
            csr.overflow.eq(overflow),
            csr.fault.eq(frontend.fault),
            csr.fault_unit.eq(frontend.fault_unit),
            csr.fault_address.eq(frontend.fault_address),
        ]
